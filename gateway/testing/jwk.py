"""Keys as JWK (RFC 7517, 7518, 7638, RFC 8037), read and written without the library that is under test."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.oidc.messages import base64url

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey

MIN_RSA_BITS = 2048
CURVES: Mapping[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
    "secp256k1": ec.SECP256K1(),
}

_CURVE_NAMES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521", "secp256k1": "secp256k1"}
_THUMBPRINT_MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
_PRIVATE_MEMBERS = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))


def public_jwk(key: PrivateKey | PublicKey) -> dict[str, object]:
    """Write the public part of a key."""
    public = key.public_key() if isinstance(key, PrivateKey) else key
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": encoded_number(numbers.n, public.key_size // 8), "e": encoded_number(numbers.e, 3)}
    if isinstance(public, ec.EllipticCurvePublicKey):
        point, size = public.public_numbers(), octets_of_curve(public.curve)
        curve = _CURVE_NAMES[public.curve.name]
        return {"kty": "EC", "crv": curve, "x": encoded_number(point.x, size), "y": encoded_number(point.y, size)}
    return {"kty": "OKP", "crv": "Ed25519", "x": base64url(public.public_bytes(Encoding.Raw, PublicFormat.Raw))}


def public_key(jwk: Mapping[str, object]) -> PublicKey:
    """Read a public key; raises `ValueError` for a private, a symmetric, a weak or an unknown one."""
    if _PRIVATE_MEMBERS & set(jwk):
        raise ValueError("the key is not a public one")
    if jwk.get("kty") == "RSA":
        key = rsa.RSAPublicNumbers(_number(jwk, "e"), _number(jwk, "n")).public_key()
        if key.key_size < MIN_RSA_BITS:
            raise ValueError("the RSA key is too short")
        return key
    if jwk.get("kty") == "EC" and str(jwk.get("crv")) in CURVES:
        curve = CURVES[str(jwk["crv"])]
        return ec.EllipticCurvePublicNumbers(_number(jwk, "x"), _number(jwk, "y"), curve).public_key()
    if jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519":
        return Ed25519PublicKey.from_public_bytes(decoded(str(jwk.get("x"))))
    raise ValueError("the key is of an unknown kind")


def kind_of(key: PrivateKey | PublicKey) -> str:
    """Name the kind of a key: `RSA`, or the name of its curve."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return _CURVE_NAMES.get(key.curve.name, "")
    return "RSA" if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey) else "Ed25519"


def new_private_key(kind: str) -> PrivateKey:
    """Make a key of a kind, as `kind_of` names it."""
    if kind == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=MIN_RSA_BITS)
    return Ed25519PrivateKey.generate() if kind == "Ed25519" else ec.generate_private_key(CURVES[kind])


def thumbprint(jwk: Mapping[str, object]) -> str:
    """Compute the SHA-256 thumbprint of a key (RFC 7638 3); raises `ValueError` for an unknown kind."""
    names = _THUMBPRINT_MEMBERS.get(str(jwk.get("kty")), ())
    if not names or not all(isinstance(jwk.get(name), str) for name in names):
        raise ValueError("the key is of an unknown kind")
    canonical = json.dumps({name: jwk[name] for name in names}, separators=(",", ":"), sort_keys=True)
    return base64url(hashlib.sha256(canonical.encode("utf-8")).digest())


def decoded(text: str) -> bytes:
    """Decode base64url without padding (RFC 7515 2); raises `ValueError` when it is anything else."""
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if base64url(octets) != text:
        raise ValueError("not base64url in its one form")
    return octets


def json_object(encoded: str) -> dict[str, object]:
    """Read a JSON object in base64url, a header for instance; raises `ValueError` when it is anything else."""
    try:
        members = json.loads(decoded(encoded))
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(members, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004
    return members


def encoded_number(number: int, size: int) -> str:
    """Encode a number as base64url of that many octets (RFC 7518 6.2.1.2)."""
    return base64url(number.to_bytes(size, "big"))


def octets_of_curve(curve: ec.EllipticCurve) -> int:
    """Tell how many octets a coordinate of a curve has (RFC 7518 6.2.1.2)."""
    return (curve.key_size + 7) // 8


def _number(jwk: Mapping[str, object], name: str) -> int:
    return int.from_bytes(decoded(str(jwk.get(name, ""))), "big")
