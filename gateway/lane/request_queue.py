"""The requests of a connection, in their order: no more is read of them than there is room for."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from gateway.lane.incoming import MAX_BODY_WAITING, Incoming, Refused
from gateway.lane.request_reader import RequestReader

MAX_WAITING = 16
"""How many requests may wait for those before them; what lies behind them is not read."""

PIECE = 16 * 1024
"""How many octets are read at once, in which there may be some hundred requests."""


class RequestQueue:
    """Reads what a client sends; `refused` is set by what is no request, after which nothing is read."""

    def __init__(self, base: Mapping[str, Any]) -> None:
        self._base = base
        self._waiting: deque[Incoming] = deque()
        self._unread = b""
        self._upgrading: Incoming | None = None
        self._reader = RequestReader(base, self._waiting.append)
        self.refused: Refused | None = None

    @property
    def in_head(self) -> bool:
        """Whether the last that was read is the beginning of a head."""
        return self._reader.in_head

    @property
    def has_room(self) -> bool:
        """Whether more can be read."""
        if self._unread or self.refused is not None or len(self._waiting) >= MAX_WAITING:
            return False
        return not self._waiting or sum(one.buffered for one in self._waiting) <= MAX_BODY_WAITING

    @property
    def is_empty(self) -> bool:
        """Whether all that has come was handed out."""
        return not self._unread and not self._waiting

    def feed(self, data: bytes) -> None:
        """Read on, or keep what has come for when there is room."""
        if self.refused is None:
            self._unread = self._unread + data if self._unread else data
            self._read()

    def take(self) -> Incoming | None:
        """Hand out the next request, if there is one."""
        if not self._waiting:
            self._read()
        return self._waiting.popleft() if self._waiting else None

    def fail(self) -> None:
        """Take note that nothing more will come: a body that is not complete has failed."""
        if self._reader.reading is not None:
            self._reader.reading.fail()

    def go_on(self) -> None:
        """Read requests again, behind one that asked for an upgrade and was given another answer."""
        self._upgrading = None
        self._reader = RequestReader(self._base, self._waiting.append)

    def _read(self) -> None:
        try:
            while self._unread and self._reads_on:
                self._read_piece()
        except Refused as refused:
            self.refused = refused
            self._unread = b""
            self.fail()

    @property
    def _reads_on(self) -> bool:
        # What belongs to the last that was read is read in any case: its body, or that it cannot be.
        is_begun = self._upgrading is not None or self._reader.reading is not None
        return is_begun or len(self._waiting) < MAX_WAITING

    def _read_piece(self) -> None:
        if self._upgrading is not None:
            self._fail_upgrade(self._upgrading)
            return
        piece, self._unread = self._unread[:PIECE], self._unread[PIECE:]
        rest = self._reader.feed(piece)
        last = self._waiting[-1] if self._waiting else None
        if last is not None and last.upgrade and last.complete:
            self._upgrading = last
            self._unread = rest + self._unread

    def _fail_upgrade(self, incoming: Incoming) -> None:
        # It did not wait for the answer: what it said cannot be told apart, now or behind another answer.
        self._unread = b""
        incoming.keep_alive = False
        incoming.fail()
