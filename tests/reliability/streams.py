"""Many open connections of one worker: WebSockets, and streams of events that do not end."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from peers.servers import free_port
from peers.websocket import TEXT, Client, run_server
from processes.outages import workers_of
from processes.running import COOKIE, environment, origin_at, run_gateway, run_provider, sign_in
from processes.soak import soak

from .experiment import Experiment, Result

WEBSOCKETS: Final = 500
STREAMS: Final = 1000
ROUNDS: Final = 20
MAX_GROWN_MIB: Final = 8.0
EVENT_SECONDS: Final = 0.5
USER: Final = "user-0"
USERS: Final = [f"user-{number}" for number in range(20)]
SOAK_SECONDS: Final = 180


def _websockets(directory: Path) -> Result:
    with run_server() as server, _gateway(directory, server.origin, "") as (origin, cookie, worker):
        before = _resident(worker)
        headers = {"Origin": origin, "Cookie": f"{COOKIE}={cookie}"}
        clients = [Client(origin, "/", headers) for _ in range(WEBSOCKETS)]
        weights, right = [_resident(worker)], 0
        for number in range(ROUNDS):
            text = f"{number}".encode() * 100
            for client in clients:
                client.send(TEXT, text)
            right += sum(client.receive().payload == text for client in clients)
            weights.append(_resident(worker))
        for client in clients:
            client.wire.sock.close()
    wrong = WEBSOCKETS * ROUNDS - right
    figure = (
        f"{right:,} of {WEBSOCKETS * ROUNDS:,} messages came back; the worker weighs {before:.0f} MiB before, "
        f"{weights[0]:.0f} with all open, {weights[-1]:.0f} after"
    )
    return Result(figure=figure, problems=[figure] if wrong or weights[-1] - weights[0] > MAX_GROWN_MIB else [])


def _streams(directory: Path) -> Result:
    arguments = f"--threads {STREAMS + 50} --worker-connections 2000"
    with _events() as upstream, _gateway(directory, upstream, arguments) as (origin, cookie, worker):
        before = _resident(worker)
        counts, weights = asyncio.run(_listen(origin, cookie, worker))
    figure = (
        f"each client received {min(counts)} to {max(counts)} events in {ROUNDS * EVENT_SECONDS:.0f} s; "
        f"the worker weighs {before:.0f} MiB before, {weights[0]:.0f} with all open, {weights[-1]:.0f} after"
    )
    starved = min(counts) < ROUNDS // 2
    return Result(figure=figure, problems=[figure] if starved or weights[-1] - weights[0] > MAX_GROWN_MIB else [])


async def _listen(origin: str, cookie: str, worker: int) -> tuple[list[int], list[float]]:
    counts = [0] * STREAMS
    opened = asyncio.Semaphore(50)
    all_open = asyncio.Barrier(STREAMS + 1)
    stop = asyncio.Event()

    async def one(number: int) -> None:
        async with opened:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(origin.rpartition(":")[2]))
            request = f"GET /events HTTP/1.1\r\nHost: x\r\nCookie: {COOKIE}={cookie}\r\n\r\n"
            writer.write(request.encode("ascii"))
            assert b" 200 " in await reader.readline()
        await all_open.wait()
        while not stop.is_set():
            line = await asyncio.wait_for(reader.readline(), 30)
            counts[number] += line.startswith(b"data:")
        writer.close()

    tasks = [asyncio.create_task(one(number)) for number in range(STREAMS)]
    await asyncio.wait_for(all_open.wait(), 120)
    weights = [_resident(worker)]
    await asyncio.sleep(ROUNDS * EVENT_SECONDS)
    weights.append(_resident(worker))
    stop.set()
    await asyncio.gather(*tasks)
    return counts, weights


@contextmanager
def _events() -> Iterator[str]:
    """Run a server each of whose answers is a stream of events without end."""
    port, ready, stop = free_port(), threading.Event(), threading.Event()

    async def serve() -> None:
        async with await asyncio.start_server(_stream, "127.0.0.1", port, backlog=2048):
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.1)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield origin_at(port)
    finally:
        stop.set()
        thread.join(30)


async def _stream(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(b"data: x\n\n")
            await writer.drain()
            await asyncio.sleep(EVENT_SECONDS)
    except (OSError, asyncio.CancelledError):
        pass
    finally:
        writer.close()


@contextmanager
def _gateway(directory: Path, upstream: str, arguments: str) -> Iterator[tuple[str, str, int]]:
    port = free_port()
    origin = origin_at(port)
    with ExitStack() as stack:
        provider = stack.enter_context(run_provider([origin], {USER: {}}))
        environ = {**environment(origin, provider.issuer, {"UPSTREAM": upstream}), "GUNICORN_CMD_ARGS": arguments}
        master = stack.enter_context(run_gateway(directory, port, environ, workers=1))
        (worker,) = workers_of(master)
        yield origin, sign_in(origin, USER), worker


def _resident(process: int) -> float:
    time.sleep(0.2)
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _soak(directory: Path) -> Result:
    seen = soak(directory, "lane", USERS, seconds=SOAK_SECONDS)
    right = sum(count for told, count in seen.seen.items() if told.endswith(": right"))
    figure = (
        f"{seen.seen.total():,} requests, {right:,} answered whole and right, {len(seen.problems)} problems, "
        f"{seen.reloads} reloads, it weighs {seen.weights[0]:.0f} MiB after them, {seen.weights[1]:.0f} in the end; "
        f"{seen.files[0]} open files under load, {seen.files[1]} when quiet"
    )
    return Result(figure=figure, problems=seen.problems)


STREAMED: Final[Sequence[Experiment]] = [
    Experiment(
        name="soak",
        what=f"the lane for {SOAK_SECONDS} s at full load, before an upstream that resets, hangs up and dawdles, with "
        "clients that leave and workers that are replaced",
        demand=f"no wrong token, no request lost or hung, less than {MAX_GROWN_MIB:.0f} MiB grown, no connection left",
        run=_soak,
    ),
    Experiment(
        name="websockets",
        what=f"{WEBSOCKETS} WebSockets of one worker with 32 threads, {ROUNDS} messages each",
        demand=f"all come back; the worker grows by less than {MAX_GROWN_MIB:.0f} MiB once they are open",
        run=_websockets,
    ),
    Experiment(
        name="events",
        what=f"{STREAMS:,} streams of events of one worker with as many threads (`--threads`), two a second each",
        demand=f"all are served; the worker grows by less than {MAX_GROWN_MIB:.0f} MiB once they are open",
        run=_streams,
    ),
]
