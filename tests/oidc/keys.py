"""Keys made once, and tokens signed with them by cryptography alone, so that no bug of our JOSE library cancels out."""

import base64
import hmac
import json
from collections.abc import Mapping
from functools import cache
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.oidc.jose import KeySet, process_jwks
from gateway.oidc.messages import Reply

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
SigningKey = PrivateKey | bytes
"""What a token is signed with; bytes are a secret."""

JSON_HEADERS: Final = {"content-type": "application/json"}

_HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "256": hashes.SHA256(),
    "384": hashes.SHA384(),
    "512": hashes.SHA512(),
}
_CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
    "secp256k1": ec.SECP256K1(),
}
_CURVE_NAMES: Final = {curve.name: name for name, curve in _CURVES.items()}


def rsa_key(owner: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the RSA key of an owner; the same owner has the same key for the whole session."""
    return _rsa_key(owner, bits)


def ec_key(owner: str, curve: str = "P-256") -> ec.EllipticCurvePrivateKey:
    """Return the EC key of an owner on that curve."""
    return _ec_key(owner, curve)


@cache
def _rsa_key(owner: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def _ec_key(owner: str, curve: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(_CURVES[curve])


@cache
def ed_key(owner: str) -> ed25519.Ed25519PrivateKey:
    """Make the Ed25519 key of an owner."""
    return ed25519.Ed25519PrivateKey.generate()


def public_jwk(key: PrivateKey, members: Mapping[str, object]) -> dict[str, object]:
    """Write the public half as a JWK (RFC 7517, RFC 8037) with the members that are given, such as `kid`."""
    return {**_key_members(key), **members}


def public_pem(key: PrivateKey) -> bytes:
    """Write the public half as PEM, which anybody can make from a JWK set."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def json_reply(value: object, status: int = 200) -> Reply:
    """Make the reply of a provider that answers in JSON."""
    return Reply(status=status, headers=JSON_HEADERS, body=json.dumps(value).encode("utf-8"))


def key_set(*jwks: object) -> KeySet:
    """Read a JWK set as the gateway does."""
    return process_jwks(json_reply({"keys": list(jwks)}))


def encode(data: bytes) -> str:
    """Encode as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def compact(header: Mapping[str, object], payload: bytes, key: SigningKey) -> str:
    """Sign a compact JWS with the algorithm that its header names (RFC 7515 7.1)."""
    signed = f"{encode(json.dumps(header).encode('utf-8'))}.{encode(payload)}"
    return f"{signed}.{encode(_signature(str(header['alg']), key, signed.encode('ascii')))}"


def signed_claims(header: Mapping[str, object], claims: Mapping[str, object], key: SigningKey) -> str:
    """Sign claims as a JWT."""
    return compact(header, json.dumps(claims).encode("utf-8"), key)


def tampered(token: str) -> str:
    """Change the first byte of a token's signature."""
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{'B' if signature.startswith('A') else 'A'}{signature[1:]}"


def _signature(algorithm: str, key: SigningKey, data: bytes) -> bytes:
    if isinstance(key, bytes):
        return hmac.digest(key, data, f"sha{algorithm[-3:]}")
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    digest = _HASHES[algorithm[2:5]]
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, _rsa_padding(algorithm, digest), digest)
    size = (key.curve.key_size + 7) // 8
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def _rsa_padding(algorithm: str, digest: hashes.HashAlgorithm) -> padding.AsymmetricPadding:
    if algorithm.startswith("PS"):
        return padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)
    return padding.PKCS1v15()


def _key_members(key: PrivateKey) -> dict[str, object]:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().public_bytes_raw())}
    if isinstance(key, rsa.RSAPrivateKey):
        rsa_numbers = key.public_key().public_numbers()
        return {"kty": "RSA", "n": _encode_number(rsa_numbers.n), "e": _encode_number(rsa_numbers.e)}
    ec_numbers, size = key.public_key().public_numbers(), (key.curve.key_size + 7) // 8
    x, y = encode(ec_numbers.x.to_bytes(size, "big")), encode(ec_numbers.y.to_bytes(size, "big"))
    return {"kty": "EC", "crv": _CURVE_NAMES[key.curve.name], "x": x, "y": y}


def _encode_number(number: int) -> str:
    return encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))
