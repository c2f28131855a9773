"""Who takes part: the clients that the provider knows, and its users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Members = dict[str, object]

_PROFILE_CLAIMS = (
    "name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
    "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
)  # fmt: skip

CLAIMS_OF_SCOPE: Mapping[str, frozenset[str]] = {
    "profile": frozenset(_PROFILE_CLAIMS),
    "email": frozenset(("email", "email_verified")),
    "address": frozenset(("address",)),
    "phone": frozenset(("phone_number", "phone_number_verified")),
}
"""The claims that one gets for a scope alone (OIDC Core 5.4); all others, groups for instance, are always given."""


AuthMethod = Literal[
    "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "tls_client_auth",
    "self_signed_tls_client_auth", "none",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeClient:
    """A registered client; it has to prove itself by its one registered method (RFC 7591 2).

    `jwks` is the client's public keys as a JWK set: those that it signs with, and with `use` enc those to encrypt
    for. `client_secret_expires_at` is seconds since the epoch, 0 for never. `certificate_thumbprint` is the
    `x5t#S256` of its TLS certificate. The other members are those of dynamic registration; an algorithm that is empty
    means no such protection, for the ID token the provider's own algorithm; a logout URI that is empty means that the
    client is not told.
    """

    client_id: str
    client_secret: str = field(default="", repr=False)
    client_secret_expires_at: int = 0
    redirect_uris: Sequence[str]
    post_logout_redirect_uris: Sequence[str] = ()
    backchannel_logout_uri: str = ""
    backchannel_logout_session_required: bool = False
    frontchannel_logout_uri: str = ""
    frontchannel_logout_session_required: bool = False
    token_endpoint_auth_method: AuthMethod = "client_secret_basic"
    token_endpoint_auth_signing_alg: str = ""
    jwks: Mapping[str, object] | None = None
    certificate_thumbprint: str = ""
    tls_client_certificate_bound_access_tokens: bool = False
    dpop_bound_access_tokens: bool = False
    require_pushed_authorization_requests: bool = False
    require_signed_request_object: bool = False
    request_object_signing_alg: str = ""
    id_token_signed_response_alg: str = ""
    id_token_encrypted_response_alg: str = ""
    id_token_encrypted_response_enc: str = "A128CBC-HS256"
    userinfo_signed_response_alg: str = ""
    userinfo_encrypted_response_alg: str = ""
    userinfo_encrypted_response_enc: str = "A128CBC-HS256"
    authorization_signed_response_alg: str = ""
    authorization_encrypted_response_alg: str = ""
    authorization_encrypted_response_enc: str = "A128CBC-HS256"
    introspection_signed_response_alg: str = ""
    introspection_encrypted_response_alg: str = ""
    introspection_encrypted_response_enc: str = "A128CBC-HS256"

    @property
    def algs(self) -> frozenset[str]:
        """The algorithms that the provider signs with for this client in particular."""
        registered = (
            self.id_token_signed_response_alg,
            self.userinfo_signed_response_alg,
            self.authorization_signed_response_alg,
            self.introspection_signed_response_alg,
        )
        return frozenset(filter(None, registered))


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user: a name to sign in with, and claims, of which `sub` is the name unless it is given."""

    name: str
    claims: Mapping[str, object]

    @property
    def subject(self) -> str:
        """The `sub` of the user."""
        return str(self.claims.get("sub", self.name))

    def claims_for(self, scope: str) -> Members:
        """Select the claims that a scope entitles to, `sub` always among them."""
        withheld = frozenset[str]().union(
            *(names for value, names in CLAIMS_OF_SCOPE.items() if value not in scope.split())
        )
        return {"sub": self.subject, **{name: value for name, value in self.claims.items() if name not in withheld}}


class Refusal(Exception):
    """A request that the provider refuses with an `error` of the protocol (RFC 6749 5.2, RFC 6750 3.1).

    `challenge` is the scheme that a resource asks for, `Bearer` or `DPoP`; empty where it asks for none.
    """

    def __init__(self, error: str, description: str, *, status: int = 400, challenge: str = "") -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status
        self.challenge = challenge
