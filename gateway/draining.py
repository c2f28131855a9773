"""The end of a gateway, which its master knows of first, and that of a worker, which may have what no other has."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable

_STEP_SECONDS = 0.05


class Draining:
    """Tells whether the end has begun: an octet of memory that a process shares with those that it forks later."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)

    def begin(self) -> None:
        """Let all processes know."""
        self._shared[0] = 1

    def has_begun(self) -> bool:
        """Tell whether it was begun, in this process or in another."""
        return self._shared[0] == 1


def wait_for_writes(unsaved: Callable[[], int], seconds: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Keep a worker that ends, for so many seconds at most, until what it alone has is in the store."""
    until = time.monotonic() + seconds
    while unsaved() and time.monotonic() < until:
        sleep(_STEP_SECONDS)
