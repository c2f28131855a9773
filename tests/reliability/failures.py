"""What is killed, stormed and crowded, in the numbers that we promise to bear; each figure is one of a real run."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from processes.fleet import Fleet, on_files, on_redis, run_fleet
from processes.killed_holder import kill_holder
from processes.logout_everywhere import BOUND_SECONDS, sign_out_everywhere
from processes.outages import run_durable_redis
from processes.ring import RingFile, rotate_under_load
from processes.storm import storm
from processes.under_outage import Outage, kill_provider, kill_redis

from gateway.backends.lease import LEASE_SECONDS

from .experiment import Experiment, Result

GATEWAYS: Final = 8
REQUESTS: Final = 500
ROUNDS: Final = 50
RATE: Final = 200.0
USERS: Final = [f"user-{number}" for number in range(20)]
STORMED: Final = USERS[:6]
SESSIONS: Final = 100
STORES: Final = ["files", "redis"]
RENEWAL_SECONDS: Final = 1
"""The lease may have been taken in the moment of the kill; who waits for its end has a renewal of its own to make."""

SIGN_OUT_RATE: Final = 300.0
RING_RATE: Final = 100.0


@contextmanager
def fleet_on(store: str, directory: Path, gateways: int = 2) -> Iterator[Fleet]:
    """Run gateways over a store of that kind."""
    with ExitStack() as stack:
        settings = on_files(directory / "sessions")
        if store == "redis":
            settings = on_redis(stack.enter_context(run_durable_redis(directory / "redis")).url)
        yield stack.enter_context(run_fleet(directory, USERS, settings, gateways=gateways))


def _storm(store: str, directory: Path) -> Result:
    with fleet_on(store, directory, GATEWAYS) as fleet:
        seen = storm(fleet, STORMED, rounds=ROUNDS, requests=REQUESTS)
    figure = (
        f"{seen.statuses.total():,} requests, {_told(seen.statuses)}; {seen.refreshes} refresh calls, "
        f"{seen.refused} refused; the slowest request took {seen.longest:.1f} s"
    )
    return Result(figure=figure, problems=seen.problems)


def _kill_holder(store: str, directory: Path) -> Result:
    with fleet_on(store, directory) as fleet:
        seen = kill_holder(fleet, USERS[0], processed=False)
    problems = [] if (seen.status, seen.lives) == (200, True) else [f"status {seen.status}, lives: {seen.lives}"]
    late = [f"{seen.seconds:.1f} s"] if seen.seconds > LEASE_SECONDS + RENEWAL_SECONDS else []
    return Result(figure=f"renewed by the next request {seen.seconds:.1f} s after", problems=[*problems, *late])


def _kill_redis(directory: Path) -> Result:
    with run_durable_redis(directory / "redis") as redis, run_fleet(directory, USERS, on_redis(redis.url)) as fleet:
        return _of_outage(kill_redis(fleet, redis, USERS, rate=RATE, down=3))


def _kill_provider(directory: Path) -> Result:
    with fleet_on("files", directory) as fleet:
        return _of_outage(kill_provider(fleet, USERS, rate=RATE, down=6, after=35))


def _of_outage(seen: Outage) -> Result:
    figure = (
        f"{_told(seen.statuses)}; {seen.under_way} refreshes under way at the kill, {seen.refreshes} in all, "
        f"{seen.refused} refused; the last 503 came {seen.recovered:.1f} s after the return"
    )
    return Result(figure=figure, problems=seen.problems)


def _sign_out(store: str, directory: Path) -> Result:
    with fleet_on(store, directory) as fleet:
        seen = sign_out_everywhere(fleet, USERS[0], SESSIONS, rate=SIGN_OUT_RATE)
    figure = f"{seen.asked:,} requests; the last one let through was asked {seen.longest:.2f} s after"
    return Result(figure=figure, problems=seen.problems)


def _rotate(directory: Path) -> Result:
    ring = RingFile(directory / "config.yaml")
    with run_fleet(directory, USERS, {}, environ=ring.environ) as fleet:
        seen = rotate_under_load(fleet, ring, USERS, rate=RING_RATE, times=2)
    return Result(figure=f"{_told(seen.statuses)}; {seen.reloads} reloads", problems=seen.problems)


def _told(statuses: Counter[int]) -> str:
    return ", ".join(f"{number:,} x {status}" for status, number in sorted(statuses.items()))


def _on(store: str, run: Callable[[str, Path], Result]) -> Callable[[Path], Result]:
    return lambda directory: run(store, directory)


FAILURES: Final = [
    *(
        Experiment(
            name=f"storm-{store}",
            what=f"{GATEWAYS} processes get {REQUESTS} requests each of one session at the moment when its token ends, "
            f"{ROUNDS} rounds, with rotation and detection of reuse at the provider; on {store}",
            demand=f"{ROUNDS} refresh calls, none refused; only 200, each with its own user's token; nobody signed out",
            run=_on(store, _storm),
        )
        for store in STORES
    ),
    *(
        Experiment(
            name=f"holder-{store}",
            what=f"the worker that renews a session is killed (SIGKILL) meanwhile; on {store}",
            demand=f"another gateway renews it at the next request, as soon as the lease of {LEASE_SECONDS} s "
            "has ended; no session lost",
            run=_on(store, _kill_holder),
        )
        for store in STORES
    ),
    Experiment(
        name="redis",
        what=f"Redis with persistence is killed, and back after 3 s, under {RATE:.0f} requests a second, "
        "with all sessions being renewed",
        demand="only 200 and, while it is away and a second longer, 503 with `Retry-After`; no session lost",
        run=_kill_redis,
    ),
    Experiment(
        name="provider",
        what=f"the provider is killed, and back after 6 s, under {RATE:.0f} requests a second",
        demand="requests with fresh tokens notice nothing, the others get 503 with `Retry-After`; no session lost",
        run=_kill_provider,
    ),
    *(
        Experiment(
            name=f"sign-out-{store}",
            what=f"a user with {SESSIONS} sessions is signed out by the provider, by `sub`, over two gateways under "
            f"{SIGN_OUT_RATE:.0f} requests a second; on {store}",
            demand=f"all refuse within {BOUND_SECONDS:.0f} s; {SESSIONS} of others and one begun afterwards live",
            run=_on(store, _sign_out),
        )
        for store in STORES
    ),
    Experiment(
        name="secret",
        what=f"`session.secret` is replaced twice, each in three steps, under {RING_RATE:.0f} requests a second",
        demand="only 200; nobody signed out",
        run=_rotate,
    ),
]
