"""A connection that has become a tunnel: octets both ways, as fast as each side takes them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

MAX_TUNNELS = 10_000
LINGER_SECONDS = 30.0
"""How long one side may go on after the other has ended."""

_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


class Tunnel:
    """Two transports that speak to each other through us; it is among `tunnels` while it lasts."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: Any,
        upstream: Any,
        tunnels: set[Tunnel],
        ended: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._tunnels = tunnels
        self._ended = ended
        self._ends = (_End(self, client), _End(self, upstream))
        self._ends[0].other, self._ends[1].other = self._ends[1], self._ends[0]

    def open(self, first: bytes) -> None:
        """Begin, with what the upstream has said already."""
        self._tunnels.add(self)
        if first:
            self._ends[0].transport.write(first)
        for end in self._ends:
            end.begin()

    def abort(self) -> None:
        """End it, from any thread."""
        self._loop.call_soon_threadsafe(self.close)

    def side_ended(self) -> None:
        """Let the other side go on for a while, where one has said all."""
        if all(end.has_ended for end in self._ends):
            self.close(gracefully=True)
        else:
            self._loop.call_later(LINGER_SECONDS, self.close)

    def close(self, *, gracefully: bool = False) -> None:
        """Close both sides, with what waits to be sent only if `gracefully`."""
        for end in self._ends:
            if gracefully:
                end.transport.close()
            else:
                end.transport.abort()
        if self in self._tunnels:
            self._tunnels.discard(self)
            self._ended()


class _End(asyncio.Protocol):
    other: _End

    def __init__(self, tunnel: Tunnel, transport: Any) -> None:
        self.transport = transport
        self.has_ended = False
        self._tunnel = tunnel

    def begin(self) -> None:
        sock = self.transport.get_extra_info("socket")
        with suppress(OSError):  # A Unix socket has none of these.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
        self.transport.set_protocol(self)
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self.other.transport.write(data)

    def eof_received(self) -> bool:
        self.has_ended = True
        other = self.other.transport
        if not other.is_closing() and other.can_write_eof():
            other.write_eof()
            self._tunnel.side_ended()
            return True
        self._tunnel.close(gracefully=True)
        return False

    def pause_writing(self) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.other.transport.is_closing() and not self.other.has_ended:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.has_ended = True
        self._tunnel.close(gracefully=True)
