"""What sessions weigh in a real Redis, and what it is asked for them: `python -m scaling.redis_cost`."""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from peers.servers import run_redis
from processes.many_sessions import fill
from redis import Redis
from samples import COOKIES

from gateway.backends.redis import RedisBackend
from gateway.session import Lifetimes
from gateway.store import HeldSession, SessionStore

SESSIONS: Final = 5000
OPERATIONS: Final = 100
LIFETIMES: Final = Lifetimes(idle=1800, absolute=43200, refresh_leeway=60, refresh_jitter=30)
ISSUER: Final = "https://login.example.com"
PREFIX: Final = "gateway:"


def main() -> int:
    """Print bytes a session, and commands an operation."""
    with tempfile.TemporaryDirectory() as directory, run_redis(Path(directory)) as url:
        redis: Any = Redis.from_url(url)
        backend = RedisBackend(url, PREFIX)
        store = SessionStore(
            backend=backend, ring=COOKIES.ring, realm=ISSUER, lifetimes=LIFETIMES, clock=time.time, entropy=_entropy
        )
        before = redis.info("memory")["used_memory"]
        held = fill(store, ISSUER, SESSIONS)
        grown = (redis.info("memory")["used_memory"] - before) / SESSIONS
        key = f"{PREFIX}session:{held[0].session.id}"
        print(f"an entry {redis.strlen(key)} bytes, {redis.memory_usage(key)} with its key")
        print(f"Redis grew by {grown:.0f} bytes a session, {redis.dbsize() / SESSIONS:.1f} keys each")
        for name, act in (("look-up", _look_up), ("touch", _touch)):
            print(f"{name}: {_cost(redis, store, held, act)}")
        backend.close()
        redis.close()
    return 0


def _entropy(count: int) -> bytes:
    with Path("/dev/urandom").open("rb") as source:
        return source.read(count)


def _look_up(store: SessionStore, held: HeldSession) -> None:
    assert store.load(held.handle) is not None


def _touch(store: SessionStore, held: HeldSession) -> None:
    # What Authenticator.note_use asks of the store; a renewal asks the same.
    with store.lock(held.session.id):
        current = store.load(held.handle)
        assert current is not None
        assert store.replace(current) is not None


def _cost(
    redis: Any, store: SessionStore, held: list[HeldSession], act: Callable[[SessionStore, HeldSession], None]
) -> str:
    act(store, held[0])  # The scripts are sent to the server once.
    redis.config_resetstat()
    for one in held[:OPERATIONS]:
        act(store, one)
    stats = redis.info("commandstats")
    names = ("mget", "set", "evalsha")  # Within a script, a command counts, too, but costs no way to the server.
    inner = stats.get("cmdstat_evalsha", {}).get("calls", 0) // 2  # Each write's script has a SET within.
    calls = {name: stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in names}
    calls["set"] -= inner
    return ", ".join(f"{count / OPERATIONS:.0f} {name.upper()}" for name, count in calls.items() if count)


if __name__ == "__main__":
    sys.exit(main())
