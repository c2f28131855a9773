"""One thread at a time does a thing, and the others that want the same share its result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class StillBusy(Exception):
    """Another thread has been at it for too long."""


class _Flight(Generic[T]):
    def __init__(self) -> None:
        self.done = threading.Event()
        self.result: T | None = None
        self.error: BaseException | None = None


class SingleFlight(Generic[T]):
    """Runs tasks by key; the key must hold everything that the result depends on."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}
        self._guard = threading.Lock()

    def is_under_way(self, key: str) -> bool:
        """Tell whether a thread is running the task of that key at this moment."""
        return key in self._flights

    def run(self, key: str, task: Callable[[], T], *, patience: float) -> T | None:
        """Run a task, or wait for the thread that is running it and return or raise what it does.

        Raises `StillBusy` after `patience` seconds of waiting.
        """
        with self._guard:
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flights[key] = _Flight()
        if leads:
            return self._lead(key, flight, task)
        if not flight.done.wait(patience):
            raise StillBusy(key)
        if flight.error is not None and not isinstance(flight.error, Exception):
            raise StillBusy(key)  # The thread that led was ended, and nobody else is for it.
        if flight.error is not None:
            # Without the frames of whoever was told before: each raise would add its own, and keep their requests.
            raise flight.error.with_traceback(None)
        return flight.result

    def _lead(self, key: str, flight: _Flight[T], task: Callable[[], T]) -> T:
        try:
            flight.result = result = task()
        except BaseException as error:
            flight.error = error
            raise
        else:
            return result
        finally:
            with self._guard:
                del self._flights[key]
            flight.done.set()
