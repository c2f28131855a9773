"""A hundred thousand live sessions: what a look-up, a worker and a sweep cost then."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from processes.fleet import Fleet, on_files, on_redis, run_fleet
from processes.load import Visitor
from processes.many_sessions import fill, leave, look_up, sweep, visitor_of, weigh
from processes.outages import run_durable_redis

from gateway.assembly import Outside, make_store
from gateway.backends.choice import make_backend
from gateway.backends.file import SWEEP_GRACE_SECONDS
from gateway.config import Settings, load_settings
from gateway.store import HeldSession

from .experiment import Experiment, Result

MANY: Final = 100_000
FEW: Final = 100
ENDED: Final = 50_000
MAX_GROWTH: Final = 0.20
STEPS: Final = 10
MAX_GROWN_MIB: Final = 16.0
MAX_WAIT_MS: Final = 1000.0
USERS: Final = ["user-0"]


def _on_files(directory: Path) -> Result:
    entries = directory / "sessions" / "entries"
    with run_fleet(directory, USERS, on_files(directory / "sessions"), gateways=1) as fleet:
        settings = _settings(fleet, {})
        leave(make_backend(settings.store), ENDED)
        ended_at = time.monotonic() + 1
        held = fill(make_store(settings, Outside()), fleet.provider.issuer, MANY)
        looked_up = _look_ups(fleet, held, settings, _settings(fleet, on_files(directory / "few")))
        weighed = _weights(fleet, [visitor_of(one) for one in held])
        time.sleep(max(0.0, ended_at + SWEEP_GRACE_SECONDS - time.monotonic()))
        swept = _sweep(fleet, entries, [visitor_of(one) for one in held[:FEW]])
    return _together([looked_up, weighed, swept])


def _on_redis(directory: Path) -> Result:
    with ExitStack() as stack:
        url = stack.enter_context(run_durable_redis(directory / "redis")).url
        fleet = stack.enter_context(run_fleet(directory, USERS, on_redis(url), gateways=1))
        settings = _settings(fleet, {})
        held = fill(make_store(settings, Outside()), fleet.provider.issuer, MANY)
        looked_up = _look_ups(fleet, held, settings, _settings(fleet, on_redis(f"{url.removesuffix('0')}1")))
        return _together([looked_up, _weights(fleet, [visitor_of(one) for one in held])])


def _settings(fleet: Fleet, changes: dict[str, str]) -> Settings:
    environ = {**fleet.environ, **{f"GATEWAY_{name}": value for name, value in changes.items()}}
    return load_settings(None, environ)


def _look_ups(fleet: Fleet, held: Sequence[HeldSession], settings: Settings, small: Settings) -> Result:
    few = make_store(small, Outside())
    in_few = fill(few, fleet.provider.issuer, FEW)
    many = make_store(settings, Outside())
    seen = look_up((few, [one.handle for one in in_few]), (many, [one.handle for one in held]))
    figure = f"a look-up takes {seen.many:.0f} µs, and {seen.few:.0f} µs among {FEW} ({seen.growth:+.0%})"
    return Result(figure=figure, problems=[figure] if seen.growth > MAX_GROWTH else [])


def _weights(fleet: Fleet, visitors: Sequence[Visitor]) -> Result:
    weights = weigh(fleet, visitors, STEPS)
    figure = (
        f"after each {len(visitors) // STEPS:,} of {len(visitors):,} sessions a worker weighs "
        f"{', '.join(f'{weight:.0f}' for weight in weights)} MiB"
    )
    return Result(figure=figure, problems=[figure] if max(weights) - weights[0] > MAX_GROWN_MIB else [])


def _sweep(fleet: Fleet, entries: Path, visitors: Sequence[Visitor]) -> Result:
    seen = sweep(fleet, entries, visitors)
    figure = (
        f"{seen.entries:,} ended entries are swept in {seen.seconds:.0f} s; requests to the worker that sweeps take "
        f"{_told(seen.swept)} meanwhile, {_told(seen.calm)} before"
    )
    problems = [figure] if seen.swept[2] > MAX_WAIT_MS or seen.entries < ENDED else []
    return Result(figure=figure, problems=[*seen.problems, *problems])


def _told(latencies: tuple[float, float, float]) -> str:
    middle, late, last = latencies
    return f"{middle:.0f} ms (p99 {late:.0f}, longest {last:.0f})"


def _together(results: Sequence[Result]) -> Result:
    return Result(
        figure="; ".join(result.figure for result in results),
        problems=[problem for result in results for problem in result.problems],
    )


CROWD: Final = [
    Experiment(
        name="crowd-files",
        what=f"{MANY:,} live sessions in files, and {ENDED:,} ended ones",
        demand=f"a look-up takes less than {MAX_GROWTH:.0%} longer than among {FEW}; a worker grows by less than "
        f"{MAX_GROWN_MIB:.0f} MiB; no request waits a second for the sweep",
        run=_on_files,
    ),
    Experiment(
        name="crowd-redis",
        what=f"{MANY:,} live sessions in Redis",
        demand=f"a look-up takes less than {MAX_GROWTH:.0%} longer than among {FEW}; a worker grows by less than "
        f"{MAX_GROWN_MIB:.0f} MiB",
        run=_on_redis,
    ),
]
