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

MAX_BODY_PIECES = 512
"""In how many pieces a body may come before others have their turn: chunks can be of one octet each."""


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
    def is_behind(self) -> bool:
        """Whether more of what has come can be read, and was only left for others to have their turn."""
        return bool(self._unread) and self._reads_on

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
            self.read_on()

    def take(self) -> Incoming | None:
        """Hand out the next request, if there is one, and read on where it makes room."""
        if not self._waiting:
            self.read_on()
        taken = self._waiting.popleft() if self._waiting else None
        if self._unread:
            self.read_on()
        return taken

    def fail(self) -> None:
        """Take note that nothing more will come: a body that is not complete has failed."""
        if self._reader.reading is not None:
            self._reader.reading.fail()

    def go_on(self) -> None:
        """Read requests again, behind one that asked for an upgrade and was given another answer."""
        self._upgrading = None
        self._reader = RequestReader(self._base, self._waiting.append)

    def read_on(self) -> None:
        """Read what has come, as far as there is room, and not more at once than others can wait for."""
        last = self._reader.body_pieces + MAX_BODY_PIECES
        try:
            while self.is_behind and self._reader.body_pieces < last:
                self._read_piece()
        except Refused as refused:
            self.refused = refused
            self._unread = b""
            self.fail()

    @property
    def _reads_on(self) -> bool:
        return self._upgrading is not None or len(self._waiting) < MAX_WAITING

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
