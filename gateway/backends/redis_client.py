"""The client for a Redis or Valkey server, for those behind sentinels, and for a cluster, told apart by the URL.

    redis://user:password@host:6379/0              rediss:// is the same over TLS, unix:///run/redis.sock a socket
    redis+sentinel://user:password@host:26379,host2:26379/service/0
    redis+cluster://user:password@host:7000,host2:7001

`valkey` may stand for `redis` everywhere. What follows a `?` are options of redis-py, such as `ssl_ca_certs=/a/ca.pem`,
and for sentinels that ask for a password of their own `sentinel_username` and `sentinel_password`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.cluster import ClusterNode
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel

_NETWORK_SECONDS = 3.0
_HEALTH_CHECK_SECONDS = 30
_SENTINEL_PORT = 26379
_CLUSTER_PORT = 6379
_MOVES = 3
"""How often a cluster is asked again while it moves to another primary."""

_OF_SENTINELS = ("sentinel_username", "sentinel_password")

Client = redis.Redis | redis.RedisCluster


@dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    tls: bool
    kind: str
    hosts: tuple[SplitResult, ...]
    path: tuple[str, ...]
    options: Mapping[str, Any]

    def named(self, default_port: int) -> list[tuple[str, int]]:
        """Name each host and its port."""
        return [(host.hostname or "localhost", host.port or default_port) for host in self.hosts]


def check_options(url: str) -> None:
    """Raise `ValueError` that names an option of a URL which redis-py does not know, or whose value it cannot be."""
    address = _address(url)
    known = {*_OF_SENTINELS, *(signature(redis.RedisCluster.__init__).parameters if address.kind == "cluster" else ())}
    given = [(name, value) for name, value in parse_qsl(urlsplit(url).query) if name not in known]
    place = f"{_scheme(url)}:///socket" if _scheme(url) == "unix" else f"{'rediss' if address.tls else 'redis'}://host"
    try:
        redis.ConnectionPool.from_url(f"{place}?{urlencode(given)}").make_connection()
    except TypeError as error:
        unknown = next((name for name, _ in given if f"'{name}'" in str(error)), "an option")
        raise ValueError(f"redis-py knows no option {unknown}") from None


def open_client(url: str) -> Client:
    """Make a client; one for a cluster connects at once and raises what redis-py raises, others when first used."""
    address = _address(url)
    common: dict[str, Any] = {
        "socket_timeout": _NETWORK_SECONDS,
        "socket_connect_timeout": _NETWORK_SECONDS,
        "health_check_interval": _HEALTH_CHECK_SECONDS,
        **address.options,
    }
    if address.kind == "sentinel":
        return _behind_sentinels(address, common)
    if address.kind == "cluster":
        nodes = [ClusterNode(*place) for place in address.named(_CLUSTER_PORT)]  # type: ignore[no-untyped-call]
        moving = Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), _MOVES)
        return redis.RedisCluster(startup_nodes=nodes, ssl=address.tls, retry=moving, **common)
    return redis.Redis.from_url(_plain(url), retry=_once_more(), **common)


def _behind_sentinels(address: _Address, common: dict[str, Any]) -> redis.Redis:
    own = {name: common.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    trust = {name: value for name, value in common.items() if name.startswith("ssl_")}
    waits = {"socket_timeout": _NETWORK_SECONDS, "socket_connect_timeout": _NETWORK_SECONDS, "retry": _once_more()}
    asked: Any = Sentinel(  # type: ignore[no-untyped-call]
        address.named(_SENTINEL_PORT), sentinel_kwargs={"ssl": address.tls, **own, **trust, **waits}, **common
    )
    service, *db = address.path
    server: redis.Redis = asked.master_for(service, ssl=address.tls, db=int(*db), retry=_once_more())
    return server


def _once_more() -> Retry:
    # A connection of the pool may be dead since the server was restarted; the next one is made anew.
    return Retry(NoBackoff(), 1)


def _address(url: str) -> _Address:
    scheme, _, kind = _scheme(url).partition("+")
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    options = parse_url(f"redis://{login}{at}?{parts.query}") if kind else {}  # type: ignore[no-untyped-call]
    return _Address(
        tls=scheme == "rediss",
        kind=kind,
        hosts=tuple(urlsplit(f"//{host}") for host in hosts.split(",")),
        path=tuple(unquote(step) for step in parts.path.split("/") if step),
        options=options,
    )


def _scheme(url: str) -> str:
    return url.partition("://")[0].replace("valkey", "redis", 1)


def _plain(url: str) -> str:
    return f"{_scheme(url)}://{url.partition('://')[2]}"
