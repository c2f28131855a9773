"""The connections that the loop keeps to an origin."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque

from gateway.errors import UPSTREAM_CONNECT_TIMEOUT, UPSTREAM_UNREACHABLE
from gateway.lane.tls import TlsTransport
from gateway.lane.upstream import UpstreamConnection
from gateway.upstream_origin import NotConnected, Origin

MAX_IDLE = 512


class AsyncPool:
    """Idle connections to one origin, the freshest taken first; each leaves it by itself when it ends."""

    def __init__(self, origin: Origin, loop: asyncio.AbstractEventLoop) -> None:
        self._origin = origin
        self._loop = loop
        self._idle: deque[UpstreamConnection] = deque()

    def take(self) -> UpstreamConnection | None:
        """Give an idle connection, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.is_quiet:
                connection.reused = True
                return connection
            connection.close()
        return None

    def give_back(self, connection: UpstreamConnection) -> None:
        """Keep a connection whose answer was read to its end, or close it when it may not carry another."""
        if connection.reusable and connection.is_open and len(self._idle) < MAX_IDLE:
            connection.resume_reading()
            self._idle.append(connection)
        else:
            connection.close()

    async def connect(self) -> UpstreamConnection:
        """Open a connection; raises `NotConnected`, as `Origin.connect` does."""
        origin = self._origin
        where = origin.path or f"{origin.host}:{origin.port}"
        try:
            async with asyncio.timeout(origin.connect_timeout):
                return await self._open()
        except TimeoutError as error:
            raise NotConnected(UPSTREAM_CONNECT_TIMEOUT, f"{where}: no connection") from error
        except (OSError, ssl.CertificateError) as error:
            raise NotConnected(UPSTREAM_UNREACHABLE, f"{where}: {error}") from error

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    async def _open(self) -> UpstreamConnection:
        origin = self._origin
        if origin.path:
            return (await self._loop.create_unix_connection(self._new, origin.path))[1]
        if origin.tls is None:
            return (await self._loop.create_connection(self._new, origin.host, origin.port))[1]
        name = origin.server_name or origin.host
        tls = TlsTransport(self._loop, origin.tls, self._new, name=name)
        await self._loop.create_connection(lambda: tls, origin.host, origin.port)
        connection: UpstreamConnection = await tls.handshake()
        if not connection.is_open:
            raise ConnectionAbortedError("it hung up, or spoke unasked, after the TLS handshake")
        return connection

    def _new(self) -> UpstreamConnection:
        return UpstreamConnection(self._loop, self._origin.read_timeout, self._gone)

    def _gone(self, connection: UpstreamConnection) -> None:
        if connection.exchange is None and connection in self._idle:
            self._idle.remove(connection)
