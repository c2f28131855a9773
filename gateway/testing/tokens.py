"""The provider's keys and signatures (RFC 7515, 7517, 7518), made without the library that checks them."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.oidc.messages import base64url

Algorithm = Literal["RS256", "PS256", "ES256", "EdDSA", "HS256"]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey

KidMode = Literal["named", "absent_single", "absent_several"]
"""Whether keys have a `kid`; without one, the key set has either the signing key alone or many others beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """One private key; a HS256 token is signed with the client's secret instead."""

    algorithm: Algorithm
    kid: str
    private_key: PrivateKey = field(repr=False)

    def sign(self, header: Mapping[str, object], claims: Mapping[str, object], client_secret: str) -> str:
        """Make a compact JWS; the header may say what it likes, the signature is that of our algorithm."""
        signed = f"{_encoded(header)}.{_encoded(claims)}"
        return f"{signed}.{base64url(self._signature(signed.encode('ascii'), client_secret))}"

    def _signature(self, signed: bytes, client_secret: str) -> bytes:
        if self.algorithm == "HS256":
            return hmac.digest(client_secret.encode("utf-8"), signed, "sha256")
        if isinstance(self.private_key, rsa.RSAPrivateKey):
            pss = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=32)
            return self.private_key.sign(signed, pss if self.algorithm == "PS256" else padding.PKCS1v15(), SHA256())
        if isinstance(self.private_key, ec.EllipticCurvePrivateKey):
            r, s = decode_dss_signature(self.private_key.sign(signed, ec.ECDSA(SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return self.private_key.sign(signed)


def new_signing_key(algorithm: Algorithm) -> SigningKey:
    """Make a key for an algorithm, with a `kid` that no other key has."""
    return SigningKey(algorithm=algorithm, kid=secrets.token_urlsafe(8), private_key=_private_key(algorithm))


def key_set(signing_key: SigningKey, kid_mode: KidMode) -> dict[str, object]:
    """Publish a key among others that a client has to pass over, in no helpful order and without `alg`."""
    own: dict[str, object] = {**_public_jwk(signing_key.private_key), "use": "sig"}
    if kid_mode == "absent_single":
        return {"keys": [own]}
    if kid_mode == "absent_several":
        return {"keys": [*_other_signing_keys(), own, *_other_signing_keys()]}
    named = [{**jwk, "kid": secrets.token_urlsafe(8)} for jwk in (*_unusable_keys(), *_other_signing_keys())]
    middle = len(named) // 2
    return {"keys": [*named[:middle], {**own, "kid": signing_key.kid}, *named[middle:]], "x_unknown": True}


def left_half_hash(value: str, algorithm: Algorithm) -> str:
    """Compute `at_hash` (OIDC Core 3.1.3.6); for EdDSA with Ed25519's own hash, SHA-512."""
    digest = hashlib.new("sha512" if algorithm == "EdDSA" else "sha256", value.encode("ascii")).digest()
    return base64url(digest[: len(digest) // 2])


def _private_key(algorithm: Algorithm) -> PrivateKey:
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _other_signing_keys() -> list[dict[str, object]]:
    curves = (ec.SECP256K1(), ec.SECP256R1())
    others = [_public_jwk(ec.generate_private_key(curve)) for curve in curves]
    return [{**jwk, "use": "sig"} for jwk in (*others, _public_jwk(Ed25519PrivateKey.generate()), _rsa_decoy())]


def _unusable_keys() -> list[dict[str, object]]:
    return [
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": base64url(secrets.token_bytes(32)), "use": "sig"},
        {**_rsa_decoy(), "use": "enc", "alg": "RSA-OAEP-256"},
        {**_public_jwk(ec.generate_private_key(ec.SECP256R1())), "use": "enc"},
        {"kty": "EC", "crv": "P-256", "x": base64url(bytes(32)), "y": base64url(bytes(32)), "use": "sig"},
    ]


def _rsa_decoy() -> dict[str, object]:
    # Nobody signs with it, so any odd number of the right size will do, and costs nothing to find.
    modulus = secrets.randbits(2048) | 1 << 2047 | 1
    return {"kty": "RSA", "n": _encoded_number(modulus, 256), "e": "AQAB"}


def _public_jwk(key: PrivateKey) -> dict[str, object]:
    if isinstance(key, rsa.RSAPrivateKey):
        return {"kty": "RSA", "n": _encoded_number(key.public_key().public_numbers().n, 256), "e": "AQAB"}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        curve = "secp256k1" if isinstance(key.curve, ec.SECP256K1) else "P-256"
        return {"kty": "EC", "crv": curve, "x": _encoded_number(point.x, 32), "y": _encoded_number(point.y, 32)}
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519", "x": base64url(raw)}


def _encoded(members: Mapping[str, object]) -> str:
    return base64url(json.dumps(members).encode("utf-8"))


def _encoded_number(number: int, size: int) -> str:
    return base64url(number.to_bytes(size, "big"))
