"""An answer as a client is sent it, in the framing that its request allows (RFC 9112 6)."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.lane.incoming import Incoming
from gateway.lane.serving import answer_head

_NO_BODY = frozenset({204, 304})

Fields = Iterable[tuple[str, str]]


class ClientAnswer:
    """What is to be written of an answer: its head goes with the first piece of its body, or its end.

    `length` is that of its body, None where it is told by what follows; `fields` hold no framing but a
    `Content-Length` that agrees with it. `keep_alive` says in the head whether another may follow, `sent` counts the
    octets of the body.
    """

    __slots__ = ("_chunked", "_head", "_left", "_omits_body", "keep_alive", "sent", "status")

    def __init__(
        self,
        incoming: Incoming,
        status: int,
        reason: str,
        fields: Fields,
        length: int | None,
        *,
        date: str,
        keep_alive: bool,
    ) -> None:
        self.status = status
        self.sent = 0
        self._omits_body = incoming.method == "HEAD" or status in _NO_BODY
        self._left = None if self._omits_body else length
        self._chunked = length is None and not self._omits_body and not incoming.http_1_0
        unframed = length is None and not self._omits_body and incoming.http_1_0
        self.keep_alive = keep_alive and not unframed
        own = [("Date", date)]
        if self._chunked:
            own.append(("Transfer-Encoding", "chunked"))
        if not self.keep_alive:
            own.append(("Connection", "close"))
        elif incoming.http_1_0:
            own.append(("Connection", "keep-alive"))
        self._head = answer_head(status, reason, [*fields, *own])

    def piece(self, data: bytes) -> bytes:
        """Frame a piece of the body; what is more than its length, or of a body that is not sent, is left out."""
        if self._omits_body or not data:
            return b""
        if self._left is not None:
            data = data[: self._left] if len(data) > self._left else data
            self._left -= len(data)
        self.sent += len(data)
        head, self._head = self._head, b""
        if self._chunked:
            return b"%b%x\r\n%b\r\n" % (head, len(data), data)
        return head + data if head else data

    def head(self) -> bytes:
        """Give the head, if it has not gone out."""
        head, self._head = self._head, b""
        return head

    def end(self) -> bytes:
        """Give what ends it."""
        return self.head() + b"0\r\n\r\n" if self._chunked else self.head()

    @property
    def is_cut(self) -> bool:
        """Whether less of the body has come than its length says."""
        return bool(self._left)

    @property
    def is_framed(self) -> bool:
        """Whether a client sees by what it was sent that something is missing."""
        return self._chunked or self._left is not None
