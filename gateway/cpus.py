"""How many processors we may use, which in a container are fewer than the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MOST_WORKERS = 8
"""What a large machine is not asked for unsaid: each worker has 32 threads and some 70 MiB of its own."""

_VERSION_1 = ("cpu.cfs_quota_us", "cpu.cfs_period_us")


def default_workers() -> int:
    """Return how many processes serve where nobody has said a number."""
    return min(available_cpus(), MOST_WORKERS)


def available_cpus(root: Path = Path("/"), allowed: int | None = None) -> int:
    """Return how many processors are ours, at least one: those that we may run on, or what a quota leaves of them.

    Part of a processor counts as one, since a worker less would leave it idle. `root` is where `proc` and `sys` are;
    `allowed` is how many processors the scheduler gives us, which it is asked if nobody says.
    """
    processors = _allowed() if allowed is None else allowed
    quotas = [quota for place in _groups(root) for quota in (_quota(place),) if quota is not None]
    return max(1, math.ceil(min([processors, *quotas])))


def _allowed() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _groups(root: Path) -> Iterator[Path]:
    # The group that we are in and those around it: the least of their quotas counts (cgroups(7)). In a container the
    # kernel may name a path that is not mounted there, and the group is then at the top of what is.
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            mounts = [root / "sys/fs/cgroup"]
        elif "cpu" in controllers.split(","):
            mounts = [root / "sys/fs/cgroup" / name for name in dict.fromkeys(("cpu", controllers))]
        else:
            continue
        inner = PurePosixPath(path.lstrip("/"))
        if ".." in inner.parts:
            inner = PurePosixPath()
        yield from (mount / place for mount in mounts for place in (inner, *inner.parents))


def _quota(group: Path) -> float | None:
    # cpu.max has "max 100000" or "150000 100000"; of version 1, each number has a file, and -1 is no quota.
    words = (_text(group / "cpu.max") or " ".join(_text(group / name) for name in _VERSION_1)).split()
    if len(words) != 2 or not all(word.isdecimal() and int(word) for word in words):
        return None
    return int(words[0]) / int(words[1])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
