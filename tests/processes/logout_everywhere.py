"""The provider signs a user out of all sessions at once; how long each of them is still let through, and where."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import requests

from .fleet import Fleet
from .load import Load, Plan, Seen
from .running import CLIENT_ID, SECONDS

BOUND_SECONDS: Final = 3.0
"""`session.local_cache`, which is two seconds, and one more."""

WATCHED_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LogoutSeen:
    """What was seen; `longest` is how many seconds after the provider had its answer a session was let through."""

    longest: float
    asked: int
    problems: Sequence[str]


def sign_out_everywhere(fleet: Fleet, user: str, sessions: int, *, rate: float) -> LogoutSeen:
    """Sign a user out by `sub` while all sessions, and as many of other users, are in use at every gateway."""
    others = [name for name in fleet.provider.users if name != user]
    ended = fleet.sign_in_all([user] * sessions)
    untouched = fleet.sign_in_all([others[number % len(others)] for number in range(sessions)])
    plans = [plan for pair in zip(fleet.plans(ended), fleet.plans(untouched), strict=True) for plan in pair]
    with Load(plans, rate=rate) as load:
        time.sleep(2 * len(plans) / rate)  # Until each worker has a copy of each session.
        _post_logout_token(fleet, user)
        answered_at = time.monotonic()
        later = fleet.sign_in(user)
        time.sleep(WATCHED_SECONDS)
        seen = load.stop()
    cookies = {visitor.cookie for visitor in ended}
    let_through = [one.asked_at - answered_at for one in seen if one.visitor.cookie in cookies and one.status == 200]
    longest = max(0.0, *let_through)
    problems = [f"a session was let through after {longest:.2f} s"] if longest > BOUND_SECONDS else []
    problems += _of_the_ended(seen, cookies, answered_at)
    problems += _of_the_others(fleet, seen, cookies)
    if not all(one.status == 401 for one in fleet.ask_all(ended)):
        problems.append("an ended session lives")
    if not fleet.all_live([later, *untouched]):
        problems.append("a session that should live has ended")
    return LogoutSeen(longest=longest, asked=len(seen), problems=problems)


def _of_the_ended(seen: Sequence[Seen], cookies: set[str], answered_at: float) -> list[str]:
    mine = [one for one in seen if one.visitor.cookie in cookies]
    early = [one for one in mine if one.answered_at < answered_at - SECONDS and one.status != 200]
    odd = {one.status for one in mine} - {200, 401}
    refused = {(one.visitor.cookie, one.origin) for one in mine if one.status == 401}
    expected = {(plan.visitor.cookie, plan.origin) for plan in _asked(mine)}
    return [
        *(["a session ended early"] if early else []),
        *([f"statuses {odd}"] if odd else []),
        *(["a session was never refused"] if refused != expected else []),
    ]


def _asked(seen: Sequence[Seen]) -> list[Plan]:
    return [Plan(visitor=one.visitor, origin=one.origin) for one in seen]


def _of_the_others(fleet: Fleet, seen: Sequence[Seen], cookies: set[str]) -> list[str]:
    wrong = sum(not fleet.is_right(one) for one in seen if one.visitor.cookie not in cookies)
    return [f"{wrong} requests of other users failed"] if wrong else []


def _post_logout_token(fleet: Fleet, user: str) -> None:
    token = fleet.provider.logout_token(CLIENT_ID, subject=user, sid=None)
    answer = requests.post(
        f"{fleet.origins[0]}/oauth2/backchannel-logout", data={"logout_token": token}, timeout=SECONDS
    )
    assert answer.status_code == 200, answer.text
