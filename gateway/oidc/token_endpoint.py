"""The token endpoint, revocation and userinfo: calls built, replies checked (RFC 6749 4.1.3, 5, 6; RFC 7009)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.errors import (
    TOKEN_ANSWER_INVALID,
    TOKEN_CLIENT_INVALID,
    TOKEN_GRANT_INVALID,
    TOKEN_REFUSED,
    TOKEN_TYPE_UNSUPPORTED,
    USERINFO_INVALID,
    USERINFO_SUB_MISMATCH,
    GatewayError,
    InvalidGrant,
    ProviderUnavailable,
)
from gateway.oidc.authorization import AuthorizationResponse
from gateway.oidc.client_auth import authenticated_call
from gateway.oidc.messages import Call, Reply, json_object, raise_if_unavailable
from gateway.oidc.metadata import Client, ProviderMetadata

MAX_EXPIRES_IN = 10 * 365 * 24 * 3600
RETRY_AFTER_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet:
    """The tokens of one reply; `expires_at` is seconds since the epoch, None where the provider did not say."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    scope: str
    expires_at: int | None = None


def code_grant(metadata: ProviderMetadata, client: Client, response: AuthorizationResponse) -> Call:
    """Build the redemption of an authorization code (RFC 6749 4.1.3, RFC 7636 4.5)."""
    return authenticated_call(
        metadata.token_endpoint,
        client,
        {
            "grant_type": "authorization_code",
            "code": response.code,
            "redirect_uri": client.redirect_uri,
            "code_verifier": response.transaction.code_verifier,
        },
    )


def refresh_grant(metadata: ProviderMetadata, client: Client, refresh_token: str) -> Call:
    """Build the use of a refresh token (RFC 6749 6)."""
    return authenticated_call(
        metadata.token_endpoint, client, {"grant_type": "refresh_token", "refresh_token": refresh_token}
    )


def revocation_call(url: str, client: Client, token: str, hint: str) -> Call:
    """Build the revocation of a token (RFC 7009 2.1)."""
    return authenticated_call(url, client, {"token": token, "token_type_hint": hint})


def userinfo_call(url: str, tokens: TokenSet) -> Call:
    """Build the userinfo request, its token in the header alone (OIDC Core 5.3.1, RFC 6750 2.1)."""
    headers = {"Authorization": f"Bearer {tokens.access_token}", "Accept": "application/json"}
    return Call(method="GET", url=url, headers=headers)


def process_token_reply(reply: Reply, *, requested_scope: str, now: int) -> TokenSet:
    """Check the token endpoint's reply (RFC 6749 5).

    Raises `InvalidGrant`, `ProviderUnavailable` for an outage or a refused client, `token_refused`,
    `token_answer_invalid`, `token_type_unsupported`. A missing `scope` means the requested one (5.1).
    """
    raise_if_unavailable(reply, "the token endpoint")
    members = json_object(reply)
    if reply.status != 200:
        raise _token_error(members)
    access_token = _text(members, "access_token")
    if not access_token or not access_token.isascii() or not access_token.isprintable() or " " in access_token:
        raise GatewayError(TOKEN_ANSWER_INVALID, "no usable access_token")
    if (_text(members, "token_type") or "").lower() != "bearer":
        raise GatewayError(TOKEN_TYPE_UNSUPPORTED, f"token_type {members.get('token_type')!r}")
    lifetime = _expires_in(members)
    return TokenSet(
        access_token=access_token,
        refresh_token=_text(members, "refresh_token") or None,
        id_token=_text(members, "id_token"),
        scope=requested_scope if members.get("scope") is None else _text(members, "scope") or "",
        expires_at=None if lifetime is None else now + lifetime,
    )


def process_userinfo(reply: Reply, subject: str) -> dict[str, object]:
    """Check userinfo against the ID token's subject (OIDC Core 5.3.2); raises `userinfo_*`, discarding all of it."""
    raise_if_unavailable(reply, "the userinfo endpoint")
    if reply.status != 200:
        raise GatewayError(USERINFO_INVALID, f"the userinfo endpoint answered {reply.status}")
    members = json_object(reply)
    if members.get("sub") != subject:
        raise GatewayError(USERINFO_SUB_MISMATCH)
    return members


def _token_error(members: Mapping[str, object]) -> GatewayError:
    error = str(members.get("error"))[:80]
    if error == "invalid_grant":
        return InvalidGrant(TOKEN_GRANT_INVALID, "invalid_grant")
    if error in ("invalid_client", "unauthorized_client"):
        # The operator's mistake or a rotated secret: no user's session is at fault.
        return ProviderUnavailable(TOKEN_CLIENT_INVALID, error, retry_after=RETRY_AFTER_SECONDS)
    if error in _FINAL_ERRORS:
        return GatewayError(TOKEN_REFUSED, f"error {error!r}")
    # `server_error`, or something before the provider that speaks JSON: nothing has been said about this grant.
    return ProviderUnavailable(TOKEN_REFUSED, f"error {error!r}", retry_after=RETRY_AFTER_SECONDS)


_FINAL_ERRORS = frozenset(
    {"invalid_request", "invalid_scope", "invalid_target", "unsupported_grant_type", "access_denied",
     "interaction_required", "login_required", "consent_required"}
)  # fmt: skip


def _text(members: Mapping[str, object], name: str) -> str | None:
    value = members.get(name)
    if not isinstance(value, str | None) or not (value or "").isprintable():
        raise GatewayError(TOKEN_ANSWER_INVALID, f"{name} is not a printable text")  # RFC 6749 appendix A.
    return value


def _expires_in(members: Mapping[str, object]) -> int | None:
    value = members.get("expires_in")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)  # Some providers send the number as a text.
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_EXPIRES_IN:
        raise GatewayError(TOKEN_ANSWER_INVALID, "expires_in is not a number of seconds")
    return int(value)
