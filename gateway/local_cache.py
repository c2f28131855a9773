"""A worker's own copies of what it has just read, each trusted for a few seconds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

MAX_COPIES = 10_000
MAX_WEIGHT = 64 * 1024 * 1024
"""Bytes at rest of all copies together."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """When a read of the store began, and how much had been ended here by then."""

    at: float
    endings: int


class LocalCache(Generic[T]):
    """Copies by name, the oldest forgotten first; with `seconds` of 0 it keeps none.

    `hits` and `misses` count what was asked; threads may lose one now and then, which costs less than a lock.
    """

    def __init__(
        self, seconds: float, clock: Callable[[], float], *, copies: int = MAX_COPIES, weight: int = MAX_WEIGHT
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._max_copies = copies
        self._max_weight = weight
        self._weight = 0
        self._copies: OrderedDict[str, tuple[float, int, T]] = OrderedDict()
        self._guard = threading.Lock()
        self._endings = 0
        self.hits = 0
        self.misses = 0

    def get(self, name: str) -> T | None:
        """Return a copy that may still be trusted; a clock that was set back ends the trust too."""
        found = self._copies.get(name)
        if found is None or not 0 <= self._clock() - found[0] < self._seconds:
            self.misses += 1
            return None
        self.hits += 1
        return found[2]

    def ticket(self) -> Ticket:
        """Take a ticket, before the store is asked."""
        return Ticket(at=self._clock(), endings=self._endings)

    def put(self, name: str, value: T, weight: int, ticket: Ticket) -> None:
        """Keep a copy of what was read or written since, unless anything was ended here meanwhile.

        `weight` is its size in bytes. A copy is as old as its ticket: what the store was asked first may be no younger.
        """
        if self._seconds <= 0:
            return
        now = self._clock()
        with self._guard:
            if ticket.endings != self._endings:
                return
            self._forget(name)
            self._copies[name] = (ticket.at, weight, value)
            self._weight += weight
            while self._copies and self._has_too_much(now):
                self._forget(next(iter(self._copies)))

    def drop(self, name: str) -> None:
        """Forget a copy."""
        with self._guard:
            self._forget(name)

    def end(self, name: str) -> None:
        """Forget a copy for good: a read of it that is under way leaves none."""
        with self._guard:
            self._endings += 1
            self._forget(name)

    def end_all(self) -> None:
        """Forget all copies for good."""
        with self._guard:
            self._endings += 1
            self._copies.clear()
            self._weight = 0

    def __len__(self) -> int:
        return len(self._copies)

    def _has_too_much(self, now: float) -> bool:
        if len(self._copies) > self._max_copies or self._weight > self._max_weight:
            return True
        oldest = next(iter(self._copies.values()))[0]
        return not 0 <= now - oldest < self._seconds

    def _forget(self, name: str) -> None:
        found = self._copies.pop(name, None)
        if found is not None:
            self._weight -= found[1]
