"""The keys of `session`: how sessions are sealed, how long they live, and where they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from gateway.config_authorization_model import Model
from gateway.config_values import CookieName, Duration, OneOrMore, RingSecret, split_url

_REDIS_URLS = (
    "redis://", "rediss://", "unix://",
    "redis+sentinel://", "rediss+sentinel://", "redis+cluster://", "rediss+cluster://",
)  # fmt: skip
_VALKEY_URLS = tuple(url.replace("redis", "valkey", 1) for url in _REDIS_URLS if url.startswith("redis"))
STORE_URLS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "redis": _REDIS_URLS,
        "valkey": (*_REDIS_URLS, *_VALKEY_URLS),
        "memcached": ("memcached://",),
        "mongodb": ("mongodb://", "mongodb+srv://"),
        "dynamodb": ("dynamodb://",),
    }
)
"""How the URL of each kind of server begins."""


class StoreModel(Model):
    """Where sessions are kept."""

    type: Literal["file", "memory", "redis", "valkey", "memcached", "mongodb", "dynamodb"] = "file"
    """Where sessions are kept: `file` for the workers of one machine, `memory` for one process, else a server."""
    path: str = "var/sessions"
    """The directory of the file store."""
    url: SecretStr | None = None
    """The server, by a URL that begins with redis, redis+sentinel, redis+cluster, memcached, mongodb or dynamodb."""
    prefix: str = "gateway:"
    """What keys in a shared server begin with."""

    @model_validator(mode="after")
    def _is_coherent(self) -> StoreModel:
        url = "" if self.url is None else self.url.get_secret_value()
        _check_hosts(url)
        schemes = STORE_URLS.get(self.type, ())
        if schemes and not url.startswith(schemes):
            raise ValueError(f"url must name the server and begin with one of {', '.join(schemes)}")
        return self


def _check_hosts(url: str) -> None:
    scheme, mark, rest = url.partition("://")
    place, slash, path = rest.partition("?")[0].partition("/")
    for host in place.rpartition("@")[2].split(",") if mark else ():
        split_url(f"//{host}")
    if scheme.endswith("+sentinel") and not (slash and path):
        raise ValueError("url must name the service behind the sentinels: redis+sentinel://host:26379/service/0")


class SessionModel(Model):
    """How sessions are sealed and how long they live."""

    secret: OneOrMore[RingSecret] = Field(min_length=1)
    """Seals cookies and sessions, at least 32 characters; a list is a key ring: the first seals, all open."""
    cookie_name: CookieName = "gateway"
    """The session cookie's name; `__Host-` is put before it on https."""
    store: StoreModel = StoreModel()
    """Where sessions are kept."""
    idle_timeout: Annotated[Duration, Field(ge=60)] = 1800
    """How long an unused session lives."""
    lifetime: Annotated[Duration, Field(ge=60)] = 43200
    """How long any session lives."""
    refresh_leeway: Duration = 60
    """How long before its end the access token is renewed."""
    refresh_jitter: Duration = 30
    """How much earlier than that, at most, so that sessions that began together are not renewed together."""
    local_cache: Annotated[Duration, Field(le=60)] = 2
    """How long a worker may trust its own copy of a session; so long a sign-out elsewhere may go unseen. 0: never."""
