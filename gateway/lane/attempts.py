"""Where a request is sent: to one origin after the other, until one takes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from gateway.errors import UPSTREAM_UNREACHABLE, GatewayError
from gateway.lane.origins import LaneUpstream
from gateway.lane.pool import AsyncPool
from gateway.lane.upstream import UpstreamConnection
from gateway.unforeseen import problem_of
from gateway.upstream_origin import NotConnected, Pool


class Attempts:
    """The attempts of one request: `found` is given a connection, `given_up` the last failure.

    `fresh` says that a connection is wanted that was never used.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        upstream: LaneUpstream,
        found: Callable[[UpstreamConnection], None],
        given_up: Callable[[GatewayError], None],
    ) -> None:
        self._loop = loop
        self._upstream = upstream
        self._found = found
        self._given_up = given_up
        self._origins: Iterator[tuple[Pool, AsyncPool]] = iter(())
        self._origin: tuple[Pool, AsyncPool] | None = None
        self._fresh = False
        self._was_sent = False
        self._waits = False
        self._is_answered = False
        self._over = False
        self._task: asyncio.Task[None] | None = None

    def start(self, *, fresh: bool, is_complete: bool) -> None:
        """Begin with the first origin; a request that is not complete waits for its client first."""
        self._fresh = fresh
        if is_complete:
            self.wait()
        self._origins = self._upstream.in_turn()
        self._try_next(None)

    def again(self) -> None:
        """Try the same origin once more, on a connection that was never used."""
        if self._origin is not None:
            self._task = self._loop.create_task(self._connect(*self._origin))

    def another(self, error: GatewayError) -> None:
        """Try another origin after one that took the request and did not answer: that may be done once."""
        if self._origin is not None:
            self._upstream.failed(self._origin[0])
        if self._was_sent:
            self._given_up(error)
        else:
            self._was_sent = True
            self._try_next(error)

    def give_back(self, connection: UpstreamConnection) -> None:
        """Have a connection kept, if it can carry another request."""
        if self._origin is None:
            connection.close()
        else:
            self._origin[1].give_back(connection)

    def leave(self) -> None:
        """Try no more."""
        self._over = True
        self.answered()

    def wait(self) -> None:
        """Take note that the upstream is waited for, and nobody else."""
        if not (self._waits or self._is_answered or self._over):
            self._waits = True
            self._upstream.places.take()

    def answered(self) -> None:
        """Take note that it is waited for no more, whatever of the request is still to come."""
        self._is_answered = True
        if self._waits:
            self._waits = False
            self._upstream.places.leave()

    def _try_next(self, failure: GatewayError | None) -> None:
        origin = self._origin = next(self._origins, None)
        if origin is None:
            self._given_up(failure or GatewayError(UPSTREAM_UNREACHABLE, "an upstream without origins"))
            return
        connection = None if self._fresh else origin[1].take()
        if connection is None:
            self._task = self._loop.create_task(self._connect(*origin))
        else:
            self._found(connection)

    async def _connect(self, origin: Pool, pool: AsyncPool) -> None:
        try:
            connection = await pool.connect()
        except NotConnected as error:
            self._upstream.failed(origin)
            if not self._over:
                self._try_next(error)
            return
        except Exception as error:  # noqa: BLE001 - somebody waits for an answer, whatever it was.
            if not self._over:
                self._given_up(problem_of(error))
            return
        if self._over:
            pool.give_back(connection)
        else:
            self._found(connection)
