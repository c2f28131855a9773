"""Our public keys, for providers that check our assertions and encrypt to us, and for upstreams (RFC 7517 5)."""

from __future__ import annotations

from dataclasses import dataclass

from werkzeug import Response

from gateway.config import Settings
from gateway.endpoints.request import Request
from gateway.responses import Responses

MAX_AGE_SECONDS = 300
"""How long others may keep the keys; a rotation has to overlap for as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysEndpoint:
    """The endpoint that a registration's `jwks_uri` names."""

    settings: Settings
    responses: Responses

    def jwks(self, _: Request) -> Response:
        """Publish the keys of all providers' registrations and of identities, each once, and never a private member."""
        clients = [provider.client for provider in self.settings.providers.values()]
        keys = [key for client in clients for key in (*client.signing_keys, *client.decryption_keys)]
        keys += self.settings.identity_keys
        published = {key.kid: dict(key.public_jwk()) for key in keys}
        caching = {"Cache-Control": f"public, max-age={MAX_AGE_SECONDS}"}
        return self.responses.members(200, {"keys": list(published.values())}, caching)
