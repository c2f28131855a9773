"""A connection to an upstream for the loop: one exchange at a time, and answers held to the same rules."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from gateway.errors import (
    UPSTREAM_ANSWER_INVALID,
    UPSTREAM_READ_TIMEOUT,
    UPSTREAM_UNREACHABLE,
    GatewayError,
)
from gateway.lane.chunks import ChunkDecoder
from gateway.lane.tls import TlsTransport
from gateway.remembered import remembered
from gateway.upstream_answer import MAX_INTERIM_ANSWERS, Framing, Head, check_head
from gateway.upstream_origin import MAX_IDLE_SECONDS
from gateway.upstream_pool import END_OF_HEAD, MAX_HEAD, NothingReceived, refuse_answer


class Exchange(Protocol):
    """What is told of the answer, in this order: its head, pieces of its body, its end; or that it failed."""

    method: str
    wants_upgrade: bool
    is_sent: bool

    def head_received(self, head: Head) -> None:
        """Take the head; after a 101 nothing follows."""

    def piece_received(self, data: bytes) -> None:
        """Take a piece of the body."""

    def answer_ended(self) -> None:
        """Take note that the answer is complete."""

    def upstream_failed(self, error: GatewayError) -> None:
        """Take note that no more will come of it."""

    def upstream_paused(self) -> None:
        """Take note that the upstream takes nothing more of the request for now."""

    def upstream_resumed(self) -> None:
        """Take note that it does again."""


class UpstreamConnection(asyncio.Protocol):
    """A connection to one origin; timeouts in seconds, `read_timeout` for each silence while something is due."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, read_timeout: float, lost: Callable[[UpstreamConnection], None]
    ) -> None:
        self._loop = loop
        self._read_timeout = read_timeout
        self._lost = lost
        self.transport: Any = None
        self.exchange: Exchange | None = None
        self.reused = False
        self.reusable = True
        self._head: Head | None = None
        self._received = b""
        self._answering = False
        self._interims = 0
        self._left = 0
        self._chunks: ChunkDecoder | None = None
        self._heard = loop.time()
        self._timer = loop.call_later(min(read_timeout, MAX_IDLE_SECONDS), self._look)
        self._reading = True
        self.takes_more = True
        self._said_all = False
        self._poller = select.poll()

    @property
    def is_open(self) -> bool:
        """Whether it stands, as far as is known."""
        return not self.transport.is_closing()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing lies unread: no answer that nobody asked for, no part of one, no hang-up (RFC 9112 9.2)."""
        transport = self.transport
        if isinstance(transport, TlsTransport):
            transport.read_now()
            if not self.is_open or not transport.is_between_records:
                return False
        return not self._poller.poll(0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = transport
        self._poller.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def begin(self, exchange: Exchange, data: bytes) -> None:
        """Send the beginning of a request."""
        self.exchange = exchange
        self._head = None
        self._answering = False
        self._interims = 0
        self.send(data)

    def send(self, data: bytes) -> None:
        """Send more of the request."""
        self._heard = self._loop.time()
        self.transport.write(data)

    def release(self) -> bytes:
        """Give the transport away, and return what was received behind the head."""
        self.exchange = None
        self._timer.cancel()
        rest, self._received = self._received, b""
        return rest

    def close(self) -> None:
        """Hang up, whatever is going on."""
        self.exchange = None
        self._timer.cancel()
        self.transport.abort()

    def pause_reading(self) -> None:
        """Read nothing more for now."""
        if self._reading and self.is_open:
            self._reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if not self._reading and self.is_open:
            self._reading = True
            self._heard = self._loop.time()
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        """Tell the exchange that the upstream is slow."""
        self.takes_more = False
        if self.exchange is not None:
            self.exchange.upstream_paused()

    def resume_writing(self) -> None:
        """Tell the exchange that it has caught up."""
        self.takes_more = True
        self._heard = self._loop.time()
        if self.exchange is not None:
            self.exchange.upstream_resumed()

    def data_received(self, data: bytes) -> None:
        """Read an answer, or hang up on an upstream that speaks unasked."""
        self._heard = self._loop.time()
        if self.exchange is None:
            self.close()
            return
        self._answering = True
        try:
            if self._head is None:
                data = self._read_head(self._received + data)
            if data and self._head is not None:
                self._read_body(self._head, data)
        except GatewayError as error:
            self._fail(error)

    def eof_received(self) -> None:
        """Note that the upstream has said all, and end with it; over TLS it has to say so (RFC 8446 6.1)."""
        self._said_all = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the exchange what the end means for it (RFC 9112 6.3, 8)."""
        self._timer.cancel()
        self._lost(self)
        if self.exchange is not None and exc is not None:
            self._read_last()
        head, exchange = self._head, self.exchange
        if exchange is None:
            return
        if head is not None and head.framing is Framing.UNTIL_CLOSED and self._said_all:
            self._end(exchange)
        elif self._answering:
            self._fail(GatewayError(UPSTREAM_ANSWER_INVALID, "the upstream hung up in the middle of its answer"))
        else:
            self._fail(NothingReceived(UPSTREAM_UNREACHABLE, f"the upstream hung up without an answer: {exc}"))

    def _read_last(self) -> None:
        """Read what was answered to a request that was not all sent when the upstream hung up (RFC 9112 9.3)."""
        transport = self.transport
        receive = transport.data_received if isinstance(transport, TlsTransport) else self.data_received
        number = transport.get_extra_info("socket").fileno()
        with suppress(OSError):
            while self.exchange is not None and (data := os.read(number, 65536)):
                receive(data)

    def _read_head(self, data: bytes) -> bytes:
        """Read heads up to the last, and return what is behind it, or nothing while there is more to come of it."""
        exchange = self.exchange
        while exchange is not None:
            self._received = b""
            if not data.startswith(b"HTTP/1.") and data[:7] != b"HTTP/1."[: len(data)]:
                refuse_answer("the answer is not HTTP/1")
            end = END_OF_HEAD.search(data)
            if end is None:
                if len(data) > MAX_HEAD:
                    refuse_answer("the header section is too long")
                self._received = data
                return b""
            text, data = data[: end.end()], data[end.end() :]
            if not text.endswith(b"\r\n\r\n"):
                refuse_answer("a line of the header section ends without CR")
            plain = exchange.method != "HEAD" and not exchange.wants_upgrade
            head = _answer_with_body(text) if plain else _check(text, exchange.method, upgrade=exchange.wants_upgrade)
            if head is not None:
                return self._begin_body(exchange, head, data)
            self._interims += 1
            if self._interims >= MAX_INTERIM_ANSWERS:
                refuse_answer("interim answers without end")
            if not data:
                break
        return b""

    def _begin_body(self, exchange: Exchange, head: Head, data: bytes) -> bytes:
        self._head = head
        self._left = head.length
        self._chunks = ChunkDecoder() if head.framing is Framing.CHUNKED else None
        self.reusable = self.reusable and head.persistent
        if head.status == 101:
            self._received, data = data, b""
        exchange.head_received(head)
        is_empty = head.framing is Framing.NONE or (head.framing is Framing.COUNTED and not head.length)
        if is_empty and head.status != 101 and self.exchange is exchange:
            self.reusable = self.reusable and not data
            self._end(exchange)
            return b""
        return data

    def _read_body(self, head: Head, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            return
        if self._chunks is not None:
            pieces, rest = self._chunks.feed(data)
            for piece in pieces:
                exchange.piece_received(piece)
            is_done = self._chunks.done
        elif head.framing is Framing.COUNTED:
            rest = data[self._left :] if len(data) > self._left else b""
            piece = data[: self._left] if rest else data
            self._left -= len(piece)
            exchange.piece_received(piece)
            is_done = not self._left
        else:
            exchange.piece_received(data)
            return
        if is_done and self.exchange is exchange:
            self.reusable = self.reusable and not rest
            self._end(exchange)

    def _end(self, exchange: Exchange) -> None:
        self.exchange = None
        self.reusable = self.reusable and exchange.is_sent
        exchange.answer_ended()

    def _fail(self, error: GatewayError) -> None:
        exchange = self.exchange
        self.close()
        if exchange is not None:
            exchange.upstream_failed(error)

    def _look(self) -> None:
        """See whether the upstream has been silent for too long, or the connection unused."""
        now = self._loop.time()
        exchange = self.exchange
        is_due = exchange is not None and self._reading and (exchange.is_sent or not self.takes_more)
        limit = MAX_IDLE_SECONDS if exchange is None else self._read_timeout
        if exchange is not None and not is_due:
            self._heard = now
        left = self._heard + limit - now
        if left > 0:
            self._timer = self._loop.call_later(min(left, self._read_timeout, MAX_IDLE_SECONDS), self._look)
        elif exchange is None:
            self.close()
        else:
            self._fail(GatewayError(UPSTREAM_READ_TIMEOUT, "the upstream is silent, or does not take the request"))


def _check(text: bytes, method: str, *, upgrade: bool) -> Head | None:
    return check_head(text[:-4].split(b"\r\n"), method, upgrade=upgrade)


def _sets_cookies(text: bytes) -> bool:
    return b"set-cookie" in text.lower()


@remembered(longest=1024, entries=256, unless=_sets_cookies)
def _answer_with_body(text: bytes) -> Head | None:
    return _check(text, "GET", upgrade=False)
