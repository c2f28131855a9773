"""What is seen of the store: whether it does what sessions need, and why not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from pathlib import Path

from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)

from gateway.assembly import Outside, make_store
from gateway.backends.redis import eviction_policies
from gateway.backends.redis_client import open_client
from gateway.config import Settings
from gateway.config_sources import ConfigurationError
from gateway.cpus import default_workers
from gateway.doctor.diagnoses_parts import (
    STORE_FAILING,
    STORE_FORBIDS,
    STORE_FULL,
    STORE_NOT_WRITABLE,
    STORE_OPTION_UNKNOWN,
    STORE_PACKAGE_MISSING,
    STORE_READ_ONLY,
    STORE_REFUSES_LOGIN,
    STORE_UNREACHABLE,
)
from gateway.doctor.finding import Diagnosis, place_of
from gateway.doctor.waiting import TooLate, within
from gateway.errors import StoreUnavailable

STORE_SECONDS = 12.0
"""How long the store may take: clients of clusters try several times."""

_ON_REDIS = ("redis", "valkey")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """The store, as it was found; `problem` is None where it works, `owner` None where the directory is ours.

    `workers` is how many processes serve, as far as the environment says.
    """

    type: str
    place: str
    workers: int
    owner: int | None = None
    user: int = 0
    problem: Diagnosis | None = None
    detail: str = ""
    policies: tuple[str, ...] = ()


def gather_store(settings: Settings, outside: Outside, environ: Mapping[str, str]) -> StoreFacts:
    """Try the store as `store.check` does, unless what that writes were in the way of its owner."""
    store = settings.store
    count = environ.get("WEB_CONCURRENCY", "")
    workers = int(count) if count.isascii() and count.isdigit() and len(count) < 6 else default_workers()
    place = store.path if store.type == "file" else place_of(store.url) or store.type
    if store.type == "memory" and outside.backend is None:
        return StoreFacts(type=store.type, place=place, workers=workers)
    owner, user = _other_owner(Path(store.path)) if store.type == "file" else None, os.geteuid()
    if owner is not None:
        return StoreFacts(type=store.type, place=place, workers=workers, owner=owner, user=user)
    problem, detail = _tried(settings, outside)
    policies: tuple[str, ...] = ()
    if problem is None and store.type in _ON_REDIS and outside.backend is None:
        policies = _policies(store.url)
    return StoreFacts(type=store.type, place=place, workers=workers, problem=problem, detail=detail, policies=policies)


def _other_owner(directory: Path) -> int | None:
    # What is made below a directory belongs to whoever runs this, and its owner could not open it any more.
    nearest = next((path for path in (directory, *directory.absolute().parents) if path.exists()), Path("/"))
    if nearest != directory and os.geteuid() != 0:
        return None  # It is yet to be made, and whoever may make it is told by trying.
    owner = nearest.stat().st_uid
    return owner if owner != os.geteuid() else None


def _tried(settings: Settings, outside: Outside) -> tuple[Diagnosis | None, str]:
    try:
        within(STORE_SECONDS, lambda: make_store(settings, outside).check())
    except TooLate as error:
        return STORE_UNREACHABLE, str(error)
    except ConfigurationError as error:
        # Of the types that need a package of their own, none is on Redis.
        return STORE_OPTION_UNKNOWN if settings.store.type in _ON_REDIS else STORE_PACKAGE_MISSING, str(error)
    except StoreUnavailable as error:
        return _kind(error, settings.store.type)
    except Exception as error:  # noqa: BLE001 - what a library says to options of the URL that it does not know, say.
        return STORE_FAILING, type(error).__name__
    return None, ""


def _kind(error: StoreUnavailable, store: str) -> tuple[Diagnosis, str]:
    cause = error.__cause__
    if isinstance(cause, RedisError):
        return _kind_of_redis(cause), type(cause).__name__
    if isinstance(cause, OSError) and cause.errno in (ENOSPC, EDQUOT):
        return STORE_FULL, cause.strerror or "no room"
    if isinstance(cause, OSError) and store == "file":
        return STORE_NOT_WRITABLE, cause.strerror or type(cause).__name__
    # The libraries' texts may quote the URL with its password; ours do not.
    return STORE_FAILING if cause is None else STORE_UNREACHABLE, error.detail


def _kind_of_redis(cause: RedisError) -> Diagnosis:
    # One that is refused a password is a ConnectionError, too, so the narrower come first.
    text = str(cause)
    if isinstance(cause, AuthenticationError) or text.startswith(("WRONGPASS", "NOAUTH")):
        return STORE_REFUSES_LOGIN
    if isinstance(cause, NoPermissionError) or text.startswith("NOPERM"):
        return STORE_FORBIDS
    if isinstance(cause, ReadOnlyError):
        return STORE_READ_ONLY
    if isinstance(cause, OutOfMemoryError):
        return STORE_FULL
    return STORE_UNREACHABLE if isinstance(cause, OSError) or "Connection" in type(cause).__name__ else STORE_FAILING


def _policies(url: str) -> tuple[str, ...]:
    try:
        return within(STORE_SECONDS, lambda: _asked_policies(url))
    except TooLate:
        return ()


def _asked_policies(url: str) -> tuple[str, ...]:
    with closing(open_client(url)) as client:
        return tuple(sorted(eviction_policies(client)))
