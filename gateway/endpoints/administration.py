"""The administration of sessions as JSON, for whoever has the configured token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from werkzeug import Response

from gateway.administration import MAX_LISTED, Administration, Wanted, card_members
from gateway.backends.base import UnlistableStore
from gateway.endpoints.request import Request
from gateway.errors import ADMIN_TOKEN_REQUIRED, NOT_FOUND, NOT_LISTABLE, PARAMETER_REFUSED, GatewayError
from gateway.oidc.messages import same_text
from gateway.responses import Responses

_KEYS: Final = frozenset({"sub", "sid", "id", "all"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministrationEndpoint:
    """The endpoint `admin/sessions`: GET lists, DELETE revokes; without a configured token it is not there."""

    administration: Administration
    responses: Responses
    tokens: tuple[str, ...]

    def sessions(self, request: Request) -> Response:
        """List or revoke sessions; raises `admin_token_required`, `parameter_refused` and `not_listable`."""
        self._check_token(request)
        parameters = request.query()
        if request.target.method == "DELETE":
            self.administration.revoke(_wanted(parameters))
            return self.responses.members(200, {"revoked": True})
        try:
            cards = self.administration.sessions(_wanted(parameters or {"all": "true"}))
        except UnlistableStore:
            raise GatewayError(NOT_LISTABLE) from None
        listed = {"sessions": [card_members(card) for card in cards], "complete": len(cards) < MAX_LISTED}
        return self.responses.members(200, listed)

    def _check_token(self, request: Request) -> None:
        if not self.tokens:
            raise GatewayError(NOT_FOUND, "admin_token is not set")
        scheme, _, token = str(request.environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
        known = [same_text(token, one) for one in self.tokens]  # All are compared, whichever fits.
        if scheme.lower() != "bearer" or not any(known):
            raise GatewayError(ADMIN_TOKEN_REQUIRED, "no administrator's token")


def _wanted(parameters: dict[str, str]) -> Wanted:
    if not parameters.keys() <= _KEYS or parameters.get("all", "true") != "true":
        raise GatewayError(PARAMETER_REFUSED, "known are sub, sid, id and all=true")
    return Wanted(
        sub=parameters.get("sub", ""),
        sid=parameters.get("sid", ""),
        id=parameters.get("id", ""),
        everyone="all" in parameters,
    )
