"""Answers that are still being sent: each is cut off when its session ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, runtime_checkable

from gateway.background import Background
from gateway.errors import GatewayError
from gateway.held_answer import close_body
from gateway.session import Session

CHECK_SECONDS = 1.0
"""How often the sessions of open answers are looked up; shorter answers are not watched."""

_log = logging.getLogger("gateway")

Watch = Callable[[Iterable[bytes]], Iterable[bytes]]
"""Returns a body that may end earlier than the one that it is given."""

Lives = Callable[[bytes], bool]
"""Tells whether the session of a handle lives; raises `StoreUnavailable`."""


class SessionEnded(Exception):
    """The session of an answer ended before the answer did; the server closes the connection."""


@runtime_checkable
class Lasting(Protocol):
    """A body that may go on after the server has done with it, as a tunnel does."""

    @property
    def goes_on(self) -> bool:
        """Whether it does."""

    def when_ended(self, call: Callable[[], None]) -> None:
        """Have something called when it has ended."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Open:
    handle: bytes = field(default=b"", repr=False)
    ends_at: float | None = None
    body: Iterable[bytes]
    began_at: float
    ended: bool = False


class OpenStreams:
    """The open answers of this worker; `background` makes what takes the steps."""

    def __init__(
        self, lives: Lives, background: type[Background] = Background, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._lives = lives
        self._clock = clock
        self._guard = threading.Lock()
        self._open: set[_Open] = set()
        self._background = background("gateway-streams", self.step)

    def watch(self, session: Session | None, handle: bytes | None) -> Watch | None:
        """Tell how the body of an answer is watched: until its session ends, or its client's token does."""
        if handle is not None:
            return partial(self.watched, handle)
        ends_at = None if session is None else session.access_expires_at
        return None if ends_at is None else partial(self.watched_until, ends_at)

    def watched(self, handle: bytes, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return a body that ends early when the session of the handle does."""
        return _Watched(self, _Open(handle=handle, body=body, began_at=time.monotonic()))

    def watched_until(self, ends_at: float, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return a body that ends early at a time, in seconds since the epoch."""
        return _Watched(self, _Open(ends_at=ends_at, body=body, began_at=time.monotonic()))

    def step(self) -> float | None:
        """Look up the sessions of all open answers once, and tell when to look again."""
        with self._guard:
            watched = list(self._open)
        for one in watched:
            if one.ends_at is not None and self._clock() >= one.ends_at:
                _cut(one)
        watched = [one for one in watched if one.handle]
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
        body = self._one.body
        if isinstance(body, Lasting) and body.goes_on:
            body.when_ended(partial(self._streams.leave, self._one))
            return
        self._streams.leave(self._one)
        close_body(body)


def _cut(one: _Open) -> None:
    one.ended = True
    abort = getattr(one.body, "abort", None)
    if abort is not None:
        _log.info("an open answer was cut off: its session has ended")
        abort()
