"""The upstreams as the loop reaches them: the same origins, and which of them failed, by other connections."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from gateway.lane.pool import AsyncPool
from gateway.upstream import Upstream
from gateway.upstream_origin import Pool


class LaneUpstream:
    """An upstream with the connections that the loop keeps to it."""

    def __init__(self, upstream: Upstream, loop: asyncio.AbstractEventLoop) -> None:
        self.upstream = upstream
        self.places = upstream.places
        self._pools = {id(pool): AsyncPool(pool.origin, loop) for pool in upstream.origins.all()}
        self._both = [(pool, self._pools[id(pool)]) for pool in upstream.origins.all()]

    def in_turn(self) -> Iterator[tuple[Pool, AsyncPool]]:
        """Yield the origins in the order in which to try them."""
        self.upstream.watch_health()
        if len(self._both) == 1:
            return iter(self._both)
        return iter([(pool, self._pools[id(pool)]) for pool in self.upstream.origins.in_turn()])

    def failed(self, pool: Pool) -> None:
        """Note that an origin failed."""
        self.upstream.origins.failed(pool)

    def close(self) -> None:
        """Close the idle connections."""
        for pool in self._pools.values():
            pool.close()
