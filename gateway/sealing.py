"""Authenticated encryption under a ring of keys: what leaves our memory is sealed, and opens for one purpose only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.oidc.messages import Entropy

_VERSION = b"\x01"
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_OVERHEAD = len(_VERSION) + _KEY_ID_BYTES + _NONCE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """The operator's secrets by key id: the first seals, all of them open."""

    secrets: tuple[tuple[bytes, bytes], ...] = field(repr=False)

    @classmethod
    def of(cls, secrets: Sequence[str]) -> KeyRing:
        """Make a ring of the configured secrets, newest first."""
        encoded = [secret.encode("utf-8") for secret in secrets]
        return cls(secrets=tuple((_key_id(secret), secret) for secret in encoded))


def seal(ring: KeyRing, purpose: str, plaintext: bytes, *, entropy: Entropy, binding: bytes = b"") -> bytes:
    """Encrypt with AES-256-GCM under a key made of the ring's first secret and `binding`.

    Version, key id and purpose are authenticated with it, so that a value sealed for one purpose opens for no other.
    """
    key_id, secret = ring.secrets[0]
    nonce = entropy(_NONCE_BYTES)
    sealed = AESGCM(_derive(secret, purpose, binding)).encrypt(nonce, plaintext, _associated(key_id, purpose))
    return _VERSION + key_id + nonce + sealed


def unseal(ring: KeyRing, purpose: str, sealed: bytes, *, binding: bytes = b"") -> bytes | None:
    """Decrypt what `seal` made for the same purpose and binding; None for anything else."""
    if len(sealed) <= _OVERHEAD or not sealed.startswith(_VERSION):
        return None
    key_id, nonce = sealed[1 : 1 + _KEY_ID_BYTES], sealed[1 + _KEY_ID_BYTES : _OVERHEAD]
    for known_id, secret in ring.secrets:
        if known_id == key_id:
            plaintext = _decrypt(_derive(secret, purpose, binding), nonce, sealed, _associated(key_id, purpose))
            if plaintext is not None:
                return plaintext
    return None


def derived_key(ring: KeyRing, purpose: str) -> bytes:
    """Make a key of the ring's first secret, for one purpose; it stays the same for as long as that secret is first."""
    return _derive(ring.secrets[0][1], purpose, b"")


def _decrypt(key: bytes, nonce: bytes, sealed: bytes, associated: bytes) -> bytes | None:
    try:
        return AESGCM(key).decrypt(nonce, sealed[_OVERHEAD:], associated)
    except (InvalidTag, ValueError):
        return None


def _derive(secret: bytes, purpose: str, binding: bytes) -> bytes:
    # Secret and binding both enter the extraction step: neither alone gives the key (RFC 5869 2.2).
    return HKDF(algorithm=SHA256(), length=32, salt=binding or None, info=purpose.encode("ascii")).derive(secret)


def _associated(key_id: bytes, purpose: str) -> bytes:
    return _VERSION + key_id + purpose.encode("ascii")


def _key_id(secret: bytes) -> bytes:
    return hashlib.sha256(b"gateway key id" + secret).digest()[:_KEY_ID_BYTES]
