"""Servers as children pinned to one core, and what the kernel counts of them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
SYSTEM_DIRECTORIES: Final = "/usr/local/sbin:/usr/sbin:/sbin"
SERVER_CORE: Final = 0
LOAD_CORE: Final = 1
READY_SECONDS: Final = 30.0
END_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.05
_TAIL: Final = 3000
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MIB_OF_PAGE: Final = os.sysconf("SC_PAGE_SIZE") / 1024**2


class BenchError(Exception):
    """The benchmark cannot go on, or would measure something else than it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How a server is started, once its files are written; `env` is laid over a plain environment."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def run(name: str, command: Command, *, directory: Path, port: int, core: int) -> Iterator[int]:
    """Run a server on one core until the end of the block; yield its process id once it takes connections.

    It is the leader of a process group of its own, which is what is ended. Its output goes to `<name>.log` in the
    directory. Raises `BenchError` if it does not start.
    """
    log = directory / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command.argv],
            env={**plain_environment(), **command.env},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: process.poll() is not None or takes_connections(port), name)
        if process.poll() is not None:
            tail = log.read_text(errors="replace")[-_TAIL:]
            raise BenchError(f"{name} ended with status {process.returncode}:\n{tail}")
        yield process.pid
    finally:
        _end(process)


def plain_environment() -> dict[str, str]:
    """Return our environment without what would configure a gateway, gunicorn or a client's proxy."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GATEWAY_")
        and not name.lower().endswith("_proxy")
        and name not in ("BIND", "WEB_CONCURRENCY", "WORKER_CLASS", "GUNICORN_CMD_ARGS", "PYTHONPATH")
    }


def find(program: str) -> str | None:
    """Return where a program is, among the servers of the system too, or None."""
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", os.defpath), SYSTEM_DIRECTORIES)))


def found(program: str) -> str:
    """Return where a program is; raises `BenchError` where it is not."""
    path = find(program)
    if path is None:
        raise BenchError(f"{program} is not installed")
    return path


def free_port() -> int:
    """Return a TCP port that nothing on loopback listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def takes_connections(port: int) -> bool:
    """Tell whether a server takes connections on that port of loopback."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0):
            return True
    except OSError:
        return False


def wait_until(holds: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
    """Wait until something holds; raises `BenchError` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= deadline:
            raise BenchError(f"{what}: not ready after {seconds:g} s")
        time.sleep(_POLL_SECONDS)


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    members = [pid]
    for one in members:  # Grows while it is read.
        try:
            threads = list(Path(f"/proc/{one}/task").iterdir())
            children = [(thread / "children").read_text(encoding="ascii").split() for thread in threads]
        except OSError:
            continue
        members += [int(child) for some in children for child in some]
    return members


def cpu_seconds(pid: int) -> float:
    """Return the user and system time that a process and its descendants have used."""
    return sum(sum(_times(one)) for one in family(pid)) / _TICKS


def core_ticks(core: int) -> tuple[int, int]:
    """Return the ticks that a core has been busy, and all that it has lived."""
    with Path("/proc/stat").open(encoding="ascii") as lines:
        ticks = [int(tick) for line in lines if line.startswith(f"cpu{core} ") for tick in line.split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def share_busy(core: int, before: tuple[int, int]) -> float:
    """Return the share of its time that a core was busy since its ticks were read."""
    busy, lived = (after - then for after, then in zip(core_ticks(core), before, strict=True))
    return busy / lived if lived else 0.0


def user_and_system(pid: int) -> tuple[float, float]:
    """Return the seconds that one process has used in its own code and in the kernel."""
    user, system = _times(pid)
    return user / _TICKS, system / _TICKS


def resident_mib(pid: int) -> float:
    """Return the resident memory of the largest process among one and its descendants: the worker, not its master."""
    return max(_pages(one) for one in family(pid)) * _MIB_OF_PAGE


def _times(pid: int) -> tuple[int, int]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0, 0
    return int(fields[11]), int(fields[12])


def _pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # The group that it leads: what is left of it and of what it began.
    process.wait(END_SECONDS)
