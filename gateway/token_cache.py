"""What was fetched about tokens and may be used again: bounded, and fetched once for all who wait."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from gateway.kept import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamToken:
    """A token as an upstream is sent it; `usable_until` is seconds since the epoch."""

    scheme: str
    text: str = field(repr=False)
    usable_until: int


class Usable(Protocol):
    """Something that may be used until a time, in seconds since the epoch."""

    @property
    def usable_until(self) -> float:
        """When it ends."""


T = TypeVar("T", bound=Usable)


class TokenCache(Generic[T]):
    """Things by key: whose session, which token, and every parameter that it was fetched with (CVE-2025-26620)."""

    def __init__(self, *, clock: Clock, max_entries: int = 10_000) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._lock = threading.Lock()
        self._tokens: OrderedDict[Hashable, T] = OrderedDict()
        self._under_way: dict[Hashable, Future[T]] = {}

    def get(self, key: Hashable, fetch: Callable[[], T]) -> T:
        """Return what a key stands for, fetching it if it is not there or not usable; raises what the fetch raises."""
        with self._lock:
            token = self._tokens.get(key)
            if token is not None and self._clock() < token.usable_until:
                return token
            future = self._under_way.get(key)
            mine = future is None
            if future is None:
                future = self._under_way[key] = Future()
        return self._fetched(key, fetch, future) if mine else _answer(future)

    def has(self, key: Hashable) -> bool:
        """Tell whether a key stood for something when it was last asked for, though it may not be usable any more."""
        return key in self._tokens

    def _fetched(self, key: Hashable, fetch: Callable[[], T], future: Future[T]) -> T:
        try:
            token = fetch()
        except BaseException as error:
            self._settle(key)
            future.set_exception(error)
            raise
        self._settle(key, token)
        future.set_result(token)
        return token

    def _settle(self, key: Hashable, token: T | None = None) -> None:
        with self._lock:
            del self._under_way[key]
            self._tokens.pop(key, None)
            if token is not None:
                self._tokens[key] = token
            while len(self._tokens) > self._max_entries:
                self._tokens.popitem(last=False)


def _answer(future: Future[T]) -> T:
    error = future.exception()
    if error is not None:  # Without the frames of the one who fetched, and of others who waited.
        raise error.with_traceback(None)
    return future.result()
