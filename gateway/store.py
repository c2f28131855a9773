"""Sessions in a store that sees only sealed bytes under hashed names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from gateway.backends.base import Backend
from gateway.backends.file import FileBackend
from gateway.backends.memory import MemoryBackend
from gateway.backends.redis import RedisBackend
from gateway.config import StoreSettings
from gateway.cookies import HANDLE_BYTES
from gateway.oidc.messages import Entropy, base64url
from gateway.sealing import KeyRing, seal, unseal
from gateway.session import Lifetimes, Session, from_bytes, to_bytes

Clock = Callable[[], float]
"""Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSession:
    """A session together with the handle that its browser holds; the handle opens it, so it never leaves us."""

    handle: bytes = field(repr=False)
    session: Session


class SessionStore:
    """Sessions over one backend; every method raises `StoreUnavailable` when the backend does.

    `realm` says whose sessions they are: one that was sealed in another realm is none here, whoever shares the secret.
    """

    def __init__(
        self, *, backend: Backend, ring: KeyRing, realm: str, lifetimes: Lifetimes, clock: Clock, entropy: Entropy
    ) -> None:
        self._backend = backend
        self._ring = ring
        self._purpose = f"session {hashlib.sha256(realm.encode('utf-8')).hexdigest()}"
        self._lifetimes = lifetimes
        self._clock = clock
        self._entropy = entropy

    def load(self, handle: bytes) -> Session | None:
        """Open the session of a handle; None if there is none, or none that lives, or none that opens."""
        sealed = self._backend.get(_entry(session_id(handle)))
        plaintext = None if sealed is None else unseal(self._ring, self._purpose, sealed, binding=handle)
        session = None if plaintext is None else from_bytes(plaintext)
        if session is None or session.id != session_id(handle) or session.expired(self._now(), self._lifetimes):
            return None
        return session

    def create(self, make: Callable[[str], Session]) -> HeldSession:
        """Write a new session under a new handle; `make` is given its id."""
        handle = self._entropy(HANDLE_BYTES)
        session = make(session_id(handle))
        self._backend.set(_entry(session.id), self._sealed(handle, session), self._seconds(session))
        return HeldSession(handle=handle, session=session)

    def replace(self, held: HeldSession) -> Session | None:
        """Write a session anew, by the holder of its lock; None if it was ended meanwhile, and then it stays ended."""
        session = held.session
        exists = self._backend.replace(_entry(session.id), self._sealed(held.handle, session), self._seconds(session))
        return session if exists else None

    def end(self, session_id: str) -> None:
        """End a session for good: whoever holds a copy cannot write it back."""
        self._backend.delete(_entry(session_id))

    def lock(self, session_id: str) -> AbstractContextManager[None]:
        """Hold the session's lock; raises `LockBusy` at once when another thread or process does."""
        return self._backend.lock(f"session:{session_id}")

    def claim(self, value: str, seconds: int) -> bool:
        """Tell the first caller, and no other, that a value of one-time use is its own."""
        return self._backend.claim(f"claim:{hashlib.sha256(value.encode('utf-8')).hexdigest()}", seconds)

    def check(self) -> None:
        """Write, read and delete a probe."""
        self._backend.check()

    def _sealed(self, handle: bytes, session: Session) -> bytes:
        return seal(self._ring, self._purpose, to_bytes(session), entropy=self._entropy, binding=handle)

    def _seconds(self, session: Session) -> int:
        return session.remaining(self._now(), self._lifetimes)

    def _now(self) -> int:
        return int(self._clock())


def session_id(handle: bytes) -> str:
    """Derive a session's public name from its handle; the way back is a hash's."""
    return base64url(hashlib.sha256(b"gateway session id" + handle).digest())


def make_backend(settings: StoreSettings) -> Backend:
    """Make the backend that is configured."""
    if settings.type == "redis":
        return RedisBackend(settings.url, settings.prefix)
    if settings.type == "memory":
        return MemoryBackend()
    return FileBackend(settings.path)


def _entry(session_id: str) -> str:
    return f"session:{session_id}"
