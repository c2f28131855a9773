"""Forward-auth: a proxy beside us names a target, we say 202, 401 or 403, and who the user is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote_to_bytes

from werkzeug import Response

from gateway.authenticator import Authenticator
from gateway.claims import claim_values, email_domains, is_withheld, vouched
from gateway.config import Settings
from gateway.cookies import session_handles
from gateway.endpoints.request import Request
from gateway.errors import ACCESS_DENIED, GROUPS_OVERAGE, NOT_FOUND, TARGET_MALFORMED, UNTRUSTED_PEER, GatewayError
from gateway.headers import identity, route_headers
from gateway.policy import Verdict, asks_who, decide_all, fitting_session, match_all
from gateway.responses import Responses
from gateway.route import Route
from gateway.session import Session
from gateway.store import Clock
from gateway.target import Environ, RequestTarget, read_target
from gateway.upstream_tokens import UpstreamTokens

_NARROWING = frozenset({"allowed_groups", "allowed_emails", "allowed_email_domains"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardAuthEndpoint:
    """The endpoint that nginx's auth_request, Traefik's ForwardAuth and Caddy's forward_auth ask."""

    settings: Settings
    authenticator: Authenticator
    responses: Responses
    tokens: UpstreamTokens
    clock: Clock

    def auth(self, request: Request) -> Response:
        """Decide on the target that the peer names; raises `untrusted_peer` and `access_denied`.

        An address that is not in `trusted_proxies` may not ask: the answer tells who a cookie belongs to.
        """
        if not self.settings.forward_auth:
            raise GatewayError(NOT_FOUND, "forward_auth.enabled is false")
        if not request.target.peer_trusted:
            raise GatewayError(UNTRUSTED_PEER, f"peer {request.environ.get('REMOTE_ADDR', '')}")
        target, routes = self._named(request)
        wanted = _narrowing(request.target.query)
        session = fitting_session(routes, self._session(request) if wanted or asks_who(routes) else None)
        now = int(self.clock())
        decision = decide_all(routes, session, target, public_origin=self.settings.public_url, now=now)
        if decision.verdict is Verdict.LOGIN or (wanted and session is None):
            return self.responses.unauthorized()
        if decision.verdict is Verdict.STEP_UP:  # A 401 would send the browser to the same weak login, for ever.
            raise GatewayError(ACCESS_DENIED, f"the login is too weak: {decision.step_up}")
        if decision.problem is GROUPS_OVERAGE:
            raise GatewayError(GROUPS_OVERAGE, decision.detail)
        if decision.verdict is not Verdict.ALLOW:
            raise GatewayError(ACCESS_DENIED, decision.detail)
        if session is not None:
            _narrow(session, wanted)
        return self._allowed(routes[0], session)

    def _named(self, request: Request) -> tuple[RequestTarget, tuple[Route, ...]]:
        # 403 for what is refused as malformed, too: proxies take any other status for a failure of ours.
        try:
            target = self._named_target(request)
            return target, match_all(self.settings.routes, self.settings.default_route, target)
        except GatewayError as error:
            raise GatewayError(ACCESS_DENIED, f"the named target: {error}") from error

    def _named_target(self, request: Request) -> RequestTarget:
        settings, environ = self.settings, request.environ
        named = _sent(environ, settings.forward_uri_header)
        path, _, query = named.partition("?")
        if not path.startswith("/"):
            raise GatewayError(TARGET_MALFORMED, "the named target is not in origin form")
        asked = {
            "REQUEST_METHOD": _sent(environ, settings.forward_method_header),
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "RAW_URI": named,
            "QUERY_STRING": query,
        }
        return read_target({**environ, **asked, "REQUEST_URI": named}, settings.trusted_proxies)

    def _session(self, request: Request) -> Session | None:
        held = self.authenticator.current_session(session_handles(self.settings.cookies, request.cookies))
        return None if held is None else held.session

    def _allowed(self, route: Route, session: Session | None) -> Response:
        response = self.responses.text(202, "OK")
        # Only the one who asks knows the address that a proof would have to name.
        authorization = self.tokens.headers(route, session, method="", url="")
        for name, value in route_headers(route, session, authorization):
            # With an upstream of ours, the token goes there; the one who asks here may be a browser behind a proxy.
            if name != "authorization" or not route.upstream:
                response.headers.add(name.title(), value)
        if session is not None:
            for name, value in identity(session):
                response.headers.add(f"X-Auth-Request-{name.title()}", value)
        return response


def _narrowing(query: str) -> dict[str, set[str]]:
    try:
        asked = parse_qs(query, keep_blank_values=True, max_num_fields=16)
    except ValueError as error:
        raise GatewayError(ACCESS_DENIED, "too many parameters") from error
    unknown = sorted(set(asked) - _NARROWING)
    if unknown:
        raise GatewayError(ACCESS_DENIED, f"unknown parameter {unknown[0][:40]!r}")
    return {
        name: {item.strip() for value in values for item in value.split(",") if item.strip()}
        for name, values in asked.items()
    }


def _narrow(session: Session, wanted: Mapping[str, set[str]]) -> None:
    """Hold a session against `allowed_groups`, `allowed_emails` and `allowed_email_domains`; raises `access_denied`."""
    if "allowed_groups" in wanted and is_withheld(session.claims, "groups"):
        raise GatewayError(GROUPS_OVERAGE, "the groups are kept elsewhere: too many for a token")
    for name, values in wanted.items():
        if not values & _shown(session, name):
            raise GatewayError(ACCESS_DENIED, f"not among {name}")


def _shown(session: Session, name: str) -> set[str]:
    if name == "allowed_groups":
        return claim_values(session.claims, "groups")
    emails = claim_values(vouched(session.claims), "email")
    if name == "allowed_emails":
        return emails
    return {domain for email in emails for domain in email_domains(email)}


def _sent(environ: Environ, header: str) -> str:
    value = environ.get("HTTP_" + header.upper().replace("-", "_"))
    if value is None:  # Guessing GET or / would let the rules for other methods and paths be passed by.
        raise GatewayError(ACCESS_DENIED, f"the proxy does not send {header}")
    return str(value)
