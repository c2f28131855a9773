"""Breaks one thing after another in each part of the site, at random times, and all at once in the end."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from processes.load import Wire
from processes.outages import workers_of

from .faults import FaultLog, Kind
from .site import Site
from .tap import ANSWERS, STALL

Way = Callable[[random.Random], Awaitable[None]]
Span = tuple[float, float]
"""At least and at most so many seconds."""

WORKERS_EVERY: Final[Span] = (4.0, 10.0)
REDIS_EVERY: Final[Span] = (10.0, 25.0)
PROVIDER_EVERY: Final[Span] = (13.0, 25.0)
"""After the end of one, so that all gateways have heard from the provider before the next."""

UPSTREAM_EVERY: Final[Span] = (5.0, 15.0)
KEYS_EVERY: Final[Span] = (65.0, 90.0)
"""No more often than gateways ask for keys that they do not know (KEY_REFETCH_SECONDS)."""

LASTS: Final[Span] = (1.0, 4.0)
MODES: Final = ("reset", "hang", "short", "drop")
_RELOADED_SECONDS: Final = 3.0


class Breaking:
    """Breaks the parts of a site, each independently of the others."""

    def __init__(self, site: Site, faults: FaultLog, seed: int) -> None:
        self._site = site
        self._faults = faults
        self._seed = seed

    async def run(self, seconds: float) -> None:
        """Break things for so long, then all at once for a moment; when it returns all is mended."""
        until = time.monotonic() + seconds
        quiet_from = until - min(PROVIDER_EVERY[0], seconds / 2)
        await asyncio.gather(
            self._again(until, WORKERS_EVERY, [self._kill_worker, self._kill_worker, self._reload]),
            self._again(until, REDIS_EVERY, [self._kill_redis, self._restart_redis]),
            self._again(quiet_from, PROVIDER_EVERY, [self._break_provider, self._break_provider, self._kill_provider]),
            self._again(until, UPSTREAM_EVERY, [self._break_upstream]),
            self._again(until, KEYS_EVERY, [self._rotate_keys]),
        )
        chance = random.Random(self._seed)
        await asyncio.gather(
            self._kill_worker(chance),
            self._kill_redis(chance),
            self._break_provider(chance),
            self._break_upstream(chance),
        )

    async def _again(self, until: float, every: Span, ways: Sequence[Way]) -> None:
        chance = random.Random(f"{self._seed} {every}")
        pause = chance.uniform(0, min(every[0], (until - time.monotonic()) / 2))
        while time.monotonic() + pause + LASTS[1] < until:
            await asyncio.sleep(pause)
            await chance.choice(ways)(chance)
            pause = chance.uniform(*every)

    async def _kill_worker(self, chance: random.Random) -> None:
        number = chance.randrange(len(self._site.masters))
        workers = workers_of(self._site.masters[number])
        if not workers:
            return
        with self._faults.during(Kind.WORKER, f"a worker of gateway {number} is killed"):
            with suppress(ProcessLookupError):  # It was one that a reload had just ended.
                os.kill(chance.choice(workers), signal.SIGKILL)
            await asyncio.sleep(0.5)

    async def _reload(self, chance: random.Random) -> None:
        number = chance.randrange(len(self._site.masters))
        with self._faults.during(Kind.RELOAD, f"gateway {number} is reloaded"):
            os.kill(self._site.masters[number], signal.SIGHUP)
            await asyncio.sleep(_RELOADED_SECONDS)

    async def _kill_redis(self, chance: random.Random) -> None:
        with self._faults.during(Kind.REDIS, "Redis is killed"):
            await asyncio.to_thread(self._site.redis.kill)
            await asyncio.sleep(chance.uniform(*LASTS))
            await asyncio.to_thread(self._site.redis.start)

    async def _restart_redis(self, _: random.Random) -> None:
        with self._faults.during(Kind.REDIS, "Redis is restarted"):
            await asyncio.to_thread(self._site.redis.stop)
            await asyncio.to_thread(self._site.redis.start)

    async def _break_provider(self, chance: random.Random) -> None:
        mode = chance.choice([STALL, *ANSWERS])
        with self._faults.during(Kind.PROVIDER, f"the provider {mode}"):
            self._site.tap.begin(mode)
            await asyncio.sleep(chance.uniform(*LASTS))
            self._site.tap.end()

    async def _kill_provider(self, chance: random.Random) -> None:
        with self._faults.during(Kind.PROVIDER, "the provider is killed"):
            await asyncio.to_thread(self._site.server.kill)
            await asyncio.sleep(chance.uniform(*LASTS))
            await asyncio.to_thread(self._site.server.start)

    async def _rotate_keys(self, _: random.Random) -> None:
        with self._faults.during(Kind.KEYS, "the provider rotates its keys"):
            await asyncio.to_thread(self._site.provider.rotate_keys)

    async def _break_upstream(self, chance: random.Random) -> None:
        mode = chance.choice(MODES)
        with self._faults.during(Kind.UPSTREAM, f"the upstream does to all that it is asked: {mode}"):
            await self._set_mode(mode)
            await asyncio.sleep(chance.uniform(*LASTS))
            await self._set_mode("ok")

    async def _set_mode(self, mode: str) -> None:
        wire = Wire(self._site.upstream)
        await wire.exchange("GET", f"/mode/{mode}", {})
        wire.close()
