"""A connection that has become a tunnel: octets both ways, as fast as each side takes them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gateway.lane.hanging_up import has_hung_up
from gateway.telemetry import untagged

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
        self.loop = loop
        self._tunnels = tunnels
        self._ended = ended
        self._ends = (_End(self, client), _End(self, upstream))
        self._ends[0].other, self._ends[1].other = self._ends[1], self._ends[0]
        self._timer: asyncio.TimerHandle | None = None

    def open(self, first: bytes, *, is_client_writable: bool) -> None:
        """Begin, with what the upstream has said already; nothing more is read of it while the client is behind."""
        self._tunnels.add(self)
        client, _ = self._ends
        for end in self._ends:
            end.begin()
        if not is_client_writable:
            client.pause_writing()
        if first:
            client.transport.write(first)

    def abort(self) -> None:
        """End it, from any thread."""
        self.loop.call_soon_threadsafe(self.close, context=untagged())

    def side_ended(self) -> None:
        """Let the other side go on for a while, where one has said all."""
        if all(end.has_ended for end in self._ends):
            self.close(gracefully=True)
        else:
            self.close_soon()

    def side_lost(self) -> None:
        """Close the other side, too; where there is none left, the tunnel is over."""
        if not all(end.is_lost for end in self._ends):
            self.close(gracefully=True)
        else:
            self._end()

    def close_soon(self) -> None:
        """Close both sides when they have had some time: who takes nothing must not keep them open."""
        if self._timer is None:
            self._timer = self.loop.call_later(LINGER_SECONDS, self.close)

    def close(self, *, gracefully: bool = False) -> None:
        """Close both sides; `gracefully` gives what waits to be sent some time."""
        for end in self._ends:
            if gracefully:
                end.transport.close()
            else:
                end.transport.abort()
        if gracefully:
            self.close_soon()
        else:
            self._end()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self in self._tunnels:
            self._tunnels.discard(self)
            self._ended()


class _End(asyncio.Protocol):
    other: _End

    def __init__(self, tunnel: Tunnel, transport: Any) -> None:
        self.transport = transport
        self.has_ended = False
        self.is_lost = False
        self._tunnel = tunnel
        self._behind: asyncio.TimerHandle | None = None

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
        self._look_later()

    def resume_writing(self) -> None:
        self._look_no_more()
        if not self.other.transport.is_closing() and not self.other.has_ended:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.has_ended = self.is_lost = True
        self._look_no_more()
        self._tunnel.side_lost()

    def _look_later(self) -> None:
        if self._behind is None:
            self._behind = self._tunnel.loop.call_later(LINGER_SECONDS, self._look)

    def _look_no_more(self) -> None:
        if self._behind is not None:
            self._behind.cancel()
            self._behind = None

    def _look(self) -> None:
        """See whether the other side is gone."""
        self._behind = None
        other = self.other.transport
        if other.is_closing():
            return
        if has_hung_up(other):
            self._tunnel.close_soon()
        else:
            self._look_later()
