"""Full load on one worker, before an upstream that resets and dawdles, with clients that leave and worker reloads."""

import asyncio
import itertools
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from peers.servers import free_port

from gateway.testing import FakeProvider

from .load import Visitor
from .outages import workers_of
from .running import COOKIE, Face, environment, origin_at, run_gateway, run_provider, run_rough_origin, sign_in

CLIENTS: Final = 32
ANSWER_SECONDS: Final = 30.0
"""After so long a request is said to hang: the slowest answer takes less than one second."""

QUIET_SECONDS: Final = 35.0
"""In that time all connections are let go of on which nothing happens."""

RELOAD_SECONDS: Final = 2.0

KINDS: Final = {"ok": 20, "big": 2, "slow": 2, "last": 2, "drop": 1, "reset": 1, "short": 1}
"""How often each kind of request is sent; the whole ones come back whole, of the others anything but a whole answer."""

WHOLE: Final = ("ok", "big", "slow", "last")
LEAVES: Final = 0.02
"""The share of requests whose client leaves without waiting for the answer."""

TARGETS: Final = 64
"""How many targets of a kind there are: more than clients, so that an answer that went astray shows, and few enough
that a worker soon knows them all, and what it remembers of them is not taken for a leak."""

MAX_GROWN_MIB: Final = 8.0
"""In the last third, when the worker has seen every kind of request."""


@dataclass(kw_only=True, slots=True)
class Soaked:
    """What became of the requests, and of the worker: its memory and its open files, before and after."""

    seen: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    reloads: int = 0
    weights: tuple[float, float] = (0.0, 0.0)
    files: tuple[int, int] = (0, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Site:
    origin: str
    master: int
    provider: FakeProvider
    visitors: Sequence[Visitor]


def soak(directory: Path, face: Face, users: Sequence[str], *, seconds: float) -> Soaked:
    """Ask for that many seconds: workers are replaced in the first third, the last one warms up in the second, and is
    weighed before and after the third."""
    port = free_port()
    origin = origin_at(port)
    with ExitStack() as stack:
        provider = stack.enter_context(run_provider([origin], {user: {} for user in users}))
        upstream = stack.enter_context(run_rough_origin(directory))
        settings = {"UPSTREAM": upstream, "SESSION__LOCAL_CACHE": "2s"}
        environ = environment(origin, provider.issuer, settings)
        master = stack.enter_context(run_gateway(directory, port, environ, workers=1, face=face))
        visitors = [Visitor(user=user, cookie=sign_in(origin, user)) for user in users]
        return asyncio.run(_soak(_Site(origin=origin, master=master, provider=provider, visitors=visitors), seconds))


async def _soak(site: _Site, seconds: float) -> Soaked:
    soaked, began = Soaked(), time.monotonic()
    marks = itertools.count()
    end, worker = began + seconds, 0
    clients = [asyncio.create_task(_client(site, soaked, marks, end, number)) for number in range(CLIENTS)]
    while time.monotonic() < began + seconds / 3:
        await asyncio.sleep(max(RELOAD_SECONDS, seconds / 20))
        worker = await _replaced_worker(site, end)
        soaked.reloads += 1
    await asyncio.sleep(max(0.0, began + seconds * 2 / 3 - time.monotonic()))
    before = _resident(worker)
    await asyncio.sleep(max(0.0, end - 1 - time.monotonic()))
    during = _files(worker)
    await asyncio.gather(*clients)
    soaked.weights = before, _resident(worker)
    await asyncio.sleep(QUIET_SECONDS)
    soaked.files = during, _files(worker)
    if workers_of(site.master) != [worker]:
        soaked.problems.append("the worker has ended")
    if soaked.weights[1] - before > MAX_GROWN_MIB:
        soaked.problems.append(f"from {before:.1f} to {soaked.weights[1]:.1f} MiB")
    if soaked.files[1] > during - CLIENTS // 2:
        soaked.problems.append(f"{soaked.files[1]} open files in the end, and {during} under load")
    return soaked


async def _replaced_worker(site: _Site, end: float) -> int:
    """Reload, wait until the worker from before is gone, and return the one that took its place."""
    before = set(workers_of(site.master))
    os.kill(site.master, signal.SIGHUP)
    while len(workers := workers_of(site.master)) != 1 or before & set(workers):
        assert time.monotonic() < end, f"workers {workers} do not end"
        await asyncio.sleep(0.1)
    return workers[0]


async def _client(site: _Site, soaked: Soaked, marks: "itertools.count[int]", end: float, seed: int) -> None:
    chance = random.Random(seed)
    wire: _Wire | None = None
    while time.monotonic() < end:
        visitor = chance.choice(site.visitors)
        (kind,) = chance.choices(list(KINDS), weights=list(KINDS.values()))
        target = f"/{kind}/{next(marks) % TARGETS}" if chance.random() < 0.5 else f"/{kind}/again"
        leaves = chance.random() < LEAVES
        wire, told = await _ask(site, wire, visitor, target, leaves=leaves)
        soaked.seen[f"{kind}: {told}"] += 1
        if told.startswith("PROBLEM"):
            soaked.problems.append(f"{kind}: {told}")
    if wire is not None:
        wire.close()


async def _ask(
    site: _Site, wire: "_Wire | None", visitor: Visitor, target: str, *, leaves: bool
) -> tuple["_Wire | None", str]:
    """Ask once, and once more where an idle connection was closed meanwhile (RFC 9110 9.2.2)."""
    whole = target.split("/")[1] in WHOLE
    while True:
        idle = wire is not None
        try:
            wire = wire or await _Wire.open(site.origin)
            await wire.send(target, visitor.cookie)
            if leaves:
                wire.close()
                return None, "left"
            status, body = await asyncio.wait_for(wire.receive(), ANSWER_SECONDS)
            break
        except TimeoutError:
            return None, "PROBLEM: hung"
        except (OSError, EOFError):
            nothing = wire is None or not wire.heard
            if wire is not None:
                wire.close()
            wire = None
            if idle and nothing:
                continue
            return None, "PROBLEM: lost" if whole else "broken off"
    if wire.is_last:
        wire.close()
    told = _judge(site, visitor, target, status, body, whole=whole)
    return (None if wire.is_last else wire), told


def _judge(site: _Site, visitor: Visitor, target: str, status: int, body: bytes, *, whole: bool) -> str:
    if not whole:
        return "PROBLEM: whole" if status == 200 else f"{status}"
    if status != 200:
        return f"PROBLEM: {status}"
    shown = json.loads(body)
    token = str(shown["fields"]["authorization"]).removeprefix("Bearer ")
    owners = {site.provider.subject_of(token), shown["fields"]["x-forwarded-user"]}
    return "right" if owners == {visitor.user} and shown["target"] == target else "PROBLEM: another's"


class _Wire:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader = reader
        self._writer = writer
        self._host = host
        self.heard = False
        self.is_last = False

    @classmethod
    async def open(cls, origin: str) -> "_Wire":
        host = origin.removeprefix("http://")
        name, _, port = host.partition(":")
        return cls(*await asyncio.open_connection(name, int(port), limit=1 << 20), host)

    async def send(self, target: str, cookie: str) -> None:
        self.heard = False
        request = f"GET {target} HTTP/1.1\r\nHost: {self._host}\r\nCookie: {COOKIE}={cookie}\r\n\r\n"
        self._writer.write(request.encode("ascii"))
        await self._writer.drain()

    async def receive(self) -> tuple[int, bytes]:
        head = await self._line()
        status, fields = int(head.split(b" ")[1]), dict[bytes, bytes]()
        while (line := await self._line()) != b"":
            name, _, value = line.partition(b":")
            fields[name.lower()] = value.strip()
        self.is_last = fields.get(b"connection", b"").lower() == b"close"
        if b"content-length" in fields:
            return status, await self._reader.readexactly(int(fields[b"content-length"]))
        body = b""
        while size := int(await self._line(), 16):
            body += await self._reader.readexactly(size)
            await self._line()
        await self._line()
        return status, body

    async def _line(self) -> bytes:
        line = await self._reader.readuntil(b"\r\n")
        self.heard = True
        return line[:-2]

    def close(self) -> None:
        self._writer.close()


def _resident(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _files(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))
