"""Sessions in Memcached servers, which find entries by their keys alone."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from cachelib import MemcachedCache
from pymemcache.client.base import PooledClient  # type: ignore[import-untyped]
from pymemcache.exceptions import MemcacheError, MemcacheUnexpectedCloseError  # type: ignore[import-untyped]

from gateway.backends.base import GARBLED, RETRY_AFTER_SECONDS, TAG_BYTES, BytesSerializer, Probed, UnlistableStore
from gateway.backends.lease import LEASE_SECONDS, Leased
from gateway.errors import STORE_DOWN, StoreUnavailable

_NETWORK_SECONDS = 3.0
_RELATIVE_SECONDS = 30 * 24 * 3600
"""What is longer than this is taken for seconds since the epoch."""
_ENDED = -1
_REMOVALS = 5

_log = logging.getLogger("gateway.store")

T = TypeVar("T")


class _Servers:
    """What a MemcachedCache takes for its client: all servers, each with the keys that are its own.

    pymemcache's own HashClient moves the keys of a server that is down to another, where a session is not and where
    what was claimed can be claimed again.
    """

    def __init__(self, hosts: Sequence[str]) -> None:
        self._hosts = hosts
        self._open()

    def get(self, key: str) -> Any:
        """Return the entry, or None."""
        return self._ask(key, lambda client: client.get(key))

    def gets(self, key: str) -> Any:
        """Return the entry and the number of its last write, or None twice."""
        return self._ask(key, lambda client: client.gets(key))

    def set(self, key: str, value: bytes, seconds: int) -> Any:
        """Write an entry."""
        return self._ask(key, lambda client: client.set(key, value, seconds))

    def add(self, key: str, value: bytes, seconds: int) -> Any:
        """Write an entry where there is none."""
        return self._ask(key, lambda client: client.add(key, value, seconds))

    def cas(self, key: str, value: bytes, number: Any, seconds: int) -> Any:
        """Write an entry that has not been written since; None if it is gone, False if it has been."""
        return self._ask(key, lambda client: client.cas(key, value, number, seconds))

    def delete(self, key: str) -> Any:
        """Delete an entry."""
        return self._ask(key, lambda client: client.delete(key))

    def evict(self) -> bool:
        """Tell whether a server says that it evicts; raises what a server raises that is down."""
        return any(client.stats("settings").get(b"evictions") == b"on" for client in self._clients.values())

    def close(self) -> None:
        """Let go of all connections."""
        for client in self._clients.values():
            client.close()

    def _open(self) -> None:
        self._process = os.getpid()
        self._clients = {host: _client(host) for host in self._hosts}

    def _ask(self, key: str, use: Callable[[Any], T]) -> T:
        if self._process != os.getpid():  # A parent's connections are not ours to read answers from.
            self._open()
        client = self._clients[max(self._clients, key=lambda host: hashlib.sha256(f"{host} {key}".encode()).digest())]
        for _ in client.client_pool.free:
            try:
                return use(client)
            except (ConnectionResetError, BrokenPipeError, MemcacheUnexpectedCloseError):
                continue  # Kept from before the server was restarted; the next one may be, too.
        return use(client)


class _MemcachedCache(MemcachedCache):
    """A MemcachedCache with keys of any text, and with lives that do not depend on the server's clock."""

    def _normalize_key(self, key: str) -> str:
        return f"{self.key_prefix}{hashlib.sha256(key.encode('utf-8')).hexdigest()}"

    def _normalize_timeout(self, timeout: Any) -> int:
        # The server counts in whole seconds of its own, the first of which may just end.
        seconds = int(timeout) + 1
        return seconds if seconds <= _RELATIVE_SECONDS else int(time.time()) + seconds

    def placed(self, key: str, seconds: int) -> tuple[str, int]:
        """Tell an entry's own key and the number that stands for its life."""
        return self._normalize_key(key), self._normalize_timeout(seconds)


class MemcachedBackend(Leased, Probed):
    """Entries in Memcached servers, shared by all machines; they must not evict (`-M`)."""

    def __init__(self, hosts: Sequence[str], prefix: str, lease_seconds: int = LEASE_SECONDS) -> None:
        super().__init__(lease_seconds)
        self._servers = _Servers(hosts)
        self._cache = _MemcachedCache(self._servers, key_prefix=prefix)
        self._told = False

    def get(self, key: str) -> bytes | None:
        """Return the entry, or None."""
        with self._network():
            value: bytes | None = self._cache.get(key)
            return value

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return several entries."""
        return [self.get(key) for key in keys]

    def set(self, key: str, value: bytes, seconds: int) -> None:
        """Write an entry; one beyond the server's item size, 1 MB if nothing else was set, is a failure."""
        with self._network():
            if not self._cache.set(key, BytesSerializer().dumps(value), seconds):
                raise MemcacheError("the entry was not stored")

    def add(self, key: str, value: bytes, seconds: int) -> bool:
        """Write an entry where there is none by `add`."""
        with self._network():
            return bool(self._cache.add(key, value, seconds))

    def replace(self, key: str, tag: bytes, value: bytes, seconds: int) -> bool:
        """Write an entry in the place of another by `gets` and `cas`."""
        name, life = self._cache.placed(key, seconds)
        with self._network():
            found, number = self._servers.gets(name)
            return found is not None and found[:TAG_BYTES] == tag and bool(self._servers.cas(name, value, number, life))

    def delete(self, key: str) -> None:
        """Delete an entry."""
        with self._network():
            self._cache.delete(key)

    def remove(self, key: str, tag: bytes) -> None:
        """Delete the entry that begins with that tag, by writing one that has ended in its place."""
        name, _ = self._cache.placed(key, 0)
        with self._network():
            for _ in range(_REMOVALS):  # It may be renewed at this very moment.
                found, number = self._servers.gets(name)
                if found is None or found[:TAG_BYTES] != tag or self._servers.cas(name, b"", number, _ENDED):
                    return

    def scan(self, prefix: str) -> Iterator[bytes]:
        """Raise `UnlistableStore`."""
        raise UnlistableStore(prefix)

    def close(self) -> None:
        """Let go of all connections."""
        self._servers.close()

    @contextmanager
    def _network(self) -> Iterator[None]:
        try:
            if not self._told:
                self._warn_of_eviction()
            yield
        except (MemcacheError, OSError, *GARBLED) as error:
            raise StoreUnavailable(
                STORE_DOWN, f"Memcached failed: {type(error).__name__}", retry_after=RETRY_AFTER_SECONDS
            ) from error

    def _warn_of_eviction(self) -> None:
        self._told = True
        try:
            evict = self._servers.evict()
        except (MemcacheError, OSError):
            return  # What stands before a server may not know the question, and one that is down is told of by others.
        if evict:
            _log.warning("the store evicts entries, after which signed-out users may come back: run memcached with -M")


def connect(url: str, prefix: str, lease_seconds: int) -> MemcachedBackend:
    """Make the backend of a URL such as memcached://10.0.0.1:11211,10.0.0.2:11211."""
    return MemcachedBackend(url.removeprefix("memcached://").rstrip("/").split(","), prefix, lease_seconds)


def _client(host: str) -> PooledClient:
    return PooledClient(host, connect_timeout=_NETWORK_SECONDS, timeout=_NETWORK_SECONDS, default_noreply=False)
