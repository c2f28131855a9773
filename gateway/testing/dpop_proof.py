"""DPoP proofs as a server checks them (RFC 9449 4.3), and the nonces that it hands out for them (8, 9)."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock

from gateway.oidc.messages import s256
from gateway.testing.jwk import public_key, thumbprint
from gateway.testing.jws import CompactToken, is_signed_by, read_compact
from gateway.testing.parties import Refusal

DPOP_ALGORITHMS = ("PS256", "ES256", "EdDSA", "RS256")

PROOF_AGE = 300
"""Seconds that a proof's `iat` may be away from the provider's clock, to either side."""

_NQ_PUNCTUATION = "".join(character for character in string.punctuation if character not in '"\\')


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedProof:
    """What a proof has to be made for; `access_token` is empty at the authorization server (RFC 9449 4.2)."""

    method: str
    url: str
    now: int
    access_token: str = field(default="", repr=False)

    def refusal(self, error: str, description: str) -> Refusal:
        """Make a refusal: a 400 at the authorization server, a challenge at a resource (RFC 9449 5, 7.1)."""
        if self.access_token:
            return Refusal(error, description, status=401, challenge="DPoP")
        return Refusal(error, description)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A proof that holds: the thumbprint of its key, its id and its nonce."""

    jkt: str
    jti: str
    nonce: str | None


def check_proof(compact: str, expected: ExpectedProof) -> Proof:
    """Check a proof but for its nonce and its being new; raises `Refusal` with `invalid_dpop_proof`."""
    try:
        token = read_compact(compact)
        jkt = _thumbprint_of_signer(token)
        _check_claims(token.claims, expected)
    except (ValueError, TypeError, RecursionError) as error:  # A member of the wrong type, or nested without end.
        raise expected.refusal("invalid_dpop_proof", str(error)) from error
    nonce = token.claims.get("nonce")
    return Proof(jkt=jkt, jti=str(token.claims["jti"]), nonce=None if nonce is None else str(nonce))


@dataclass(slots=True)
class Nonces:
    """The nonces of one server, oldest first. Thread-safe."""

    _lock: Lock = field(default_factory=Lock)
    _issued: list[str] = field(default_factory=list)

    def newest(self) -> str:
        """Return the nonce to use now, the first one made when it is asked for."""
        with self._lock:
            if not self._issued:
                self._issued.append(new_nonce())
            return self._issued[-1]

    def rotate(self) -> str:
        """Make a new nonce, which replaces the newest."""
        with self._lock:
            self._issued.append(new_nonce())
            return self._issued[-1]

    def latest(self, count: int) -> frozenset[str]:
        """Return that many of the newest nonces."""
        with self._lock:
            return frozenset(self._issued[-count:])

    def ever_issued(self, nonce: str) -> bool:
        """Tell whether a nonce is one of this server."""
        with self._lock:
            return nonce in self._issued


def new_nonce() -> str:
    """Make a nonce with every punctuation character that one may have (RFC 9449 8.1, NQCHAR)."""
    characters = [*_NQ_PUNCTUATION, *secrets.token_hex(8)]
    secrets.SystemRandom().shuffle(characters)
    return "".join(characters)


def _thumbprint_of_signer(token: CompactToken) -> str:
    jwk, algorithm = token.header.get("jwk"), str(token.header.get("alg"))
    key = public_key(jwk if isinstance(jwk, dict) else {})
    rules = (
        (token.header.get("typ") == "dpop+jwt", "typ is not dpop+jwt"),
        (algorithm in DPOP_ALGORITHMS, "alg is not an asymmetric one that is supported"),
        ("crit" not in token.header, "crit names what nobody knows"),
        (is_signed_by(token, key, algorithm), "the signature is not that of jwk"),
    )
    _check(rules)
    return thumbprint(jwk if isinstance(jwk, dict) else {})


def _check_claims(claims: Mapping[str, object], expected: ExpectedProof) -> None:
    issued_at, jti = claims.get("iat"), claims.get("jti")
    ath = s256(expected.access_token) if expected.access_token else None
    rules = (
        (isinstance(jti, str) and jti != "", "jti is missing"),
        (claims.get("htm") == expected.method, "htm is not the method"),
        (claims.get("htu") == expected.url, "htu is not the URL without query and fragment"),
        (type(issued_at) is int and abs(issued_at - expected.now) <= PROOF_AGE, "iat is missing or not of now"),
        (claims.get("ath") == ath and ("ath" in claims) == (ath is not None), "ath is not that of this call"),
        (isinstance(claims.get("nonce", ""), str), "nonce is no text"),
    )
    _check(rules)


def _check(rules: Iterable[tuple[bool, str]]) -> None:
    for kept, description in rules:
        if not kept:
            raise ValueError(description)
