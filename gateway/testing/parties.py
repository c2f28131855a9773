"""Who takes part: the clients that the provider knows, and its users."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote_plus

from gateway.oidc.messages import same_text

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


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeClient:
    """A registered client; it has to prove itself by its one registered method (RFC 7591 2)."""

    client_id: str
    client_secret: str = field(default="", repr=False)
    redirect_uris: Sequence[str]
    post_logout_redirect_uris: Sequence[str] = ()
    token_endpoint_auth_method: Literal["client_secret_basic", "client_secret_post", "none"] = "client_secret_basic"


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
    """A request that the provider refuses with an `error` of the protocol (RFC 6749 5.2, RFC 6750 3.1)."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status


def authenticated_client(
    clients: Sequence[FakeClient], authorization: str | None, parameters: Mapping[str, str]
) -> FakeClient:
    """Find out which client calls, and hold it to its registered method.

    Raises `Refusal` with `invalid_client`, or `invalid_request` for two methods at once (RFC 6749 2.3).
    """
    if authorization is not None and "client_secret" in parameters:
        raise Refusal("invalid_request", "two ways of client authentication")
    if authorization is not None:
        method, (client_id, secret) = "client_secret_basic", _basic_credentials(authorization)
    elif "client_secret" in parameters:
        method, client_id, secret = "client_secret_post", parameters.get("client_id", ""), parameters["client_secret"]
    else:
        method, client_id, secret = "none", parameters.get("client_id", ""), ""
    client = next((client for client in clients if client.client_id == client_id), None)
    if client is None or parameters.get("client_id", client_id) != client_id:
        raise Refusal("invalid_client", "unknown client, or two of them", status=401)
    if client.token_endpoint_auth_method != method:
        raise Refusal("invalid_client", f"{method} is not the registered method", status=401)
    if method != "none" and not same_text(client.client_secret, secret):
        raise Refusal("invalid_client", "wrong secret", status=401)
    return client


def _basic_credentials(authorization: str) -> tuple[str, str]:
    # RFC 6749 2.3.1: both parts were form-urlencoded before they were joined, so a bare `+` here means a space.
    scheme, _, encoded = authorization.partition(" ")
    try:
        client_id, colon, secret = base64.b64decode(encoded, validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Refusal("invalid_client", "unreadable credentials", status=401) from error
    if scheme.lower() != "basic" or not colon:
        raise Refusal("invalid_client", "not Basic credentials", status=401)
    return unquote_plus(client_id), unquote_plus(secret)
