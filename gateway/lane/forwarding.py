"""One request on its way through the loop: to an upstream and back, with back-pressure in both directions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from typing import Any

from gateway.errors import REQUEST_INCOMPLETE, GatewayError
from gateway.inner import Admitted
from gateway.lane.acting import Acting, Watching, switch
from gateway.lane.attempts import Attempts
from gateway.lane.client import ClientConnection
from gateway.lane.heads import answer_fields, head_for, request_head, switch_fields
from gateway.lane.incoming import Incoming
from gateway.lane.origins import LaneUpstream
from gateway.lane.passing_body import PassingBody
from gateway.lane.reacting import outcome_of, reaction_to
from gateway.lane.upstream import UpstreamConnection
from gateway.telemetry import tagged, untagged
from gateway.unforeseen import problem_of
from gateway.upstream_answer import Framing, Head
from gateway.upstream_pool import NothingReceived
from gateway.upstream_request import REPEATABLE
from gateway.websocket import asks_for_websocket

_log = logging.getLogger("gateway.upstream")


class Forwarding:
    """An exchange with an upstream for a client; the job of its request."""

    def __init__(
        self, acting: Acting, client: ClientConnection, incoming: Incoming, admitted: Admitted, upstream: LaneUpstream
    ) -> None:
        self._acting, self._client, self._incoming = acting, client, incoming
        self._admitted = admitted
        self._upstream = upstream
        self.method = incoming.method
        self.wants_upgrade = self.is_sent = False
        self.began_at = 0.0
        self._head = b""
        self._attempts = Attempts(acting.loop, upstream, self._send_on, self._give_up)
        self._connection: UpstreamConnection | None = None
        self._body = PassingBody(client, incoming, admitted.passage)
        self._over = self._ended = False
        self._held_back: list[bytes] | None = None
        self._watching = Watching(admitted.watch)

    def start(self) -> None:
        """Send the request; whatever fails becomes the answer."""
        if self._incoming.failed:
            self.body_failed()
            return
        try:
            self.wants_upgrade = self._incoming.upgrade and asks_for_websocket(self._incoming.environ)
            upstream = self._upstream.upstream
            upstream.places.check()
            if self.wants_upgrade:
                self._acting.check_tunnels()
                self._head = request_head(self._admitted, upstream, self._incoming, upgrade=True)
            else:
                self._head = head_for(self._admitted, upstream, self._incoming)
        except GatewayError as error:
            self._give_up(error)
            return
        # From now on, for while there is no connection yet a client may send what must not be lost, or leave.
        self._incoming.job = self
        self._body.hold_back()
        self._acting.entered(self)
        self._incoming.notes.upstream_begins()
        self._attempts.start(fresh=self.wants_upgrade, is_complete=self._incoming.complete)

    def _send_on(self, connection: UpstreamConnection) -> None:
        if self._client.is_gone:
            self._attempts.give_back(connection)
            self._leave()
            return
        try:
            self._body.check()
            self._send_request(connection)
        except GatewayError as error:  # Of the body, before anything was sent.
            self._attempts.give_back(connection)
            self._give_up(error)
        except Exception as error:  # noqa: BLE001 - somebody waits for an answer, whatever it was.
            connection.close()
            self._give_up(problem_of(error))

    def _send_request(self, connection: UpstreamConnection) -> None:
        incoming = self._incoming
        self._connection = connection
        if incoming.expects_continue:
            self._client.send_continue()
        if incoming.complete and not incoming.buffered:
            self.is_sent = True
            connection.begin(self, self._head + b"0\r\n\r\n" if incoming.chunked else self._head)
        else:
            connection.begin(self, self._head)
            incoming.attach(self)
            if connection.takes_more and not self._over:
                self._client.resume_reading()

    def body_received(self, data: bytes) -> None:
        """Send on a piece of the request's body, or keep it until it can be."""
        if self._over:
            return
        if self._connection is None and not self._ended:
            self._body.keep(data)
            return
        try:
            self._body.send(self._connection, data)
        except GatewayError as error:
            self._give_up(error)

    def body_ended(self) -> None:
        """End the request."""
        if self._connection is not None:
            self.is_sent = True
            self._attempts.wait()
            try:
                self._body.end(self._connection)
            except GatewayError as error:
                self._give_up(error)

    def body_failed(self) -> None:
        """Give up: the rest of the body will not come, or octets came where an upgrade was still being asked for."""
        self._incoming.keep_alive = False
        self._give_up(GatewayError(REQUEST_INCOMPLETE, "the body is malformed, or did not come"))

    def upstream_paused(self) -> None:
        """Read no more of the body."""
        self._client.pause_reading()

    def upstream_resumed(self) -> None:
        """Read on."""
        self._client.resume_reading()

    def head_received(self, head: Head) -> None:
        """Start the answer, or look at it first where something may have to be done about it."""
        self._attempts.answered()
        self._incoming.notes.upstream_ends()
        if head.status == 101:
            self._switch(head)
            return
        react = reaction_to(head, self._admitted, self._incoming.notes.tag)
        if react is None:
            self._answer(head)
            return
        self._held_back = []
        if self._connection is not None:
            self._connection.pause_reading()
        self._acting.in_thread(react, partial(self._reacted, head))

    def piece_received(self, data: bytes) -> None:
        """Send a piece of the answer."""
        if self._held_back is not None:
            self._held_back.append(data)
        else:
            self._client.send(data)
            if not self._client.is_writable and self._connection is not None:
                self._connection.pause_reading()

    def answer_ended(self) -> None:
        """Complete the answer."""
        self._ended = True
        connection, self._connection = self._connection, None
        if connection is not None:
            self._attempts.give_back(connection)
        if self._held_back is None:
            self._complete()

    def upstream_failed(self, error: GatewayError) -> None:
        """Try again where that is safe; else answer with the failure, or break the answer off."""
        connection, self._connection = self._connection, None
        if self._held_back is not None:
            self._leave()
            self._acting.fail(self._client, self._incoming, error)
        elif self._client.has_started:
            self._break_off(error)
        elif not isinstance(error, NothingReceived) or not self._is_repeatable:
            self._give_up(error)
        elif connection is not None and connection.reused:
            # It may have been closed while the request was on its way: that says nothing about the upstream.
            self._attempts.again()
        else:
            self._attempts.another(error)

    def client_lost(self) -> None:
        """Leave the upstream."""
        self._leave()

    def client_paused(self) -> None:
        """Read no more of the answer."""
        if self._connection is not None:
            self._connection.pause_reading()

    def client_resumed(self) -> None:
        """Read on."""
        if self._connection is not None and self._held_back is None:
            self._connection.resume_reading()

    def watch(self) -> None:
        """Have the answer end with its session, since it lasts; one that has not begun is waited for."""
        if self._client.has_started:
            self._watching.begin(self.abort)

    def abort(self) -> None:
        """End the answer, from any thread."""
        self._acting.loop.call_soon_threadsafe(self._abort, context=untagged())

    @property
    def _is_repeatable(self) -> bool:
        return self.method in REPEATABLE and not self._body.gone_on and not self._incoming.chunked

    def _reacted(self, head: Head, done: asyncio.Future[Any]) -> None:
        pieces, self._held_back = self._held_back or [], None
        if self._over:
            return
        try:
            other = outcome_of(done, is_body_gone=bool(self._body.gone_on))
        except GatewayError as error:
            self._give_up(error)
            return
        if other is not None:
            self._leave()
            self._acting.act(self._client, self._incoming, other)
            return
        self._answer(head, pieces)
        if self._ended:
            self._complete()
        elif self._connection is not None:
            self._connection.resume_reading()

    def _answer(self, head: Head, pieces: Iterable[bytes] = ()) -> None:
        length = head.length if head.framing is Framing.COUNTED else None
        try:
            fields = answer_fields(self._admitted, self._incoming, head, self._acting.allowed)
        except Exception as error:  # noqa: BLE001 - nothing has gone out yet, whatever it was.
            self._give_up(problem_of(error))
            return
        self._client.start(head.status, head.reason, fields, length)
        if head.framing is not Framing.COUNTED and head.framing is not Framing.NONE:
            self._client.flush()
        for piece in pieces:
            self._client.send(piece)

    def _switch(self, head: Head) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._client.is_gone:
            connection.close()
            self._leave()
            return
        try:
            fields = switch_fields(self._admitted, self._incoming, head, self._acting.allowed)
        except Exception as error:  # noqa: BLE001 - nothing has gone out yet, whatever it was.
            connection.close()
            self._give_up(problem_of(error))
            return
        switch(self._acting, self._client, connection, fields, self._watching)
        self._over = True
        self._acting.left(self)

    def _complete(self) -> None:
        if not self._over:
            self._leave()
            self._client.finish()

    def _give_up(self, error: GatewayError) -> None:
        if self._over:
            return
        self._incoming.notes.upstream_ends(error.code)
        self._leave()
        if self._client.has_started:
            self._break_off(error)
        else:
            self._acting.fail(self._client, self._incoming, error)

    def _break_off(self, error: GatewayError) -> None:
        with tagged(self._incoming.notes.tag):
            _log.warning("an answer was broken off: %s", error)
        self._leave()
        self._client.abort()

    def _abort(self) -> None:
        if not self._over:
            self._leave()
            self._client.abort()

    def _leave(self) -> None:
        self._over = True
        self._attempts.leave()
        self._acting.left(self)
        self._watching.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
