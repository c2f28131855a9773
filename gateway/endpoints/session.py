"""What pages and monitors ask: who is signed in, for how long, renew it now, are you alive. Never a token."""

from __future__ import annotations

from dataclasses import dataclass

from werkzeug import Response

from gateway.authenticator import Authenticator
from gateway.config import Settings
from gateway.cookies import session_handles
from gateway.endpoints.request import Request
from gateway.errors import CROSS_SITE_REFUSED, GatewayError
from gateway.policy import is_same_origin
from gateway.readiness import ReadinessCheck
from gateway.responses import Responses
from gateway.session import Session
from gateway.store import Clock

_NOT_SHOWN = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "sid", "jti", "_claim_names", "_claim_sources"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEndpoints:
    """The endpoints that answer in JSON or in a word."""

    settings: Settings
    authenticator: Authenticator
    responses: Responses
    readiness: ReadinessCheck
    clock: Clock

    def userinfo(self, request: Request) -> Response:
        """Tell who is signed in, in oauth2-proxy's words."""
        held = self.authenticator.current_session(session_handles(self.settings.cookies, request.cookies))
        if held is None:
            return self.responses.unauthorized()
        claims = held.session.claims
        names = {"email": "email", "groups": "groups", "preferredUsername": "preferred_username", "name": "name"}
        known = {name: claims[claim] for name, claim in names.items() if claim in claims}
        return self.responses.members(200, {"user": held.session.subject, **known})

    def session(self, request: Request) -> Response:
        """Tell a page how its session stands; asking does not keep the session alive."""
        held = self.authenticator.find_session(session_handles(self.settings.cookies, request.cookies))
        if held is None:
            return self.responses.members(200, {"authenticated": False})
        return self.responses.members(200, self._state(held.session))

    def refresh(self, request: Request) -> Response:
        """Renew the tokens now; raises `cross_site_refused` for a page of another site."""
        if not is_same_origin(request.target, self.settings.public_url, self.settings.cors_origins):
            raise GatewayError(CROSS_SITE_REFUSED, "refresh by another site's page")
        held = self.authenticator.find_session(session_handles(self.settings.cookies, request.cookies))
        renewed = None if held is None else self.authenticator.refresh(held)
        if renewed is None:
            return self.responses.unauthorized()
        return self.responses.members(200, self._state(renewed.session))

    def ping(self, _: Request) -> Response:
        """Tell that this process answers."""
        return self.responses.text(200, "OK")

    def ready(self, _: Request) -> Response:
        """Tell whether logins and sessions can be served, and how each part is, in codes alone."""
        found = self.readiness.look()
        return self.responses.members(200 if found.ready else 503, {"ready": found.ready, **found.parts})

    def _state(self, session: Session) -> dict[str, object]:
        now = int(self.clock())
        return {
            "authenticated": True,
            "claims": {name: value for name, value in session.claims.items() if name not in _NOT_SHOWN},
            "expires_in": session.remaining(now, self.settings.lifetimes),
            "logout_url": f"{self.settings.public_url}{self.settings.prefix}/sign_out",
        }
