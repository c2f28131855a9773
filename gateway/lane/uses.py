"""That sessions are used: written down off the way of the requests, those of a second together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from gateway.store import HeldSession

FAILED_SECONDS = 10.0
"""How long requests write by themselves after a failure."""

_log = logging.getLogger("gateway")


class Uses:
    """Has uses written by a thread of its own; `write` writes one, unless another worker has done it.

    `clock` is monotonic, in seconds.
    """

    def __init__(self, write: Callable[[HeldSession], object], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._due: dict[bytes, HeldSession] = {}
        self._fails_until = 0.0
        self._under_way: Future[None] | None = None
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="gateway-uses")

    def note(self, held: HeldSession) -> bool:
        """Have a use written down soon; False where the last could not be, which the request itself then has to show.

        Else a store that cannot be written to would end the sessions of those who are busy, one by one.
        """
        if self._clock() < self._fails_until:
            return False
        self._due[held.handle] = held
        return True

    def step(self) -> None:
        """Write what is due, unless that is under way."""
        if self._due and self._is_idle:
            due, self._due = self._due, {}
            self._under_way = self._threads.submit(self._write_all, list(due.values()))

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be written."""
        return not self._due and self._is_idle

    def close(self) -> None:
        """Write the rest, and no more."""
        self.step()
        self._threads.shutdown(wait=False)

    def _write_all(self, due: Iterable[HeldSession]) -> None:
        try:
            for held in due:
                self._write(held)
        except Exception as error:  # noqa: BLE001 - the next requests will find the same, and say so.
            _log.warning("that sessions are used could not be written down: %s", error)
            self._fails_until = self._clock() + FAILED_SECONDS

    @property
    def _is_idle(self) -> bool:
        return self._under_way is None or self._under_way.done()
