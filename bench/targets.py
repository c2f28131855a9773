"""What the gateway is to reach, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.figures import Key, Reading, Results, busy, cpu, median, median_ratio, p99, rate, speed

_NARROW: Final = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A ratio of two measurements in one round, its median at least `bound`, or at most."""

    what: str
    over: Key
    under: Key
    reading: Reading
    bound: float
    at_most: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """A number of MiB that is not to be exceeded; `name` chooses what measures it."""

    name: str
    what: str
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A target, what was seen, and `ok`, `short` or `not measured`; `note` says why the figure may mislead.

    `by_cpu` is the same ratio of the processor time that a request costs, which others on the machine change less.
    """

    what: str
    wanted: str
    seen: str
    state: str
    by_cpu: str = ""
    note: str = ""


OURS: Final = ("gateway", "small")
TARGETS: Final = (
    Target(what="1 KiB, against Envoy's oauth2 filter", over=OURS, under=("envoy", "small"), reading=rate, bound=1.2),
    Target(what="1 KiB, against mod_auth_openidc", over=OURS, under=("apache", "small"), reading=rate, bound=2),
    Target(
        what="1 KiB, against nginx with a fixed token", over=OURS, under=("nginx", "small"), reading=rate, bound=0.3
    ),
    Target(what="1 KiB, against Flask + Authlib", over=OURS, under=("flask", "small"), reading=rate, bound=15),
    Target(what="256 against 32 connections", over=("gateway", "crowd"), under=OURS, reading=rate, bound=0.9),
    Target(what="p99, against Envoy's", over=OURS, under=("envoy", "small"), reading=p99, bound=1.5, at_most=True),
    Target(
        what="100 MiB, against nginx",
        over=("gateway", "download"),
        under=("nginx", "download"),
        reading=speed,
        bound=0.5,
    ),
    Target(
        what="64 KiB, against nginx", over=("gateway", "medium"), under=("nginx", "medium"), reading=rate, bound=0.5
    ),
    Target(
        what="sessions in Redis, against mod_auth_openidc on it",
        over=("gateway-redis", "miss"),
        under=("apache-redis", "miss"),
        reading=rate,
        bound=1.2,
    ),
    Target(
        what="WSGI face, 1 KiB, against a bare urllib3 proxy",
        over=("wsgi", "small"),
        under=("urllib3", "small"),
        reading=rate,
        bound=0.8,
    ),
)
WEBSOCKETS: Final = Weight(name="websockets", what="5,000 idle WebSockets on one worker", limit=400)
SESSIONS: Final = Weight(name="sessions", what="a worker with 10,000 sessions in its cache", limit=120)
WEIGHTS: Final = (WEBSOCKETS, SESSIONS)


def judge_all(results: Results, weights: Mapping[str, float | str]) -> list[Judged]:
    """Judge all targets; `weights` are MiB by name, or why there are none."""
    return [*(judge(one, results) for one in TARGETS), *(weigh(one, weights.get(one.name)) for one in WEIGHTS)]


def judge(target: Target, results: Results) -> Judged:
    """Judge one ratio."""
    seen = median_ratio(results, target.over, target.under, target.reading)
    wanted = f"{'at most' if target.at_most else 'at least'} {target.bound:g}"
    if seen is None:
        return Judged(what=target.what, wanted=wanted, seen="", state="not measured")
    reached = seen <= target.bound if target.at_most else seen >= target.bound
    return Judged(
        what=target.what,
        wanted=wanted,
        seen=_shown(seen),
        state="ok" if reached else "short",
        by_cpu="" if target.at_most else _shown(median_ratio(results, target.under, target.over, cpu)),
        note="; ".join(_idle(results, (target.over, target.under))),
    )


def weigh(weight: Weight, seen: float | str | None) -> Judged:
    """Judge one weight, in MiB; a text says why it could not be borne."""
    wanted = f"at most {weight.limit:g} MiB"
    if seen is None:
        return Judged(what=weight.what, wanted=wanted, seen="", state="not measured")
    if isinstance(seen, str):
        return Judged(what=weight.what, wanted=wanted, seen="", state="short", note=seen)
    return Judged(
        what=weight.what, wanted=wanted, seen=f"{seen:.0f} MiB", state="ok" if seen <= weight.limit else "short"
    )


def _shown(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3f}"


def _idle(results: Results, keys: Sequence[Key]) -> list[str]:
    shares = [(key[0], median(results, key, busy)) for key in keys]
    return [
        f"{server} used {share:.0%} of its core" for server, share in shares if share is not None and share < _NARROW
    ]
