"""That sessions are used: written down off the way of the requests, those of a second together."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from gateway.problem import StoreUnavailable
from gateway.session import MAX_TOUCH_INTERVAL
from gateway.store import HeldSession

FAILED_SECONDS = 10.0
"""How long requests write by themselves after a failure."""

_Use = tuple[HeldSession, int]

_log = logging.getLogger("gateway")


class Uses:
    """Has uses written by a thread of its own; `write` writes one and when it was, unless another worker has done it.

    `clock` is monotonic, in seconds; `patience_seconds` is how long a use may wait to be written.
    """

    def __init__(
        self,
        write: Callable[[HeldSession, int], object],
        *,
        patience_seconds: float = MAX_TOUCH_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._due_since = self._under_way_since = 0.0
        self._due: dict[bytes, _Use] = {}
        self._fails_until = 0.0
        self._under_way: Future[list[_Use]] | None = None
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="gateway-uses")

    def note(self, held: HeldSession, at: int) -> bool:
        """Have a use of a second since the epoch written down soon; False where the request itself has to do it.

        That is where the last could not be written, or still waits. Else a store that cannot be written to, or is slow,
        would end the sessions of those who are busy, one by one.
        """
        now = self._clock()
        if now < self._fails_until or now - self._oldest(now) >= self._patience_seconds:
            return False
        if not self._due:
            self._due_since = now
        self._due[held.handle] = (held, at)
        return True

    def step(self) -> None:
        """Write what is due, unless that is under way."""
        if not self._is_idle:
            return
        self._put_back()
        if self._due and self._clock() >= self._fails_until:
            self._begin()

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be written."""
        return not self._due and self._is_idle

    def close(self) -> None:
        """Write the rest, behind what is being written, and no more."""
        if self._is_idle:
            self._put_back()
        if self._due:
            self._begin()
        self._threads.shutdown(wait=False)

    def _begin(self) -> None:
        due, self._due = self._due, {}
        self._under_way_since = self._due_since
        self._under_way = self._threads.submit(self._write_all, list(due.values()))

    def _put_back(self) -> None:
        """Have written with the next what could not be; it has been waiting since then."""
        failed = [] if self._under_way is None else self._under_way.result()
        self._under_way = None
        if failed:
            self._due = {**{one[0].handle: one for one in failed}, **self._due}
            self._due_since = self._under_way_since

    def _oldest(self, now: float) -> float:
        """Tell since when a use has been waiting, `now` if none has."""
        if not self._is_idle:
            return self._under_way_since
        return self._due_since if self._due else now

    def _write_all(self, due: Iterable[_Use]) -> list[_Use]:
        """Write them, and return those that can be later."""
        left = deque(due)
        while left:
            try:
                self._write(*left[0])
            except StoreUnavailable as error:
                self._has_failed(error)
                return list(left)  # To each of the others it would say the same.
            except Exception as error:  # noqa: BLE001 - it would fail again; the next request will find out, and say so.
                self._has_failed(error)
            left.popleft()
        return []

    def _has_failed(self, error: Exception) -> None:
        _log.warning("that a session is used could not be written down: %s", error)
        self._fails_until = self._clock() + FAILED_SECONDS

    @property
    def _is_idle(self) -> bool:
        return self._under_way is None or self._under_way.done()
