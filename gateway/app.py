"""The gateway: `Gateway.__call__` is the story of a request; `create_app` is for servers."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

from werkzeug import Response

from gateway.assembly import Outside, make_authenticator, make_bearer, make_providers, make_store, make_upstreams
from gateway.bearer import BearerRefused, insufficient
from gateway.config import Settings, load_settings, load_standalone_settings, parse_settings, wrapping
from gateway.cookies import session_handles
from gateway.cors import Cors
from gateway.endpoint_assembly import Parts, lay_out_endpoints
from gateway.endpoints.form import FormEndpoint
from gateway.endpoints.login import LoginEndpoints, LoginFailed
from gateway.endpoints.request import Request
from gateway.endpoints.table import Endpoint, endpoint_at
from gateway.errors import (
    ACCESS_DENIED,
    INTERNAL,
    METHOD_REFUSED,
    NOT_FOUND,
    STORE_PER_PROCESS,
    TOKEN_INACTIVE,
    GatewayError,
)
from gateway.headers import Headers
from gateway.identity import Identities
from gateway.inner import Admitted, inner_environ, upstream_url
from gateway.logs import log_to_stderr
from gateway.oidc.challenge import StepUp
from gateway.open_streams import OpenStreams
from gateway.policy import (
    SAFE_METHODS,
    Decision,
    Verdict,
    asks_who,
    bearer_ways,
    decide_all,
    fitting_session,
    match_all,
)
from gateway.reactions import Reactions, is_repeatable
from gateway.response_rewriting import rewritten
from gateway.responses import Responses
from gateway.route import Route, Token
from gateway.session import Session
from gateway.store import HeldSession
from gateway.target import Environ, RequestTarget, read_target
from gateway.upstream_tokens import UpstreamTokens

_log = logging.getLogger("gateway")


class Gateway:
    """A WSGI middleware: what passes it is signed in, or on a route that says otherwise."""

    def __init__(self, settings: Settings, app: WSGIApplication | None, outside: Outside) -> None:
        self.settings = settings
        self.providers = make_providers(settings, outside)
        self.store = make_store(settings, outside)
        self.authenticator = make_authenticator(settings, self.providers, self.store, outside)
        self._bearer = make_bearer(settings, self.providers, self.store, outside)
        self.tokens = UpstreamTokens(providers=self.providers, clock=outside.clock, entropy=outside.entropy)
        self._identities = Identities(keys=settings.identity_keys, issuer=settings.public_url, clock=outside.clock)
        self._cors = Cors(settings.cors_origins)
        self._clock = outside.clock
        self._responses = Responses(
            start_path=f"{settings.prefix}/start", public_url=settings.public_url, entropy=outside.entropy
        )
        self._login = LoginEndpoints(
            settings=settings, authenticator=self.authenticator, responses=self._responses, entropy=outside.entropy
        )
        self._form = FormEndpoint(
            settings=settings,
            authenticator=self.authenticator,
            responses=self._responses,
            entropy=outside.entropy,
            clock=outside.clock,
        )
        parts = Parts(
            settings=settings,
            authenticator=self.authenticator,
            responses=self._responses,
            store=self.store,
            providers=self.providers,
            tokens=self.tokens,
            bearer=self._bearer,
            login=self._login,
            form=self._form,
            outside=outside,
        )
        self.endpoints = lay_out_endpoints(parts)
        self.upstreams = make_upstreams(settings)
        self._streams = OpenStreams(self.authenticator.has_session, clock=outside.clock)
        self._inner: Mapping[str, WSGIApplication] = {**self.upstreams, "": app or _nothing_here}

    @classmethod
    def from_config(
        cls, source: str | Path | Mapping[str, object], *, outside: Outside | None = None
    ) -> Callable[[WSGIApplication | None], Gateway]:
        """Read a configuration, a file's path or a mapping, and return what wraps an app in a gateway.

        The environment's GATEWAY_* are laid over it. Raises `ConfigurationError`; what it returns does, too, and
        `StoreUnavailable`.
        """
        if isinstance(source, Mapping):
            settings = parse_settings(source, os.environ)
        else:
            settings = load_settings(str(source), os.environ)
        return lambda app: cls(settings if app is None else wrapping(settings), app, outside or Outside())

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, or hand it to the inner app; whatever goes wrong in deciding, nothing is let in."""
        start_response = self._cors.answering(environ, start_response)
        try:
            outcome = self._cors.preflight(environ) or self._decide(environ)
        except GatewayError as error:
            outcome = self._failed(environ, error)
        except Exception:  # noqa: BLE001 - fails closed whatever it was.
            _log.exception("an error that nobody foresaw")
            outcome = self._failed(environ, GatewayError(INTERNAL))
        if isinstance(outcome, Response):
            return outcome(environ, start_response)
        try:
            return outcome(start_response)
        except GatewayError as error:
            return self._failed(environ, error)(environ, start_response)

    def _decide(self, environ: Environ) -> Response | Admitted:
        if self.settings.store.type == "memory" and environ.get("wsgi.multiprocess"):
            raise GatewayError(STORE_PER_PROCESS, "session.store.type: memory serves one process; use file or redis")
        target = read_target(environ, self.settings.trusted_proxies, self.settings.trusted_hops)
        request = Request(target=target, environ=environ)
        endpoint = endpoint_at(self.endpoints, target.path)
        if endpoint is not None:
            return self._answered(request, endpoint)
        routes = match_all(self.settings.routes, self.settings.default_route, target)
        client = self._client(request, routes)
        if client is not None:
            return self._judged_client(request, routes, client)
        return self._judged(request, routes, self._held(request) if asks_who(routes) else None)

    def _client(self, request: Request, routes: Sequence[Route]) -> Session | None:
        """Return who brings an access token of their own, where the rules let them."""
        ways, field = bearer_ways(routes), request.environ.get("HTTP_AUTHORIZATION")
        if not ways or field is None:
            return None
        return self._bearer.session(str(field), ways, next((one.provider for one in routes if one.provider), ""))

    def _judged_client(self, request: Request, routes: Sequence[Route], client: Session) -> Response | Admitted:
        """Decide by the token alone: never a redirect, never a cookie, and no other session in its place."""
        if fitting_session(routes, client) is None:
            raise GatewayError(ACCESS_DENIED, f"a token of the provider {client.provider}")
        decision = self._decision(routes, client, request.target, ambient=False)
        if decision.verdict is Verdict.ALLOW:
            return self._admitted(request, routes[0], client)
        if decision.step_up is not None:
            return self._responses.step_up_required(decision.step_up)
        return self._failed(request.environ, insufficient(_refusal(decision), routes, client))

    def _judged(
        self, request: Request, routes: Sequence[Route], held: HeldSession | None, *, renewed: bool = False
    ) -> Response | Admitted:
        session = fitting_session(routes, None if held is None else held.session)
        decision = self._decision(routes, session, request.target)
        if decision.verdict is Verdict.ALLOW:
            return self._admitted(request, routes[0], session, None if session is None else held, renewed=renewed)
        if decision.verdict is Verdict.LOGIN:
            return self._challenge(request, routes)
        if decision.step_up is not None and session is not None:
            return self._step_up(request, routes[0], session, decision.step_up)
        return self._failed(request.environ, _refusal(decision))

    def _decision(
        self, routes: Sequence[Route], session: Session | None, target: RequestTarget, *, ambient: bool = True
    ) -> Decision:
        origin, now = self.settings.public_url, int(self._clock())
        return decide_all(routes, session, target, public_origin=origin, now=now, ambient=ambient)

    def _answered(self, request: Request, endpoint: Endpoint) -> Response:
        if endpoint.methods is None or request.target.method in endpoint.methods:
            return endpoint.answer(request)
        response = self._failed(request.environ, GatewayError(METHOD_REFUSED, request.target.method))
        response.headers["Allow"] = ", ".join(endpoint.methods)
        return response

    def _held(self, request: Request) -> HeldSession | None:
        return self.authenticator.current_session(session_handles(self.settings.cookies, request.cookies))

    def _admitted(
        self,
        request: Request,
        route: Route,
        session: Session | None,
        held: HeldSession | None = None,
        *,
        renewed: bool = False,
    ) -> Admitted:
        authorization = self._authorization(request, route, session)
        environ = inner_environ(request.environ, request.target, route, session, self.settings.rules, authorization)
        return Admitted(
            inner=self._inner[route.upstream],
            environ=environ,
            cookies=self.settings.cookies,
            personal=session is not None,
            rewrite=partial(rewritten, request.target, route, self.settings.rules) if route.rewrite_responses else None,
            react=None if held is None else self._reactions(request, route, held, authorization, renewed=renewed),
            watch=self._streams.watch(session, None if held is None else held.handle),
        )

    def _authorization(self, request: Request, route: Route, session: Session | None) -> Headers:
        try:
            url = upstream_url(route, request.target, self.settings.rules)
            tokens = self.tokens.headers(route, session, method=request.target.method, url=url)
            return [*tokens, *self._identities.headers(route, session)]
        except GatewayError as error:
            # The provider has withdrawn the user's token: a new login is the way on.
            raise (LoginFailed(error, request.target.raw) if error.problem is TOKEN_INACTIVE else error) from error

    def _reactions(
        self, request: Request, route: Route, held: HeldSession, authorization: Headers, *, renewed: bool
    ) -> Reactions:
        proven = any(name == "dpop" for name, _ in authorization)
        again = proven and is_repeatable(request.environ)
        renews = route.token is Token.ACCESS_TOKEN and not renewed
        navigation = request.target.navigation and route.redirect_to_login
        return Reactions(
            remember_nonce=partial(self.tokens.remember_nonce, route.upstream) if proven else None,
            prove=partial(self._admitted, request, route, held.session, held, renewed=renewed) if again else None,
            renew=partial(self._renewed, request, route, held) if renews else None,
            step_up=partial(self._login.step_up, request, held.session) if navigation else None,
        )

    def _renewed(self, request: Request, route: Route, held: HeldSession) -> Response | Admitted | None:
        renewed = self.authenticator.after_rejection(held)
        if renewed is None:
            return self._challenge(request, [route])
        same = renewed.session.access_token == held.session.access_token
        repeats = request.target.method in SAFE_METHODS and is_repeatable(request.environ)
        if same or not repeats:
            return None
        # With the tokens, what is said of the user may be new, too.
        routes = match_all(self.settings.routes, self.settings.default_route, request.target)
        return self._judged(request, routes, renewed, renewed=True)

    def _challenge(self, request: Request, routes: Sequence[Route]) -> Response:
        kept = self._form.keep(request) if routes[0].keep_forms else None
        if kept is not None:
            return kept
        # A login ends at the host of `public_url`, and is of no use to a route of other hosts.
        elsewhere = bool(routes[0].hosts) and request.target.host != self.settings.rules.public_host
        if not request.target.navigation or not routes[0].redirect_to_login or elsewhere:
            return self._responses.unauthorized(bearer=bool(bearer_ways(routes)))
        if self.settings.keep_fragment:
            return self._responses.fragment(request.target.raw)
        provider = next((route.provider for route in routes if route.provider), "")
        return self._login.challenge(request, provider, routes[0].requirement.demand)

    def _step_up(self, request: Request, route: Route, session: Session, demand: StepUp) -> Response:
        if not request.target.navigation or not route.redirect_to_login:
            return self._responses.step_up_required(demand)
        return self._login.step_up(request, session, demand)

    def _failed(self, environ: Environ, error: GatewayError) -> Response:
        reference = self._responses.reference()
        asked = f"{environ.get('REQUEST_METHOD', '')} {environ.get('PATH_INFO', '')}"[:240]
        _log.warning("%r: %s (reference %s)", asked, error, reference)
        html = "text/html" in environ.get("HTTP_ACCEPT", "")
        again = error.return_to if isinstance(error, LoginFailed) else ""
        challenge = error.challenge if isinstance(error, BearerRefused) else ""
        return self._responses.error(error, html=html, reference=reference, again=again, challenge=challenge)


def _refusal(decision: Decision) -> GatewayError:
    return GatewayError(decision.problem or INTERNAL, decision.detail)


def create_app() -> Gateway:
    """Make the gateway that stands alone before its upstreams, from the environment and the file that it names.

    Raises `ConfigurationError`.
    """
    settings = load_standalone_settings(None, os.environ)
    log_to_stderr(settings.log_level)
    return Gateway(settings, None, Outside())


def _nothing_here(_environ: dict[str, Any], _start_response: StartResponse) -> Iterable[bytes]:
    raise GatewayError(NOT_FOUND, "no app is wrapped and the route names no upstream")
