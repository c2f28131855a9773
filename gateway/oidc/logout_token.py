"""The logout token of a provider that ends sessions: one straight list of checks (Back-Channel Logout 1.0 2.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import (
    LOGOUT_TOKEN_AUD_MISMATCH,
    LOGOUT_TOKEN_CLAIM_INVALID,
    LOGOUT_TOKEN_EVENT_INVALID,
    LOGOUT_TOKEN_EXPIRED,
    LOGOUT_TOKEN_ISS_MISMATCH,
    LOGOUT_TOKEN_JTI_INVALID,
    LOGOUT_TOKEN_NONCE_REFUSED,
    LOGOUT_TOKEN_NOT_YET_VALID,
    LOGOUT_TOKEN_SIGNATURE_INVALID,
    LOGOUT_TOKEN_SUBJECT_MISSING,
    LOGOUT_TOKEN_TOO_OLD,
    LOGOUT_TOKEN_TYPE_REFUSED,
    GatewayError,
)
from gateway.oidc.claims_reading import audience_claim, identifier_claim, seconds_claim, text_claim
from gateway.oidc.client import Client
from gateway.oidc.jose import KeySet, SignedToken, verify_with

MAX_AGE_OF_IAT = 600
"""A logout token older than this, in seconds, is refused: whoever has signed in again since would be signed out."""

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

_TYPES = frozenset({"jwt", "logout+jwt"})
_CHECKED: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutToken:
    """A validated logout token, of which `subject` or `sid` or both are there; only the checks of this module make one.

    `issued_at` is in seconds since the epoch. Whether the `jti` was seen before is left to who remembers them.
    """

    subject: str | None
    sid: str | None
    jti: str
    issued_at: int
    checked: object = field(repr=False)

    def __post_init__(self) -> None:
        if self.checked is not _CHECKED:
            raise TypeError("a LogoutToken comes from check_logout_token")


def check_logout_token(token: SignedToken, keys: KeySet, *, issuer: str, client: Client, now: int) -> LogoutToken:
    """Check a logout token; the numbers in the code are those of Back-Channel Logout 1.0 2.6.

    Who opened the token has decrypted it (1) and held its algorithm against the configured ones (3). Raises
    `logout_token_*`, a code for each check.
    """
    _check_type(token)  # 2.4, RFC 8725 3.11
    claims = _signed_claims(token, keys, client)  # (2)
    _check_origin(claims, issuer, client)  # (4)
    issued_at = _check_times(claims, client.leeway, now)  # (4)
    jti = identifier_claim(claims, "jti", LOGOUT_TOKEN_JTI_INVALID)  # 2.4
    subject, sid = _identifier(claims, "sub"), _identifier(claims, "sid")
    if subject is None and sid is None:  # (5)
        raise GatewayError(LOGOUT_TOKEN_SUBJECT_MISSING, "neither sub nor sid")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):  # (6)
        raise GatewayError(LOGOUT_TOKEN_EVENT_INVALID, f"events {str(events)[:200]!r}")
    if "nonce" in claims:  # (7)
        raise GatewayError(LOGOUT_TOKEN_NONCE_REFUSED, "an ID token has a nonce, a logout token has none")
    return LogoutToken(subject=subject, sid=sid, jti=jti, issued_at=issued_at, checked=_CHECKED)


def _signed_claims(token: SignedToken, keys: KeySet, client: Client) -> dict[str, object]:
    try:
        return verify_with(token, keys, client.client_secret)
    except GatewayError as error:
        raise GatewayError(LOGOUT_TOKEN_SIGNATURE_INVALID, str(error)) from error


def _check_type(token: SignedToken) -> None:
    # Most providers say JWT or nothing, so that the type cannot be demanded; another one is another kind of token.
    if "typ" not in token.header:
        return
    typ = token.header["typ"]
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in _TYPES:
        raise GatewayError(LOGOUT_TOKEN_TYPE_REFUSED, f"typ {str(typ)[:80]!r}")


def _check_origin(claims: Mapping[str, object], issuer: str, client: Client) -> None:
    if text_claim(claims, "iss", LOGOUT_TOKEN_CLAIM_INVALID) != issuer:
        raise GatewayError(LOGOUT_TOKEN_ISS_MISMATCH, f"expected {issuer!r}, got {claims['iss']!r}")
    audiences = audience_claim(claims, LOGOUT_TOKEN_CLAIM_INVALID)
    if client.client_id not in audiences:
        raise GatewayError(LOGOUT_TOKEN_AUD_MISMATCH, f"aud {audiences!r} does not name us")


def _check_times(claims: Mapping[str, object], leeway: int, now: int) -> int:
    issued_at = seconds_claim(claims, "iat", LOGOUT_TOKEN_CLAIM_INVALID)
    if issued_at > now + leeway:
        raise GatewayError(LOGOUT_TOKEN_NOT_YET_VALID, f"iat {issued_at}, now {now}: is a clock wrong?")
    if issued_at < now - MAX_AGE_OF_IAT - leeway:
        raise GatewayError(LOGOUT_TOKEN_TOO_OLD, f"iat {issued_at}, now {now}")
    # Drafts before the final version 1.0 had no exp.
    if "exp" in claims and seconds_claim(claims, "exp", LOGOUT_TOKEN_CLAIM_INVALID) <= now - leeway:
        raise GatewayError(LOGOUT_TOKEN_EXPIRED, f"exp {claims['exp']}, now {now}")
    return issued_at


def _identifier(claims: Mapping[str, object], name: str) -> str | None:
    return identifier_claim(claims, name, LOGOUT_TOKEN_CLAIM_INVALID) if name in claims else None
