"""Where lines of the log go: each by one write that does not wait; what is not taken is kept, and counted if lost."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable

from gateway.background import Background
from gateway.log_lines import MAX_LINE

MAX_WAITING = 8192
"""How many lines are kept for a reader that does not keep up."""

_AT_ONCE = 16
_PAUSE_SECONDS = 0.02
_IDLE_STEPS = 50  # The thread outlives a pause of a second, since whoever begins one waits until it runs.

Write = Callable[[bytes], int]
"""Takes what it can without waiting, and tells how much.

Raises `BlockingIOError` where it can take nothing for now, another `OSError` for what it will never take.
"""


class LineWriter:
    """Writes lines, from any thread and in any process that was forked since; none is in two pieces.

    In a process with more to say than fifty lines a second, as many go by one write as are written whole. It has a
    thread for as long as that is so, or lines are kept. `notice` makes the line that says how many were lost, which is
    written as soon as one can be.
    """

    def __init__(self, write: Write, notice: Callable[[int], bytes]) -> None:
        self._write = write
        self._notice = notice
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._waiting: deque[bytes] = deque()
        self._octets = 0
        self._put_at = 0.0
        self._rest = b""
        self._at_stake = 0  # How many lines are lost if that is not taken.
        self._is_begun = False
        self._is_torn = False
        self._lost = 0
        self._watch = Background("gateway-log", self._step)
        self._is_watched = False
        self._idle_steps = 0

    def put(self, line: bytes, *, at_once: bool = False) -> None:
        """Write a line, or keep it for some milliseconds, or longer for a slow reader; neither waits nor raises."""
        if self._process != os.getpid():
            self._begin()  # What the parent kept is for the parent to write, and its thread is not here.
        with self._lock:
            if len(self._waiting) >= MAX_WAITING:
                self._lost += 1
                return
            self._idle_steps = 0
            self._waiting.append(line)
            self._octets += len(line)
            if at_once or self._octets >= MAX_LINE or not (self._is_watched or self._is_busy()):
                self._drain(_AT_ONCE)
            if not self._is_watched and (self._waiting or self._rest):
                self._is_watched = True
                self._watch.wake(_PAUSE_SECONDS)

    def close(self, seconds: float) -> None:
        """Write what was kept, as far as that can be done in so many seconds."""
        if self._process != os.getpid():
            return
        deadline = time.monotonic() + seconds
        while not self._drain(MAX_WAITING) and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)

    def _is_busy(self) -> bool:
        now, before = time.monotonic(), self._put_at
        self._put_at = now
        return now - before < _PAUSE_SECONDS

    def _step(self) -> float | None:
        with self._lock:
            self._idle_steps += 1
            is_idle = self._drain(MAX_WAITING) and self._idle_steps > _IDLE_STEPS
            self._is_watched = not is_idle
            return _PAUSE_SECONDS if self._is_watched else None

    def _drain(self, most: int) -> bool:
        """Write so much of what was kept; tells whether nothing is left."""
        with self._lock:
            while self._is_rest_written():
                if not self._waiting:
                    return True
                if not most:
                    return False
                self._rest = self._next()
                most -= 1
            return False

    def _next(self) -> bytes:
        self._is_begun = False
        pieces = [b"\n"] if self._is_torn else []
        if self._lost:
            self._at_stake, self._lost = self._lost, 0
            return b"".join([*pieces, self._notice(self._at_stake)])
        size, self._at_stake = len(pieces), 0
        while self._waiting and (not self._at_stake or size + len(self._waiting[0]) <= MAX_LINE):
            pieces.append(self._waiting.popleft())
            size += len(pieces[-1])
            self._at_stake += 1
        self._octets -= size
        return b"".join(pieces)

    def _is_rest_written(self) -> bool:
        while self._rest:
            try:
                taken = self._write(self._rest)
            except BlockingIOError:
                return False
            except OSError:
                # A pipe that nobody reads, a disk that is full: the next line is tried again.
                self._lost += self._at_stake + len(self._waiting)
                self._waiting.clear()
                self._octets = 0
                self._is_torn = self._is_torn or self._is_begun
                self._rest = b""
                return True
            self._rest = self._rest[taken:]
            self._is_begun = True
            self._is_torn = self._is_torn and bool(self._rest)
        return True
