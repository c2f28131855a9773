"""The ID token: one straight list of checks (OIDC Core 3.1.3.7 and 12.2), run to the first that fails, or reported."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
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


Checks = Iterable[tuple[str, Callable[[], object]]]
"""Checks in their order, each by the name of what it is about; one raises what it finds wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one check came to; `code` and `detail` say what it found wrong, and are empty where that is nothing."""

    name: str
    code: str = ""
    detail: str = ""


def check_id_token(
    token: SignedToken, keys: KeySet, expected: Expected, transaction: Transaction, *, earlier: IDToken | None = None
) -> IDToken:
    """Check the ID token of a login; the numbers in the code are those of OIDC Core 3.1.3.7.

    `earlier` is the one that came through the browser, with which it must agree (3.3.3.6).
    Raises `jwt_*` and `id_token_*`, a code for each check.
    """
    claims = _signed_claims(token, keys, expected)
    _pass([*_common_checks(token, claims, expected), *_login_checks(claims, expected, transaction)])
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
    _pass([*_common_checks(token, claims, expected), *_login_checks(claims, expected, response.transaction)])
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
    _pass([*_common_checks(token, claims, expected), *_refresh_checks(claims, login)])
    return IDToken(subject=_subject(claims), claims=claims, raw=token.raw, checked=_CHECKED)


def report_id_token(
    token: SignedToken, keys: KeySet, expected: Expected, transaction: Transaction
) -> tuple[Outcome, ...]:
    """Tell what each check of `check_id_token` comes to, also those behind the first that fails.

    Raises `jwt_*` where the signature does not fit: then nothing that the token says is worth a look.
    """
    claims = _signed_claims(token, keys, expected)
    return _outcomes([*_common_checks(token, claims, expected), *_login_checks(claims, expected, transaction)])


def report_refreshed_id_token(
    token: SignedToken, keys: KeySet, expected: Expected, *, login: Mapping[str, object]
) -> tuple[Outcome, ...]:
    """Tell what each check of `check_refreshed_id_token` comes to; raises as `report_id_token` does."""
    claims = _signed_claims(token, keys, expected)
    return _outcomes([*_common_checks(token, claims, expected), *_refresh_checks(claims, login)])


def _pass(checks: Checks) -> None:
    for _, check in checks:
        check()


def _outcomes(checks: Checks) -> tuple[Outcome, ...]:
    return tuple(_outcome(name, check) for name, check in checks)


def _outcome(name: str, check: Callable[[], object]) -> Outcome:
    try:
        check()
    except GatewayError as error:
        return Outcome(name=name, code=error.code, detail=error.detail)
    return Outcome(name=name)


def _signed_claims(token: SignedToken, keys: KeySet, expected: Expected) -> dict[str, object]:
    return verify_with(token, keys, expected.client.client_secret)  # (6), (7), (8)


def _common_checks(token: SignedToken, claims: Mapping[str, object], expected: Expected) -> Checks:
    return (
        ("iss", partial(_check_issuer, claims, expected)),  # (2)
        ("aud", partial(_check_audience, claims, expected.client.client_id)),  # (3)
        ("azp", partial(_check_authorized_party, claims, expected.client.client_id)),  # (4), (5)
        ("exp", partial(_check_end, claims, expected)),  # (9)
        ("iat", partial(_check_beginning, claims, expected)),  # (10)
        ("nbf", partial(_check_not_before, claims, expected)),
        ("sub", partial(_subject, claims)),
        ("sid", partial(_check_sid, claims)),
        ("at_hash", partial(_check_at_hash, claims, token.algorithm, expected.access_token)),
    )


def _login_checks(claims: Mapping[str, object], expected: Expected, transaction: Transaction) -> Checks:
    return (
        ("nonce", partial(_check_nonce, claims, transaction.nonce)),  # (11)
        ("acr", partial(_check_acr, claims, transaction.acr_values)),  # (12)
        ("auth_time", partial(_check_auth_time, claims, expected, transaction.max_age)),  # (13)
    )


def _refresh_checks(claims: Mapping[str, object], login: Mapping[str, object]) -> Checks:
    return (
        ("sub", partial(_check_same_user, claims, login)),
        ("auth_time", partial(_check_same_auth_time, claims, login)),
        ("nonce", partial(_check_same_nonce, claims, login)),
    )


def _check_issuer(claims: Mapping[str, object], expected: Expected) -> None:
    if _text(claims, "iss") != expected.issuer:
        raise GatewayError(ID_TOKEN_ISS_MISMATCH, f"expected {expected.issuer!r}, got {claims['iss']!r}")


def _check_audience(claims: Mapping[str, object], client_id: str) -> None:
    audiences = audience_claim(claims, ID_TOKEN_CLAIM_INVALID)
    if client_id not in audiences:
        raise GatewayError(ID_TOKEN_AUD_MISMATCH, f"aud {audiences!r} does not name us")


def _check_authorized_party(claims: Mapping[str, object], client_id: str) -> None:
    azp = claims.get("azp")
    if azp is None and len(set(audience_claim(claims, ID_TOKEN_CLAIM_INVALID))) > 1:
        raise GatewayError(ID_TOKEN_AZP_MISMATCH, "several audiences and no azp")
    if azp is not None and azp != client_id:
        raise GatewayError(ID_TOKEN_AZP_MISMATCH, f"azp {azp!r}")


def _check_end(claims: Mapping[str, object], expected: Expected) -> None:
    if _seconds(claims, "exp") <= expected.now - expected.client.leeway:
        raise GatewayError(ID_TOKEN_EXPIRED, f"exp {claims['exp']}, now {expected.now}")


def _check_beginning(claims: Mapping[str, object], expected: Expected) -> None:
    issued_at, now = _seconds(claims, "iat"), expected.now
    if issued_at > now + expected.client.leeway:
        raise GatewayError(ID_TOKEN_NOT_YET_VALID, f"iat {issued_at}, now {now}: is a clock wrong?")
    if issued_at < now - MAX_AGE_OF_IAT:
        raise GatewayError(ID_TOKEN_TOO_OLD, f"iat {issued_at}, now {now}")


def _check_not_before(claims: Mapping[str, object], expected: Expected) -> None:
    if "nbf" in claims and _seconds(claims, "nbf") > expected.now + expected.client.leeway:
        raise GatewayError(ID_TOKEN_NOT_YET_VALID, f"nbf {claims['nbf']}, now {expected.now}: is a clock wrong?")


def _check_sid(claims: Mapping[str, object]) -> None:
    if "sid" in claims:  # One that no logout token may have could never be signed out by the provider.
        identifier_claim(claims, "sid", ID_TOKEN_CLAIM_INVALID)


def _check_nonce(claims: Mapping[str, object], nonce: str) -> None:
    if not same_text(_text(claims, "nonce"), nonce):
        raise GatewayError(ID_TOKEN_NONCE_MISMATCH)


def _check_acr(claims: Mapping[str, object], acr_values: Collection[str]) -> None:
    if acr_values and claims.get("acr") not in acr_values:
        raise GatewayError(ID_TOKEN_ACR_MISMATCH, f"acr {str(claims.get('acr'))[:80]!r}")


def _check_same_user(claims: Mapping[str, object], login: Mapping[str, object]) -> None:
    if _subject(claims) != login.get("sub"):
        raise GatewayError(ID_TOKEN_SUB_MISMATCH)


def _check_same_auth_time(claims: Mapping[str, object], login: Mapping[str, object]) -> None:
    if "auth_time" in claims and claims["auth_time"] != login.get("auth_time", claims["auth_time"]):
        raise GatewayError(ID_TOKEN_AUTH_TIME_INVALID, "auth_time is not that of the login")


def _check_same_nonce(claims: Mapping[str, object], login: Mapping[str, object]) -> None:
    if "nonce" in claims and claims["nonce"] != login.get("nonce"):
        raise GatewayError(ID_TOKEN_NONCE_MISMATCH)


def _check_at_hash(claims: Mapping[str, object], algorithm: str, access_token: str) -> None:
    if not access_token or "at_hash" not in claims:  # Optional in the code flow (OIDC Core 3.1.3.6).
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
