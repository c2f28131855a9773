"""Sessions in a Redis server, shared by all machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from cachelib import RedisCache
from redis.exceptions import LockError, RedisError

from gateway.backends.base import RETRY_AFTER_SECONDS, BytesSerializer, LockBusy, Probed
from gateway.errors import STORE_DOWN, StoreUnavailable

LOCK_LEASE_SECONDS = 120
"""A lock ends by itself after this; longer than metadata, keys and tokens take together."""

_NETWORK_SECONDS = 3.0


class _RedisCache(RedisCache):
    """A RedisCache that stores bytes as they are."""

    serializer: Any = BytesSerializer()


class RedisBackend(Probed):
    """Entries in a Redis server, shared by all machines; the server must not evict (`maxmemory-policy noeviction`)."""

    def __init__(self, url: str, prefix: str) -> None:
        self._client = redis.Redis.from_url(
            url, socket_timeout=_NETWORK_SECONDS, socket_connect_timeout=_NETWORK_SECONDS, health_check_interval=30
        )
        self._cache = _RedisCache(self._client, key_prefix=prefix)
        self._prefix = prefix

    def get(self, key: str) -> bytes | None:
        """Return the entry, or None."""
        with _network():
            value: bytes | None = self._cache.get(key)
            return value

    def set(self, key: str, value: bytes, seconds: int) -> None:
        """Write an entry."""
        with _network():
            self._cache.set(key, value, seconds)

    def replace(self, key: str, value: bytes, seconds: int) -> bool:
        """Write an entry in the place of another by `SET XX EX`."""
        with _network():
            return bool(self._client.set(f"{self._prefix}{key}", value, xx=True, ex=seconds))

    def delete(self, key: str) -> None:
        """Delete an entry."""
        with _network():
            self._cache.delete(key)

    def claim(self, key: str, seconds: int) -> bool:
        """Claim a key by `SET NX EX`."""
        with _network():
            return bool(self._client.set(f"{self._prefix}{key}", b"", nx=True, ex=seconds))

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold a lock of which only its holder's token can let go."""
        lock = self._client.lock(f"{self._prefix}lock:{key}", timeout=LOCK_LEASE_SECONDS)
        with _network():
            if not lock.acquire(blocking=False):
                raise LockBusy(key)
        try:
            yield
        finally:
            with _network():
                _release(lock)


def _release(lock: Any) -> None:
    try:
        lock.release()
    except LockError:
        return  # The lease has ended by itself; what was done under it is re-checked by whoever came after.


@contextmanager
def _network() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable(
            STORE_DOWN, f"Redis failed: {type(error).__name__}", retry_after=RETRY_AFTER_SECONDS
        ) from error
