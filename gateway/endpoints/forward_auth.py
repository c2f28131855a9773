"""Forward-auth: a proxy beside us names a target, we say 202, 401 or 403, and who the user is."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote_to_bytes

from werkzeug import Response

from gateway.authenticator import Authenticator
from gateway.config import Settings
from gateway.cookies import session_handles
from gateway.endpoints.request import Request
from gateway.errors import ACCESS_DENIED, TARGET_MALFORMED, UNTRUSTED_PEER, GatewayError
from gateway.headers import identity, route_headers
from gateway.policy import Access, Route, Verdict, claim_values, decide, match
from gateway.responses import Responses
from gateway.session import Session
from gateway.target import RequestTarget, read_target

_NARROWING = frozenset({"allowed_groups", "allowed_emails", "allowed_email_domains"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardAuthEndpoint:
    """The endpoint that nginx's auth_request, Traefik's ForwardAuth and Caddy's forward_auth ask."""

    settings: Settings
    authenticator: Authenticator
    responses: Responses

    def auth(self, request: Request) -> Response:
        """Decide on the target that the peer names; raises `untrusted_peer`, `access_denied`, `target_*`.

        An address that is not in `trusted_proxies` may not ask: the answer tells who a cookie belongs to.
        """
        if not request.target.peer_trusted:
            raise GatewayError(UNTRUSTED_PEER, f"peer {request.environ.get('REMOTE_ADDR', '')}")
        target = self._named_target(request)
        route = match(self.settings.routes, self.settings.default_route, target)
        session = self._session(request, route)
        decision = decide(route, session, target, self.settings.public_url)
        if decision.verdict is Verdict.LOGIN:
            return self.responses.unauthorized()
        if decision.verdict is not Verdict.ALLOW:
            raise GatewayError(ACCESS_DENIED, decision.detail)
        if session is not None:
            _narrow(session, request.target.query)
        return self._allowed(route, session)

    def _named_target(self, request: Request) -> RequestTarget:
        settings, environ = self.settings, request.environ
        named = environ.get(_key(settings.forward_uri_header))
        if named is None:
            if settings.routes:
                raise GatewayError(ACCESS_DENIED, f"the proxy does not send {settings.forward_uri_header}")
            named = "/"
        path, _, query = str(named).partition("?")
        if not path.startswith("/"):
            raise GatewayError(TARGET_MALFORMED, "the named target is not in origin form")
        asked = {
            "REQUEST_METHOD": environ.get(_key(settings.forward_method_header), "GET"),
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "RAW_URI": named,
            "QUERY_STRING": query,
        }
        return read_target({**environ, **asked, "REQUEST_URI": named}, settings.trusted_proxies)

    def _session(self, request: Request, route: Route) -> Session | None:
        if route.access in (Access.PUBLIC, Access.DENY):
            return None
        held = self.authenticator.current_session(session_handles(self.settings.cookies, request.cookies))
        return None if held is None else held.session

    def _allowed(self, route: Route, session: Session | None) -> Response:
        response = self.responses.text(202, "OK")
        for name, value in route_headers(route, session):
            response.headers.add(name.title(), value)
        if session is not None:
            for name, value in identity(session):
                response.headers.add(f"X-Auth-Request-{name.title()}", value)
        return response


def _narrow(session: Session, query: str) -> None:
    """Hold a session against `allowed_groups`, `allowed_emails` and `allowed_email_domains`; raises `access_denied`."""
    for name, values in parse_qs(query, keep_blank_values=True, max_num_fields=16).items():
        if name in _NARROWING:
            wanted = {item.strip() for value in values for item in value.split(",") if item.strip()}
            if not wanted & _shown(session, name):
                raise GatewayError(ACCESS_DENIED, f"not among {name}")


def _shown(session: Session, name: str) -> set[str]:
    if name == "allowed_groups":
        return claim_values(session.claims, "groups")
    # An address that the provider has not verified proves nothing about its owner.
    emails = claim_values(session.claims, "email") if session.claims.get("email_verified") is not False else set()
    if name == "allowed_emails":
        return emails
    return {domain for email in emails for domain in _domains(email)}


def _domains(email: str) -> set[str]:
    domain = email.rpartition("@")[2].lower()
    labels = domain.split(".")
    # `.example.com` allows the domains below it, `example.com` only itself.
    return {domain, *(f".{'.'.join(labels[index:])}" for index in range(1, len(labels)))}


def _key(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")
