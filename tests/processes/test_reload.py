"""A gateway whose configuration changes under it: broken, mended, with new rules and keys, while it is asked."""

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from peers.servers import LOOPBACK, free_port, port_answers, run_process
from werkzeug import Response

from .outages import reload_workers, workers_of
from .running import (
    SECONDS,
    Connection,
    Face,
    environment,
    origin_at,
    run_gateway,
    run_provider,
    run_threads,
    sign_in,
)

pytestmark = pytest.mark.slow

USERS: Final[Mapping[str, Mapping[str, object]]] = {"alice": {}, "bob": {}}
OLD_KEY: Final = "the first secret of all sessions of the tests"
NEW_KEY: Final = "the second secret of all sessions of the tests"
PAUSE_SECONDS: Final = 0.02
SERVE: Final = (sys.executable, "-m", "gunicorn.app.wsgiapp", "-c", "python:gateway.gunicorn_conf")
"""What `gateway serve` becomes."""

PATIENCE_SECONDS: Final = 60.0


class Trickle:
    """Asks for a page that wants a session, one connection after the other, and notes what came."""

    def __init__(self, origin: str, cookie: str) -> None:
        self._origin = origin
        self._cookie = cookie
        self._goes_on = threading.Event()
        self.seen: list[object] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ask to the end of the block."""
        self._goes_on.set()
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._goes_on.clear()
            thread.join(SECONDS)

    def _run(self) -> None:
        while self._goes_on.is_set():
            try:
                with Connection(self._origin) as connection:
                    self.seen.append(connection.get("/page", cookie=self._cookie).status)
            except OSError as error:
                self.seen.append(error)
            time.sleep(PAUSE_SECONDS)


def ready(origin: str) -> int:
    return status(origin, "/ready", "")


def write(directory: Path, denied: str, keys: list[str], more: str = "") -> None:
    """Write the rules, and the keys as a file of secrets."""
    rules = [{"path": denied, "access": "deny"}]
    (directory / "config.yaml").write_text(f"routes: {json.dumps(rules)}\n{more}")
    (directory / "secrets").mkdir(exist_ok=True)
    (directory / "secrets" / "session__secret").write_text(json.dumps(keys))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(PAUSE_SECONDS)


def status(origin: str, target: str, cookie: str) -> int:
    with Connection(origin) as connection:
        return connection.get(target, cookie=cookie).status


def test_a_broken_configuration_changes_nothing_and_a_right_one_all(face: Face, tmp_path: Path) -> None:
    port, upstream = free_port(), free_port()
    origin, log = origin_at(port), tmp_path / f"gunicorn-{port}.log"
    write(tmp_path, "/old", [OLD_KEY])
    with run_provider([origin], USERS) as provider, run_threads(upstream, Response("page")):
        settings = {"UPSTREAM": origin_at(upstream), "SECRETS_DIR": str(tmp_path / "secrets")}
        environ = environment(origin, provider.issuer, settings)
        del environ["GATEWAY_SESSION__SECRET"]
        with run_gateway(tmp_path, port, environ, workers=2, face=face) as master:
            alice = sign_in(origin, "alice")
            trickle = Trickle(origin, alice)
            before = set(workers_of(master))
            with trickle.running():
                write(tmp_path, "/new", [NEW_KEY], more="nonsense: 1\n")
                os.kill(master, signal.SIGHUP)
                wait_until(lambda: "reload refused: nonsense: " in log.read_text())
                assert set(workers_of(master)) == before

            os.kill(min(before), signal.SIGKILL)
            wait_until(lambda: len(set(workers_of(master)) - before) == 1)
            os.kill(max(before), signal.SIGKILL)  # All that are left now were begun when the file was broken.
            wait_until(lambda: len(set(workers_of(master)) - before) == 2)
            assert [status(origin, target, alice) for target in ("/old", "/new", "/page")] == [404, 200, 200]

            with trickle.running():
                write(tmp_path, "/new", [NEW_KEY, OLD_KEY])
                reload_workers(master)
                assert [status(origin, target, alice) for target in ("/old", "/new", "/page")] == [200, 404, 200]
                bob = sign_in(origin, "bob")
                wait_until(lambda: len(trickle.seen) > 20)
            write(tmp_path, "/new", [NEW_KEY])
            reload_workers(master)
            assert (status(origin, "/page", alice), status(origin, "/page", bob)) == (401, 200)

            assert "reload accepted: routes 1, providers 1, upstreams 1;" in log.read_text()
            assert NEW_KEY not in log.read_text()
            assert set(trickle.seen) == {200}


def test_at_the_end_others_are_asked_before_nobody_is_served(tmp_path: Path) -> None:
    port, upstream = free_port(), free_port()
    origin = origin_at(port)
    with run_provider([origin], USERS) as provider, run_threads(upstream, Response("page")):
        environ = environment(origin, provider.issuer, {"UPSTREAM": origin_at(upstream)}) | {"DRAIN_SECONDS": "3600"}
        with run_gateway(tmp_path, port, environ, workers=2) as master:
            alice = sign_in(origin, "alice")
            assert ready(origin) == 200
            os.kill(master, signal.SIGTERM)
            wait_until(lambda: ready(origin) == 503)
            workers = workers_of(master)
            assert {(ready(origin), status(origin, "/page", alice)) for _ in range(20)} == {(503, 200)}
            os.kill(workers[0], signal.SIGKILL)
            wait_until(lambda: len(set(workers_of(master)) - set(workers)) == 1)
            assert {(ready(origin), status(origin, "/page", alice)) for _ in range(20)} == {(503, 200)}


def test_a_second_master_takes_over_and_one_that_cannot_does_not(tmp_path: Path) -> None:
    port = free_port()
    origin, log = origin_at(port), tmp_path / "serve.log"
    own = {"UPSTREAM": origin, "SESSION__SECRET": OLD_KEY}
    environ = environment(origin, origin, own) | {"BIND": f"{LOOPBACK}:{port}", "WEB_CONCURRENCY": "1"}
    write(tmp_path, "/old", [OLD_KEY])
    with run_process(
        SERVE,
        env=environ,
        cwd=tmp_path,
        ready=lambda: port_answers(port),
        name="serve",
        log_path=log,
        timeout=PATIENCE_SECONDS,
    ) as first:
        write(tmp_path, "/old", [OLD_KEY], more="nonsense: 1\n")
        first.send_signal(signal.SIGUSR2)
        wait_until(lambda: "nonsense: is not a key" in log.read_text())
        assert [status(origin, target, "") for target in ("/old", "/new")] == [404, 401]

        write(tmp_path, "/new", [OLD_KEY])
        wait_until(lambda: len(workers_of(first.pid)) == 1)
        first.send_signal(signal.SIGUSR2)
        wait_until(lambda: len(masters(log)) == 2)
        second = masters(log)[-1]
        try:
            first.terminate()
            assert first.wait(PATIENCE_SECONDS) == 0
            assert [status(origin, target, "") for target in ("/old", "/new")] == [401, 404]
        finally:
            os.kill(second, signal.SIGTERM)
            wait_until(lambda: not port_answers(port))


def masters(log: Path) -> list[int]:
    """List the masters that have begun to listen."""
    return [int(pid) for pid in re.findall(r"Listening at: .* \((\d+)\)", log.read_text())]
