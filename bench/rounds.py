"""The rounds: in each, every server is asked the same, one after another, and the next begins with another."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests

from bench.cases import Case
from bench.checks import check
from bench.download import download
from bench.figures import Figures, Key, Results
from bench.load import odd, run_wrk
from bench.peers.peer import Peer
from bench.processes import LOAD_CORE, SERVER_CORE, BenchError, core_ticks, cpu_seconds, resident_mib, share_busy
from bench.quiet import FOREIGN, wait_for_quiet
from bench.sites import Site, Surroundings, run_sites, run_surroundings

WARM_UP_SECONDS: Final = 1
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be measured, how long each time, and for how many seconds to wait for others to be done before."""

    peers: Sequence[Peer]
    cases: Sequence[Case]
    rounds: int
    seconds: int
    patience: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    requests: float
    octets: int
    seconds: float
    p50: float | None = None
    p99: float | None = None
    problems: tuple[str, ...]


Tell = Callable[[str], None]


def measure(plan: Plan, tell: Tell) -> tuple[Results, list[str]]:
    """Measure all rounds, with servers started anew for each; return what was seen and what failed."""
    results: dict[Key, dict[int, Figures]] = {}
    failures: list[str] = []
    for number in range(1, plan.rounds + 1):
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            directory = Path(name)
            directory.chmod(0o755)  # Apache's workers are another user.
            with run_surroundings(directory) as around, run_sites(plan.peers, around) as sites:
                for case, site in _turns(plan.cases, sites, number):
                    told = f"round {number}: {case.name:9} {site.name:14}"
                    try:
                        figures = _measure_in_quiet(site, case, around, plan)
                    except (BenchError, requests.RequestException, subprocess.TimeoutExpired) as error:
                        failures.append(f"{site.name}, {case.name}, round {number}: {error}")
                        tell(f"{told} FAILED: {error}")
                        continue
                    results.setdefault((site.name, case.name), {})[number] = figures
                    tell(f"{told} {_told(figures, case)}")
    return results, failures


def _measure_in_quiet(site: Site, case: Case, around: Surroundings, plan: Plan) -> Figures:
    wait_for_quiet(plan.patience)
    figures = measure_one(site, case, around, plan.seconds)
    if figures.foreign <= FOREIGN or not plan.patience:
        return figures
    wait_for_quiet(plan.patience)
    again = measure_one(site, case, around, plan.seconds)
    return min(figures, again, key=lambda one: one.foreign)


def _turns(cases: Sequence[Case], sites: Sequence[Site], number: int) -> Iterator[tuple[Case, Site]]:
    shift = (number - 1) % len(sites)
    for case in cases:
        for site in (*sites[shift:], *sites[:shift]):
            if case.direct if site.peer is None else case.name in site.peer.cases:
                yield case, site


def measure_one(site: Site, case: Case, around: Surroundings, seconds: int) -> Figures:
    """Check that a server does what is measured, warm it up, and measure it once."""
    check(site, case, backend=around.backend, issuer=around.issuer)
    if not case.download:
        run_wrk(site.origin, case, site.cookie, WARM_UP_SECONDS)
    before, ticks = cpu_seconds(site.pid), [core_ticks(core) for core in (SERVER_CORE, LOAD_CORE)]
    seen = _download(site, case, seconds) if case.download else _ask(site, case, seconds)
    used = cpu_seconds(site.pid) - before
    server_core, load_core = (
        share_busy(core, then) for core, then in zip((SERVER_CORE, LOAD_CORE), ticks, strict=True)
    )
    return Figures(
        rate=seen.requests / seen.seconds,
        mib_per_second=seen.octets / seen.seconds / _MIB,
        p50=seen.p50,
        p99=seen.p99,
        cpu_ms=used / seen.requests * 1000 if seen.requests else 0.0,
        busy=used / seen.seconds,
        load_busy=load_core,
        foreign=0.0 if site.peer is None else max(0.0, server_core - used / seen.seconds),
        resident_mib=resident_mib(site.pid),
        problems=seen.problems,
    )


def _ask(site: Site, case: Case, seconds: int) -> _Seen:
    report = run_wrk(site.origin, case, site.cookie, seconds)
    return _Seen(
        requests=report.requests,
        octets=report.octets,
        seconds=report.seconds,
        p50=report.p50,
        p99=report.p99,
        problems=odd(report, case.length),
    )


def _download(site: Site, case: Case, seconds: int) -> _Seen:
    received = download(site.origin, case, site.cookie, seconds)
    problems = received.problems if received.files else (*received.problems, "not one file came to its end")
    return _Seen(
        requests=received.octets / case.length, octets=received.octets, seconds=received.seconds, problems=problems
    )


def _told(figures: Figures, case: Case) -> str:
    speed = f"{figures.mib_per_second:8.0f} MiB/s" if case.download else f"{figures.rate:8.0f}/s"
    late = "" if figures.p99 is None else f" p50 {figures.p50:.1f} ms, p99 {figures.p99:.1f} ms,"
    others = f", OTHERS {figures.foreign:.0%}" if figures.foreign > FOREIGN else ""
    odd_ones = "".join(f" PROBLEM: {problem}" for problem in figures.problems)
    use = f"busy {figures.busy:.0%} (load {figures.load_busy:.0%}{others}), {figures.resident_mib:.0f} MiB"
    return f"{speed}{late} {use}{odd_ones}"
