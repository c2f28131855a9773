"""Where a provider ends sessions: `backchannel-logout` for itself, `frontchannel-logout` for its frame in a browser."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from urllib.parse import urlsplit

from werkzeug import Response

from gateway.endpoints.request import Request
from gateway.errors import PARAMETER_REFUSED, GatewayError
from gateway.provider import Provider
from gateway.responses import Responses
from gateway.single_logout import SingleLogout

MAX_LOGOUT_BYTES = 64 * 1024

_log = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleLogoutEndpoints:
    """The endpoints of one provider."""

    provider: Provider
    logout: SingleLogout
    responses: Responses

    def back_channel(self, request: Request) -> Response:
        """Answer 200 to a logout that was done, 400 to all else (Back-Channel Logout 1.0 2.8)."""
        try:
            form = request.form(MAX_LOGOUT_BYTES)
            if "logout_token" not in form:
                raise GatewayError(PARAMETER_REFUSED, "no logout_token")
            self.logout.back_channel(self.provider.settings.name, form["logout_token"])
        except GatewayError as error:
            _log.warning("back-channel logout: %s", error)
            members = {"error": error.code, "error_description": error.problem.title}
            return self.responses.members(400, members)
        return self.responses.text(200, "")

    def front_channel(self, request: Request) -> Response:
        """Answer a frame in the provider's page, and nobody else's (Front-Channel Logout 1.0 2).

        No cookie is looked at: browsers do not send it into another site's frame, and any page could ask for it there.
        """
        try:
            parameters = request.query()
        except GatewayError:
            parameters = {}  # What is there twice names nothing.
        self.logout.front_channel(self.provider.settings.name, parameters.get("iss", ""), parameters.get("sid", ""))
        issuer = urlsplit(self.provider.settings.issuer)
        return self.responses.framed("Signed out.", by=f"{issuer.scheme}://{issuer.netloc}")
