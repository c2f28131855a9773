"""The ID token: one straight list of checks (OIDC Core 3.1.3.7 and 12.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import (
    ID_TOKEN_ACR_MISMATCH,
    ID_TOKEN_AT_HASH_MISMATCH,
    ID_TOKEN_AUD_MISMATCH,
    ID_TOKEN_AUTH_TIME_INVALID,
    ID_TOKEN_AZP_MISMATCH,
    ID_TOKEN_C_HASH_MISMATCH,
    ID_TOKEN_CLAIM_INVALID,
    ID_TOKEN_EXPIRED,
    ID_TOKEN_ISS_MISMATCH,
    ID_TOKEN_NONCE_MISMATCH,
    ID_TOKEN_NOT_YET_VALID,
    ID_TOKEN_S_HASH_MISMATCH,
    ID_TOKEN_SUB_MISMATCH,
    ID_TOKEN_TOO_OLD,
    GatewayError,
)
from gateway.oidc.authorization_response import AuthorizationResponse
from gateway.oidc.claims_reading import (
    MAX_IDENTIFIER_LENGTH,
    audience_claim,
    identifier_claim,
    seconds_claim,
    text_claim,
)
from gateway.oidc.client import Client
from gateway.oidc.jose import KeySet, SignedToken, half_hash, verify_with
from gateway.oidc.messages import same_text
from gateway.oidc.transaction import Transaction

MAX_AGE_OF_IAT = 24 * 3600
"""An ID token older than this is refused however long it says that it lives; seconds."""

MAX_SUBJECT_LENGTH = MAX_IDENTIFIER_LENGTH

_CHECKED: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class IDToken:
    """A validated ID token; only the checks of this module make one."""

    subject: str
    claims: Mapping[str, object] = field(repr=False)
    raw: str = field(repr=False)
    checked: object = field(repr=False)

    def __post_init__(self) -> None:
        if self.checked is not _CHECKED:
            raise TypeError("an IDToken comes from check_id_token or check_refreshed_id_token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the token must agree with: the issuer, ourselves, the time, and the access token that came with it.

    `access_token` is empty for an ID token that came without one.
    """

    issuer: str
    client: Client
    now: int
    access_token: str = field(repr=False)


def check_id_token(
    token: SignedToken, keys: KeySet, expected: Expected, transaction: Transaction, *, earlier: IDToken | None = None
) -> IDToken:
    """Check the ID token of a login; the numbers in the code are those of OIDC Core 3.1.3.7.

    `earlier` is the one that came through the browser, with which it must agree (3.3.3.6).
    Raises `jwt_*` and `id_token_*`, a code for each check.
    """
    claims = _signed_claims(token, keys, expected)
    _check_common(token, claims, expected)
    _check_login(claims, expected, transaction)
    if earlier is not None and _subject(claims) != earlier.subject:
        raise GatewayError(ID_TOKEN_SUB_MISMATCH, "not the user of the ID token that came through the browser")
    return IDToken(subject=_subject(claims), claims=claims, raw=token.raw, checked=_CHECKED)


def check_front_channel_id_token(
    token: SignedToken, keys: KeySet, expected: Expected, response: AuthorizationResponse
) -> IDToken:
    """Check the ID token that came with a code through the browser (OIDC Core 3.3.2.10 to 3.3.2.12).

    Its `c_hash` is required and binds the code; `s_hash` binds the state where it is there. Raises as
    `check_id_token` does.
    """
    claims = _signed_claims(token, keys, expected)
    _check_common(token, claims, expected)
    _check_login(claims, expected, response.transaction)
    if not same_text(_text(claims, "c_hash"), half_hash(response.code, token.algorithm)):
        raise GatewayError(ID_TOKEN_C_HASH_MISMATCH)
    state_hash = half_hash(response.transaction.state, token.algorithm)
    if "s_hash" in claims and not same_text(_text(claims, "s_hash"), state_hash):
        raise GatewayError(ID_TOKEN_S_HASH_MISMATCH)
    return IDToken(subject=_subject(claims), claims=claims, raw=token.raw, checked=_CHECKED)


def check_refreshed_id_token(
    token: SignedToken, keys: KeySet, expected: Expected, *, login: Mapping[str, object]
) -> IDToken:
    """Check the ID token of a refresh, which must be about the login whose claims are given (OIDC Core 12.2).

    Raises as `check_id_token` does, and `id_token_sub_mismatch` for another user.
    """
    claims = _signed_claims(token, keys, expected)
    _check_common(token, claims, expected)
    if _subject(claims) != login.get("sub"):
        raise GatewayError(ID_TOKEN_SUB_MISMATCH)
    if "auth_time" in claims and claims["auth_time"] != login.get("auth_time", claims["auth_time"]):
        raise GatewayError(ID_TOKEN_AUTH_TIME_INVALID, "auth_time is not that of the login")
    if "nonce" in claims and claims["nonce"] != login.get("nonce"):
        raise GatewayError(ID_TOKEN_NONCE_MISMATCH)
    return IDToken(subject=_subject(claims), claims=claims, raw=token.raw, checked=_CHECKED)


def _signed_claims(token: SignedToken, keys: KeySet, expected: Expected) -> dict[str, object]:
    return verify_with(token, keys, expected.client.client_secret)  # (6), (7), (8)


def _check_login(claims: Mapping[str, object], expected: Expected, transaction: Transaction) -> None:
    if not same_text(_text(claims, "nonce"), transaction.nonce):  # (11)
        raise GatewayError(ID_TOKEN_NONCE_MISMATCH)
    if transaction.acr_values and claims.get("acr") not in transaction.acr_values:  # (12)
        raise GatewayError(ID_TOKEN_ACR_MISMATCH, f"acr {str(claims.get('acr'))[:80]!r}")
    _check_auth_time(claims, expected, transaction.max_age)  # (13)


def _check_common(token: SignedToken, claims: Mapping[str, object], expected: Expected) -> None:
    if _text(claims, "iss") != expected.issuer:  # (2)
        raise GatewayError(ID_TOKEN_ISS_MISMATCH, f"expected {expected.issuer!r}, got {claims['iss']!r}")
    _check_audience(claims, expected.client.client_id)  # (3), (4), (5)
    _check_times(claims, expected)  # (9), (10)
    _subject(claims)
    if "sid" in claims:  # One that no logout token may have could never be signed out by the provider.
        identifier_claim(claims, "sid", ID_TOKEN_CLAIM_INVALID)
    if expected.access_token:
        _check_at_hash(claims, token.algorithm, expected.access_token)


def _check_audience(claims: Mapping[str, object], client_id: str) -> None:
    audiences = audience_claim(claims, ID_TOKEN_CLAIM_INVALID)
    if client_id not in audiences:
        raise GatewayError(ID_TOKEN_AUD_MISMATCH, f"aud {audiences!r} does not name us")
    azp = claims.get("azp")
    if azp is None and len(set(audiences)) > 1:
        raise GatewayError(ID_TOKEN_AZP_MISMATCH, "several audiences and no azp")
    if azp is not None and azp != client_id:
        raise GatewayError(ID_TOKEN_AZP_MISMATCH, f"azp {azp!r}")


def _check_times(claims: Mapping[str, object], expected: Expected) -> None:
    now, leeway = expected.now, expected.client.leeway
    if _seconds(claims, "exp") <= now - leeway:
        raise GatewayError(ID_TOKEN_EXPIRED, f"exp {claims['exp']}, now {now}")
    issued_at = _seconds(claims, "iat")
    if issued_at > now + leeway:
        raise GatewayError(ID_TOKEN_NOT_YET_VALID, f"iat {issued_at}, now {now}: is a clock wrong?")
    if issued_at < now - MAX_AGE_OF_IAT:
        raise GatewayError(ID_TOKEN_TOO_OLD, f"iat {issued_at}, now {now}")
    if "nbf" in claims and _seconds(claims, "nbf") > now + leeway:
        raise GatewayError(ID_TOKEN_NOT_YET_VALID, f"nbf {claims['nbf']}, now {now}: is a clock wrong?")


def _check_at_hash(claims: Mapping[str, object], algorithm: str, access_token: str) -> None:
    if "at_hash" not in claims:  # Optional in the code flow (OIDC Core 3.1.3.6).
        return
    if not same_text(_text(claims, "at_hash"), half_hash(access_token, algorithm)):
        raise GatewayError(ID_TOKEN_AT_HASH_MISMATCH)


def _check_auth_time(claims: Mapping[str, object], expected: Expected, max_age: int | None) -> None:
    if "auth_time" in claims and _seconds(claims, "auth_time") > expected.now + expected.client.leeway:
        raise GatewayError(ID_TOKEN_AUTH_TIME_INVALID, "auth_time lies in the future")
    if max_age is None:
        return
    if "auth_time" not in claims:  # OIDC Core 3.1.2.1: asked for max_age, auth_time is required.
        raise GatewayError(ID_TOKEN_AUTH_TIME_INVALID, "max_age was asked for, auth_time is missing")
    if _seconds(claims, "auth_time") + max_age < expected.now - expected.client.leeway:
        raise GatewayError(ID_TOKEN_AUTH_TIME_INVALID, "the login is older than max_age")


def _subject(claims: Mapping[str, object]) -> str:
    return identifier_claim(claims, "sub", ID_TOKEN_CLAIM_INVALID)


def _text(claims: Mapping[str, object], name: str) -> str:
    return text_claim(claims, name, ID_TOKEN_CLAIM_INVALID)


def _seconds(claims: Mapping[str, object], name: str) -> int:
    return seconds_claim(claims, name, ID_TOKEN_CLAIM_INVALID)
