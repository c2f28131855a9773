"""Where an upstream is: its origins, the connections that are kept to each, and which of them is asked.

urllib3 connects and speaks TLS.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from gateway.errors import UPSTREAM_CONNECT_TIMEOUT, UPSTREAM_UNREACHABLE, GatewayError
from gateway.upstream_pool import Connection

MAX_IDLE = 32
MAX_IDLE_SECONDS = 30.0  # Below the patience of load balancers, which forget a silent connection without a word.
FAILED_SECONDS = 5.0
"""For so long an origin that failed is asked only if all the others failed, too."""


class NotConnected(GatewayError):
    """There is no connection, so nothing was sent: any request may go to another origin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where connections lead; timeouts in seconds, `read_timeout` for each silence; `tls` is None for plain HTTP.

    `path` is that of a Unix socket, `server_name` what the certificate must name if it is not `host`.
    """

    host: str
    port: int
    path: str = ""
    server_name: str | None = None
    tls: ssl.SSLContext | None
    connect_timeout: float
    read_timeout: float

    def connect(self) -> Connection:
        """Open a connection.

        Raises `upstream_unreachable` (also when TLS is refused: RFC 9110 4.3.4) and `upstream_connect_timeout`.
        """
        transport = self._transport()
        try:
            transport.connect()
        except (HTTPError, OSError) as error:
            transport.close()
            # urllib3 counts a refused connection among its timeouts.
            late = isinstance(error, ConnectTimeoutError | TimeoutError) and not isinstance(error, NewConnectionError)
            problem = UPSTREAM_CONNECT_TIMEOUT if late else UPSTREAM_UNREACHABLE
            raise NotConnected(problem, f"{self.path or f'{self.host}:{self.port}'}: {error}") from error
        transport.sock.settimeout(self.read_timeout)
        if isinstance(transport.sock, ssl.SSLSocket):
            # An end without closure alert is a cut, not the end of the answer (RFC 9112 9.8).
            transport.sock.suppress_ragged_eofs = False  # type: ignore[attr-defined]
        return Connection(transport)

    def _transport(self) -> HTTPConnection:
        if self.path:
            return _UnixConnection(self.path, self.connect_timeout)
        if self.tls is None:
            return HTTPConnection(self.host, self.port, timeout=self.connect_timeout)
        return HTTPSConnection(
            self.host,
            self.port,
            timeout=self.connect_timeout,
            ssl_context=self.tls,
            server_hostname=self.server_name,
        )


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path
        self._seconds = timeout

    def _new_conn(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self._seconds)
            connection.connect(self._path)
        except BaseException:
            connection.close()
            raise
        return connection


class Pool:
    """Idle connections to one origin, the freshest taken first.

    Safe between threads, because a deque's ends are; safe after a fork, because each connection knows its process.
    `clock` is monotonic, in seconds.
    """

    def __init__(self, origin: Origin, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.origin = origin
        self._clock = clock
        self._idle: deque[tuple[int, float, Connection]] = deque()

    def take(self) -> Connection:
        """Give an idle connection that still stands, else open one; raises as `Origin.connect` does."""
        while self._idle:
            try:
                process, parked_at, connection = self._idle.pop()
            except IndexError:  # Another thread was faster.
                break
            if process == os.getpid() and self._clock() - parked_at < MAX_IDLE_SECONDS and connection.is_quiet:
                connection.begin_again()
                return connection
            connection.close()
        return self.connect()

    def connect(self) -> Connection:
        """Open a connection that was never used; raises as `Origin.connect` does."""
        return self.origin.connect()

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose answer was read to its end, or close it when it may not carry another."""
        if connection.reusable and len(self._idle) < MAX_IDLE:
            self._idle.append((os.getpid(), self._clock(), connection))
        else:
            connection.close()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop()[2].close()


@dataclass(slots=True, kw_only=True, eq=False)
class _Member:
    pool: Pool
    failed_until: float = field(default=0.0)


class Origins:
    """The origins of one upstream, asked in turn; one that fails is left alone for a while.

    `clock` is monotonic, in seconds.
    """

    def __init__(self, origins: Sequence[Origin], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._members = [_Member(pool=Pool(origin, clock=clock)) for origin in origins]
        self._clock = clock
        self._turn = count()

    def in_turn(self) -> list[Pool]:
        """List all origins in the order in which to try them: those that failed last."""
        if len(self._members) == 1:
            return [self._members[0].pool]
        first = next(self._turn) % len(self._members)
        turned = [*self._members[first:], *self._members[:first]]
        now = self._clock()
        return [one.pool for one in sorted(turned, key=lambda one: one.failed_until > now)]

    def all(self) -> list[Pool]:
        """List all origins as they were named."""
        return [one.pool for one in self._members]

    def failed(self, pool: Pool, seconds: float = FAILED_SECONDS) -> None:
        """Note that an origin failed."""
        self._member(pool).failed_until = self._clock() + seconds

    def answered(self, pool: Pool) -> None:
        """Note that an origin can be asked again."""
        self._member(pool).failed_until = 0.0

    def close(self) -> None:
        """Close the idle connections."""
        for one in self._members:
            one.pool.close()

    def _member(self, pool: Pool) -> _Member:
        return next(one for one in self._members if one.pool is pool)
