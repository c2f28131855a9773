"""The token endpoint and revocation: calls built, replies checked (RFC 6749 4.1.3, 5, 6; RFC 7009)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.errors import (
    TOKEN_ANSWER_INVALID,
    TOKEN_CLIENT_INVALID,
    TOKEN_GRANT_INVALID,
    TOKEN_REFUSED,
    TOKEN_TYPE_UNSUPPORTED,
    GatewayError,
    InvalidGrant,
    Problem,
    ProviderUnavailable,
)
from gateway.oidc.authorization_response import AuthorizationResponse
from gateway.oidc.client import Client, SenderConstraint
from gateway.oidc.client_auth import authenticated_call
from gateway.oidc.messages import Call, Moment, Reply, json_object, quoted, raise_if_unavailable
from gateway.oidc.metadata import ProviderMetadata

MAX_EXPIRES_IN = 10 * 365 * 24 * 3600
RETRY_AFTER_SECONDS = 30

_REFRESH_LIFETIMES = ("refresh_expires_in", "refresh_token_expires_in")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet:
    """The tokens of one reply; `expires_at` is seconds since the epoch, None where the provider did not say.

    `scheme` is how the access token is presented, `Bearer` or `DPoP`. `refresh_expires_at` is the end of the refresh
    token, None for one without an end that is known.
    """

    access_token: str = field(repr=False)
    scheme: str = "Bearer"
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    scope: str
    expires_at: int | None = None
    refresh_expires_at: int | None = None


def code_grant(metadata: ProviderMetadata, client: Client, response: AuthorizationResponse, moment: Moment) -> Call:
    """Build the redemption of an authorization code (RFC 6749 4.1.3, RFC 7636 4.5, RFC 8707 2.2)."""
    wished = response.transaction.resource
    parameters = [
        ("grant_type", "authorization_code"),
        ("code", response.code),
        ("redirect_uri", client.redirect_uri),
        ("code_verifier", response.transaction.code_verifier),
        *(("resource", each) for each in (client.resource if wished is None else wished)),
    ]
    return authenticated_call(
        metadata.token_endpoint, metadata=metadata, client=client, parameters=parameters, moment=moment
    )


def refresh_grant(
    metadata: ProviderMetadata,
    client: Client,
    refresh_token: str,
    moment: Moment,
    resource: Sequence[str] | None = None,
) -> Call:
    """Build the use of a refresh token (RFC 6749 6), for `resource` where that is not as registered (RFC 8707 2.2)."""
    parameters = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token),
        *(("resource", each) for each in (client.resource if resource is None else resource)),
    ]
    return authenticated_call(
        metadata.token_endpoint, metadata=metadata, client=client, parameters=parameters, moment=moment
    )


def revocation_call(
    url: str, metadata: ProviderMetadata, client: Client, token: str, hint: str, moment: Moment
) -> Call:
    """Build the revocation of a token (RFC 7009 2.1)."""
    parameters = [("token", token), ("token_type_hint", hint)]
    return authenticated_call(url, metadata=metadata, client=client, parameters=parameters, moment=moment)


def process_token_reply(reply: Reply, *, client: Client, requested_scope: str, now: int) -> TokenSet:
    """Check the token endpoint's reply (RFC 6749 5).

    Raises `InvalidGrant`, `ProviderUnavailable` for an outage or a refused client, `token_refused`,
    `token_answer_invalid`, and `token_type_unsupported` for any but the type that we can present: where tokens are to
    be bound to our key, a bearer token is refused (RFC 9449 5). A missing `scope` means the requested one (5.1).
    """
    raise_if_unavailable(reply, "the token endpoint")
    members = json_object(reply)
    # Some providers of OAuth 2.0 say that all is well, and then that it is not.
    if reply.status != 200 or members.get("error") or ("error" in members and "access_token" not in members):
        raise _token_error(members)
    access_token = _text(members, "access_token")
    if not access_token or not access_token.isascii() or " " in access_token:
        raise GatewayError(TOKEN_ANSWER_INVALID, "no usable access_token")
    scheme = "DPoP" if client.sender_constraint is SenderConstraint.DPOP else "Bearer"
    if (_text(members, "token_type") or "").lower() != scheme.lower():
        raise GatewayError(TOKEN_TYPE_UNSUPPORTED, f"token_type {quoted(members.get('token_type'))}, not {scheme}")
    lifetime = expires_in(members, TOKEN_ANSWER_INVALID)
    return TokenSet(
        access_token=access_token,
        scheme=scheme,
        refresh_token=_text(members, "refresh_token") or None,
        id_token=_text(members, "id_token"),
        scope=requested_scope if members.get("scope") is None else _text(members, "scope") or "",
        expires_at=None if lifetime is None else now + lifetime,
        refresh_expires_at=_refresh_expires_at(members, now),
    )


def _refresh_expires_at(members: Mapping[str, object], now: int) -> int | None:
    # No RFC names it: Keycloak says the one, GitHub and Google the other, and 0 for a token without an end. What cannot
    # be read is passed over, since nobody promised anything.
    try:
        lifetimes = [expires_in(members, TOKEN_ANSWER_INVALID, name=name) for name in _REFRESH_LIFETIMES]
    except GatewayError:
        return None
    return next((now + lifetime for lifetime in lifetimes if lifetime), None)


def expires_in(members: Mapping[str, object], problem: Problem, *, name: str = "expires_in") -> int | None:
    """Read a token's lifetime in seconds, None where the provider did not say (RFC 6749 5.1).

    Raises `problem` for what is not a number of seconds from 0 to ten years.
    """
    value = members.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)  # Some providers send the number as a text.
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_EXPIRES_IN:
        raise GatewayError(problem, f"{name} is not a number of seconds")
    return int(value)


def _token_error(members: Mapping[str, object]) -> GatewayError:
    error = str(members.get("error"))
    if error in _GRANT_ERRORS:
        return InvalidGrant(TOKEN_GRANT_INVALID, error)
    if error in _CLIENT_ERRORS:
        # The operator's mistake or a rotated secret: no user's session is at fault.
        return ProviderUnavailable(TOKEN_CLIENT_INVALID, error, retry_after=RETRY_AFTER_SECONDS)
    if error in _FINAL_ERRORS:
        return GatewayError(TOKEN_REFUSED, f"error {quoted(error)}")
    # `server_error`, or something before the provider that speaks JSON: nothing has been said about this grant.
    return ProviderUnavailable(TOKEN_REFUSED, f"error {quoted(error)}", retry_after=RETRY_AFTER_SECONDS)


# The words of RFC 6749 5.2, and then GitHub's own for the same.
_GRANT_ERRORS = frozenset({"invalid_grant", "bad_verification_code", "bad_refresh_token"})
_CLIENT_ERRORS = frozenset({"invalid_client", "unauthorized_client", "incorrect_client_credentials"})
_FINAL_ERRORS = frozenset(
    {"invalid_request", "invalid_scope", "invalid_target", "unsupported_grant_type", "access_denied",
     "interaction_required", "login_required", "consent_required"}
)  # fmt: skip


def _text(members: Mapping[str, object], name: str) -> str | None:
    value = members.get(name)
    if not isinstance(value, str | None) or not (value or "").isprintable():
        raise GatewayError(TOKEN_ANSWER_INVALID, f"{name} is not a printable text")  # RFC 6749 appendix A.
    return value
