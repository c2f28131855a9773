"""Compact JWEs made with cryptography alone, so that no bug of our JOSE library cancels out."""

import hashlib
import hmac
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.padding import PKCS7

from oidc.keys import encode, public_jwk

Recipient = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | bytes
"""Whom something is encrypted to; bytes are the symmetric key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The five parts of a JWE, each of which a test may replace."""

    header: Mapping[str, object]
    encrypted_key: bytes
    iv: bytes
    ciphertext: bytes
    tag: bytes
    encoded_header: str = field(default="")

    def compact(self) -> str:
        """Write them as RFC 7516 7.1 says."""
        parts = (self.encrypted_key, self.iv, self.ciphertext, self.tag)
        return ".".join((self.encoded_header, *(encode(part) for part in parts)))


def encrypted(
    plaintext: bytes,
    algorithm: str,
    encoding: str,
    recipient: Recipient,
    members: Mapping[str, object] | None = None,
) -> Parts:
    """Encrypt with any of the algorithms of RFC 7518; `members` go into the header, over what belongs there."""
    header: dict[str, object] = {"alg": algorithm, "enc": encoding}
    size = content_key_size(encoding)
    key, encrypted_key = _content_key(header, algorithm, encoding, recipient, size)
    return sealed(plaintext, {**header, **(members or {})}, key, encrypted_key)


def sealed(plaintext: bytes, header: Mapping[str, object], key: bytes, encrypted_key: bytes) -> Parts:
    """Encrypt the content with that key, by the `enc` of the header (RFC 7518 5)."""
    encoded = encode(json.dumps(header).encode())
    if str(header["enc"]).endswith("GCM"):
        iv = os.urandom(12)
        both = AESGCM(key).encrypt(iv, plaintext, encoded.encode())
        ciphertext, tag = both[:-16], both[-16:]
    else:
        iv = os.urandom(16)
        half = len(key) // 2
        ciphertext = _cbc(key[half:], iv, plaintext)
        tag = cbc_tag(key[:half], encoded, iv, ciphertext)
    return Parts(
        header=header, encrypted_key=encrypted_key, iv=iv, ciphertext=ciphertext, tag=tag, encoded_header=encoded
    )


def content_key_size(encoding: str) -> int:
    """Tell how many bytes the key of an `enc` has."""
    bits = int(encoding[1:4])
    return bits // 8 if encoding.endswith("GCM") else bits // 4


def cbc_tag(key: bytes, encoded_header: str, iv: bytes, ciphertext: bytes) -> bytes:
    """Compute the tag of AES_CBC_HMAC_SHA2 (RFC 7518 5.2.2.1)."""
    aad = encoded_header.encode()
    data = aad + iv + ciphertext + struct.pack(">Q", len(aad) * 8)
    return hmac.digest(key, data, {16: "sha256", 24: "sha384", 32: "sha512"}[len(key)])[: len(key)]


def concat_kdf(shared: bytes, name: str, bits: int, apu: bytes = b"", apv: bytes = b"") -> bytes:
    """Derive a key by one round of the Concat KDF, or two (RFC 7518 4.6.2)."""
    info = b"".join(struct.pack(">I", len(part)) + part for part in (name.encode(), apu, apv)) + struct.pack(">I", bits)
    rounds = (hashlib.sha256(struct.pack(">I", number) + shared + info).digest() for number in (1, 2))
    return b"".join(rounds)[: bits // 8]


def _content_key(
    header: dict[str, object], algorithm: str, encoding: str, recipient: Recipient, size: int
) -> tuple[bytes, bytes]:
    if algorithm == "dir" and isinstance(recipient, bytes):
        return recipient, b""
    key = os.urandom(size)
    if isinstance(recipient, rsa.RSAPublicKey):
        return key, recipient.encrypt(key, rsa_padding(algorithm))
    if isinstance(recipient, ec.EllipticCurvePublicKey):
        ephemeral = ec.generate_private_key(recipient.curve)
        header["epk"] = public_jwk(ephemeral, {})
        shared = ephemeral.exchange(ec.ECDH(), recipient)
        if algorithm == "ECDH-ES":
            return concat_kdf(shared, encoding, size * 8), b""
        recipient = concat_kdf(shared, algorithm, int(algorithm[-5:-2]))
    if algorithm.endswith("GCMKW"):
        iv = os.urandom(12)
        both = AESGCM(recipient).encrypt(iv, key, None)
        header.update({"iv": encode(iv), "tag": encode(both[-16:])})
        return key, both[:-16]
    return key, aes_key_wrap(recipient, key)


def rsa_padding(algorithm: str) -> padding.AsymmetricPadding:
    """Return the padding of an RSA algorithm, RSA1_5 among them."""
    if algorithm == "RSA1_5":
        return padding.PKCS1v15()
    digest = hashes.SHA256() if algorithm == "RSA-OAEP-256" else hashes.SHA1()
    return padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None)


def _cbc(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    padder = PKCS7(128).padder()
    encryptor = Cipher(AES(key), CBC(iv)).encryptor()
    return encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()
