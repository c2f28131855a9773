"""The body of a request that a thread is to read, waited for by the loop: bodies that do not come hold no threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from gateway.errors import REQUEST_INCOMPLETE, GatewayError
from gateway.lane.client import ClientConnection
from gateway.lane.incoming import MAX_BODY_WAITING, Incoming

BODY_SECONDS = 60.0
"""How long all of a small body, or the beginning of a large one, may take to come."""


class Failing(Protocol):
    """What is asked of the lane where a body is waited for."""

    loop: asyncio.AbstractEventLoop

    def fail(self, client: ClientConnection, incoming: Incoming, error: GatewayError) -> None:
        """Answer with what is told of a failure."""


class Gathering:
    """The job of a request until its body is complete, or so large that whoever reads it has to begin.

    Then `go_on` is called, and what has come is left in the request.
    """

    def __init__(
        self, failing: Failing, client: ClientConnection, incoming: Incoming, go_on: Callable[[], None]
    ) -> None:
        self._failing = failing
        self._client = client
        self._incoming = incoming
        self._go_on = go_on
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Wait, and ask a client for the body that waits to be asked."""
        incoming = self._incoming
        if incoming.failed:
            self.body_failed()
        elif incoming.complete or incoming.buffered > MAX_BODY_WAITING:
            self._go_on()
        else:
            incoming.job = self
            self._timer = self._failing.loop.call_later(BODY_SECONDS, incoming.fail)
            self._client.send_continue()
            self._client.resume_reading()

    def body_received(self, data: bytes) -> None:
        """Keep a piece of the body."""
        self._incoming.keep(data)
        if self._incoming.buffered > MAX_BODY_WAITING:
            self._end()
            self._go_on()

    def body_ended(self) -> None:
        """Go on with all of the body."""
        self._end()
        self._go_on()

    def body_failed(self) -> None:
        """Give up: the rest of the body will not come."""
        self._end()
        error = GatewayError(REQUEST_INCOMPLETE, "the body is malformed, or did not come")
        self._failing.fail(self._client, self._incoming, error)

    def client_lost(self) -> None:
        """Give up: there is nobody to answer."""
        self._end()

    def client_paused(self) -> None:
        """Nothing is to be done: nothing is sent."""

    def client_resumed(self) -> None:
        """Nothing is to be done: nothing is sent."""

    def _end(self) -> None:
        self._incoming.job = None
        if self._timer is not None:
            self._timer.cancel()
