"""What the harness asks of the machine before anything runs."""

from __future__ import annotations

import os
import resource

from bench.processes import LOAD_CORE, SERVER_CORE, BenchError


def prepare() -> None:
    """Move to the load's core, and allow as many open files as may be; children inherit both.

    Raises `BenchError` where there is one core alone.
    """
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        raise BenchError(f"cores {SERVER_CORE} and {LOAD_CORE} are needed")
    os.sched_setaffinity(0, {LOAD_CORE})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
