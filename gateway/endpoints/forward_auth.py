"""Forward-auth: a proxy beside us names a target, and is told whether it may pass, and who the user is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote_to_bytes

from werkzeug import Response

from gateway.authenticator import Authenticator
from gateway.bearer import BearerTokens, insufficient, withdrawn
from gateway.config import Settings
from gateway.cookies import session_handles, without_own
from gateway.endpoints.login import LoginEndpoints
from gateway.endpoints.narrowing import narrow, read_narrowing
from gateway.endpoints.request import Request
from gateway.errors import (
    ACCESS_DENIED,
    BEARER_MALFORMED,
    GROUPS_OVERAGE,
    NOT_FOUND,
    TARGET_MALFORMED,
    UNTRUSTED_PEER,
    GatewayError,
)
from gateway.headers import KNOWN_IDENTITY_FIELDS, METHOD_OVERRIDES, identity, route_headers
from gateway.policy import (
    Decision,
    Verdict,
    asks_who,
    bearer_ways,
    decide_all,
    fitting_session,
    match_all,
)
from gateway.request_context import Environ
from gateway.request_notes import notes_of
from gateway.responses import Responses
from gateway.route import Route
from gateway.session import Session
from gateway.store import Clock
from gateway.target import RequestTarget, read_target
from gateway.telemetry import Decision as Decided
from gateway.upstream_tokens import UpstreamTokens

EXT_AUTHZ = "/ext_authz"
"""What Envoy puts before the path of the request that it asks about, after our prefix."""

_ACCEPTED, _OK = 202, 200
_TOLD = {Verdict.ALLOW: Decided.ALLOW, Verdict.LOGIN: Decided.LOGIN, Verdict.STEP_UP: Decided.STEP_UP}
_ALWAYS = (
    "X-Auth-Request-User", "X-Auth-Request-Issuer", "X-Auth-Request-Email", "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username", "Authorization",
)  # fmt: skip

_DECIDES = ("Authorization", "Cookie", "Origin", "Sec-Fetch-Site", "X-Forwarded-For", "X-Forwarded-Host")
"""By what an answer may differ, beside the target: who asks, from where, and what page has them ask."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is asked about, and how; `client` brings a token of its own, `allowed` is the status that says yes."""

    request: Request
    target: RequestTarget
    routes: tuple[Route, ...]
    session: Session | None
    client: bool
    wanted: Mapping[str, set[str]]
    allowed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardAuthEndpoint:
    """The endpoints that nginx, Traefik and Caddy ask by header fields, and Envoy by the path.

    An address that is not in `trusted_proxies` may not ask: the answer tells who a cookie belongs to.
    """

    settings: Settings
    authenticator: Authenticator
    bearer: BearerTokens
    login: LoginEndpoints
    responses: Responses
    tokens: UpstreamTokens
    clock: Clock

    def auth(self, request: Request) -> Response:
        """Decide on the target that header fields name; raises `untrusted_peer` and `access_denied`."""
        self._check_peer(request)
        forward, environ = self.settings.forward_auth, request.environ
        if _raw(request).partition("?")[0] != request.target.path:
            # Proxies keep browsers from asking by what the path looks like, and would take this for another.
            raise GatewayError(ACCESS_DENIED, "our path is encoded")
        wanted = read_narrowing(request.target.query)

        def named() -> RequestTarget:
            # Where the proxy names no method, no rule is about methods either, and a client's own word for it is none.
            method = _sent(environ, forward.method_header) if forward.method_header else "GET"
            return self._target(environ, _sent(environ, forward.uri_header), method)

        return self._decided(self._question(request, _named(named), wanted, _ACCEPTED))

    def ext_authz(self, request: Request) -> Response:
        """Decide on the target that follows our path, in the method of the request itself; raises as `auth` does."""
        self._check_peer(request)
        before, environ = f"{self.settings.prefix}{EXT_AUTHZ}", request.environ

        def named() -> RequestTarget:
            raw = _raw(request)
            if not raw.startswith(f"{before}/"):
                raise GatewayError(TARGET_MALFORMED, "our own part of the path is encoded")
            return self._target(environ, raw.removeprefix(before), request.target.method)

        return self._decided(self._question(request, _named(named), {}, _OK))

    @property
    def _method_overrides(self) -> frozenset[str]:
        return METHOD_OVERRIDES & self.settings.rules.reserved

    def _check_peer(self, request: Request) -> None:
        if not self.settings.forward_auth.enabled:
            raise GatewayError(NOT_FOUND, "forward_auth.enabled is false")
        if not request.target.peer_trusted:
            raise GatewayError(UNTRUSTED_PEER, f"peer {request.environ.get('REMOTE_ADDR', '')}")

    def _target(self, environ: Environ, named: str, method: str) -> RequestTarget:
        path, _, query = named.partition("?")
        if not path.startswith("/"):
            raise GatewayError(TARGET_MALFORMED, "the named target is not in origin form")
        asked = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "RAW_URI": named,
            "QUERY_STRING": query,
        }
        return read_target({**environ, **asked, "REQUEST_URI": named}, self.settings.trusted_proxies)

    def _question(
        self, request: Request, target: RequestTarget, wanted: Mapping[str, set[str]], allowed: int
    ) -> _Question:
        overriding = self._method_overrides & target.names
        if overriding:  # We cannot take it out of the request, and the rule would be that of another method.
            raise GatewayError(ACCESS_DENIED, f"{min(overriding)} where rules are about methods")
        routes = _matched(self.settings, target)
        client = self._client(request, routes, target.client)
        session = client
        if client is None and (wanted or asks_who(routes)):
            held = self.authenticator.current_session(session_handles(self.settings.cookies, request.cookies))
            session = None if held is None else held.session
        fitting = fitting_session(routes, session)
        if client is not None and fitting is None:
            raise GatewayError(ACCESS_DENIED, f"a token of the provider {client.provider}")
        return _Question(
            request=request,
            target=target,
            routes=routes,
            session=fitting,
            client=client is not None,
            wanted=wanted,
            allowed=allowed,
        )

    def _client(self, request: Request, routes: tuple[Route, ...], address: str) -> Session | None:
        try:
            return self.bearer.session(request.environ.get("HTTP_AUTHORIZATION"), routes, address)
        except GatewayError as error:
            if error.problem is BEARER_MALFORMED:  # Proxies take a 400 for a failure of ours.
                raise GatewayError(ACCESS_DENIED, error.detail) from error
            raise

    def _decided(self, asked: _Question) -> Response:
        now, origin = int(self.clock()), self.settings.public_url
        decision = decide_all(
            asked.routes, asked.session, asked.target, public_origin=origin, now=now, ambient=not asked.client
        )
        notes = notes_of(asked.request.environ)
        notes.session = asked.session
        notes.decided(_TOLD.get(decision.verdict, Decided.REFUSE), asked.routes[0].path)
        if decision.verdict is Verdict.LOGIN or (asked.wanted and asked.session is None):
            return self._challenged(asked)
        if decision.verdict is not Verdict.ALLOW:
            return self._refused(asked, decision)
        if asked.session is not None:
            narrow(asked.session, asked.wanted)
        return self._allowed(asked)

    def _challenged(self, asked: _Question) -> Response:
        if not self._may_redirect(asked):
            return self.responses.unauthorized(bearer=bool(bearer_ways(asked.routes)))
        provider = next((route.provider for route in asked.routes if route.provider), "")
        return self.login.challenge(_of(asked), provider, asked.routes[0].requirement.demand)

    def _refused(self, asked: _Question, decision: Decision) -> Response:
        if decision.step_up is not None and asked.session is not None:
            if asked.client:
                return self.responses.step_up_required(decision.step_up)
            if self._may_redirect(asked):
                return self.login.step_up(_of(asked), asked.session, decision.step_up)
            # A 401 would send the browser to the same weak login, for ever.
            raise GatewayError(ACCESS_DENIED, f"the login is too weak: {decision.step_up}")
        problem = GROUPS_OVERAGE if decision.problem is GROUPS_OVERAGE else ACCESS_DENIED
        error = GatewayError(problem, decision.detail)
        raise insufficient(error, asked.routes, asked.session) if asked.client and asked.session else error

    def _may_redirect(self, asked: _Question) -> bool:
        # The login comes back to `public_url`, and would end at another host than it began at.
        here = asked.target.host == self.settings.rules.public_host
        wanted = self.settings.forward_auth.redirects and asked.routes[0].redirect_to_login
        return wanted and here and asked.target.navigation and not asked.client

    def _allowed(self, asked: _Question) -> Response:
        route, session, forward = asked.routes[0], asked.session, self.settings.forward_auth
        response = self.responses.text(asked.allowed, "OK")
        if forward.cache:
            response.headers["Cache-Control"] = f"private, max-age={forward.cache}"
            named = (forward.uri_header, forward.method_header) if asked.allowed == _ACCEPTED else ()
            response.headers["Vary"] = ", ".join((*_DECIDES, *filter(None, named)))
        try:
            # Only the one who asks knows the address that a proof would have to name.
            authorization = self.tokens.headers(route, session, method="", url=str)
        except GatewayError as error:
            raise withdrawn(error, session) from error
        for name, value in route_headers(route, session, authorization):
            # With an upstream of ours, the token goes there; the one who asks here may be a browser behind a proxy.
            if name != "authorization" or not route.upstream:
                response.headers.add(name.title(), value)
        if session is not None:
            for name, value in identity(session):
                response.headers.add(f"X-Auth-Request-{name.title()}", value)
            if forward.access_token and not route.upstream:
                response.headers.add("X-Auth-Request-Access-Token", session.access_token)
        if asked.allowed == _OK:
            return self._with_removals(response, asked.request)
        # Some proxies leave what the client said where we say nothing.
        for name in (*_ALWAYS, *(one.title() for one in sorted(self.settings.rules.injected))):
            response.headers.setdefault(name, "")
        return response

    def _with_removals(self, response: Response, request: Request) -> Response:
        # Envoy puts our fields in the place of the client's, and removes the others that we name: what nobody has set
        # must not be the client's word, and the session's cookie is nothing for the application.
        cookie = without_own(self.settings.cookies, request.cookies)
        if cookie:
            response.headers["Cookie"] = cookie
        names = KNOWN_IDENTITY_FIELDS | self.settings.rules.injected | self._method_overrides
        removed = sorted(name for name in (*names, *(() if cookie else ("cookie",))) if name not in response.headers)
        response.headers["X-Envoy-Auth-Headers-To-Remove"] = ",".join(removed)
        return response


def _raw(request: Request) -> str:
    return str(request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or request.target.raw)


def _of(asked: _Question) -> Request:
    return Request(target=asked.target, environ=asked.request.environ)


def _named(read: Callable[[], T]) -> T:
    # 403 for what is refused as malformed, too: proxies take any other status for a failure of ours.
    try:
        return read()
    except GatewayError as error:
        raise GatewayError(ACCESS_DENIED, f"the named target: {error}") from error


def _matched(settings: Settings, target: RequestTarget) -> tuple[Route, ...]:
    return _named(lambda: match_all(settings.routes, settings.default_route, target))


def _sent(environ: Environ, header: str) -> str:
    value = environ.get("HTTP_" + header.upper().replace("-", "_"))
    if value is None:  # Guessing GET or / would let the rules for other methods and paths be passed by.
        raise GatewayError(ACCESS_DENIED, f"the proxy does not send {header}")
    return str(value)
