"""Load from wrk, which runs on our own core, and what it reports."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.cases import Case
from bench.processes import BenchError, found, plain_environment

_SCRIPT: Final = Path(__file__).with_name("load.lua")
_GRACE_SECONDS: Final = 30.0
_ERRORS: Final = ("connect", "read", "write", "timeout", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What wrk has seen; latencies are in milliseconds, `errors` are those that there were, by kind."""

    requests: int
    seconds: float
    octets: int
    p50: float
    p99: float
    errors: Mapping[str, int]


def run_wrk(origin: str, case: Case, cookie: str, seconds: int) -> Report:
    """Ask a server for that many seconds."""
    fields = {**case.headers, **({"Cookie": cookie} if cookie else {})}
    headers = [word for name, value in fields.items() for word in ("-H", f"{name}: {value}")]
    argv = [found("wrk"), "-t1", f"-c{case.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(_SCRIPT)]
    seen = subprocess.run(
        [*argv, *headers, origin + case.path, "--", case.method, str(case.sent), "varied" if case.varied else "same"],
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=seconds + _GRACE_SECONDS,
        check=False,
    )
    if seen.returncode != 0:
        raise BenchError(f"wrk ended with status {seen.returncode}: {seen.stdout}{seen.stderr}")
    return read_report(seen.stdout)


def read_report(output: str) -> Report:
    """Read the line that our script writes among what wrk says itself; raises `BenchError` where it is not."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if len(lines) != 1:
        raise BenchError(f"wrk has not reported: {output}")
    read = json.loads(lines[0])
    return Report(
        requests=read["requests"],
        seconds=read["microseconds"] / 1e6,
        octets=read["bytes"],
        p50=read["p50"] / 1000,
        p99=read["p99"] / 1000,
        errors={kind: read[kind] for kind in _ERRORS if read[kind]},
    )


def odd(report: Report, length: int) -> tuple[str, ...]:
    """Tell what of a report makes its figures worthless.

    wrk counts statuses from 400 on and lets a redirect to a login pass, which is why the bytes are looked at too:
    as many as the bodies have, or they were others.
    """
    found_odd = [f"{count} {kind} errors" for kind, count in report.errors.items()]
    if not report.requests:
        found_odd.append("no request was answered")
    elif report.octets < report.requests * length:
        found_odd.append(f"{report.octets / report.requests:.0f} bytes a request, which are not the backend's")
    return tuple(found_odd)
