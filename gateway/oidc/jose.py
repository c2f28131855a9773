"""Signed tokens: compact JWS only, the algorithm pinned by us, the key chosen by us (RFC 7515, RFC 8725)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
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
ENCRYPTION_ALGORITHMS = (
    "RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW",
)  # fmt: skip
"""What something may be encrypted to a public key with; RSA1_5 is not among them (RFC 8725 3.2)."""

_PUBLIC_KEY_ALGORITHMS = frozenset(ASYMMETRIC_ALGORITHMS + ENCRYPTION_ALGORITHMS)
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
        """Tell whether this key is one for that algorithm: by type, curve and the key's own `alg` (RFC 8725 3.1)."""
        if algorithm not in _PUBLIC_KEY_ALGORITHMS or self.alg not in (None, algorithm):
            return False
        if algorithm.startswith("ECDH-ES"):
            return isinstance(self.key, ECKey) and self.key.curve_name in _EC_CURVES.values()
        if algorithm.startswith(("RS", "PS")):
            return isinstance(self.key, RSAKey)
        if algorithm.startswith("ES"):
            return isinstance(self.key, ECKey) and self.key.curve_name == _EC_CURVES.get(algorithm)
        return isinstance(self.key, OKPKey) and self.key.curve_name == "Ed25519"


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
    return _read_keys(_jwks(reply), "sig")


def process_encryption_jwks(reply: Reply) -> KeySet:
    """Read the keys of a provider's JWK set that something may be encrypted to, those that say `use: enc` first.

    As tolerant as `process_jwks`, and raises the same.
    """
    jwks = _jwks(reply)
    return _read_keys(sorted(jwks, key=lambda jwk: not (isinstance(jwk, dict) and jwk.get("use") == "enc")), "enc")


def _jwks(reply: Reply) -> list[object]:
    raise_if_unavailable(reply, "the JWKS endpoint")
    if reply.status != 200:
        raise GatewayError(PROVIDER_ANSWER_INVALID, f"the JWKS endpoint answered {reply.status}")
    members = json_object(reply)  # application/jwk-set+json is one of the JSON types.
    keys = members.get("keys")
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise GatewayError(PROVIDER_ANSWER_INVALID, f"`keys` is not a list of at most {MAX_KEYS}")
    return keys


def _read_keys(jwks: Iterable[object], use: str) -> KeySet:
    parsed = (_public_key(jwk, use) for jwk in jwks)
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


def verify_with(token: SignedToken, keys: KeySet, secret: str) -> dict[str, object]:
    """Check a token with the provider's keys, or with the client secret where its algorithm is a MAC."""
    if token.algorithm in SYMMETRIC_ALGORITHMS:
        return verify_symmetric(token, secret)
    return verify(token, keys)


def unverified_claims(token: SignedToken) -> dict[str, object]:
    """Read the payload of a token whose signature has not been checked; nothing of it is proven."""
    encoded = token.raw.split(".")[1]
    try:
        return _members(base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise GatewayError(JWT_MALFORMED, "the payload is not base64url") from error


def verify_symmetric(token: SignedToken, secret: str) -> dict[str, object]:
    """Check a MAC made with the client secret (OIDC Core 3.1.3.7 (8)); raises as `verify` does."""
    payload = _payload_if_signed(token, symmetric_key(secret, token.algorithm))
    if payload is None:
        raise GatewayError(JWT_SIGNATURE_INVALID, f"alg {token.algorithm}")
    return _members(payload)


def sign_compact(header: Mapping[str, object], claims: Mapping[str, object], key: Key) -> str:
    """Sign claims as a compact JWS with the algorithm that the header names (RFC 7515 7.1); the caller checked both."""
    registry = _Registry(algorithms=[str(header["alg"])], strict_check_header=False)
    payload = json.dumps(claims, separators=(",", ":"), allow_nan=False)
    return jws.serialize_compact(dict(header), payload, key, registry=registry)


def symmetric_key(secret: str, algorithm: str) -> Key:
    """Make the key of a MAC from the client secret.

    Raises `jwt_alg_refused` for a secret that is shorter than the hash (RFC 7518 3.2) or is a public key.
    """
    size = int(algorithm.removeprefix("HS")) // 8
    if len(secret.encode("utf-8")) < size:
        raise GatewayError(JWT_ALG_REFUSED, f"the client secret is shorter than the {size} bytes of {algorithm}")
    try:
        return OctKey.import_key(secret.encode("utf-8"))
    except ValueError as error:  # The library refuses a public key as a secret.
        raise GatewayError(JWT_ALG_REFUSED, "the client secret is not fit for a MAC") from error


def half_hash(value: str, algorithm: str) -> str:
    """Compute `at_hash` and its like: the left half of the hash that belongs to the algorithm (OIDC Core 3.1.3.6)."""
    name = "512" if algorithm in ("EdDSA", "Ed25519") else algorithm[-3:]
    digest = _HASHES[name](value.encode("ascii")).digest()
    return base64url(digest[: len(digest) // 2])


_OPERATIONS = {"sig": ("verify",), "enc": ("encrypt", "wrapKey", "deriveKey", "deriveBits")}


def _public_key(jwk: object, use: str) -> PublicKey | None:
    if not isinstance(jwk, dict) or jwk.get("kty") not in ("RSA", "EC", "OKP") or "d" in jwk:
        return None
    operations = jwk.get("key_ops", _OPERATIONS[use])
    if jwk.get("use", use) != use or not isinstance(operations, list | tuple):
        return None
    if not any(operation in operations for operation in _OPERATIONS[use]):
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
    return parse_header(raw.partition(".")[0])


def parse_header(encoded: str) -> dict[str, object]:
    """Read the first part of a compact JWS or JWE as a JSON object; raises `jwt_malformed`."""
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
