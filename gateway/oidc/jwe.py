"""Encrypted tokens: compact JWE only, both algorithms pinned by us, the key chosen by us (RFC 7516, RFC 8725)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey

from gateway.errors import (
    JWE_ALG_REFUSED,
    JWE_DECRYPTION_FAILED,
    JWE_NOT_ENCRYPTED,
    METADATA_LACKING,
    GatewayError,
)
from gateway.oidc.jose import ENCRYPTION_ALGORITHMS, MAX_TOKEN_BYTES, KeySet, PublicKey, parse_header
from gateway.oidc.keys import OwnKey

_WRAPPING_BITS = {
    "A128KW": 128, "A192KW": 192, "A256KW": 256, "A128GCMKW": 128, "A192GCMKW": 192, "A256GCMKW": 256,
}  # fmt: skip
_SIZES = {
    "A128GCM": (16, 12, 16),
    "A192GCM": (24, 12, 16),
    "A256GCM": (32, 12, 16),
    "A128CBC-HS256": (32, 16, 16),
    "A192CBC-HS384": (48, 16, 24),
    "A256CBC-HS512": (64, 16, 32),
}
"""The bytes of the key, of the initialization vector and of the tag (RFC 7518 5); no token says how long they are."""

SYMMETRIC_ENCRYPTION = ("dir", *_WRAPPING_BITS)
JWE_ALGORITHMS = (*ENCRYPTION_ALGORITHMS, *SYMMETRIC_ENCRYPTION)
"""The `alg` values that can be configured: neither RSA1_5 nor PBES2 is among them (RFC 8725 3.2)."""

JWE_ENCODINGS = tuple(_SIZES)
"""The `enc` values that can be configured."""

_MAX_HEADER = 8 * 1024
_MAX_ENCRYPTED_KEY = 4 * 1024
_MAX_CIPHERTEXT = (MAX_TOKEN_BYTES + 16) * 4 // 3 + 3
_MAX_LENGTH = _MAX_HEADER + _MAX_ENCRYPTED_KEY + _MAX_CIPHERTEXT + 256


class _Registry(jwe.JWERegistry):
    """joserfc's registry with room for the headers and keys of real providers."""

    max_protected_header_length = _MAX_HEADER
    max_encrypted_key_length = _MAX_ENCRYPTED_KEY
    max_ciphertext_length = _MAX_CIPHERTEXT


def decrypt(raw: str, *, algorithm: str, encoding: str, keys: Sequence[OwnKey], secret: str = "") -> str:
    """Open a compact JWE and return what it holds, a text of at most 64 KiB: most often a JWS, still to be checked.

    The key is the one of the token's `kid`; without a `kid`, every key for the algorithm is tried. A symmetric
    algorithm takes its key from the client secret (OIDC Core 10.2). `keys` for another algorithm are passed over.
    Raises `jwe_not_encrypted` for what has not the five parts of a JWE, `jwe_alg_refused` for another `alg` or `enc`
    than the given ones, for `zip` and `crit`, and `jwe_decryption_failed` whatever else is wrong (RFC 7516 11.5).
    """
    if raw.count(".") != 4:
        raise GatewayError(JWE_NOT_ENCRYPTED, "not a compact JWE")
    if len(raw) > _MAX_LENGTH:
        raise GatewayError(JWE_DECRYPTION_FAILED, "too long")
    header = _header(raw)
    _check_algorithms(header, algorithm, encoding)
    _check_sizes(raw, header, algorithm, encoding)
    for key in _candidates(header, keys, _own_secret(algorithm, encoding, secret), algorithm):
        text = _opened(raw, header, key, [algorithm, encoding])
        if text is not None:
            return text
    raise GatewayError(JWE_DECRYPTION_FAILED, f"no key of ours for kid {header.get('kid')!r} opens it")


def encryption_key(keys: KeySet, algorithm: str) -> PublicKey:
    """Choose the provider's key to encrypt to, from what `process_encryption_jwks` read (RFC 7517 4.2, 4.4).

    Raises `metadata_lacking` where the provider publishes none for the algorithm.
    """
    for key in keys:
        if key.serves(algorithm):
            return key
    raise GatewayError(METADATA_LACKING, f"the provider's JWK set has no key to encrypt to with {algorithm}")


def encrypt(plaintext: str, *, algorithm: str, encoding: str, key: PublicKey) -> str:
    """Encrypt a JWT of ours to a key of the provider; the header names its `kid`, and the content (RFC 7519 5.2).

    The content key and the ephemeral key are drawn by the library. Raises `jwe_alg_refused` for an algorithm that is
    not supported or not the key's.
    """
    if algorithm not in ENCRYPTION_ALGORITHMS or encoding not in JWE_ENCODINGS or not key.serves(algorithm):
        raise GatewayError(JWE_ALG_REFUSED, f"alg {algorithm!r}, enc {encoding!r}")
    header = {"alg": algorithm, "enc": encoding, "cty": "JWT"} | ({} if key.kid is None else {"kid": key.kid})
    return jwe.encrypt_compact(header, plaintext, key.key, registry=_Registry(algorithms=[algorithm, encoding]))


def _header(raw: str) -> dict[str, object]:
    try:
        return parse_header(raw.partition(".")[0])
    except GatewayError as error:
        raise GatewayError(JWE_DECRYPTION_FAILED, "the header is not a JSON object") from error


def _check_algorithms(header: Mapping[str, object], algorithm: str, encoding: str) -> None:
    if algorithm not in JWE_ALGORITHMS or encoding not in JWE_ENCODINGS:
        raise GatewayError(JWE_ALG_REFUSED, f"alg {algorithm!r} with enc {encoding!r} is never accepted")
    if header.get("alg") != algorithm or header.get("enc") != encoding:
        raise GatewayError(JWE_ALG_REFUSED, f"alg {header.get('alg')!r}, enc {header.get('enc')!r}: not as configured")
    for name in ("zip", "crit"):  # Compression tells of the plaintext by its length, and inflates (RFC 8725 3.6).
        if name in header:
            raise GatewayError(JWE_ALG_REFUSED, f"the header names {name}")


def _check_sizes(raw: str, header: Mapping[str, object], algorithm: str, encoding: str) -> None:
    _, iv_size, tag_size = _SIZES[encoding]
    _, _, iv, _, tag = raw.split(".")
    wrong = _size(iv) != iv_size or _size(tag) != tag_size
    if algorithm.endswith("GCMKW"):
        wrong = wrong or _size(header.get("iv")) != 12 or _size(header.get("tag")) != 16
    if wrong:
        raise GatewayError(JWE_DECRYPTION_FAILED, "an initialization vector or a tag of the wrong size")


def _size(encoded: object) -> int | None:
    try:
        text = encoded if isinstance(encoded, str) else "="
        return len(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        return None


def _own_secret(algorithm: str, encoding: str, secret: str) -> Key | None:
    # OIDC Core 10.2: the left part of the shortest SHA-2 hash of the client secret that is long enough.
    if algorithm not in SYMMETRIC_ENCRYPTION:
        return None
    if not secret:
        raise GatewayError(JWE_ALG_REFUSED, f"{algorithm} needs a client secret")
    size = _WRAPPING_BITS.get(algorithm, _SIZES[encoding][0] * 8) // 8
    digest = {32: hashlib.sha256, 48: hashlib.sha384, 64: hashlib.sha512}[max(32, size)]
    return OctKey.import_key(digest(secret.encode("utf-8")).digest()[:size])


def _candidates(
    header: Mapping[str, object], keys: Sequence[OwnKey], own_secret: Key | None, algorithm: str
) -> list[Key]:
    if own_secret is not None:
        return [own_secret]
    fitting = [own for own in keys if own.algorithm == algorithm]
    return [own.key for own in fitting if "kid" not in header or own.kid == header["kid"]]


def _opened(raw: str, header: Mapping[str, object], key: Key, algorithms: list[str]) -> str | None:
    if isinstance(key, ECKey) and not _is_for(key, header.get("epk")):
        return None
    registry = _Registry(algorithms=algorithms, strict_check_header=False)
    try:
        plaintext = jwe.decrypt_compact(raw, key, registry=registry).plaintext or b""
        return plaintext.decode("utf-8") if len(plaintext) <= MAX_TOKEN_BYTES else None
    except (JoseError, ValueError, TypeError, KeyError, AssertionError, UnsupportedAlgorithm):
        return None


def _is_for(key: ECKey, epk: object) -> bool:
    # The library checks that the point is on the curve that `epk` names, and takes a private one too (RFC 8725 3.4).
    return isinstance(epk, dict) and epk.get("kty") == "EC" and epk.get("crv") == key.curve_name and "d" not in epk
