"""Writes that the store could not take: made up for as soon as it can, while their locks are still held."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from gateway.background import Background
from gateway.errors import StoreUnavailable

RETRY_SECONDS = 0.02
"""The store is asked often: whoever finds it again first must not use a refresh token that is used up already."""

MAX_ATTEMPTS = 30_000
"""Ten minutes of a store that refuses at once; then the tokens are given up, and the old one's end asks for a login."""

MAX_WRITES = 1000
_ROUND_SECONDS = 1.0
"""A round of attempts that has taken so long ends, and those that were not made come first in the next."""

_log = logging.getLogger("gateway.store")

Write = Callable[[], object]


@dataclass(slots=True, kw_only=True, eq=False)
class _Waiting:
    write: Write
    lock: ExitStack
    attempts: int = 0


class Unsaved:
    """Writes that wait for the store; `background` makes what takes the steps."""

    def __init__(self, background: type[Background] = Background) -> None:
        self._guard = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._left = 0
        self._background = background("gateway-unsaved", self.step)

    @property
    def left(self) -> int:
        """How many writes wait, or are being made."""
        return self._left

    def write_later(self, write: Write, lock: ExitStack) -> None:
        """Make a write when the store can take it, and let go of its lock then."""
        with self._guard:
            has_room = len(self._waiting) < MAX_WRITES
            if has_room:
                self._waiting.append(_Waiting(write=write, lock=lock))
                self._left += 1
        if not has_room:
            _log.error("renewed tokens are lost: too many of them wait for the store")
            _let_go(lock)
        self._background.wake(RETRY_SECONDS)

    def step(self) -> float | None:
        """Try once to make the writes that wait, each for itself, and tell when to try again."""
        ends_at = time.monotonic() + _ROUND_SECONDS
        for item in list(self._waiting):
            with self._guard:
                self._waiting.remove(item)
            over = _is_over(item)
            with self._guard:
                if over:
                    self._left -= 1
                else:
                    self._waiting.append(item)
            if time.monotonic() > ends_at:
                break
        return RETRY_SECONDS if self._waiting else None


def _is_over(item: _Waiting) -> bool:
    try:
        item.write()
    except StoreUnavailable:
        item.attempts += 1
        if item.attempts < MAX_ATTEMPTS:
            return False
        _log.error("the store was away for too long: renewed tokens are lost")
    except Exception as error:  # noqa: BLE001 - the others must not wait for it, whatever it was.
        _log.error("renewed tokens could not be written: %s", error)
    _let_go(item.lock)
    return True


def _let_go(lock: ExitStack) -> None:
    try:
        lock.close()
    except StoreUnavailable:
        return  # It ends with its lease.
