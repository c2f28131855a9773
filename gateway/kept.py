"""What was fetched from a provider and is kept: metadata and keys."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.errors import GatewayError

Clock = Callable[[], float]
"""Seconds since the epoch."""

KEEP_SECONDS = 3600
"""How long metadata and keys are used before they are asked for again."""

BACKOFF_SECONDS = 5
"""How long a failing provider is left alone."""

KEY_REFETCH_SECONDS = 60
"""How often a token that no known key fits may cause a new fetch of the keys."""

_log = logging.getLogger("gateway.provider")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A time of not asking, by a clock that may be set back: then it is over."""

    began_at: float = 0.0
    seconds: float = 0.0

    def left(self, now: float) -> float:
        """How many seconds of it are left."""
        return self.began_at + self.seconds - now if self.began_at <= now < self.began_at + self.seconds else 0.0

    def is_over(self, now: float) -> bool:
        """Tell whether it is over."""
        return self.left(now) <= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AtHand(Generic[T_co]):
    """What there is of a kept value without asking for it.

    `age` is in seconds since it was fetched; `error` is why the last fetch failed, None where that went well.
    """

    value: T_co | None
    age: int
    error: GatewayError | None


class Kept(Generic[T]):
    """A value that one thread at a time fetches, kept for a while, and beyond that while its source fails."""

    def __init__(self, fetch: Callable[[], T], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._value: T | None = None
        self._error: GatewayError | None = None
        self._fetched_at = 0.0
        self._renewed = Pause()
        self._insisted = Pause()

    def get(self) -> T:
        """Return the value, fetching it if it is old; raises what the fetch raised when there is none to return."""
        if self._renewed.is_over(self._clock()) and self._lock.acquire(blocking=self._value is None):
            try:
                if self._renewed.is_over(self._clock()):
                    self._renew()
            finally:
                self._lock.release()
        if self._value is None:
            # Without the frames of whoever was told before: each raise would add its own, and keep their requests.
            raise (self._error or RuntimeError("nothing was fetched")).with_traceback(None)
        return self._value

    def at_hand(self) -> AtHand[T]:
        """Tell what is kept, without waiting for anybody."""
        return AtHand(value=self._value, age=max(0, int(self._clock() - self._fetched_at)), error=self._error)

    def newer_than(self, known: T) -> T:
        """Return a value fetched after one that may be out of date, asking at most once in KEY_REFETCH_SECONDS.

        Returns `known` itself when it is not time to ask; raises what the fetch raised when the last one failed.
        """
        with self._lock:
            if self._value is known and self._insisted.is_over(self._clock()):
                self._insisted = Pause(began_at=self._clock(), seconds=KEY_REFETCH_SECONDS)
                self._renew()
            if self._value is known and self._error is not None:
                raise self._error.with_traceback(None)
            return known if self._value is None else self._value

    def _renew(self) -> None:
        try:
            self._value, self._error = self._fetch(), None
            self._fetched_at = self._clock()
            self._renewed = Pause(began_at=self._fetched_at, seconds=KEEP_SECONDS)
        except GatewayError as error:
            _log.warning("provider: %s", error)
            self._error = error
            self._renewed = Pause(began_at=self._clock(), seconds=BACKOFF_SECONDS)
