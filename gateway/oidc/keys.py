"""Our own keys: what signs client assertions, request objects and proofs, and what opens encrypted tokens."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key

from gateway.errors import JWT_ALG_REFUSED, GatewayError
from gateway.oidc.jose import (
    ASYMMETRIC_ALGORITHMS,
    ENCRYPTION_ALGORITHMS,
    MIN_RSA_BITS,
    SYMMETRIC_ALGORITHMS,
    PublicKey,
    sign_compact,
    symmetric_key,
)
from gateway.oidc.messages import base64url, parse_json_object

_DEFAULTS = {
    "sig": {"RSA": "PS256", "P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"},
    "enc": {
        "RSA": "RSA-OAEP-256", "P-256": "ECDH-ES+A256KW", "P-384": "ECDH-ES+A256KW", "P-521": "ECDH-ES+A256KW",
    },
}  # fmt: skip
_ALGORITHMS = {"sig": ASYMMETRIC_ALGORITHMS, "enc": ENCRYPTION_ALGORITHMS}
_PUBLIC_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_THUMBPRINT_MEMBERS = {**_PUBLIC_MEMBERS, "oct": ("k",)}
_PRIVATE_MEMBERS = ("d", "p", "q", "dp", "dq", "qi")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnKey:
    """A private key of ours with the one algorithm that it is used with; `use` is `sig` or `enc`."""

    kid: str
    use: str
    algorithm: str
    key: Key = field(repr=False)

    def public_jwk(self) -> Mapping[str, object]:
        """Return what others may know of the key (RFC 7517 4)."""
        return {**_public_members(self.key), "kid": self.kid, "use": self.use, "alg": self.algorithm}


def load_own_keys(
    data: bytes, *, use: str = "sig", signing_algorithm: str | None = None, encryption_algorithm: str | None = None
) -> tuple[OwnKey, ...]:
    """Read private keys: one PEM (PKCS #8, PKCS #1 or SEC 1, unencrypted), a JWK, or a JWK set.

    A JWK's own `use`, `alg` and `kid` come first. Where they are missing, `use` is that of its `alg`, else the one
    given; the algorithm is the one given for that use if the key can be used with it, else PS256, ES256, ES384, ES512
    or EdDSA for signing, RSA-OAEP-256 or ECDH-ES+A256KW for encryption; the kid is the key's thumbprint (RFC 7638).
    Raises `ValueError` with a sentence that says what would be right and quotes nothing of the key.
    """
    wanted = {"sig": signing_algorithm, "enc": encryption_algorithm}
    keys = tuple(_own_key(jwk, key, use, wanted) for jwk, key in _private_keys(data))
    if not keys:
        raise ValueError("the JWK set is empty; it has to hold at least one private key")
    if len({key.kid for key in keys}) != len(keys):
        raise ValueError("two keys have the same kid; give each key a kid of its own")
    for purpose, algorithm in wanted.items():
        candidates = [key.algorithm for key in keys if key.use == purpose]
        if algorithm is not None and candidates and algorithm not in candidates:
            raise ValueError(f"none of the keys is for {algorithm}; give one whose type and alg agree with it")
    return keys


def sign(key: OwnKey, header: Mapping[str, object], claims: Mapping[str, object]) -> str:
    """Sign claims as a compact JWS; `alg` and `kid` of the header are the key's, the rest, such as `typ`, is given.

    Raises `jwt_alg_refused` for a key that is not for signatures.
    """
    if key.use != "sig":
        raise GatewayError(JWT_ALG_REFUSED, "the key is not for signatures")
    return sign_compact({**header, "alg": key.algorithm, "kid": key.kid}, claims, key.key)


def sign_symmetric(secret: str, algorithm: str, header: Mapping[str, object], claims: Mapping[str, object]) -> str:
    """Make a compact JWS whose MAC is keyed by the client secret (OIDC Core 9, `client_secret_jwt`).

    Raises `jwt_alg_refused` for another algorithm than HS256, HS384 and HS512, and for a secret shorter than the hash.
    """
    if algorithm not in SYMMETRIC_ALGORITHMS:
        raise GatewayError(JWT_ALG_REFUSED, f"{algorithm!r} is not one of {', '.join(SYMMETRIC_ALGORITHMS)}")
    return sign_compact({**header, "alg": algorithm}, claims, symmetric_key(secret, algorithm))


def thumbprint(jwk: Mapping[str, object]) -> str:
    """Compute a key's SHA-256 thumbprint (RFC 7638 3); raises `ValueError` for what is not a key."""
    kty = jwk.get("kty")
    names = _THUMBPRINT_MEMBERS.get(kty) if isinstance(kty, str) else None
    if names is None or not all(isinstance(jwk.get(name), str) for name in names):
        raise ValueError("not a JWK whose thumbprint is defined")
    members = {name: jwk[name] for name in sorted((*names, "kty"))}
    text = json.dumps(members, separators=(",", ":"), ensure_ascii=False)
    return base64url(hashlib.sha256(text.encode("utf-8")).digest())


def _private_keys(data: bytes) -> Iterator[tuple[Mapping[str, object], Key]]:
    if not data.lstrip().startswith(b"{"):
        yield {}, _from_pem(data)
        return
    try:
        members = parse_json_object(data)
    except GatewayError:
        raise ValueError("not JSON; give one JWK, a JWK set or a PEM file") from None
    jwks = members.get("keys", [members])
    if not isinstance(jwks, list):
        raise ValueError("`keys` is not a list; give one JWK, a JWK set or a PEM file")  # noqa: TRY004
    for jwk in jwks:
        if not isinstance(jwk, dict):
            raise ValueError("the JWK set holds something that is no JWK")  # noqa: TRY004
        yield jwk, _from_jwk(jwk)


def _from_pem(data: bytes) -> Key:
    if b"PRIVATE KEY-----" not in data:
        raise ValueError("no private key; give a private key as PEM (PKCS #8), or as JWK")
    if data.count(b"-----END") - data.count(b"-----END EC PARAMETERS") > 1:
        raise ValueError("several keys or certificates; give one private key as PEM, or several as a JWK set")
    try:
        private = load_pem_private_key(data, password=None)
    except TypeError:
        raise ValueError("an encrypted private key; decrypt it first (openssl pkcs8 -topk8 -nocrypt)") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("an unreadable private key; give it as PEM (PKCS #8), unencrypted, or as JWK") from None
    return _wrapped(private)


def _from_jwk(jwk: Mapping[str, object]) -> Key:
    kty = jwk.get("kty")
    if kty == "oct":
        raise ValueError("a symmetric key; give the private key of a pair (kty RSA, EC or OKP)")
    names = _PUBLIC_MEMBERS.get(kty) if isinstance(kty, str) else None
    if names is None:
        raise ValueError("a key of unknown kty; it has to be RSA, EC or OKP")
    if "d" not in jwk:
        raise ValueError("a public key; give the private one, which has the member d")
    _check_modulus(jwk)
    members: dict[str, Any] = {name: jwk[name] for name in (*names, *_PRIVATE_MEMBERS, "kty") if name in jwk}
    try:
        key = _wrapped(import_key(members).raw_value)
        agrees = all(_same_value(jwk[name], value) for name, value in _public_members(key).items())
    except (JoseError, ValueError, TypeError, KeyError):
        raise ValueError("an unreadable JWK; it has to be complete, its curve P-256, P-384, P-521 or Ed25519") from None
    if not agrees:
        raise ValueError("a JWK whose public part does not belong to its private part")
    return key


def _wrapped(private: object) -> Key:
    # The library's own importers warn of a short key, and keep the JWK's members as they were written.
    if isinstance(private, rsa.RSAPrivateKey):
        _check_size(private.key_size)
        return RSAKey.import_key(private)
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in (
        "secp256r1",
        "secp384r1",
        "secp521r1",
    ):
        return ECKey.import_key(private)
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return OKPKey.import_key(private)
    raise ValueError("a key of a kind that is not used here; give RSA, P-256, P-384, P-521 or Ed25519")


def _check_modulus(jwk: Mapping[str, object]) -> None:
    if jwk["kty"] == "RSA":
        _check_size(_number(jwk.get("n")).bit_length())


def _check_size(bits: int) -> None:
    if bits < MIN_RSA_BITS:
        raise ValueError(f"an RSA key shorter than {MIN_RSA_BITS} bits; make one of {MIN_RSA_BITS} or more")


def _same_value(written: object, derived: object) -> bool:
    return written == derived or _number(written) == _number(derived)


def _number(text: object) -> int:
    try:
        encoded = str(text) + "=" * (-len(str(text)) % 4)
        return int.from_bytes(base64.b64decode(encoded, altchars=b"-_", validate=True), "big")
    except (binascii.Error, ValueError):
        raise ValueError("a JWK with a member that is not base64url") from None


def _public_members(key: Key) -> dict[str, object]:
    members: Mapping[str, object] = key.as_dict(private=False)
    return {name: members[name] for name in ("kty", *_PUBLIC_MEMBERS[key.key_type])}


def _own_key(jwk: Mapping[str, object], key: Key, use: str, wanted: Mapping[str, str | None]) -> OwnKey:
    alg, kid = jwk.get("alg"), jwk.get("kid", thumbprint(_public_members(key)))
    if not isinstance(kid, str) or not kid:
        raise ValueError("a JWK whose kid is not a text; leave it out, or give it one")
    use = _use(jwk, use)
    fitting = [name for name in _ALGORITHMS[use] if PublicKey(kid=None, alg=None, key=key).serves(name)]
    if not fitting:
        raise ValueError("a key that is only for signatures; give RSA, P-256, P-384 or P-521 for encryption")
    if "alg" in jwk and alg not in fitting:
        raise ValueError(f"a JWK whose alg does not go with its type and use; right would be {' or '.join(fitting)}")
    algorithm = alg or (wanted[use] if wanted[use] in fitting else _default(key, use))
    return OwnKey(kid=kid, use=use, algorithm=str(algorithm), key=key)


def _use(jwk: Mapping[str, object], given: str) -> str:
    implied = next((use for use, names in _ALGORITHMS.items() if jwk.get("alg") in names), given)
    use = jwk.get("use", implied)
    if use not in ("sig", "enc"):
        raise ValueError("a key whose use is neither sig nor enc")
    return str(use)


def _default(key: Key, use: str) -> str:
    return _DEFAULTS[use][key.curve_name if isinstance(key, ECKey | OKPKey) else "RSA"]
