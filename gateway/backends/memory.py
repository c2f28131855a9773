"""Sessions in the memory of one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cachelib import SimpleCache

from gateway.backends.base import SWEEP_SECONDS, TAG_BYTES, BytesSerializer, LockBusy, Probed


class _MemoryCache(SimpleCache):
    """A SimpleCache that never evicts what lives, and sweeps what has ended now and then."""

    serializer: Any = BytesSerializer()

    def __init__(self) -> None:
        super().__init__(threshold=1)
        self._sweep_at = 0.0

    def names(self) -> list[str]:
        """List all keys, at one moment."""
        return list(self._cache)

    def _prune(self) -> None:
        now = time.time()
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            self._remove_expired(now)


class MemoryBackend(Probed):
    """Entries in the memory of one process."""

    def __init__(self) -> None:
        self._cache = _MemoryCache()
        self._held: set[str] = set()
        self._guard = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """Return the entry, or None."""
        value: bytes | None = self._cache.get(key)
        return value

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return several entries."""
        return [self.get(key) for key in keys]

    def set(self, key: str, value: bytes, seconds: int) -> None:
        """Write an entry."""
        self._cache.set(key, value, seconds)

    def replace(self, key: str, tag: bytes, value: bytes, seconds: int) -> bool:
        """Write an entry in the place of another, while nobody can delete it."""
        with self._guard:
            found = self.get(key)
            same = found is not None and found[:TAG_BYTES] == tag
            if same:
                self._cache.set(key, value, seconds)
        return same

    def delete(self, key: str) -> None:
        """Delete an entry."""
        with self._guard:
            self._cache.delete(key)

    def claim(self, key: str, seconds: int) -> bool:
        """Claim a key; SimpleCache's `add` holds its lock throughout."""
        return self._cache.add(key, b"", seconds)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold a lock among the threads of this process."""
        with self._guard:
            if key in self._held:
                raise LockBusy(key)
            self._held.add(key)
        try:
            yield
        finally:
            with self._guard:
                self._held.discard(key)

    def scan(self, prefix: str) -> Iterator[bytes]:
        """Yield the entries whose keys begin so."""
        values = (self.get(key) for key in self._cache.names() if key.startswith(prefix))
        return (value for value in values if value is not None)
