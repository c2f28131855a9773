"""The backend that is configured."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

from gateway.backends.base import Backend
from gateway.backends.file import FileBackend
from gateway.backends.lease import LEASE_SECONDS
from gateway.backends.memory import MemoryBackend
from gateway.backends.redis import RedisBackend
from gateway.backends.redis_client import check_options
from gateway.config_sections import StoreSettings
from gateway.config_sources import ConfigurationError

OPTIONAL: Mapping[str, str] = MappingProxyType({"memcached": "pymemcache", "mongodb": "pymongo", "dynamodb": "boto3"})
"""The packages that users install beside ours for a type of store, and which only its module imports."""

Connect = Callable[[str, str, int], Backend]
"""Makes a backend of a URL, a prefix and the seconds of a lease."""


def make_backend(settings: StoreSettings, lease_seconds: int = LEASE_SECONDS) -> Backend:
    """Make the backend that is configured.

    Raises `ConfigurationError` if the package it needs is not installed, or its URL has an option that is none.
    """
    if settings.type == "file":
        return FileBackend(settings.path)
    if settings.type == "memory":
        return MemoryBackend()
    connect: Connect = _optional(settings.type) if settings.type in OPTIONAL else _redis
    return connect(settings.url, settings.prefix, lease_seconds)


def _redis(url: str, prefix: str, lease_seconds: int) -> Backend:
    try:
        check_options(url)
    except ValueError as error:
        raise ConfigurationError([f"session.store.url: {error}"]) from None
    return RedisBackend(url, prefix, lease_seconds)


def _optional(kind: str) -> Connect:
    package = OPTIONAL[kind]
    try:
        connect: Connect = importlib.import_module(f"gateway.backends.{kind}").connect
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        missing = f"session.store.type: {kind} needs the package {package}: pip install 'gateway[{kind}]'"
        raise ConfigurationError([missing]) from None
    return connect
