"""The Redis in which sessions are looked up where nobody may keep copies."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.processes import LOOPBACK, Command, found


def launch(directory: Path, port: int) -> Command:
    """Return how it is started, empty and keeping nothing."""
    argv = ["--port", str(port), "--bind", LOOPBACK, "--save", "", "--appendonly", "no", "--dir", str(directory)]
    return Command(argv=[found("redis-server"), *argv])


def version() -> str:
    """Return its version."""
    seen = subprocess.run([found("redis-server"), "--version"], capture_output=True, text=True, check=True)
    return seen.stdout.partition("v=")[2].split()[0]
