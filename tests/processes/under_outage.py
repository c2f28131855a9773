"""Requests at an even pace while the store, or the provider, is killed and comes back."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from .fleet import Fleet
from .load import Load, Seen, Visitor
from .outages import DurableRedis, Refreshes

GRACE_SECONDS: Final = 1.0
"""How long after the store is back a request may still be told to come again."""

RENEWED_SECONDS: Final = 4
"""An access token that lives so long is renewed after two."""

BEFORE_SECONDS: Final = 5.0
AFTER_SECONDS: Final = 8.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outage:
    """What was seen; `problems` is empty where all was as it should be, `under_way` counts refreshes at the kill.

    `recovered` is how many seconds after the return of what was killed the last request was told to come again.
    """

    statuses: Counter[int]
    under_way: int
    refreshes: int
    refused: int
    recovered: float
    problems: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Window:
    killed_at: float
    back_at: float


def kill_redis(fleet: Fleet, redis: DurableRedis, users: Sequence[str], *, rate: float, down: float) -> Outage:
    """Kill Redis under load while all sessions are being renewed, and start it again after `down` seconds."""
    visitors = fleet.sign_in_all(users)
    refreshes = Refreshes(fleet.provider, seconds=0.15)
    fleet.provider.access_token_lifetime = RENEWED_SECONDS
    _shorten_all(fleet, visitors)
    with Load(fleet.plans(visitors), rate=rate) as load:
        time.sleep(BEFORE_SECONDS)
        under_way, killed_at = refreshes.under_way, time.monotonic()
        redis.kill()
        time.sleep(down)
        redis.start()
        window = _Window(killed_at=killed_at, back_at=time.monotonic())
        time.sleep(AFTER_SECONDS)
        seen = load.stop()
    until = window.back_at + GRACE_SECONDS
    problems = _problems(fleet, seen, lambda one: window.killed_at <= one.answered_at <= until)
    return _outage(fleet, visitors, seen, window, under_way, refreshes, problems)


def kill_provider(fleet: Fleet, users: Sequence[str], *, rate: float, down: float, after: float) -> Outage:
    """Kill the provider under load while every other session is being renewed, and start it again.

    No session with a fresh token may notice; the others may be told to come again once their token has ended.
    """
    visitors = fleet.sign_in_all(users)
    fresh, renewed = visitors[::2], visitors[1::2]
    refreshes = Refreshes(fleet.provider)
    fleet.provider.access_token_lifetime = RENEWED_SECONDS
    _shorten_all(fleet, renewed)
    with Load(fleet.plans(visitors), rate=rate) as load:
        time.sleep(BEFORE_SECONDS)
        under_way, killed_at = refreshes.under_way, time.monotonic()
        refreshes.close()
        fleet.server.kill()
        time.sleep(down)
        refreshes.open()
        fleet.server.start()
        window = _Window(killed_at=killed_at, back_at=time.monotonic())
        time.sleep(after)
        seen = load.stop()
    until = window.back_at + after - GRACE_SECONDS
    may_wait = {visitor.cookie for visitor in renewed}
    problems = _problems(
        fleet, seen, lambda one: one.visitor.cookie in may_wait and window.killed_at <= one.answered_at <= until
    )
    problems += [] if len(fresh) == len(may_wait) else ["the halves differ"]
    return _outage(fleet, visitors, seen, window, under_way, refreshes, problems)


def _shorten_all(fleet: Fleet, visitors: Sequence[Visitor]) -> None:
    lifetime = fleet.provider.access_token_lifetime
    for visitor in visitors:
        fleet.shorten(visitor, lifetime)
    fleet.provider.access_token_lifetime = lifetime


def _problems(fleet: Fleet, seen: Sequence[Seen], may_wait: Callable[[Seen], bool]) -> list[str]:
    found = Counter(_problem(fleet, one, may_wait) for one in seen)
    return [f"{number} x {problem}" for problem, number in found.items() if problem]


def _problem(fleet: Fleet, one: Seen, may_wait: Callable[[Seen], bool]) -> str:
    if one.status == 503:
        if not one.retry_after.isdigit():
            return "503 without Retry-After"
        return "" if may_wait(one) else f"503 out of its time: {one.body.decode()[:40]}"
    if one.status != 200:
        return f"status {one.status}"
    return "" if fleet.is_right(one) else "another user's token"


def _outage(
    fleet: Fleet,
    visitors: Sequence[Visitor],
    seen: Sequence[Seen],
    window: _Window,
    under_way: int,
    refreshes: Refreshes,
    problems: list[str],
) -> Outage:
    ended = {one.visitor.cookie for one in fleet.ask_all(visitors) if not fleet.is_right(one)}
    told = [one.answered_at for one in seen if one.status == 503]
    lost = [f"{len(ended)} sessions have ended"] if ended else []
    refused = [f"{refreshes.refused} refreshes were refused"] if refreshes.refused else []
    return Outage(
        statuses=Counter(one.status for one in seen),
        under_way=under_way,
        refreshes=refreshes.made,
        refused=refreshes.refused,
        recovered=max(0.0, max(told, default=0.0) - window.back_at),
        problems=[*problems, *lost, *refused],
    )
