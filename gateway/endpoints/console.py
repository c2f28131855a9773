"""The developer's console: who may see it, what is done there, and the page that shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from werkzeug import Response

from gateway.authenticator import Authenticator
from gateway.config import Settings
from gateway.config_authorization_model import PROMPTS
from gateway.console.actions import Actions, Result, decoded, failure
from gateway.console.diagram import diagrams, steps
from gateway.console.logins import RecordedLogins
from gateway.console.upstream_call import METHODS, UpstreamCalls
from gateway.console.view import TOKENS, provider_view, session_view, token_of, written
from gateway.cookies import HANDLE_BYTES, console_cookie, console_handle, session_handles
from gateway.endpoints.login import LoginEndpoints
from gateway.endpoints.request import Request
from gateway.errors import (
    CROSS_SITE_REFUSED,
    INTERNAL,
    LOGIN_REQUIRED,
    PARAMETER_REFUSED,
    STEP_UP_REQUIRED,
    GatewayError,
)
from gateway.oidc.messages import Entropy
from gateway.policy import Decision, Verdict, decide, is_same_origin
from gateway.provider import Provider
from gateway.responses import Responses, with_cookies
from gateway.route import Route, compile_pattern
from gateway.store import Clock, HeldSession

MAX_FORM_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleEndpoint:
    """The endpoint `console`: GET shows, POST does what the form says in `action`, and shows what came of it."""

    settings: Settings
    authenticator: Authenticator
    responses: Responses
    login: LoginEndpoints
    logins: RecordedLogins
    providers: Mapping[str, Provider]
    actions: Actions
    upstreams: UpstreamCalls
    clock: Clock
    entropy: Entropy

    def console(self, request: Request) -> Response:
        """Show the console to whom it is for, or do what was asked there.

        Raises `cross_site_refused` for another site's form, whatever it asks, `login_required`, `access_denied`, and
        `parameter_refused` for an action that there is none of.
        """
        posted = request.target.method == "POST"
        if posted and not is_same_origin(request.target, self.settings.public_url):
            raise GatewayError(CROSS_SITE_REFUSED, "the console's form on another site")
        held = self.authenticator.find_session(session_handles(self.settings.cookies, request.cookies))
        decision = self._decision(request, held)
        is_open = held is None and not self.settings.console.is_guarded
        if decision.verdict is Verdict.ALLOW or (decision.verdict is Verdict.LOGIN and is_open):
            return self._done(request, held) if posted else self._page(request, held)
        if posted or decision.problem not in (LOGIN_REQUIRED, STEP_UP_REQUIRED):
            raise GatewayError(decision.problem or INTERNAL, decision.detail)
        return self._challenge(request, held, decision)

    def _decision(self, request: Request, held: HeldSession | None) -> Decision:
        """Decide as by a route that is about the console."""
        path = request.target.path
        rule = Route(path=path, pattern=compile_pattern(path), requirement=self.settings.console.requirement)
        session = None if held is None else held.session
        now, origin = int(self.clock()), self.settings.public_url
        return decide(rule, session, request.target, public_origin=origin, now=now)

    def _challenge(self, request: Request, held: HeldSession | None, decision: Decision) -> Response:
        demand = decision.step_up
        if not request.target.navigation:
            return self.responses.unauthorized() if demand is None else self.responses.step_up_required(demand)
        if held is None or demand is None:
            return self.login.challenge(request, "", self.settings.console.requirement.demand)
        return self.login.step_up(request, held.session, demand)

    def _done(self, request: Request, held: HeldSession | None) -> Response:
        form = request.form(MAX_FORM_BYTES)
        action = form.get("action", "")
        if action == "sign_in":
            return self._sign_in(request, held, form)
        if held is None:
            raise GatewayError(LOGIN_REQUIRED, f"no session for {action[:40]!r}")
        if action == "show":
            return self._page(request, held, result=_shown(held, form.get("token", "")))
        if action == "call":
            result = self.upstreams.call(request, held.session, form.get("method", ""), form.get("path", ""))
            return self._page(request, held, result=result, form=form)
        done = self.actions.run(action, held)
        return self._page(request, done.held, result=done.result)

    def _sign_in(self, request: Request, held: HeldSession | None, form: Mapping[str, str]) -> Response:
        console = self.settings.console
        try:
            name = form.get("provider", "")
            provider = self.authenticator.provider(name)
            begin = partial(
                self.authenticator.begin_login,
                provider.settings.name,
                request.target.path,
                _wishes(form),
                demand=console.requirement.demand,
                replaces=self.login.replaced(request),
                allowed=console.parameters,
            )
            return self.login.send(request, name, begin)
        except GatewayError as error:
            return self._page(request, held, result=failure("Sign in", error), form=form)

    def _page(
        self,
        request: Request,
        held: HeldSession | None,
        *,
        result: Result | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Response:
        now, settings = int(self.clock()), self.settings
        handle = console_handle(settings.cookies, request.cookies)
        provider = None if held is None else self.providers[held.session.provider]
        context = {
            "path": request.target.path,
            "sign_out": f"{settings.prefix}/sign_out",
            "now": now,
            "now_written": written(now),
            "session": None
            if held is None or provider is None
            else session_view(held.session, provider, settings.lifetimes, now),
            "prompts": sorted(PROMPTS),
            "providers": [provider_view(one) for one in settings.providers.values()],
            "parameters": settings.console.parameters,
            "methods": METHODS,
            "result": result,
            "result_steps": () if result is None else steps(result.messages),
            "form": form or {},
            "logins": diagrams(() if handle is None else self.logins.of(handle), now),
        }
        response = self.responses.console(context)
        kept = handle or self.entropy(HANDLE_BYTES)
        return with_cookies(response, [console_cookie(settings.cookies, kept)])


def _wishes(form: Mapping[str, str]) -> dict[str, str]:
    """Read what was chosen for a login; each prompt has a box of its own, and JSON in several lines becomes one."""
    wishes = {name: " ".join(value.split()) for name, value in form.items() if value.strip()}
    prompts = [name for name in sorted(PROMPTS) if f"prompt.{name}" in form]
    if prompts:
        wishes["prompt"] = " ".join(prompts)
    if "claims" in wishes:
        try:
            wishes["claims"] = json.dumps(json.loads(form["claims"]), separators=(",", ":"))
        except (ValueError, RecursionError) as error:
            raise GatewayError(PARAMETER_REFUSED, "claims is not JSON") from error
    return wishes


def _shown(held: HeldSession, name: str) -> Result:
    if name not in TOKENS:
        raise GatewayError(PARAMETER_REFUSED, f"no token {name[:40]!r}")
    token = token_of(held.session, name)
    if token is None:
        return Result(title=f"The {TOKENS[name]}", told="There is none.")
    told = "Whoever has it can use it. Close this page when you have seen it."
    return Result(title=f"The {TOKENS[name]}", told=told, facts=(("token", token),), text=decoded(token))
