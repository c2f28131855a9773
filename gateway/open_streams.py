"""Answers that are still being sent: each is cut off when its session ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from gateway.background import Background
from gateway.errors import GatewayError
from gateway.held_answer import close_body

CHECK_SECONDS = 1.0
"""How often the sessions of open answers are looked up; shorter answers are not watched."""

_log = logging.getLogger("gateway")

Lives = Callable[[bytes], bool]
"""Tells whether the session of a handle lives; raises `StoreUnavailable`."""


class SessionEnded(Exception):
    """The session of an answer ended before the answer did; the server closes the connection."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Open:
    handle: bytes = field(repr=False)
    body: Iterable[bytes]
    began_at: float
    ended: bool = False


class OpenStreams:
    """The open answers of this worker; `background` makes what takes the steps."""

    def __init__(self, lives: Lives, background: type[Background] = Background) -> None:
        self._lives = lives
        self._guard = threading.Lock()
        self._open: set[_Open] = set()
        self._background = background("gateway-streams", self.step)

    def watched(self, handle: bytes, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return a body that ends early when the session of the handle does."""
        return _Watched(self, _Open(handle=handle, body=body, began_at=time.monotonic()))

    def step(self) -> float | None:
        """Look up the sessions of all open answers once, and tell when to look again."""
        with self._guard:
            watched = list(self._open)
        for handle in {one.handle for one in watched if time.monotonic() >= one.began_at + CHECK_SECONDS}:
            if self._has_ended(handle):
                for one in (one for one in watched if one.handle == handle):
                    _cut(one)
        return CHECK_SECONDS  # For ever: a thread for each quiet moment would cost more.

    def enter(self, one: _Open) -> None:
        """Begin to watch an answer."""
        with self._guard:
            self._open.add(one)
            first = len(self._open) == 1
        if first:
            self._background.wake()

    def leave(self, one: _Open) -> None:
        """End to watch an answer."""
        with self._guard:
            self._open.discard(one)

    def _has_ended(self, handle: bytes) -> bool:
        try:
            return not self._lives(handle)
        except GatewayError:
            return False  # Nothing can be concluded while the store or the provider is away.


class _Watched:
    def __init__(self, streams: OpenStreams, one: _Open) -> None:
        self._streams = streams
        self._one = one
        streams.enter(one)

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._one.body:
                if self._one.ended:
                    break
                yield piece
        except GatewayError:
            if not self._one.ended:
                raise
        if self._one.ended:
            raise SessionEnded

    def close(self) -> None:
        self._streams.leave(self._one)
        close_body(self._one.body)


def _cut(one: _Open) -> None:
    one.ended = True
    abort = getattr(one.body, "abort", None)
    if abort is not None:
        _log.info("an open answer was cut off: its session has ended")
        abort()
