"""What was seen of one case at one server, and what is made of several rounds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One measurement; latencies are in milliseconds, `cpu_ms` is milliseconds of the server per request.

    `busy` is the share of its core that the server used, `load_busy` that of the other core, which the load generator
    and the backend share, by whomever: where the first is well below 1 and the second is near it, the server could do
    more. `foreign` is what others than the server used of its core.
    """

    rate: float
    mib_per_second: float
    p50: float | None
    p99: float | None
    cpu_ms: float
    busy: float
    load_busy: float
    foreign: float
    resident_mib: float
    problems: tuple[str, ...] = ()


Key = tuple[str, str]
"""The names of a server and of a case."""

Results = Mapping[Key, Mapping[int, Figures]]
"""The measurements, by round; a round is missing where a measurement failed."""

Reading = Callable[[Figures], float | None]


def rate(one: Figures) -> float | None:
    """Read requests a second."""
    return one.rate


def speed(one: Figures) -> float | None:
    """Read MiB a second."""
    return one.mib_per_second


def p99(one: Figures) -> float | None:
    """Read the latency that one request in a hundred exceeds."""
    return one.p99


def cpu(one: Figures) -> float | None:
    """Read the milliseconds of the server per request."""
    return one.cpu_ms


def busy(one: Figures) -> float | None:
    """Read which share of its core the server used."""
    return one.busy


def median(results: Results, key: Key, reading: Reading) -> float | None:
    """Return the median over the rounds, or None where it was not measured."""
    seen = [value for value in map(reading, results.get(key, {}).values()) if value is not None]
    return statistics.median(seen) if seen else None


def median_ratio(results: Results, over: Key, under: Key, reading: Reading) -> float | None:
    """Return the median of the ratios of two measurements of one round, or None where no round has both."""
    uppers, lowers = results.get(over, {}), results.get(under, {})
    pairs = [(reading(uppers[number]), reading(lowers[number])) for number in uppers.keys() & lowers.keys()]
    ratios = [upper / lower for upper, lower in pairs if upper is not None and lower]
    return statistics.median(ratios) if ratios else None


def oddities(results: Results) -> list[str]:
    """Return all that was odd, each with its server and its case."""
    return [
        f"{server}, {case}, round {number}: {problem}"
        for (server, case), rounds in results.items()
        for number, one in rounds.items()
        for problem in one.problems
    ]
