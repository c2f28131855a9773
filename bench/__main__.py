"""The benchmark: installs what is missing, measures, tells, and writes docs/PERFORMANCE.md.

The servers run on core 0, each alone with the load; load generator, backend, provider and Redis on core 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import requests

from bench.cases import CASES
from bench.figures import Results, median, oddities, p99, rate
from bench.install import install
from bench.memory import weigh_sessions, weigh_websockets
from bench.page import PAGE, PLOT, Report, between_marks, machine, section
from bench.peers import nginx, redis
from bench.plot import Bar, plot
from bench.prepare import prepare
from bench.processes import BenchError
from bench.quiet import FOREIGN
from bench.rounds import Plan, measure
from bench.selection import PEERS, chosen_cases, chosen_peers, chosen_weights
from bench.sites import DIRECT
from bench.table import Server, as_text, of_case, of_targets
from bench.targets import SESSIONS, WEBSOCKETS, Judged, judge_all

_ROUNDS: Final = 3
_SECONDS: Final = 6
_SERVERS: Final = (
    Server(name=DIRECT, title="the backend itself"),
    *(Server(name=peer.name, title=peer.title) for peer in PEERS),
)
_WEIGHINGS: Final[Mapping[str, Callable[[], float]]] = {
    WEBSOCKETS.name: weigh_websockets,
    SESSIONS.name: weigh_sessions,
}


def main(arguments: Sequence[str]) -> int:
    """Run; the exit status is 1 if something went wrong, and not if a target was missed."""
    options = _options(arguments)
    try:
        return _run(options)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    weights = chosen_weights(options.cases)
    cases = chosen_cases(options.cases)
    peers = chosen_peers(options.only, cases)
    prepare()
    install(_tell)
    plan = Plan(peers=peers, cases=cases, rounds=options.rounds, seconds=options.seconds, patience=options.patience)
    results, failures = measure(plan, _tell) if cases else ({}, [])
    weighed = {name: _weigh(name) for name in weights}
    failures += [f"{name}: {seen}" for name, seen in weighed.items() if isinstance(seen, str)]
    judged = judge_all(results, weighed)
    report = _report(options, results, judged, [*failures, *oddities(results)])
    _show(report)
    if options.docs and not options.only and not options.cases:
        _write(report, results)
    return 1 if report.oddities else 0


def _weigh(name: str) -> float | str:
    try:
        seen = _WEIGHINGS[name]()
    except (BenchError, OSError, requests.RequestException) as error:
        _tell(f"{name}: FAILED: {error}")
        return str(error)
    _tell(f"{name}: {seen:.0f} MiB")
    return seen


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return [name for name in text.split(",") if name]

    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the gateway and its peers.")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="how often each is measured (%(default)s)")
    parser.add_argument("--seconds", type=int, default=_SECONDS, help="how long each time (%(default)s)")
    parser.add_argument("--patience", type=int, default=0, help="seconds to wait before each until others are done")
    parser.add_argument("--only", type=names, default=[], help="names of servers, with commas")
    parser.add_argument("--cases", type=names, default=[], help="names of cases, with commas")
    parser.add_argument(
        "--no-docs", dest="docs", action="store_false", help="leave docs/ as they are; so does a choice"
    )
    return parser.parse_args(arguments)


def _report(options: argparse.Namespace, results: Results, judged: Sequence[Judged], odd: Sequence[str]) -> Report:
    patience = f" --patience {options.patience}" if options.patience else ""
    tables = [(case.title, of_case(case, _SERVERS, results)) for case in CASES]
    measured = {name for name, _ in results}
    versions = {peer.title: peer.version() for peer in PEERS if peer.name in measured and "-" not in peer.name}
    return Report(
        command=f"python -m bench --rounds {options.rounds} --seconds {options.seconds}{patience}",
        remarks=_remarks(options, results),
        versions=[*versions.items(), ("backend", f"nginx {nginx.version()}"), ("Redis", redis.version())],
        targets=of_targets(judged),
        cases=[(title, table) for title, table in tables if table is not None],
        oddities=odd,
    )


def _remarks(options: argparse.Namespace, results: Results) -> list[str]:
    remarks = []
    if options.rounds < _ROUNDS or options.seconds < _SECONDS:
        remarks.append("A short run, which shows that all is measured, and no figure to quote.")
    most = max((one.foreign for rounds in results.values() for one in rounds.values()), default=0.0)
    if most > FOREIGN:
        remarks.append(f"Others used up to {most:.0%} of the servers' core meanwhile.")
    return remarks


def _show(report: Report) -> None:
    for title, table in report.cases:
        _tell(f"\n{title}\n{as_text(table)}")
    _tell(f"\n{as_text(report.targets)}\n\n{machine()}")
    for one in report.remarks:
        _tell(one)
    for title, version in report.versions:
        _tell(f"{title}: {version}")
    for one in report.oddities:
        _tell(f"PROBLEM: {one}")


def _write(report: Report, results: Results) -> None:
    text = between_marks(PAGE.read_text(encoding="utf-8"), section(report))
    bars = []
    for peer in PEERS:
        key = (peer.name, "small")
        seen, late = median(results, key, rate), median(results, key, p99)
        if seen is not None and late is not None:
            bars.append(Bar(title=peer.title, rate=seen, p99=late, own=peer.name in ("gateway", "wsgi")))
    PAGE.write_text(text, encoding="utf-8")
    if bars:
        PLOT.write_text(plot("1 KiB from one core, 32 connections", bars), encoding="utf-8")
    _tell(f"written: {PAGE}")


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
