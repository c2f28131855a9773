"""What is killed, replaced or signed out under load: nobody is logged out who should not be, all are who should."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from gateway.backends.lease import LEASE_SECONDS

from .fleet import Fleet, on_redis, run_fleet
from .killed_holder import kill_holder
from .logout_everywhere import sign_out_everywhere
from .outages import run_durable_redis
from .ring import RingFile, rotate_under_load
from .under_outage import kill_provider, kill_redis

pytestmark = [pytest.mark.slow, pytest.mark.real("redis")]

USERS: Final = [f"user-{number}" for number in range(10)]
STORES: Final = ["file", "redis"]


@contextmanager
def fleet_on(store: str, directory: Path) -> Iterator[Fleet]:
    """Run two gateways over a store of that kind."""
    with ExitStack() as stack:
        settings = {}
        if store == "redis":
            settings = on_redis(stack.enter_context(run_durable_redis(directory / "redis")).url)
        yield stack.enter_context(run_fleet(directory, USERS, settings))


@pytest.mark.parametrize("store", STORES)
def test_a_session_outlives_the_worker_that_was_renewing_it(store: str, tmp_path: Path) -> None:
    with fleet_on(store, tmp_path) as fleet:
        seen = kill_holder(fleet, USERS[0], processed=False)
    assert (seen.status, seen.lives) == (200, True)
    assert seen.seconds < LEASE_SECONDS + 5


@pytest.mark.parametrize("store", STORES)
def test_a_user_is_signed_out_of_all_sessions_at_every_gateway(store: str, tmp_path: Path) -> None:
    with fleet_on(store, tmp_path) as fleet:
        seen = sign_out_everywhere(fleet, USERS[0], 20, rate=100)
    assert seen.problems == []


def test_redis_is_killed_and_comes_back(tmp_path: Path) -> None:
    with run_durable_redis(tmp_path / "redis") as redis, run_fleet(tmp_path, USERS, on_redis(redis.url)) as fleet:
        seen = kill_redis(fleet, redis, USERS, rate=100, down=3)
    assert seen.problems == []
    assert seen.statuses[503]


def test_the_provider_is_killed_and_comes_back(tmp_path: Path) -> None:
    with fleet_on("file", tmp_path) as fleet:
        seen = kill_provider(fleet, USERS, rate=100, down=6, after=35)
    assert seen.problems == []
    assert seen.statuses[503]


def test_the_secret_is_replaced_twice_and_nobody_is_signed_out(tmp_path: Path) -> None:
    ring = RingFile(tmp_path / "config.yaml")
    with run_fleet(tmp_path, USERS, {}, environ=ring.environ) as fleet:
        seen = rotate_under_load(fleet, ring, USERS, rate=50, times=2)
    assert seen.problems == []
