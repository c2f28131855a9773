"""A client's connection: one request after the other, each answered before the next is begun."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from gateway.lane.client_answer import ClientAnswer, Fields
from gateway.lane.hanging_up import has_hung_up, reset
from gateway.lane.incoming import MAX_BODY_WAITING, Incoming
from gateway.lane.inlet import Inlet
from gateway.lane.patience import STALL_SECONDS, Patience
from gateway.lane.request_queue import RequestQueue
from gateway.lane.serving import Serving, answer_head, refusal

HEAD_SECONDS = 30.0
GONE_SECONDS = 5.0
"""How long a client that has closed its side, and may be gone, is answered without a word."""

LINGER_SECONDS = 2.0
MAX_LINGER_SECONDS = 30.0
"""How long it is listened at the end to whoever goes on speaking, and how long to whoever is silent."""

AT_ONCE = 16
"""How many requests of a client are begun before others have their turn."""


class ClientConnection(asyncio.Protocol):
    """The server's end of a connection."""

    def __init__(
        self, serving: Serving, clients: set[ClientConnection], base: Callable[[Any], Mapping[str, Any]]
    ) -> None:
        self._serving = serving
        self._clients = clients
        self._base = base
        self.transport: Any = None
        self.is_writable = True
        self._current: Incoming | None = None
        self._over = False
        self._is_held = False
        self._advancing = False
        self._said_all = False
        self._is_leaving = False
        self._since = self._over_since = serving.now
        self._patience = Patience(serving.now)
        self._answer: ClientAnswer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve, unless the client is gone already: nobody could say from where it asked."""
        self.transport = transport
        if transport.get_extra_info("peername") is None:
            self._over = True
            self.transport.abort()
            return
        self._requests = RequestQueue(self._base(transport))
        self._inlet = Inlet(self._serving.loop, transport, self._requests, self._catch_up)
        self._clients.add(self)

    def data_received(self, data: bytes) -> None:
        """Read on, and begin the next request if there is one."""
        if self._over:
            if self._serving.now - self._over_since < MAX_LINGER_SECONDS:
                self._since = self._serving.now
            return
        if not self._requests.in_head:  # Whoever sends a head octet by octet has no more time for it than others.
            self._since = self._serving.now
        self._requests.feed(data)
        if not self._requests.has_room:
            self._inlet.pause()
        self._advance()

    def eof_received(self) -> bool:
        """Go on with what was asked: a client that has said all cannot be told from one that is gone, until we send."""
        self._since = self._serving.now
        self._said_all = True
        if self._over:
            self.transport.close()
            return True
        self._requests.fail()
        if self._current is None and self._requests.is_empty:
            self._over = True
            self.transport.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """End what was going on for this client."""
        self._over = True
        self._clients.discard(self)
        current, self._current = self._current, None
        if current is not None:
            current.lose_client()
            self._serving.unanswered(current, self._answer)

    def pause_writing(self) -> None:
        """Tell the job that the client is slow."""
        self.is_writable = False
        if self._current is not None and self._current.job is not None:
            self._current.job.client_paused()

    def resume_writing(self) -> None:
        """Tell the job that the client has caught up."""
        self.is_writable = True
        if self._current is not None and self._current.job is not None:
            self._current.job.client_resumed()
        elif self._current is None:
            self._go_on()

    def pause_reading(self) -> None:
        """Read nothing more of the body until the job says so."""
        self._is_held = True
        self._inlet.pause()

    def resume_reading(self) -> None:
        """Read on, unless others wait for this request, or answers for the client."""
        self._is_held = False
        self._read_again()

    def send_continue(self) -> None:
        """Tell a client that waits for it to send the body (RFC 9110 10.1.1)."""
        current = self._current
        if current is not None and current.expects_continue and not current.complete and not self.has_started:
            current.expects_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def start(self, status: int, reason: str, fields: Fields, length: int | None) -> None:
        """Start an answer; `length` is that of its body, None where it is told by what follows.

        The fields hold no framing but a `Content-Length` that agrees with `length`. A request of which there is more to
        come is the last.
        """
        incoming, serving = self._current, self._serving
        if incoming is not None:
            lasts = incoming.keep_alive and incoming.complete and not serving.closing
            self._answer = ClientAnswer(incoming, status, reason, fields, length, date=serving.date, keep_alive=lasts)

    def send(self, data: bytes) -> None:
        """Send a piece of the body; what is more than its length is not sent."""
        answer = self._answer
        if answer is None or self._current is None:
            return
        framed = answer.piece(data)
        if framed:
            self._since = self._serving.now
            self.transport.write(framed)

    def flush(self) -> None:
        """Send the head, though there is nothing of the body yet."""
        head = b"" if self._answer is None else self._answer.head()
        if head:
            self.transport.write(head)

    def finish(self) -> None:
        """Complete an answer, and begin the next request."""
        incoming, answer = self._current, self._answer
        if incoming is None or answer is None:
            return
        if answer.is_cut:
            self.abort()
            return
        self._current = self._answer = None
        self._is_held = False
        if end := answer.end():
            self.transport.write(end)
        self._serving.answered(self, incoming, answer.status, answer.sent)
        self._since = self._serving.now
        if incoming.upgrade:
            self._requests.go_on()
        if answer.keep_alive and incoming.keep_alive and not self._serving.closing:
            self._go_on()
        else:
            self._hang_up()

    def abort(self) -> None:
        """Break off in the middle of an answer, so that the client sees that it is not complete."""
        self._over = True
        if self._answer is not None and not self._answer.is_framed:
            reset(self.transport)
        else:
            self.transport.abort()

    def switch(self, fields: Fields) -> Any:
        """Answer with a 101, and give the transport away to what comes after it."""
        self.transport.write(answer_head(101, "", fields))
        self._over = True
        self._clients.discard(self)
        if self._current is not None:
            self._serving.answered(self, self._current, 101, 0)
        self._current = None
        return self.transport

    @property
    def has_started(self) -> bool:
        """Whether an answer was started."""
        return self._answer is not None

    @property
    def is_gone(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._over

    def tick(self) -> None:
        """Look whether the client has been waited for too long."""
        now = self._serving.now
        if self._patience.is_over(self.transport.get_write_buffer_size(), now):
            self.abort()
        if self._patience.unsent:  # Whatever else, it is given the time to take that.
            self._since = now if self._over else self._since
            return
        silent = now - self._since
        current = self._current
        if self._over:
            if silent > LINGER_SECONDS:
                self.transport.abort()
        elif current is None:
            limit = HEAD_SECONDS if self._requests.in_head else self._serving.keep_alive_seconds
            if silent > (min(limit, LINGER_SECONDS) if self._serving.closing else limit):
                self._over = True
                self.transport.close()
        else:
            self._look_after(current, silent)

    def _look_after(self, current: Incoming, silent: float) -> None:
        if self._said_all or self._is_leaving:
            if silent > GONE_SECONDS:
                self.abort()
        elif not current.complete and not current.failed and self._is_waited_for and silent > STALL_SECONDS:
            current.fail()
        elif current.complete and self._inlet.is_paused and has_hung_up(self.transport):
            self._is_leaving, self._since = True, self._serving.now

    @property
    def _is_waited_for(self) -> bool:
        return not self._inlet.is_paused or self._requests.refused is not None

    def _advance(self) -> None:
        if self._advancing:
            return
        self._advancing = True
        try:
            self._begin_some()
        finally:
            self._advancing = False
        if self._current is None and self.is_writable and not self._over:
            self._end_if_all_is_read()
        elif not self._has_room:
            self._inlet.pause()
        self._read_again()

    def _begin_some(self) -> None:
        for _ in range(AT_ONCE):
            if self._current is not None or self._over or not self.is_writable:
                return
            self._current = self._requests.take()
            if self._current is None:
                return
            self._serving.begin(self, self._current)
        # Others have their turn before the rest of what was answered at once.
        self._serving.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._advance()
        self._read_again()

    @property
    def _has_room(self) -> bool:
        """Whether there is a place for what comes: a job that takes it, or not too much that waits for one."""
        current = self._current
        if current is None:
            return self.is_writable
        return not self._is_held and (current.job is not None or current.buffered <= MAX_BODY_WAITING)

    def _read_again(self) -> None:
        if self._has_room and not self._over and self._inlet.resume():
            self._since = self._serving.now

    def _catch_up(self) -> None:
        if self._has_room and not self._over:
            self._requests.read_on()
            self._go_on()

    def _end_if_all_is_read(self) -> None:
        refused = self._requests.refused
        if refused is not None:
            if self._requests.is_empty:
                self.transport.write(refusal(refused, self._serving.date))
                self._hang_up()
        elif self._said_all and self._requests.is_empty:
            self._hang_up()

    def _hang_up(self) -> None:
        self._over = True
        self._since = self._over_since = self._serving.now
        if not self._said_all and not self.transport.is_closing() and self.transport.can_write_eof():
            # To close with octets unread would reset the connection, and the answer might be lost (RFC 9112 9.6).
            self.transport.write_eof()
            self._inlet.drain()
        else:
            self.transport.close()
