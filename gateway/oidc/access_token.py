"""An access token that a client brings: a JWT, checked in one straight list (RFC 9068 4, RFC 6750)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import (
    ACCESS_TOKEN_AUD_MISMATCH,
    ACCESS_TOKEN_BOUND,
    ACCESS_TOKEN_CLAIM_INVALID,
    ACCESS_TOKEN_EXPIRED,
    ACCESS_TOKEN_ISS_MISMATCH,
    ACCESS_TOKEN_NOT_YET_VALID,
    ACCESS_TOKEN_TYPE_REFUSED,
    GatewayError,
)
from gateway.oidc.claims_reading import audience_claim, identifier_claim, said_kind, seconds_claim, text_claim
from gateway.oidc.introspection import Introspection
from gateway.oidc.jose import KeySet, SignedToken, parse_signed, unverified_claims, verify

MAX_BEARER_LENGTH = 8 * 1024
"""What a field of a request may weigh at most servers."""

_CHECKED: Final = object()
_B64TOKEN_RE = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_JWS_RE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_OF_ANOTHER_KIND = ("nonce", "at_hash", "c_hash", "s_hash", "events", "token_introspection")
"""Claims of ID tokens, of logout tokens and of introspection, which no access token has."""

_OF_ACCESS_TOKENS = ("client_id", "scope", "scp")
"""Claims of access tokens, which OpenID Connect knows in no ID token (RFC 9068 2.2)."""

_ANY_JWT = "jwt"
"""The kind that says nothing, as most ID tokens have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTokenRules:
    """What a token must show; `types` are the kinds (`typ`) in lower case and without `application/`.

    `audience` are the names of which `aud` must have one; `leeway` is in seconds.
    """

    audience: frozenset[str]
    types: frozenset[str]
    algorithms: tuple[str, ...]
    leeway: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A validated access token; only the checks of this module make one.

    `issued_at` and `expires_at` are None where nothing was said of them, which only introspection may leave out.
    """

    issuer: str
    subject: str
    client_id: str
    scope: str
    issued_at: int | None
    expires_at: int | None
    claims: Mapping[str, object] = field(repr=False)
    checked: object = field(repr=False)

    def __post_init__(self) -> None:
        if self.checked is not _CHECKED:
            raise TypeError("an AccessToken comes from check_access_token or check_introspected")


def is_bearer_text(text: str) -> bool:
    """Tell whether a text can be a bearer token (RFC 6750 2.1)."""
    return len(text) <= MAX_BEARER_LENGTH and _B64TOKEN_RE.fullmatch(text) is not None


def is_compact_jws(text: str) -> bool:
    """Tell whether a token has the form of a signed JWT."""
    return _JWS_RE.fullmatch(text) is not None


def parse_access_token(raw: str, rules: AccessTokenRules) -> SignedToken:
    """Take a token apart and check its kind and its algorithm (RFC 9068 4, RFC 8725 3.11).

    Raises `access_token_type_refused` and `jwt_*`.
    """
    token = parse_signed(raw, rules.algorithms)
    if _kind(token) not in rules.types:
        raise GatewayError(ACCESS_TOKEN_TYPE_REFUSED, f"typ {str(token.header.get('typ'))[:40]!r}")
    return token


def claimed_issuer(token: SignedToken) -> str:
    """Read which issuer a token says it is of; nothing of it is proven."""
    return text_claim(unverified_claims(token), "iss", ACCESS_TOKEN_CLAIM_INVALID)


def check_access_token(
    token: SignedToken, keys: KeySet, rules: AccessTokenRules, *, issuer: str, now: int
) -> AccessToken:
    """Check a JWT with the keys of the issuer that it says it is of.

    Raises `jwt_*` and `access_token_*`, a code for each check.
    """
    claims = verify(token, keys)
    if text_claim(claims, "iss", ACCESS_TOKEN_CLAIM_INVALID) != issuer:
        raise GatewayError(ACCESS_TOKEN_ISS_MISMATCH, f"expected {issuer!r}, got {claims['iss']!r}")
    _check_audience(audience_claim(claims, ACCESS_TOKEN_CLAIM_INVALID), rules)
    expires_at = _seconds(claims, "exp")
    if expires_at <= now - rules.leeway:
        raise GatewayError(ACCESS_TOKEN_EXPIRED, f"exp {expires_at}, now {now}")
    issued_at = _seconds(claims, "iat")
    begins = [issued_at, *([_seconds(claims, "nbf")] if "nbf" in claims else [])]
    if max(begins) > now + rules.leeway:
        raise GatewayError(ACCESS_TOKEN_NOT_YET_VALID, f"iat and nbf {begins}, now {now}: is a clock wrong?")
    _check_kind(claims, _kind(token))
    _check_unbound(claims)
    return _token(claims, issuer=issuer, issued_at=issued_at, expires_at=expires_at)


def check_introspected(answer: Introspection, rules: AccessTokenRules, *, issuer: str) -> AccessToken:
    """Hold what the provider says of an opaque token against our rules (RFC 7662 2.2); raises `access_token_*`."""
    _check_audience(answer.audience, rules)
    _check_unbound(answer.members)
    issued_at = _seconds(answer.members, "iat") if "iat" in answer.members else None
    return _token(answer.members, issuer=issuer, issued_at=issued_at, expires_at=answer.expires_at)


def _check_audience(audience: Sequence[str], rules: AccessTokenRules) -> None:
    if rules.audience.isdisjoint(audience):
        raise GatewayError(ACCESS_TOKEN_AUD_MISMATCH, f"aud {audience!r} does not name us")


def _kind(token: SignedToken) -> str:
    typ = token.header.get("typ")
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else ""


def _check_kind(claims: Mapping[str, object], kind: str) -> None:
    other = next((name for name in _OF_ANOTHER_KIND if name in claims), None)
    if other is not None:
        raise GatewayError(ACCESS_TOKEN_TYPE_REFUSED, f"it has {other}, as no access token does")
    said = said_kind(claims)
    if said is False:
        raise GatewayError(ACCESS_TOKEN_TYPE_REFUSED, "typ or token_use among its claims says that it is none")
    # An ID token for another client may name our audience, too, and needs no nonce: rules that tell the kinds apart
    # have to exclude each other (RFC 8725 3.12).
    if kind == _ANY_JWT and said is None and not any(name in claims for name in _OF_ACCESS_TOKENS):
        raise GatewayError(ACCESS_TOKEN_TYPE_REFUSED, "nothing in it says that it is an access token")


def _check_unbound(claims: Mapping[str, object]) -> None:
    # Who sends one that is bound to a key as a bearer token may have stolen it (RFC 9449 7.1, RFC 8705 3).
    if claims.get("cnf") is not None:
        raise GatewayError(ACCESS_TOKEN_BOUND, "it is bound to a key or a certificate")


def _token(claims: Mapping[str, object], *, issuer: str, issued_at: int | None, expires_at: int | None) -> AccessToken:
    client_id = identifier_claim(claims, "client_id", ACCESS_TOKEN_CLAIM_INVALID) if "client_id" in claims else ""
    return AccessToken(
        issuer=issuer,
        # Where no user is involved `sub` is the client (RFC 9068 2.2), but that is for the provider to say: a client
        # may have the name of a user.
        subject=identifier_claim(claims, "sub", ACCESS_TOKEN_CLAIM_INVALID),
        client_id=client_id,
        scope=_scope(claims),
        issued_at=issued_at,
        expires_at=expires_at,
        claims=claims,
        checked=_CHECKED,
    )


def _scope(claims: Mapping[str, object]) -> str:
    # `scope` is a text (RFC 8693 4.2); `scp`, a text or a list, is what Entra ID and Okta call it.
    value = claims.get("scope", claims.get("scp", ""))
    names = value.split(" ") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) and " " not in name for name in names):
        raise GatewayError(ACCESS_TOKEN_CLAIM_INVALID, "scope is neither a text nor a list of texts")
    return " ".join(name for name in names if name)


def _seconds(claims: Mapping[str, object], name: str) -> int:
    return seconds_claim(claims, name, ACCESS_TOKEN_CLAIM_INVALID)
