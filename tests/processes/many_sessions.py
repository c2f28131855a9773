"""A hundred thousand live sessions: how long a look-up takes, what a worker weighs, whom sweeping keeps waiting."""

import os
import random
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from samples import SESSION

from gateway.backends.base import Backend
from gateway.oidc.messages import base64url
from gateway.session import Session
from gateway.store import HeldSession, SessionStore

from .fleet import Fleet
from .load import Load, Plan, Seen, Visitor, ask_each
from .outages import reload_workers, workers_of
from .running import CLIENT_ID

ROUNDS: Final = 15
LOOKUPS: Final = 2000
LIVES_SECONDS: Final = 7200
TOKEN_BYTES: Final = 900
"""An access token that is a JWT weighs about so much."""

CLIENTS: Final = 16
CALM_SECONDS: Final = 15.0
SWEEP_RATE: Final = 50.0
SWEEP_SECONDS: Final = 300.0
_MIB: Final = 1024 * 1024
_OF_A_SIGN_IN: Final = 2
"""Entries: the session and the name of its login."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LookUps:
    """Medians, in microseconds, and by how much the larger one is the longer."""

    few: float
    many: float

    @property
    def growth(self) -> float:
        """How much longer it takes among many, as a share."""
        return self.many / self.few - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """How long it took, how many entries went, and latencies in milliseconds: median, 99th in 100, and longest."""

    seconds: float
    entries: int
    calm: tuple[float, float, float]
    swept: tuple[float, float, float]
    problems: Sequence[str]


def fill(store: SessionStore, issuer: str, count: int) -> list[HeldSession]:
    """Begin so many sessions, each of a user of its own."""
    now = int(time.time())
    token = secrets.token_urlsafe(TOKEN_BYTES * 3 // 4)
    sample = replace(
        SESSION,
        issuer=issuer,
        client_id=CLIENT_ID,
        access_token=token,
        access_issued_at=now,
        access_expires_at=now + LIVES_SECONDS,
        refresh_token=token[:300],
        id_token=token,
        created_at=now,
        seen_at=now,
        ends_at=now + LIVES_SECONDS,
    )
    return [store.create(_begin(sample, f"user-{number}"), began_at=now) for number in range(count)]


def _begin(sample: Session, subject: str) -> Callable[[str], Session]:
    claims = {"sub": subject, "email": f"{subject}@op.example", "groups": ["staff", "readers"]}
    return lambda name: replace(sample, id=name, subject=subject, claims=claims)


def look_up(few: tuple[SessionStore, Sequence[bytes]], many: tuple[SessionStore, Sequence[bytes]]) -> LookUps:
    """Time look-ups in two stores, in turn, of sessions chosen by chance."""
    chance = random.Random(1)
    pairs = [(_microseconds(few, chance), _microseconds(many, chance)) for _ in range(ROUNDS)]
    return LookUps(few=statistics.median(pair[0] for pair in pairs), many=statistics.median(pair[1] for pair in pairs))


def _microseconds(held: tuple[SessionStore, Sequence[bytes]], chance: random.Random) -> float:
    store, handles = held
    chosen = chance.choices(handles, k=LOOKUPS)
    began = time.perf_counter()
    found = sum(store.load(handle) is not None for handle in chosen)
    seconds = time.perf_counter() - began
    assert found == LOOKUPS
    return seconds / LOOKUPS * 1e6


def weigh(fleet: Fleet, visitors: Sequence[Visitor], steps: int) -> list[float]:
    """Ask for each session once at the first gateway; the worker's MiB after each of so many equal steps."""
    share, weights = len(visitors) // steps, []
    for step in range(steps):
        plans = [Plan(visitor=one, origin=fleet.origins[0]) for one in visitors[step * share : (step + 1) * share]]
        seen = ask_each(plans, at_once=CLIENTS, target="/")
        assert {one.status for one in seen} == {200}
        weights.append(_resident(fleet.masters[0]))
    return weights


def _resident(master: int) -> float:
    (worker,) = workers_of(master)
    pages = int(Path(f"/proc/{worker}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MIB


def leave(backend: Backend, count: int) -> None:
    """Leave so many entries that end within a second."""
    entry = secrets.token_bytes(2 * TOKEN_BYTES)
    for _ in range(count):
        backend.set(f"session:{secrets.token_hex(16)}", entry, 1)


def sweep(fleet: Fleet, directory: Path, visitors: Sequence[Visitor]) -> Sweep:
    """Have the only worker sweep what has ended while it answers requests."""
    reload_workers(fleet.masters[0])  # A new worker sweeps at the first entry that it writes.
    before = _count(directory)
    with Load([Plan(visitor=one, origin=fleet.origins[0]) for one in visitors], rate=SWEEP_RATE) as load:
        time.sleep(CALM_SECONDS)
        began = time.monotonic()
        fleet.sign_in(visitors[0].user)
        after, deadline = _count(directory), began + SWEEP_SECONDS
        while time.monotonic() < deadline:
            time.sleep(1)
            earlier, after = after, _count(directory)
            if after == earlier < before:
                break
        ended = time.monotonic() - 1
        seen = load.stop()
    calm = [one for one in seen if one.asked_at < began]
    swept = [one for one in seen if began <= one.asked_at < ended]
    failed = sum(one.status != 200 for one in seen)
    return Sweep(
        seconds=ended - began,
        entries=before + _OF_A_SIGN_IN - after,
        calm=_latencies(calm),
        swept=_latencies(swept),
        problems=[f"{failed} requests failed"] if failed else [],
    )


def _count(directory: Path) -> int:
    return len(os.listdir(directory))  # noqa: PTH208 - names, and no object for each.


def _latencies(seen: Sequence[Seen]) -> tuple[float, float, float]:
    times = sorted((one.answered_at - one.asked_at) * 1000 for one in seen)
    return times[len(times) // 2], times[len(times) * 99 // 100], times[-1]


def visitor_of(held: HeldSession) -> Visitor:
    """The browser of a session."""
    return Visitor(user=held.session.subject, cookie=base64url(held.handle))
