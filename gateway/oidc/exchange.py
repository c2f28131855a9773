"""Token exchange: an access token for one upstream in return for the user's own (RFC 8693)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.errors import (
    EXCHANGE_INVALID,
    EXCHANGE_REFUSED,
    PROVIDER_UNREACHABLE,
    TOKEN_CLIENT_INVALID,
    GatewayError,
    InvalidGrant,
    ProviderUnavailable,
)
from gateway.oidc.client import Client
from gateway.oidc.client_auth import authenticated_call
from gateway.oidc.messages import Call, Moment, Reply, json_object, quoted, raise_if_unavailable
from gateway.oidc.metadata import ProviderMetadata
from gateway.oidc.token_endpoint import expires_in

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"

MAX_TOKEN_LENGTH = 8 * 1024
RETRY_AFTER_SECONDS = 30

SCHEMES: Mapping[str, str] = {"bearer": "Bearer", "dpop": "DPoP"}
"""The schemes of the Authorization header by `token_type`, which has no case (RFC 6749 5.1)."""

_TOKEN_RE = re.compile(rf"[!-~]{{1,{MAX_TOKEN_LENGTH}}}")
_OUTAGES = frozenset({"server_error", "temporarily_unavailable"})
_REFUSALS = frozenset(
    {"invalid_request", "invalid_target", "invalid_scope", "unauthorized_client", "unsupported_grant_type",
     "access_denied", "interaction_required", "login_required", "consent_required",
     "insufficient_user_authentication"}
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeWanted:
    """What an upstream needs a token for: its logical names, its scopes, its absolute URIs (RFC 8693 2.1)."""

    audience: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    resource: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangedToken:
    """The token for the upstream and the scheme that it is sent with.

    `scope` is what was granted, which may be other than what was wanted; `expires_at` is None where the provider did
    not say.
    """

    access_token: str = field(repr=False)
    scheme: str
    expires_at: int | None
    scope: tuple[str, ...]


def exchange_grant(
    metadata: ProviderMetadata, client: Client, subject_token: str, wanted: ExchangeWanted, moment: Moment
) -> Call:
    """Build the exchange of an access token (RFC 8693 2.1); `audience` and `resource` may occur several times."""
    parameters = [
        ("grant_type", GRANT_TYPE),
        ("subject_token", subject_token),
        ("subject_token_type", ACCESS_TOKEN_TYPE),
        ("requested_token_type", ACCESS_TOKEN_TYPE),
        *(("audience", name) for name in wanted.audience),
        *(("resource", uri) for uri in wanted.resource),
    ]
    if wanted.scope:
        parameters.append(("scope", " ".join(wanted.scope)))
    return authenticated_call(
        metadata.token_endpoint, metadata=metadata, client=client, parameters=parameters, moment=moment
    )


def process_exchange(
    reply: Reply, wanted: ExchangeWanted, now: int, *, schemes: tuple[str, ...] = ("Bearer",)
) -> ExchangedToken:
    """Check the answer to an exchange (RFC 8693 2.2); no failure of it allows to send the original token instead.

    `schemes` are those that we can send the token with; `N_A` never is one. Raises `exchange_refused`, `InvalidGrant`
    where the subject token is worth nothing, `exchange_invalid`, `ProviderUnavailable` for an outage or a refused
    client.
    """
    raise_if_unavailable(reply, "the token endpoint")
    members = _members(reply)
    if reply.status != 200:
        raise _exchange_error(members)
    if members.get("issued_token_type") not in (ACCESS_TOKEN_TYPE, JWT_TYPE):
        raise GatewayError(EXCHANGE_INVALID, f"issued_token_type {quoted(members.get('issued_token_type'))}")
    access_token = members.get("access_token")
    if not isinstance(access_token, str) or not _TOKEN_RE.fullmatch(access_token):
        raise GatewayError(EXCHANGE_INVALID, "no usable access_token")
    token_type = members.get("token_type")
    scheme = SCHEMES.get(token_type.lower()) if isinstance(token_type, str) else None
    if scheme is None or scheme not in schemes:
        raise GatewayError(EXCHANGE_INVALID, f"token_type {quoted(token_type)}, and we send {' or '.join(schemes)}")
    lifetime = expires_in(members, EXCHANGE_INVALID)
    return ExchangedToken(
        access_token=access_token,
        scheme=scheme,
        expires_at=None if lifetime is None else now + lifetime,
        scope=_scope(members, wanted),
    )


def _members(reply: Reply) -> dict[str, object]:
    try:
        return json_object(reply)
    except GatewayError as error:
        raise GatewayError(EXCHANGE_INVALID, f"status {reply.status}: {error.detail}") from error


def _exchange_error(members: Mapping[str, object]) -> GatewayError:
    error = members.get("error")
    detail = f"error {quoted(error)}"
    if not isinstance(error, str):
        return GatewayError(EXCHANGE_INVALID, detail)
    if error == "invalid_grant":
        return InvalidGrant(EXCHANGE_REFUSED, detail)
    if error == "invalid_client":
        return ProviderUnavailable(TOKEN_CLIENT_INVALID, detail, retry_after=RETRY_AFTER_SECONDS)
    if error in _OUTAGES:
        return ProviderUnavailable(PROVIDER_UNREACHABLE, detail, retry_after=RETRY_AFTER_SECONDS)
    return GatewayError(EXCHANGE_REFUSED if error in _REFUSALS else EXCHANGE_INVALID, detail)


def _scope(members: Mapping[str, object], wanted: ExchangeWanted) -> tuple[str, ...]:
    granted = members.get("scope")
    if granted is None:  # RFC 8693 2.2.1: as wanted.
        return wanted.scope
    if not isinstance(granted, str) or not granted.isascii() or not granted.isprintable():
        raise GatewayError(EXCHANGE_INVALID, "scope is not a printable text")
    return tuple(dict.fromkeys(name for name in granted.split(" ") if name))
