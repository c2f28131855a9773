"""Signed tokens: compact JWS only, the algorithm pinned by us, the key chosen by us (RFC 7515, RFC 8725)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey, import_key

from gateway.errors import (
    JWT_ALG_REFUSED,
    JWT_CRIT_REFUSED,
    JWT_KEY_UNKNOWN,
    JWT_MALFORMED,
    JWT_SIGNATURE_INVALID,
    PROVIDER_ANSWER_INVALID,
    GatewayError,
)
from gateway.oidc.messages import Reply, base64url, json_object, parse_json_object, raise_if_unavailable

MAX_TOKEN_BYTES = 64 * 1024
MAX_KEYS = 64
MIN_RSA_BITS = 2048

_EC_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}

ASYMMETRIC_ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip
SYMMETRIC_ALGORITHMS = ("HS256", "HS384", "HS512")
_KNOWN_ALGORITHMS = frozenset(ASYMMETRIC_ALGORITHMS + SYMMETRIC_ALGORITHMS)


class _Registry(jws.JWSRegistry):
    """joserfc's registry with room for the headers that real providers send."""

    max_header_length = 8 * 1024
    max_payload_length = MAX_TOKEN_BYTES

    def get_alg(self, name: str) -> Any:
        """Return the one algorithm that was allowed, without the library's opinion of it."""
        if self.allowed is None or name not in self.allowed:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """One key of a provider, parsed once."""

    kid: str | None
    alg: str | None
    key: Key

    def serves(self, algorithm: str) -> bool:
        """Tell whether this key may verify that algorithm: by type, curve and the key's own `alg` (RFC 8725 3.1)."""
        if self.alg is not None and self.alg != algorithm:
            return False
        if algorithm.startswith(("RS", "PS")):
            return isinstance(self.key, RSAKey)
        if algorithm.startswith("ES"):
            return isinstance(self.key, ECKey) and self.key.curve_name == _EC_CURVES.get(algorithm)
        if algorithm in ("EdDSA", "Ed25519"):
            return isinstance(self.key, OKPKey) and self.key.curve_name == "Ed25519"
        return False


KeySet = Sequence[PublicKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedToken:
    """A compact JWS taken apart, its signature not yet checked."""

    raw: str
    header: Mapping[str, object]
    algorithm: str
    kid: str | None


def process_jwks(reply: Reply) -> KeySet:
    """Read a provider's JWK set, passing over keys that are not for us.

    A key that is private, symmetric, for encryption, too small or of an unknown kind does not spoil the set
    (RFC 7517 5). Raises `ProviderUnavailable` for an outage, `provider_answer_invalid` for what is not a JWK set.
    """
    raise_if_unavailable(reply, "the JWKS endpoint")
    if reply.status != 200:
        raise GatewayError(PROVIDER_ANSWER_INVALID, f"the JWKS endpoint answered {reply.status}")
    members = json_object(reply)  # application/jwk-set+json is one of the JSON types.
    keys = members.get("keys")
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise GatewayError(PROVIDER_ANSWER_INVALID, f"`keys` is not a list of at most {MAX_KEYS}")
    parsed = (_public_key(jwk) for jwk in keys)
    return tuple(key for key in parsed if key is not None)


def parse_signed(raw: str, algorithms: Iterable[str]) -> SignedToken:
    """Take a compact JWS apart and hold its header against our policy.

    Raises `jwt_malformed`, `jwt_alg_refused` for an algorithm that we did not pin, and for `none` even if we did,
    `jwt_crit_refused` for an extension (RFC 7515 4.1.11); `jwk`, `jku`, `x5u` and `x5c` in the header are never looked
    at.
    """
    header = _header(raw)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in _KNOWN_ALGORITHMS.intersection(algorithms):
        raise GatewayError(JWT_ALG_REFUSED, f"alg {algorithm!r} is not one that is configured")
    if "crit" in header or "b64" in header:
        raise GatewayError(JWT_CRIT_REFUSED, "the header names extensions")
    kid = header.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise GatewayError(JWT_MALFORMED, "kid is not a text")
    return SignedToken(raw=raw, header=header, algorithm=algorithm, kid=kid)


def knows(keys: KeySet, token: SignedToken) -> bool:
    """Tell whether the set has a key that the token may have been signed with."""
    return bool(_candidates(keys, token))


def verify(token: SignedToken, keys: KeySet) -> dict[str, object]:
    """Check the signature with the provider's keys and return the payload's members.

    A token with a `kid` is held against the keys of that `kid` alone, one without against every key that its
    algorithm allows (OIDC Core 10.1). Raises `jwt_key_unknown`, `jwt_signature_invalid`, `jwt_malformed`.
    """
    candidates = _candidates(keys, token)
    if not candidates:
        raise GatewayError(JWT_KEY_UNKNOWN, f"no key for kid {token.kid!r} and alg {token.algorithm}")
    for candidate in candidates:
        payload = _payload_if_signed(token, candidate.key)
        if payload is not None:
            return _members(payload)
    raise GatewayError(JWT_SIGNATURE_INVALID, f"kid {token.kid!r}, alg {token.algorithm}")


def verify_symmetric(token: SignedToken, secret: str) -> dict[str, object]:
    """Check a MAC made with the client secret (OIDC Core 3.1.3.7 (8)); raises as `verify` does."""
    size = int(token.algorithm.removeprefix("HS")) // 8
    if len(secret.encode("utf-8")) < size:
        raise GatewayError(JWT_ALG_REFUSED, f"the client secret is shorter than the {size} bytes of {token.algorithm}")
    try:
        key = OctKey.import_key(secret.encode("utf-8"))
    except ValueError as error:  # The library refuses a public key as a secret.
        raise GatewayError(JWT_ALG_REFUSED, "the client secret is not fit for a MAC") from error
    payload = _payload_if_signed(token, key)
    if payload is None:
        raise GatewayError(JWT_SIGNATURE_INVALID, f"alg {token.algorithm}")
    return _members(payload)


def half_hash(value: str, algorithm: str) -> str:
    """Compute `at_hash` and its like: the left half of the hash that belongs to the algorithm (OIDC Core 3.1.3.6)."""
    name = "512" if algorithm in ("EdDSA", "Ed25519") else algorithm[-3:]
    digest = _HASHES[name](value.encode("ascii")).digest()
    return base64url(digest[: len(digest) // 2])


def _public_key(jwk: object) -> PublicKey | None:
    if not isinstance(jwk, dict) or jwk.get("kty") not in ("RSA", "EC", "OKP") or "d" in jwk:
        return None
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    kid, alg = jwk.get("kid"), jwk.get("alg")
    if not isinstance(kid, str | None) or not isinstance(alg, str | None) or _is_short(jwk.get("n")):
        return None
    try:
        key = import_key({name: value for name, value in jwk.items() if name in _KEY_MEMBERS})
        too_small = isinstance(key, RSAKey) and key.raw_value.key_size < MIN_RSA_BITS
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return None if too_small else PublicKey(kid=kid, alg=alg, key=key)


def _is_short(modulus: object) -> bool:
    # Told by its length in base64url, since the library warns of a short key as soon as it is imported.
    return isinstance(modulus, str) and len(modulus) * 6 < MIN_RSA_BITS


_KEY_MEMBERS = frozenset({"kty", "n", "e", "crv", "x", "y"})


def _header(raw: str) -> dict[str, object]:
    if len(raw) > MAX_TOKEN_BYTES or raw.count(".") != 2:
        raise GatewayError(JWT_MALFORMED, "not a compact JWS")
    encoded = raw.partition(".")[0]
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        return parse_json_object(decoded)
    except (binascii.Error, ValueError, GatewayError) as error:
        raise GatewayError(JWT_MALFORMED, "the header is not a JSON object") from error


def _candidates(keys: KeySet, token: SignedToken) -> list[PublicKey]:
    fitting = [key for key in keys if key.serves(token.algorithm)]
    if token.kid is None:
        return fitting
    return [key for key in fitting if key.kid == token.kid]


def _payload_if_signed(token: SignedToken, key: Key) -> bytes | None:
    registry = _Registry(algorithms=[token.algorithm], strict_check_header=False)
    try:
        return jws.deserialize_compact(token.raw, key, registry=registry).payload
    except (JoseError, ValueError, TypeError, UnicodeError):
        return None


def _members(payload: bytes) -> dict[str, object]:
    try:
        return parse_json_object(payload)
    except GatewayError as error:
        raise GatewayError(JWT_MALFORMED, "the payload is not a JSON object") from error
