"""The end of a gateway, which its master knows of first and all its workers have to know."""

from __future__ import annotations

import mmap


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
