"""Servers that are killed and started again: Redis with what it wrote down, a provider with what it remembers."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from wsgiref.types import WSGIApplication

from peers.servers import LOOPBACK, find_redis, free_port, redis_answers, stop_process, wait_until_ready
from werkzeug.serving import BaseWSGIServer, make_server

from gateway.testing import FakeProvider, Faults

from .running import SECONDS, QuietHandler

REFRESH: Final = "token.refresh_token"
_WAIT_STEP: Final = 0.005


class DurableRedis:
    """A Redis server that has written every change to the disk before it says so."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://{LOOPBACK}:{self._port}/0"

    def start(self) -> None:
        """Start the server with what it wrote down, and wait until it answers."""
        argv = [find_redis() or "redis-server", "--port", str(self._port), "--bind", LOOPBACK, "--save", ""]
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--dir", str(self._directory)]
        log_path = self._directory / f"durable-redis-{self._port}.log"
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*argv, *durable], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        wait_until_ready(
            self._process, ready=lambda: redis_answers(self._port), name="redis", log_path=log_path, timeout=SECONDS
        )

    def kill(self) -> None:
        """Kill the server by SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(SECONDS)

    def stop(self) -> None:
        """End the server."""
        if self._process is not None:
            stop_process(self._process)


@contextmanager
def run_durable_redis(directory: Path) -> Iterator[DurableRedis]:
    """Run Redis with persistence to the end of the block."""
    directory.mkdir(exist_ok=True)
    redis = DurableRedis(directory)
    try:
        redis.start()
        yield redis
    finally:
        redis.stop()


class ProviderServer:
    """A provider in threads of this process, whose server can be killed, connections and all, and started again."""

    def __init__(self, provider: WSGIApplication, port: int) -> None:
        self._provider = provider
        self._port = port
        self._connections: set[socket.socket] = set()
        self._running: tuple[BaseWSGIServer, threading.Thread] | None = None

    def start(self) -> None:
        """Listen at the port."""
        connections = self._connections

        class Tracked(QuietHandler):
            def setup(self) -> None:
                connections.add(self.request)
                super().setup()

            def finish(self) -> None:
                super().finish()
                connections.discard(self.request)

        server = make_server(LOOPBACK, self._port, self._provider, threaded=True, request_handler=Tracked)
        server.socket.listen(512)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        self._running = server, thread

    def kill(self) -> None:
        """Stop to listen and cut all connections."""
        if self._running is None:
            return
        server, thread = self._running
        server.shutdown()
        thread.join(SECONDS)
        server.server_close()
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # It was closed meanwhile.
        self._running = None


class Refreshes:
    """Watches a provider's refresh calls: how many were made, refused, and are under way; each takes a moment."""

    def __init__(self, provider: FakeProvider, *, seconds: float = 0.0) -> None:
        self._provider = provider
        self._seconds = seconds
        self._guard = threading.Lock()
        self._open = True
        self.under_way = 0
        self.refused = 0
        provider.faults = Faults(before=self._before, token_response=self._answered)

    @property
    def made(self) -> int:
        """How many refresh calls were made."""
        return self._provider.calls[REFRESH]

    def close(self) -> None:
        """Process no more calls, and wait for those that are being processed."""
        self._open = False
        deadline = time.monotonic() + SECONDS
        while self.under_way and time.monotonic() < deadline:
            time.sleep(_WAIT_STEP)
        time.sleep(0.1)  # For the answers to be sent.

    def open(self) -> None:
        """Process calls again."""
        self._open = True

    def _before(self, name: str) -> None:
        if not self._open:
            raise ConnectionAbortedError  # The server hangs up without an answer.
        if name == REFRESH:
            with self._guard:
                self.under_way += 1
            time.sleep(self._seconds)

    def _answered(self, status: int, members: dict[str, object]) -> tuple[int, dict[str, object]]:
        with self._guard:
            self.under_way = max(0, self.under_way - 1)
            self.refused += status != 200
        return status, members


def workers_of(master: int) -> list[int]:
    """List the worker processes of a gunicorn master that we started."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii")
    return [int(child) for child in children.split()]


def kill_worker(master: int) -> None:
    """Kill the only worker of a gunicorn master by SIGKILL; the master starts another."""
    (worker,) = workers_of(master)
    os.kill(worker, signal.SIGKILL)


def reload_workers(master: int) -> None:
    """Have a gunicorn master read its configuration again, and wait until none of its former workers is left."""
    before = set(workers_of(master))
    os.kill(master, signal.SIGHUP)
    deadline = time.monotonic() + SECONDS
    while before & set(workers_of(master)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not before & set(workers_of(master))
