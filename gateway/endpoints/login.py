"""Signing in: the start of a login and the callback that completes it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import urlencode

from werkzeug import Response

from gateway.authenticator import Authenticator, BegunLogin
from gateway.config import Settings
from gateway.console.inspector import Inspector
from gateway.cookies import (
    begin_transaction,
    cookie_value,
    deletion,
    find_transaction,
    note,
    session_cookie,
    session_handles,
)
from gateway.endpoints.login_failed import LoginFailed
from gateway.endpoints.login_loop import LoopGuard
from gateway.endpoints.request import Request
from gateway.errors import (
    OP_INTERACTION_REQUIRED,
    PROVIDER_UNKNOWN,
    RESPONSE_ISS_MISMATCH,
    STEP_UP_FAILED,
    TRANSACTION_EXPIRED,
    TRANSACTION_REPEATED,
    GatewayError,
)
from gateway.login_limit import LoginLimit
from gateway.oidc.authorization_response import ReceivedResponse, error_problem
from gateway.oidc.challenge import StepUp
from gateway.oidc.messages import Entropy, quoted
from gateway.oidc.transaction import Transaction
from gateway.policy import is_same_origin
from gateway.responses import Responses, with_cookies
from gateway.session import Session
from gateway.session_events import session_event
from gateway.store import HeldSession, session_id
from gateway.target import safe_return_to
from gateway.telemetry import Event, Kind, Silence, Telemetry

MAX_RETURN_TO = 2048
"""A longer address is not remembered whole: the transaction has to fit into a cookie."""

MAX_STEP_UPS = 3
"""How many different demands are met one right after the other, before it is a circle."""

_COUNTS = frozenset(str(number) for number in range(1, MAX_STEP_UPS))
_STALE = (TRANSACTION_EXPIRED, TRANSACTION_REPEATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginEndpoints:
    """The endpoints that begin and complete logins; `inspector` takes note of them where there is a console."""

    settings: Settings
    authenticator: Authenticator
    responses: Responses
    entropy: Entropy
    limit: LoginLimit
    loops: LoopGuard
    inspector: Inspector | None = None
    telemetry: Telemetry = field(default_factory=Silence)

    def start(self, request: Request) -> Response:
        """Begin a login that ends at `rd`, or, begun by a provider's own page, at `target_link_uri` (OIDC Core 4).

        Where several providers could sign the user in, they are shown to choose from. Raises `return_url_refused` for
        another site's address, and `provider_unknown` for an issuer that is not one of ours to the letter.
        """
        parameters = {**request.query(), **(request.form() if request.target.method == "POST" else {})}
        if request.target.method == "POST" and not is_same_origin(request.target, self.settings.public_url):
            # Our cookies do not come with another site's form, so those of logins under way could not be counted.
            return self.responses.redirect(f"{request.target.path}?{urlencode(parameters)}")
        wanted = parameters.get("rd") or parameters.get("target_link_uri") or "/"
        return_to = safe_return_to(wanted, self.settings.public_url)
        name = self._chosen(parameters)
        if name is None or self._would_replace(request, name):
            return self._chooser(request, parameters)
        return self.begin(request, name, return_to, parameters, demand=self._demand(parameters))

    def sign_in(self, request: Request) -> Response:
        """Show the ways to sign in, for a proxy that shows a page instead of sending the browser on.

        The login ends at `rd`, or at what the proxy says was asked for (`X-Auth-Request-Redirect`). Raises
        `return_url_refused` for another site's address.
        """
        parameters = request.query()
        wanted = parameters.get("rd") or str(request.environ.get("HTTP_X_AUTH_REQUEST_REDIRECT") or "/")
        return_to = safe_return_to(wanted, self.settings.public_url)
        return self._chooser(request, {**parameters, "rd": return_to})

    def _chooser(self, request: Request, parameters: Mapping[str, str]) -> Response:
        providers = list(self.settings.providers.values())
        return self.responses.chooser(providers, parameters, accept_language=request.accept_language)

    def challenge(self, request: Request, provider: str, demand: StepUp) -> Response:
        """Send a navigation to the provider that a rule names, to the only one, or to the choice of one.

        `demand` is what the rule wants a login to show.
        """
        only = self.settings.only_provider
        name = provider or ("" if only is None else only.name)
        if not name:
            return self.responses.redirect(self.responses.start_url(request.target.raw))
        return self.begin(request, name, request.target.raw, {}, demand=demand)

    def step_up(self, request: Request, session: Session, demand: StepUp) -> Response:
        """Ask for the stronger login that a rule or an upstream demands.

        Raises `step_up_failed` when a login that was asked for it has just been completed, and it is demanded still.
        """
        noted, _, count = (cookie_value(request.cookies, self.settings.cookies.step_up) or "").partition(".")
        if noted == _name(demand) or count == str(MAX_STEP_UPS):
            raise GatewayError(STEP_UP_FAILED, f"still {demand}")
        number = int(count) + 1 if count in _COUNTS else 1
        mark = f"{_name(demand)}.{number}"
        return self.begin(request, session.provider, request.target.raw, {}, demand=demand, step_up=mark)

    def begin(
        self,
        request: Request,
        provider: str,
        return_to: str,
        parameters: Mapping[str, str],
        *,
        demand: StepUp = StepUp(),
        step_up: str = "",
        instead_of: str = "",
    ) -> Response:
        """Send the browser to a provider, with a transaction of its own in a cookie.

        `instead_of` is the state of an earlier attempt that came to nothing. Raises `LoginFailed` where this browser
        is signed in again and again.
        """
        begin = partial(
            self.authenticator.begin_login,
            provider,
            self._landing(return_to),
            parameters,
            demand=demand,
            replaces=self.replaced(request),
            mark=self.loops.mark(request, second=bool(instead_of)),
        )
        # Who is asked for a stronger login has a session, and that circle is told by its own note.
        losses = 0 if step_up else self.loops.losses(request, return_to, instead_of)
        return self.send(request, provider, begin, step_up=step_up, losses=losses)

    def replaced(self, request: Request) -> list[str]:
        """Name the sessions that a login of this browser will end, where its answer may come without their cookie."""
        policy = self.settings.cookies
        # Another site's POST will not bring the session's cookie, so what it stands for is noted now.
        handles = session_handles(policy, request.cookies) if policy.cross_site else []
        return [session_id(handle) for handle in handles]

    def send(
        self,
        request: Request,
        provider: str,
        begin: Callable[[], BegunLogin],
        *,
        step_up: str = "",
        losses: int = 0,
    ) -> Response:
        """Begin a login, and send the browser on with its transaction in a cookie; raises `too_many_logins`."""
        self.limit.count(request.target.client)
        send = partial(self._sent, request, begin, step_up, losses)
        return send() if self.inspector is None else self.inspector.begun(request, provider, send)

    def _sent(self, request: Request, begin: Callable[[], BegunLogin], step_up: str, losses: int) -> Response:
        begun = begin()
        transaction = replace(begun.transaction, step_up=step_up, losses=losses)
        cookies = begin_transaction(self.settings.cookies, transaction, request.cookies, self.entropy)
        return self.responses.redirect(begun.url, cookies)

    def callback(self, request: Request, provider: str) -> Response:
        """Complete the login whose state came back, if this very browser began it (OIDC Core 3.1.2.7).

        Raises `too_many_logins` in the place of a failure that is one too many.
        """
        try:
            answer = request.answer()
            complete = partial(self._answered, request, provider, answer)
            if self.inspector is not None:
                return self.inspector.answered(request, provider, answer, complete)
            return complete()
        except GatewayError as error:
            failed = Event(kind=Kind.LOGIN, outcome=error.code, provider=provider, client=request.target.client)
            self.telemetry.happened(replace(failed, detail=error.detail))
            self.limit.count(request.target.client)  # Whoever makes answers up costs as much as who begins logins.
            raise

    def _answered(self, request: Request, provider: str, answer: Mapping[str, str]) -> Response:
        posted = request.target.method == "POST"
        if "error" in answer and not answer.keys() & {"state", "response"}:
            # A pushed request is used once; who goes back to it is sent here without the state that was in it.
            error = GatewayError(error_problem(answer["error"]), f"error {quoted(answer['error'])} without state")
            if self._session(request) is None:
                raise LoginFailed(error, "/")
            return self.responses.redirect("/")
        received = self.authenticator.provider(provider).read_response(answer, posted=posted)
        transaction = find_transaction(self.settings.cookies, request.cookies, received.state)
        if transaction is None:
            return self._stale(request, provider, "/", received.state, self.loops.not_returned(request, received.state))
        try:
            if transaction.provider != provider:
                raise GatewayError(RESPONSE_ISS_MISMATCH, f"begun at {transaction.provider}, answered at {provider}")
            return self._complete(request, received, transaction)
        except GatewayError as error:
            if error.problem in _STALE:
                return self._stale(request, provider, transaction.return_to, received.state, error)
            if error.problem is OP_INTERACTION_REQUIRED and transaction.silent:
                return self._interactive(request, transaction)
            raise LoginFailed(error, transaction.return_to) from error

    def _complete(self, request: Request, received: ReceivedResponse, transaction: Transaction) -> Response:
        policy = self.settings.cookies
        held = self.authenticator.complete_login(received, transaction, session_handles(policy, request.cookies))
        self.telemetry.happened(session_event(Kind.LOGIN, held.session, client=request.target.client))
        cookies = [
            session_cookie(policy, held.handle),
            deletion(policy, policy.transaction(transaction.state)),
            self.loops.landed(transaction.losses, held),
        ]
        if cookie_value(request.cookies, policy.retry) is not None:
            cookies.append(deletion(policy, policy.retry))
        if transaction.step_up:
            cookies.append(note(policy, policy.step_up, transaction.step_up))
        return self.responses.redirect(transaction.return_to, cookies)

    def _interactive(self, request: Request, transaction: Transaction) -> Response:
        # The provider could not sign the user in without a word: now it may speak (OIDC Core 3.1.2.6).
        demand = StepUp(acr_values=transaction.acr_values, max_age=transaction.max_age)
        response = self.begin(request, transaction.provider, transaction.return_to, {}, demand=demand)
        policy = self.settings.cookies
        return with_cookies(response, [deletion(policy, policy.transaction(transaction.state))])

    def _stale(self, request: Request, provider: str, return_to: str, state: str, error: GatewayError) -> Response:
        # A bookmarked, repeated or late callback: home if a session lives, else one fresh login, and only one. That it
        # was one, a note tells where the provider loses the state, and the state where the browser loses the note.
        policy = self.settings.cookies
        second = self.loops.beginning(state).second or cookie_value(request.cookies, policy.retry) is not None
        held = self._session(request)
        if held is not None:
            return self.responses.redirect(return_to, self.loops.came_home(request, return_to, state, held))
        if second:
            raise LoginFailed(error, return_to)
        response = self.begin(request, provider, return_to, {}, instead_of=state)
        return with_cookies(response, [note(policy, policy.retry, "1")])

    def _session(self, request: Request) -> HeldSession | None:
        return self.authenticator.find_session(session_handles(self.settings.cookies, request.cookies))

    def _chosen(self, parameters: Mapping[str, str]) -> str | None:
        if "iss" in parameters:
            issuers = {settings.issuer: name for name, settings in self.settings.providers.items()}
            if parameters["iss"] not in issuers:
                raise GatewayError(PROVIDER_UNKNOWN, f"iss {parameters['iss'][:200]!r}")
            return issuers[parameters["iss"]]
        only = self.settings.only_provider
        return parameters.get("provider") or (None if only is None else only.name)

    def _would_replace(self, request: Request, provider: str) -> bool:
        # Another site's link does not get to put its provider's user in the place of ours; the user may.
        if request.target.fetch_site in ("same-origin", "none"):
            return False
        held = self._session(request)
        return held is not None and held.session.provider != provider

    def _demand(self, parameters: Mapping[str, str]) -> StepUp:
        # A page that was told what is missing may ask for it: what a rule wants, and nothing else.
        rules = [route.requirement for route in self.settings.routes]
        classes = {name for rule in rules for name in rule.acr}
        asked = tuple(parameters.get("acr_values", "").split())
        ages = {str(rule.max_age): rule.max_age for rule in rules if rule.max_age is not None}
        return StepUp(
            acr_values=asked if asked and classes.issuperset(asked) else (),
            max_age=ages.get(parameters.get("max_age", "")),
        )

    def _landing(self, return_to: str) -> str:
        path = return_to.partition("#")[0].partition("?")[0]
        own = (self.settings.callback_path, self.settings.prefix)
        if return_to in (f"{self.settings.prefix}/form", f"{self.settings.prefix}/console"):
            return return_to  # They show what is there, and do nothing else.
        if any(path == each or path.startswith(f"{each}/") for each in own):
            return "/"  # Landing on an endpoint of ours would start a login or a logout anew.
        return return_to if len(return_to) <= MAX_RETURN_TO else path if len(path) <= MAX_RETURN_TO else "/"


def _name(demand: StepUp) -> str:
    return hashlib.sha256(repr(demand).encode("utf-8")).hexdigest()[:16]
