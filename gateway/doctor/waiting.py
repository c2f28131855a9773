"""Nothing here waits for ever: what may hang is done in a thread that can be left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


class TooLate(Exception):
    """Something took longer than it may."""


def within(seconds: float, work: Callable[[], T]) -> T:
    """Do something, and raise `TooLate` when it is not done in time; else return or raise what it does."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits.
            future.set_exception(error)

    threading.Thread(target=run, name="gateway-doctor", daemon=True).start()
    if not wait([future], timeout=seconds).done:
        raise TooLate(f"not done within {seconds:g} s")
    return future.result()
