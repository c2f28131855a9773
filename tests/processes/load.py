"""A cheap client of many requests: at an even pace, or all at one moment; it notes what came back, and when."""

import asyncio
import json
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

from .running import COOKIE

ANSWER_SECONDS: Final = 60.0
LOST: Final = 0
"""The status of a request whose connection was lost."""

_CONNECT_AT_ONCE: Final = 100
_MAX_LINE: Final = 256 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """A user and one session of theirs."""

    user: str
    cookie: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One request and what became of it; times are those of `time.monotonic`."""

    visitor: Visitor
    origin: str
    asked_at: float
    answered_at: float
    status: int
    retry_after: str = ""
    body: bytes = field(default=b"", repr=False)
    repeated: bool = False

    @property
    def token(self) -> str:
        """The bearer token that the sample application received."""
        return str(self._fields.get("authorization", "")).removeprefix("Bearer ")

    @property
    def user(self) -> str:
        """The user whom the sample application was told of."""
        return str(self._fields.get("x-forwarded-user", ""))

    @property
    def _fields(self) -> dict[str, object]:
        return dict(json.loads(self.body)["fields"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A request to be sent: whose, and to which gateway."""

    visitor: Visitor
    origin: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """An answer as it came."""

    status: int
    fields: Sequence[tuple[str, str]]
    body: bytes = field(repr=False)

    def field(self, name: str) -> str:
        """Return the first field of a name in small letters; empty where there is none."""
        return next((value for each, value in self.fields if each == name), "")


class Wire:
    """A connection that stays open."""

    def __init__(self, origin: str) -> None:
        self._host, _, port = urlsplit(origin).netloc.partition(":")
        self._port = int(port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.used = False

    async def open(self) -> None:
        """Connect, unless that is done."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=_MAX_LINE)

    async def exchange(self, method: str, target: str, fields: Mapping[str, str]) -> Heard:
        """Send a request without a body and read the answer; raises `OSError` or `EOFError` when that is lost."""
        await self.open()
        reader, writer = self.streams
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}:{self._port}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode("ascii"))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        split = (line.partition(":") for line in head[1:] if line)
        answered = [(name.lower(), value.strip()) for name, _, value in split]
        heard = Heard(status=int(head[0].split(" ")[1]), fields=answered, body=b"")
        body = await reader.readexactly(int(heard.field("content-length") or "0"))
        self.used = True
        if heard.field("connection").lower() == "close":
            self.close()
        return replace(heard, body=body)

    @property
    def streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """What an open connection is read from and written to."""
        assert self._streams is not None
        return self._streams

    def close(self) -> None:
        """Let go of the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams, self.used = None, False


async def ask(wire: Wire, plan: Plan, target: str) -> Seen:
    """Send one request, and once more where a connection was lost that had been idle (RFC 9110 9.2.2)."""
    asked_at, repeated = time.monotonic(), False
    while True:
        may_repeat = wire.used
        try:
            heard = await asyncio.wait_for(
                wire.exchange("GET", target, {"Cookie": f"{COOKIE}={plan.visitor.cookie}"}), ANSWER_SECONDS
            )
            break
        except (OSError, EOFError):
            wire.close()
            if not may_repeat:
                heard = Heard(status=LOST, fields=[], body=b"")
                break
            repeated = True
    return Seen(
        visitor=plan.visitor,
        origin=plan.origin,
        asked_at=asked_at,
        answered_at=time.monotonic(),
        status=heard.status,
        retry_after=heard.field("retry-after"),
        body=heard.body,
        repeated=repeated,
    )


def ask_all_at(moment: float, plans: Sequence[Plan], target: str = "/") -> list[Seen]:
    """Connect for every request, send all of them at that moment of `time.monotonic`, and return what came back."""
    return asyncio.run(_ask_all_at(moment, plans, target))


async def _ask_all_at(moment: float, plans: Sequence[Plan], target: str) -> list[Seen]:
    wires = [Wire(plan.origin) for plan in plans]
    for start in range(0, len(wires), _CONNECT_AT_ONCE):
        await asyncio.gather(*(wire.open() for wire in wires[start : start + _CONNECT_AT_ONCE]))
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
    seen = await asyncio.gather(*(ask(wire, plan, target) for wire, plan in zip(wires, plans, strict=True)))
    for wire in wires:
        wire.close()
    return seen


def ask_each(plans: Sequence[Plan], *, at_once: int, target: str = "/") -> list[Seen]:
    """Send requests as fast as they are answered, that many at once, and return what came back."""
    return asyncio.run(_ask_each(plans, at_once, target))


async def _ask_each(plans: Sequence[Plan], at_once: int, target: str) -> list[Seen]:
    waiting, seen = iter(plans), list[Seen]()

    async def run() -> None:
        wires: dict[str, Wire] = {}
        for plan in waiting:
            seen.append(await ask(wires.setdefault(plan.origin, Wire(plan.origin)), plan, target))
        for wire in wires.values():
            wire.close()

    await asyncio.gather(*(run() for _ in range(at_once)))
    return seen


class Load:
    """Requests at an even pace, whether or not those before have been answered, in a thread of its own."""

    def __init__(self, plans: Sequence[Plan], *, rate: float, target: str = "/") -> None:
        self._plans = plans
        self._interval = 1 / rate
        self._target = target
        self._ends = threading.Event()
        self._idle: dict[str, list[Wire]] = defaultdict(list)
        self._seen: list[Seen] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> list[Seen]:
        """Send no more, wait for the last answers, and return all."""
        self._ends.set()
        self._thread.join(2 * ANSWER_SECONDS)
        return self._seen

    async def _run(self) -> None:
        began, tasks, number = time.monotonic(), set[asyncio.Task[None]](), 0
        while not self._ends.is_set():
            task = asyncio.create_task(self._one(self._plans[number % len(self._plans)]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
            await asyncio.sleep(max(0.0, began + number * self._interval - time.monotonic()))
        await asyncio.gather(*tasks)
        for wire in (wire for wires in self._idle.values() for wire in wires):
            wire.close()

    async def _one(self, plan: Plan) -> None:
        idle = self._idle[plan.origin]
        wire = idle.pop() if idle else Wire(plan.origin)
        self._seen.append(await ask(wire, plan, self._target))
        idle.append(wire)
