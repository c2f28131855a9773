"""Writes that the store could not take: made up for as soon as it can, while their locks are still held."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack

from gateway.background import Background
from gateway.errors import GatewayError, StoreUnavailable

RETRY_SECONDS = 0.02
"""The store is asked often: whoever finds it again first must not use a refresh token that is used up already."""

MAX_ATTEMPTS = 30_000
"""Ten minutes; then the tokens are given up, and the session asks for a new login when its old token has ended."""

MAX_WRITES = 1000

_log = logging.getLogger("gateway.store")

Write = Callable[[], object]


class Unsaved:
    """Writes that wait for the store; `background` makes what takes the steps."""

    def __init__(self, background: type[Background] = Background) -> None:
        self._guard = threading.Lock()
        self._waiting: list[tuple[Write, ExitStack]] = []
        self._attempts = 0
        self._background = background("gateway-unsaved", self.step)

    def write_later(self, write: Write, lock: ExitStack) -> None:
        """Make a write when the store can take it, and let go of its lock then."""
        with self._guard:
            has_room = len(self._waiting) < MAX_WRITES
            if has_room:
                self._waiting.append((write, lock))
        if not has_room:
            _log.error("renewed tokens are lost: too many of them wait for the store")
            _let_go(lock)
        self._background.wake(RETRY_SECONDS)

    def step(self) -> float | None:
        """Try once to make all writes that wait, and tell when to try again."""
        for item in list(self._waiting):
            try:
                item[0]()
            except StoreUnavailable:
                return self._after_failure()
            except GatewayError as error:
                _log.error("renewed tokens could not be written: %s", error)
            self._done_with(item)
        self._attempts = 0
        return None

    def _after_failure(self) -> float | None:
        self._attempts += 1
        if self._attempts < MAX_ATTEMPTS:
            return RETRY_SECONDS
        _log.error("the store was away for too long: the renewed tokens of %d sessions are lost", len(self._waiting))
        for item in list(self._waiting):
            self._done_with(item)
        self._attempts = 0
        return None

    def _done_with(self, item: tuple[Write, ExitStack]) -> None:
        with self._guard:
            self._waiting.remove(item)
        _let_go(item[1])


def _let_go(lock: ExitStack) -> None:
    try:
        lock.close()
    except StoreUnavailable:
        return  # It ends with its lease.
