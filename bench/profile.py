"""Where the microseconds of a request go in a worker of the gateway: `python -m bench.profile [wsgi]`.

py-spy samples from outside who holds the interpreter's lock while wrk loads the worker, and does not pause it, for its
threads would run in another order then. What is written in C is counted to the function that calls it; a call that the
kernel serves without the lock has no samples, and the kernel's share is what /proc counts.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.cases import CASES
from bench.checks import check
from bench.install import install
from bench.load import run_wrk
from bench.peers.gateway import FACE, GATEWAY
from bench.peers.peer import PROGRAMS
from bench.prepare import prepare
from bench.processes import BenchError, family, user_and_system
from bench.rounds import WARM_UP_SECONDS
from bench.sites import Site, Surroundings, run_site, run_surroundings
from bench.table import Table, as_text

SECONDS: Final = 10
RATE: Final = 500
"""Samples a second."""

_TOP: Final = 25
_PACKAGES: Final = frozenset({"gateway", "gunicorn", "asyncio", "httptools", "uvloop", "urllib3", "werkzeug"})
_REST: Final = "the rest of Python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How many samples each package, module and function was the innermost of, and each of ours anywhere in."""

    packages: Counter[str]
    modules: Counter[str]
    functions: Counter[str]
    inclusive: Counter[str]


def read_profile(raw: str) -> Profile:
    """Read py-spy's raw form: frames `name (path:line)` with `;` between them, outermost first, a count behind them."""
    read = Profile(packages=Counter(), modules=Counter(), functions=Counter(), inclusive=Counter())
    for line in raw.splitlines():
        stack, _, number = line.rpartition(" ")
        frames = [_frame(frame) for frame in stack.split(";")]
        module, function = frames[-1]
        count = int(number)
        package = module.partition("/")[0]
        read.packages[package if package in _PACKAGES else _REST] += count
        read.modules[module] += count
        read.functions[f"{module} {function}"] += count
        for module, function in {frame for frame in frames if frame[0].startswith("gateway/")}:
            read.inclusive[f"{module} {function}"] += count
    return read


def _frame(text: str) -> tuple[str, str]:
    function, _, place = text.partition(" (")
    return place.rstrip(")").partition(":")[0].removesuffix(".py"), function


def main(arguments: Sequence[str]) -> int:
    """Profile the gateway as it is, or its WSGI face, and print where the time goes."""
    try:
        prepare()
        install(print)
        with tempfile.TemporaryDirectory(prefix="bench-") as name, run_surroundings(Path(name)) as around:
            peer = FACE if "wsgi" in arguments else GATEWAY
            with run_site(peer, around) as site:
                _show(site, around, Path(name) / "profile.txt")
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _show(site: Site, around: Surroundings, output: Path) -> None:
    small = CASES[0]
    check(site, small, backend=around.backend, issuer=around.issuer)
    run_wrk(site.origin, small, site.cookie, WARM_UP_SECONDS)
    undisturbed = run_wrk(site.origin, small, site.cookie, SECONDS)
    worker = max(family(site.pid), key=lambda pid: sum(user_and_system(pid)))
    before = user_and_system(worker)
    load = threading.Thread(target=run_wrk, args=(site.origin, small, site.cookie, SECONDS + 3))
    load.start()
    _record(worker, output)
    user, system = (after - then for after, then in zip(user_and_system(worker), before, strict=True))
    load.join()
    read = read_profile(output.read_text(encoding="utf-8"))
    taken = undisturbed.seconds / undisturbed.requests * 1e6
    kernel = system / (user + system)
    print(f"{site.name}: {small.title}: {taken:.0f} µs a request while nobody looks on, {kernel:.0%} in the kernel")
    for what, counts in (
        ("packages", read.packages),
        ("modules", read.modules),
        ("functions", read.functions),
        ("functions of ours with what they call", read.inclusive),
    ):
        print(f"\n{as_text(_shares(what, counts, read.modules.total(), taken * (1 - kernel)))}")


def _shares(what: str, counts: Counter[str], samples: int, microseconds: float) -> Table:
    rows = [
        [name, f"{count / samples:.1%}", f"{count / samples * microseconds:.0f}"]
        for name, count in counts.most_common(_TOP)
    ]
    return Table(head=[what, "share", "µs"], rows=rows)


def _record(worker: int, output: Path) -> None:
    argv = [str(PROGRAMS / "py-spy"), "record", "--pid", str(worker), "--format", "raw", "--function"]
    options = ["--gil", "--nonblocking", "--rate", str(RATE), "--duration", str(SECONDS), "--output", str(output)]
    seen = subprocess.run([*argv, *options], capture_output=True, text=True, timeout=SECONDS + 30, check=False)
    if seen.returncode != 0 or not output.exists():
        raise BenchError(f"py-spy may not look at the worker; as root, it may: {seen.stderr[-500:]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
