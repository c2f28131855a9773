"""Sessions in a Redis or Valkey server, shared by all machines."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from cachelib import RedisCache
from redis.exceptions import RedisError

from gateway.backends.base import GARBLED, RETRY_AFTER_SECONDS, TAG_BYTES, BytesSerializer, Probed
from gateway.backends.lease import LEASE_SECONDS, Leased
from gateway.backends.redis_client import Client, open_client
from gateway.errors import STORE_DOWN, StoreUnavailable

_SCAN_COUNT = 1000
_SAME = f"#ARGV[1] == {TAG_BYTES} and redis.call('GETRANGE', KEYS[1], 0, {TAG_BYTES - 1}) == ARGV[1]"
_REPLACE = f"if {_SAME} then redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) return 1 else return 0 end"
_REMOVE = f"if {_SAME} then redis.call('DEL', KEYS[1]) end"

_log = logging.getLogger("gateway.store")


class _RedisCache(RedisCache):
    """A RedisCache that stores bytes as they are; cachelib's for Valkey is the same over a client of the same kind."""

    serializer: Any = BytesSerializer()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    client: Any
    cache: _RedisCache
    replace: Callable[..., Any]
    remove: Callable[..., Any]

    def get_many(self, keys: Sequence[str | bytes]) -> list[bytes | None]:
        """Return the entries of whole keys, which in a cluster lie on several servers."""
        if not keys:
            return []
        found = self.client.mget_nonatomic if isinstance(self.client, redis.RedisCluster) else self.client.mget
        return list(found(keys))


class RedisBackend(Leased, Probed):
    """Entries in a Redis server, shared by all machines; the server must not evict (`maxmemory-policy noeviction`)."""

    def __init__(self, url: str, prefix: str, lease_seconds: int = LEASE_SECONDS) -> None:
        super().__init__(lease_seconds)
        self._url = url
        self._prefix = prefix
        self._opened: _Opened | None = None

    def get(self, key: str) -> bytes | None:
        """Return the entry, or None."""
        with self._server() as server:
            value: bytes | None = server.cache.get(key)
            return value

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return several entries by `MGET`."""
        with self._server() as server:
            return server.get_many([f"{self._prefix}{key}" for key in keys])

    def set(self, key: str, value: bytes, seconds: int) -> None:
        """Write an entry."""
        with self._server() as server:
            server.cache.set(key, value, seconds)

    def add(self, key: str, value: bytes, seconds: int) -> bool:
        """Write an entry where there is none by `SET NX EX`."""
        with self._server() as server:
            return bool(server.client.set(f"{self._prefix}{key}", value, nx=True, ex=seconds))

    def replace(self, key: str, tag: bytes, value: bytes, seconds: int) -> bool:
        """Write an entry in the place of another by a script, which the server runs in one step."""
        with self._server() as server:
            return bool(server.replace(keys=[f"{self._prefix}{key}"], args=[tag, value, seconds]))

    def delete(self, key: str) -> None:
        """Delete an entry."""
        with self._server() as server:
            server.cache.delete(key)

    def remove(self, key: str, tag: bytes) -> None:
        """Delete the entry that begins with that tag by a script."""
        with self._server() as server:
            server.remove(keys=[f"{self._prefix}{key}"], args=[tag])

    def scan(self, prefix: str) -> Iterator[bytes]:
        """Yield the entries whose keys begin so, by `SCAN`, which blocks nobody."""
        with self._server() as server:
            keys: list[bytes] = []
            for key in server.client.scan_iter(f"{_literal(self._prefix + prefix)}*", count=_SCAN_COUNT):
                keys.append(key)
                if len(keys) == _SCAN_COUNT:
                    yield from _present(server.get_many(keys))
                    keys = []
            yield from _present(server.get_many(keys))

    def close(self) -> None:
        """Let go of all connections."""
        if self._opened is not None:
            self._opened.client.close()

    @contextmanager
    def _server(self) -> Iterator[_Opened]:
        try:
            if self._opened is None:
                self._opened = _open(self._url, self._prefix)
            yield self._opened
        except (RedisError, OSError, *GARBLED) as error:
            raise StoreUnavailable(
                STORE_DOWN, f"Redis failed: {type(error).__name__}", retry_after=RETRY_AFTER_SECONDS
            ) from error


def _open(url: str, prefix: str) -> _Opened:
    client = open_client(url)
    _warn_of_eviction(client)
    return _Opened(
        client=client,
        cache=_RedisCache(client, key_prefix=prefix),
        replace=client.register_script(_REPLACE),
        remove=client.register_script(_REMOVE),
    )


def eviction_policies(client: Client) -> set[str]:
    """Ask what each server does when it is full; empty where that cannot be had."""
    asked: Any = client
    try:
        if isinstance(client, redis.RedisCluster):
            told = asked.info("memory", target_nodes=redis.RedisCluster.PRIMARIES)
            return {each["maxmemory_policy"] for each in told.values()}
        return {asked.info("memory")["maxmemory_policy"]}
    except (RedisError, OSError, KeyError):
        return set()  # A user may be refused to ask, and a server that is down is told of by what comes next.


def _warn_of_eviction(client: Client) -> None:
    for policy in sorted(eviction_policies(client) - {"noeviction"}):
        _log.warning(
            "the store's maxmemory-policy is %s, under which signed-out users may come back: noeviction", policy
        )


def _present(values: list[bytes | None]) -> Iterator[bytes]:
    return (value for value in values if value is not None)


def _literal(pattern: str) -> str:
    return "".join(f"\\{each}" if each in "*?[]^-\\" else each for each in pattern)
