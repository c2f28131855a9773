"""An OpenID provider for tests and demonstrations: honest and strict, and wrong only where a test asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.wrappers import Request, Response

from gateway.errors import PROVIDER_UNREACHABLE, ProviderUnavailable
from gateway.oidc.messages import RETRY_AFTER_SECONDS, Call, Reply
from gateway.oidc.metadata import WELL_KNOWN
from gateway.testing.back_channel import jwks, refusal_response, revoke
from gateway.testing.client_auth import CERTIFICATE_KEY, presented_certificate
from gateway.testing.dpop import with_nonce
from gateway.testing.front_channel import authorize, end_session, sign_in
from gateway.testing.introspection import introspect
from gateway.testing.logout import frontchannel_urls, logout_token, tell_of_sign_ins, tell_of_user
from gateway.testing.metadata import ALIASED, MTLS, discovery
from gateway.testing.parties import Refusal
from gateway.testing.pushed import push
from gateway.testing.registration import manage, register
from gateway.testing.state import ProviderState
from gateway.testing.token_endpoint import token
from gateway.testing.userinfo import userinfo
from gateway.testing.wsgi import exchange

Endpoint = Callable[[ProviderState, Request], Response]


class FakeProvider(ProviderState):
    """A provider as a WSGI app, and as a `Transport` that reaches it without a network.

    It keeps to the rules as a certification suite does: a client authenticates by its one registered method, a
    redirect URI is equal to the letter, PKCE with S256 and a nonce are required, a code is good once, an access
    token belongs in the header. `faults` makes it misbehave; `calls` counts what it was asked, by endpoint and for
    the token endpoint by grant; `unknown_paths` lists what its metadata do not name. All of it is thread-safe.

        provider = FakeProvider(
            issuer="https://op.example",
            clients=[FakeClient(client_id="app", client_secret="...", redirect_uris=["https://app.example/callback"])],
            users={"alice": {"email": "alice@op.example", "groups": ["staff"]}},
        )
        provider.sign_in_as = "alice"
        provider.faults = Faults(id_token_claims=lambda claims: {**claims, "iss": "https://evil.example"})
    """

    @property
    def down(self) -> bool:
        """Whether nothing answers; the same as `faults.down`."""
        return self.faults.down

    @down.setter
    def down(self, down: bool) -> None:
        self.faults.down = down

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as a WSGI app, mounted at whatever path the issuer's is."""
        request = Request(environ)
        return self._respond(request)(environ, start_response)

    def transport(self, call: Call) -> Reply:
        """Answer a call of the back channel; raises `ProviderUnavailable` when down and for any other origin."""
        if self.faults.down:
            raise ProviderUnavailable(PROVIDER_UNREACHABLE, "the provider is down", retry_after=RETRY_AFTER_SECONDS)
        if _origin(call.url) != _origin(self.issuer):
            raise ProviderUnavailable(PROVIDER_UNREACHABLE, f"nothing answers at {_origin(call.url)}")
        answer = exchange(
            self,
            method=call.method,
            url=call.url,
            headers=call.headers.items(),
            body=call.body,
            connection={CERTIFICATE_KEY: self.presented_certificate} if call.mutual_tls else None,
        )
        return Reply(
            status=answer.status,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=answer.body,
        )

    def is_active(self, token: str) -> bool:
        """Tell whether an access token or a refresh token is still good for anything."""
        return (
            self.grants.grant_of_refresh_token(token) is not None or self.grants.access(token, self.clock()) is not None
        )

    def subject_of(self, access_token: str) -> str | None:
        """Tell whose an access token is, or was; None for one that was never issued."""
        return self.grants.subject_of(access_token)

    def end_sid(self, sid: str) -> None:
        """End a sign-in of a user as the provider's own doing, and send logout tokens."""
        tell_of_sign_ins(self, self.end_sign_ins(sid=sid))

    def end_user(self, user: str) -> None:
        """End every sign-in of a user as the provider's own doing, and send logout tokens."""
        tell_of_user(self, self.end_sign_ins(user=user))

    def logout_token(self, client_id: str, *, subject: str | None, sid: str | None) -> str:
        """Make a logout token for a client, and send it to nobody."""
        client = self.client(client_id)
        if client is None:
            raise LookupError(f"there is no client {client_id!r}")
        return logout_token(self, client, subject=subject, sid=sid)

    def frontchannel_urls(self, sid: str) -> list[str]:
        """List what the provider loads in iframes when a sign-in ends."""
        return frontchannel_urls(self, sid)

    def _respond(self, request: Request) -> Response:
        if self.faults.down:
            return Response("The provider is down.\n", status=HTTPStatus.SERVICE_UNAVAILABLE, mimetype="text/plain")
        path = request.root_path.rstrip("/") + request.path
        name, methods, endpoint = self._routes().get(path, ("", (), None))
        if endpoint is None:
            self.note_unknown_path(path)
            return Response("There is nothing here.\n", status=HTTPStatus.NOT_FOUND, mimetype="text/plain")
        name = f"token.{request.form.get('grant_type', 'unknown')}" if name == "token" else name
        self.count(name)
        if request.method not in methods:
            return Response(status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(methods)})
        return self._answer(name, endpoint, request)

    def _answer(self, name: str, endpoint: Endpoint, request: Request) -> Response:
        faults = self.faults
        if faults.before is not None:
            faults.before(name)
        try:
            self._check_certificate(request)
            response = endpoint(self, request)
        except Refusal as refusal:
            response = refusal_response(refusal)
        response = with_nonce(self, name, request, response)
        return response if faults.response is None else faults.response(name, response)

    def _routes(self) -> Mapping[str, tuple[str, tuple[str, ...], Endpoint]]:
        routes: Mapping[str, tuple[str, tuple[str, ...], Endpoint]] = {
            WELL_KNOWN: ("discovery", ("GET",), discovery),
            self.jwks_path: ("jwks", ("GET",), jwks),
            "/authorize": ("authorize", ("GET", "POST"), authorize),
            "/sign_in": ("sign_in", ("POST",), sign_in),
            "/par": ("par", ("POST",), push),
            "/token": ("token", ("POST",), token),
            "/userinfo": ("userinfo", ("GET", "POST"), userinfo),
            "/introspect": ("introspect", ("POST",), introspect),
            "/register": ("register", ("POST",), register),
            "/registration": ("registration", ("GET", "PUT", "DELETE"), manage),
            "/revoke": ("revoke", ("POST",), revoke),
            "/end_session": ("end_session", ("GET", "POST"), end_session),
        }
        aliases = {MTLS + path: routes[path] for path in ALIASED.values() if self.mtls_aliases}
        return {self.base_path + path: route for path, route in {**routes, **aliases}.items()}

    def _check_certificate(self, request: Request) -> None:
        path = (request.root_path.rstrip("/") + request.path).removeprefix(self.base_path)
        if not self.mtls_aliases or path.removeprefix(MTLS) not in ALIASED.values():
            return
        if path.startswith(MTLS) != bool(presented_certificate(request)):
            raise Refusal("invalid_request", "a certificate at the plain address, or none at its alias (RFC 8705 5)")


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
