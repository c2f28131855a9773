"""Taking connections: all that wait, and not one for each turn of the loop."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sized

from gateway.lane.client import HEAD_SECONDS
from gateway.lane.tls import TlsTransport

AT_ONCE = 64
"""How many are taken before those that are there already have their turn again."""

PAUSE_SECONDS = 1.0
"""How long none is taken where the system has no room for one."""

FULL_SECONDS = 0.05
"""How long none is taken where there are as many as may be; other workers take those that wait."""

TELL_SECONDS = 60.0
"""How often that is logged."""

LAST_SECONDS = 1.0
"""How long those that are in the middle of a TLS handshake have for it at the end."""

_log = logging.getLogger("gateway")


def room_for(most: int, connections: Sized) -> Callable[[int], bool]:
    """Make what tells whether there is room for one more, beside so many that are about to be; 0 is any number."""
    return lambda coming: not most or len(connections) + coming < most


class Listening:
    """Serves those who connect to a socket by what `new_client` makes, while `has_room` beside those on the way.

    The loop's own server takes one connection a turn. Where a turn is full of work, and there are many new clients,
    the last of them would wait for seconds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        new_client: Callable[[], asyncio.Protocol],
        *,
        context: ssl.SSLContext | None = None,
        has_room: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._new_client = new_client
        self._context = context
        self._has_room = has_room
        self._told_at = -TELL_SECONDS
        self._tasks: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        sock.settimeout(0)
        self._listen()

    async def close(self) -> None:
        """Take no more, once those that were taken have become clients; the socket stays its owner's."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._sock)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=LAST_SECONDS)
            for task in late:
                task.cancel()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._take)

    def _take(self) -> None:
        for _ in range(AT_ONCE):
            if not self._has_room(len(self._tasks)):
                self._wait(FULL_SECONDS)
                if self._loop.time() - self._told_at >= TELL_SECONDS:
                    self._told_at = self._loop.time()
                    _log.warning("limits.connections: no more connections are taken for now")
                return
            try:
                connection, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return  # Another worker may have been faster.
            except OSError as error:
                _log.error("no connection can be taken for now: %s", error)
                self._wait(PAUSE_SECONDS)
                return
            task = self._loop.create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _wait(self, seconds: float) -> None:
        self._loop.remove_reader(self._sock)
        self._pause = self._loop.call_later(seconds, self._listen)

    async def _serve(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(0)
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is None:
                await self._loop.connect_accepted_socket(self._new_client, connection)
                return
            tls = TlsTransport(self._loop, self._context, self._new_client, server_side=True)
            async with asyncio.timeout(HEAD_SECONDS):
                await self._loop.connect_accepted_socket(lambda: tls, connection)
                await tls.handshake()
        except OSError:  # It is gone already, or no TLS was spoken: there is nobody to tell.
            connection.close()
