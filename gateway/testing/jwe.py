"""Encrypted tokens (RFC 7516, 7518), made and opened without the library that is under test."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import padding as block_padding
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from gateway.oidc.messages import base64url
from gateway.testing.jwk import PrivateKey, PublicKey, decoded, json_object, kind_of, public_jwk, public_key

KEY_ALGORITHMS = ("RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW")
CONTENT_ALGORITHMS = ("A128GCM", "A256GCM", "A128CBC-HS256", "A256CBC-HS512")

_KEY_BYTES = {"A128GCM": 16, "A256GCM": 32, "A128CBC-HS256": 32, "A256CBC-HS512": 64}
_WRAP_BYTES = {"ECDH-ES+A128KW": 16, "ECDH-ES+A256KW": 32}
_RSA_PADDINGS: Mapping[str, padding.AsymmetricPadding] = {
    "RSA-OAEP": padding.OAEP(mgf=padding.MGF1(SHA1()), algorithm=SHA1(), label=None),  # noqa: S303
    "RSA-OAEP-256": padding.OAEP(mgf=padding.MGF1(SHA256()), algorithm=SHA256(), label=None),
    "RSA1_5": padding.PKCS1v15(),  # Only ever offered as a fault (RFC 8725 3.2).
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Whom a token is encrypted for: a public key, its `kid` if it has one, and the algorithms `alg` and `enc`."""

    key: PublicKey
    kid: str | None
    alg: str
    enc: str


def recipient(jwks: Mapping[str, object], alg: str, enc: str) -> Recipient:
    """Choose the key for encryption from a client's JWK set; raises `ValueError` when there is none."""
    kty = "RSA" if alg.startswith("RSA") else "EC"
    keys = jwks.get("keys")
    for jwk in keys if isinstance(keys, list | tuple) else ():
        if (jwk.get("kty"), jwk.get("use")) == (kty, "enc") and jwk.get("alg", alg) == alg:
            return Recipient(key=public_key(jwk), kid=jwk.get("kid"), alg=alg, enc=enc)
    raise ValueError(f"the client has no key for {alg}")


def encrypt(plaintext: bytes, to: Recipient, header: Mapping[str, object]) -> str:
    """Make a compact JWE; `header` is laid over the members that the algorithms need."""
    members = {"alg": to.alg, "enc": to.enc, **({} if to.kid is None else {"kid": to.kid})}
    content_key, encrypted_key, more = _new_content_key(to)
    protected = base64url(json.dumps({**members, **more, **header}).encode("utf-8"))
    initialization, ciphertext, tag = _sealed(to.enc, content_key, plaintext, protected.encode("ascii"))
    return ".".join([protected, *(base64url(part) for part in (encrypted_key, initialization, ciphertext, tag))])


def decrypt(compact: str, kid: str, keys: Mapping[str, PrivateKey]) -> bytes:
    """Open a compact JWE with the one of our keys, by kind, that its algorithm needs.

    Raises `ValueError`, also where the header does not name our `kid` (FAPI 2.0 Message Signing 5.3).
    """
    parts = compact.split(".")
    if len(parts) != 5:
        raise ValueError("not a compact JWE")
    header = json_object(parts[0])
    encrypted_key, initialization, ciphertext, tag = (decoded(part) for part in parts[1:])
    if header.get("kid") != kid:
        raise ValueError("kid is missing, or not that of our keys for encryption")
    if header.get("enc") not in CONTENT_ALGORITHMS or header.get("alg") not in KEY_ALGORITHMS or "zip" in header:
        raise ValueError("alg or enc is unknown, or zip is asked for")
    content_key = _opened_content_key(header, encrypted_key, keys)
    return _opened(str(header["enc"]), content_key, (initialization, ciphertext, tag), parts[0].encode("ascii"))


def _new_content_key(to: Recipient) -> tuple[bytes, bytes, dict[str, object]]:
    if isinstance(to.key, rsa.RSAPublicKey):
        content_key = secrets.token_bytes(_KEY_BYTES[to.enc])
        return content_key, to.key.encrypt(content_key, _RSA_PADDINGS[to.alg]), {}
    if not isinstance(to.key, ec.EllipticCurvePublicKey):
        raise TypeError("the key is not one to encrypt for")
    ephemeral = ec.generate_private_key(to.key.curve)
    agreed = _agreed_key(ephemeral, to.key, to.alg, to.enc)
    more: dict[str, object] = {"epk": public_jwk(ephemeral)}
    if to.alg == "ECDH-ES":
        return agreed, b"", more
    content_key = secrets.token_bytes(_KEY_BYTES[to.enc])
    return content_key, aes_key_wrap(agreed, content_key), more


def _opened_content_key(header: Mapping[str, object], encrypted_key: bytes, keys: Mapping[str, PrivateKey]) -> bytes:
    alg, enc = str(header["alg"]), str(header["enc"])
    if alg in _RSA_PADDINGS:
        key = keys.get("RSA")
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError("there is no RSA key to decrypt with")
        return key.decrypt(encrypted_key, _RSA_PADDINGS[alg])
    epk = header.get("epk")
    ephemeral = public_key(epk) if isinstance(epk, dict) else None
    own = None if ephemeral is None else keys.get(kind_of(ephemeral))
    if not isinstance(own, ec.EllipticCurvePrivateKey) or not isinstance(ephemeral, ec.EllipticCurvePublicKey):
        raise ValueError("epk is not on the curve of a key of ours")  # noqa: TRY004
    agreed = _agreed_key(own, ephemeral, alg, enc)
    try:
        return agreed if alg == "ECDH-ES" else aes_key_unwrap(agreed, encrypted_key)
    except InvalidUnwrap as error:
        raise ValueError("the content key does not unwrap") from error


def _agreed_key(own: ec.EllipticCurvePrivateKey, theirs: ec.EllipticCurvePublicKey, alg: str, enc: str) -> bytes:
    # RFC 7518 4.6.2: the Concat KDF over the algorithm that the key is for, with no party info.
    size, purpose = (_KEY_BYTES[enc], enc) if alg == "ECDH-ES" else (_WRAP_BYTES[alg], alg)
    info = _prefixed(purpose.encode("ascii")) + _prefixed(b"") + _prefixed(b"") + (size * 8).to_bytes(4, "big")
    return ConcatKDFHash(algorithm=SHA256(), length=size, otherinfo=info).derive(own.exchange(ec.ECDH(), theirs))


def _prefixed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _sealed(enc: str, key: bytes, plaintext: bytes, associated: bytes) -> tuple[bytes, bytes, bytes]:
    if enc.endswith("GCM"):
        initialization = secrets.token_bytes(12)
        sealed = AESGCM(key).encrypt(initialization, plaintext, associated)
        return initialization, sealed[:-16], sealed[-16:]
    initialization = secrets.token_bytes(16)
    padder = block_padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key[len(key) // 2 :]), modes.CBC(initialization)).encryptor()
    ciphertext = encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()
    return initialization, ciphertext, _cbc_tag(enc, key, initialization + ciphertext, associated)


def _opened(enc: str, key: bytes, sealed: tuple[bytes, bytes, bytes], associated: bytes) -> bytes:
    initialization, ciphertext, tag = sealed
    if len(key) != _KEY_BYTES[enc]:
        raise ValueError("the content key has the wrong size")
    if enc.endswith("GCM"):
        try:
            return AESGCM(key).decrypt(initialization, ciphertext + tag, associated)
        except InvalidTag as error:
            raise ValueError("the tag is wrong") from error
    if not hmac.compare_digest(tag, _cbc_tag(enc, key, initialization + ciphertext, associated)):
        raise ValueError("the tag is wrong")
    decryptor = Cipher(algorithms.AES(key[len(key) // 2 :]), modes.CBC(initialization)).decryptor()
    unpadder = block_padding.PKCS7(128).unpadder()
    return unpadder.update(decryptor.update(ciphertext) + decryptor.finalize()) + unpadder.finalize()


def _cbc_tag(enc: str, key: bytes, sealed: bytes, associated: bytes) -> bytes:
    # RFC 7518 5.2.2.1: the MAC covers the associated data, what is sealed, and the former's length in bits.
    signed = associated + sealed + (len(associated) * 8).to_bytes(8, "big")
    return hmac.digest(key[: len(key) // 2], signed, f"sha{enc[-3:]}")[: len(key) // 2]
