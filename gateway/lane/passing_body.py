"""The body of a request on its way through the loop: it waits until there is a connection, and goes on whole."""

from __future__ import annotations

from gateway.errors import REQUEST_INCOMPLETE, GatewayError
from gateway.inner import Passage
from gateway.lane.client import ClientConnection
from gateway.lane.heads import check_received
from gateway.lane.incoming import MAX_BODY_WAITING, Incoming
from gateway.lane.upstream import UpstreamConnection


class PassingBody:
    """What a client sends behind its head; `gone_on` counts the octets that cannot be sent another time."""

    def __init__(self, client: ClientConnection, incoming: Incoming, passage: Passage) -> None:
        self._client = client
        self._incoming = incoming
        self._passage = passage
        self.gone_on = 0

    def check(self) -> None:
        """Check that all of it is there, or to come; raises `request_incomplete`."""
        incoming = self._incoming
        is_cut = incoming.complete and not incoming.chunked and incoming.buffered != incoming.length
        if incoming.failed or self.gone_on or is_cut:
            raise GatewayError(REQUEST_INCOMPLETE, "the body is malformed, or did not come, or went elsewhere")

    def keep(self, data: bytes) -> None:
        """Have a piece wait for a connection, and the client with it when there is too much."""
        self._incoming.keep(data)
        self.hold_back()

    def hold_back(self) -> None:
        """Read no more of the client while too much waits."""
        if self._incoming.buffered > MAX_BODY_WAITING:
            self._client.pause_reading()

    def send(self, connection: UpstreamConnection | None, data: bytes) -> None:
        """Send a piece, or drop it where the answer came before it; raises `request_body_too_large`."""
        self.gone_on += len(data)
        check_received(self.gone_on, self._passage)
        if connection is not None:
            connection.send(b"%x\r\n%b\r\n" % (len(data), data) if self._incoming.chunked else data)
            if not connection.takes_more:  # Whoever has resumed the client since.
                self._client.pause_reading()

    def end(self, connection: UpstreamConnection) -> None:
        """End it; raises `request_incomplete` where it is not as long as the upstream was told."""
        if self._incoming.chunked:
            connection.send(b"0\r\n\r\n")
        elif self.gone_on != self._incoming.length:
            raise GatewayError(REQUEST_INCOMPLETE, "the body is not as long as was said")
