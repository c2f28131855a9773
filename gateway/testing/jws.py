"""Signed tokens (RFC 7515, 7518), made and checked without the library that is under test."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from gateway.oidc.messages import base64url
from gateway.testing.jwk import PrivateKey, PublicKey, decoded, json_object, kind_of, octets_of_curve, public_key

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
    "HS256", "HS384", "HS512",
]  # fmt: skip

KIND_OF_ALGORITHM: Mapping[str, str] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "EdDSA": "Ed25519",
    "Ed25519": "Ed25519",
}
"""The kind of key that an asymmetric algorithm needs: `RSA`, or the name of a curve."""

_HASHES: Mapping[str, HashAlgorithm] = {"256": SHA256(), "384": SHA384(), "512": SHA512()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactToken:
    """A compact JWS taken apart, its signature not yet checked."""

    header: dict[str, object]
    claims: dict[str, object]
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def sign(header: Mapping[str, object], claims: Mapping[str, object], key: PrivateKey | bytes, algorithm: str) -> str:
    """Make a compact JWS; the header may say what it likes, the signature is that of the algorithm."""
    signed = f"{_encoded(header)}.{_encoded(claims)}"
    return f"{signed}.{base64url(_signature(signed.encode('ascii'), key, algorithm))}"


def read_compact(compact: str) -> CompactToken:
    """Take a compact JWS of JSON claims apart; raises `ValueError` for what is none."""
    parts = compact.split(".")
    if len(parts) != 3:
        raise ValueError("not a compact JWS")
    signed = f"{parts[0]}.{parts[1]}".encode("ascii")
    return CompactToken(
        header=json_object(parts[0]), claims=json_object(parts[1]), signed=signed, signature=decoded(parts[2])
    )


def is_signed_by(token: CompactToken, key: PublicKey | bytes, algorithm: str) -> bool:
    """Tell whether a signature is that of a key, by this algorithm; the header's `alg` is left to the caller."""
    if isinstance(key, bytes):
        is_mac = algorithm.startswith("HS") and key != b""
        return is_mac and hmac.compare_digest(token.signature, _mac(token.signed, key, algorithm))
    if KIND_OF_ALGORITHM.get(algorithm) != kind_of(key):
        return False
    try:
        _verify(token, key, algorithm)
    except InvalidSignature:
        return False
    return True


def is_signed_by_one_of(token: CompactToken, jwks: Mapping[str, object], algorithm: str) -> bool:
    """Tell whether a key of a JWK set made a signature, of those with the token's `kid` if it names one."""
    keys, kid = jwks.get("keys"), token.header.get("kid")
    listed = [jwk for jwk in keys if isinstance(jwk, dict)] if isinstance(keys, list | tuple) else []
    named = [jwk for jwk in listed if kid in (None, jwk.get("kid")) and jwk.get("use", "sig") == "sig"]
    fitting = (public_key(jwk) for jwk in named if jwk.get("alg", algorithm) == algorithm)
    return any(is_signed_by(token, key, algorithm) for key in fitting)


def left_half_hash(value: str, algorithm: str) -> str:
    """Compute `at_hash` and its like (OIDC Core 3.1.3.6); for EdDSA with Ed25519's own hash, SHA-512."""
    name = "512" if algorithm in ("EdDSA", "Ed25519") else algorithm[-3:]
    digest = hashlib.new(f"sha{name}", value.encode("ascii")).digest()
    return base64url(digest[: len(digest) // 2])


def _signature(signed: bytes, key: PrivateKey | bytes, algorithm: str) -> bytes:
    if isinstance(key, bytes):
        return _mac(signed, key, algorithm)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(signed, _padding(algorithm), _HASHES[algorithm[-3:]])
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(_HASHES[algorithm[-3:]])))
        size = octets_of_curve(key.curve)
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    return key.sign(signed)


def _verify(token: CompactToken, key: PublicKey, algorithm: str) -> None:
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(token.signature, token.signed, _padding(algorithm), _HASHES[algorithm[-3:]])
    elif isinstance(key, ec.EllipticCurvePublicKey):
        size = octets_of_curve(key.curve)
        if len(token.signature) != 2 * size:
            raise InvalidSignature
        r, s = (int.from_bytes(half, "big") for half in (token.signature[:size], token.signature[size:]))
        key.verify(encode_dss_signature(r, s), token.signed, ec.ECDSA(_HASHES[algorithm[-3:]]))
    else:
        key.verify(token.signature, token.signed)


def _padding(algorithm: str) -> padding.AsymmetricPadding:
    if algorithm.startswith("RS"):
        return padding.PKCS1v15()
    digest = _HASHES[algorithm[-3:]]
    return padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)


def _mac(signed: bytes, key: bytes, algorithm: str) -> bytes:
    return hmac.digest(key, signed, f"sha{algorithm[-3:]}")


def _encoded(members: Mapping[str, object]) -> str:
    return base64url(json.dumps(members).encode("utf-8"))
