"""The metrics of a gateway with several workers: one scrape has them all, and no kill and no reload takes any away."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from metrics_reading import Samples, sample, samples
from peers.servers import LOOPBACK, free_port

from gateway.config_metrics_model import MetricsSettings
from gateway.metrics.listener import bind

from .running import SECONDS, Connection, environment, origin_at, run_gateway

pytestmark = pytest.mark.slow

PING: Final = {"route": "/ping", "decision": "endpoint", "code": "", "status": "2xx"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """A gateway whose metrics are served, and what has been scraped of it."""

    master: int
    port: int
    metrics_port: int

    def scrape(self) -> bytes:
        """Ask for the metrics."""
        with Connection(origin_at(self.metrics_port)) as connection:
            answer = connection.get("/metrics")
        assert answer.status == 200
        return answer.body

    def ping(self, times: int) -> None:
        """Send so many requests, each on a connection of its own, so that all workers get some."""
        for _ in range(times):
            with Connection(origin_at(self.port)) as connection:
                assert connection.get("/ping").status == 200

    def workers(self) -> list[int]:
        """List the processes of the workers."""
        children = Path(f"/proc/{self.master}/task/{self.master}/children").read_text(encoding="ascii")
        return [int(pid) for pid in children.split()]

    def directory(self) -> Path:
        """Find where the processes count."""
        opened = [file.readlink() for file in Path(f"/proc/{self.master}/fd").iterdir()]
        return next(path for path in opened if path.name.startswith("gateway-metrics-"))

    def until(self, name: str, value: float) -> bytes:
        """Scrape until a number is there."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            text = self.scrape()
            if sample(text, name) == value:
                return text
            time.sleep(0.05)
        raise AssertionError(f"{name} has not become {value}")


@contextmanager
def run_counted(directory: Path, settings: Mapping[str, str]) -> Iterator[Counted]:
    port, metrics_port = free_port(), free_port()
    with ExitStack() as stack:
        given = {"UPSTREAM": origin_at(free_port()), "METRICS__LISTEN": f"{LOOPBACK}:{metrics_port}", **settings}
        environ = environment(origin_at(port), "http://127.0.0.1:9/", given)
        master = stack.enter_context(run_gateway(directory, port, environ, workers=2))
        yield Counted(master=master, port=port, metrics_port=metrics_port)


def went_down(before: Samples, after: Samples) -> dict[object, tuple[float, float]]:
    """Return the counters that are less than they were, or gone."""
    return {
        key: (value, after.get(key, -1.0))
        for key, value in before.items()
        if key[0].endswith(("_total", "_count", "_sum", "_bucket")) and after.get(key, -1.0) < value
    }


def test_one_scrape_has_all_workers_and_counts_never_go_down(tmp_path: Path) -> None:
    with run_counted(tmp_path, {}) as counted:
        counted.until("gateway_workers", 2)
        directory = counted.directory()
        assert directory.stat().st_mode & 0o777 == 0o700
        counted.ping(40)
        first = counted.scrape()
        asked = sample(first, "gateway_requests_total", **PING)
        assert asked >= 40
        assert sample(first, "gateway_connections") >= 0
        assert {dict(labels).get("process") for name, labels in samples(first) if name == "process_open_fds"} == {
            "master-0",
            "worker-0",
            "worker-1",
        }

        os.kill(counted.workers()[0], signal.SIGKILL)
        killed = counted.until("gateway_processes_started_total", 4)
        assert went_down(samples(first), samples(killed)) == {}

        os.kill(counted.master, signal.SIGHUP)
        counted.until("gateway_processes_started_total", 6)
        reloaded = counted.until("gateway_workers", 2)
        assert went_down(samples(killed), samples(reloaded)) == {}
        counted.ping(40)
        last = counted.scrape()
        assert sample(last, "gateway_requests_total", **PING) >= asked + 40
        assert went_down(samples(reloaded), samples(last)) == {}

        os.kill(counted.workers()[0], signal.SIGSTOP)  # It is stuck, and takes no scrape from the other.
        for _ in range(10):
            counted.scrape()
        for pid in counted.workers():
            os.kill(pid, signal.SIGCONT)

        with Connection(origin_at(counted.port)) as connection:
            assert connection.get("/metrics").status == 401
    assert not directory.exists()


def test_a_taken_port_is_an_error_at_the_start(tmp_path: Path) -> None:
    port, metrics_port = free_port(), free_port()
    given = {"UPSTREAM": origin_at(free_port()), "METRICS__LISTEN": f"{LOOPBACK}:{metrics_port}"}
    with bind(MetricsSettings(host=LOOPBACK, port=metrics_port)):
        done = subprocess.run(
            [sys.executable, "-m", "gunicorn", "-c", "python:gateway.gunicorn_conf", "-b", f"{LOOPBACK}:{port}"],
            env=environment(origin_at(port), "http://127.0.0.1:9/", given),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert f"metrics.listen: {LOOPBACK}:{metrics_port}: Address already in use" in done.stderr
