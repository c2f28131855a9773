"""Thousands of requests of one session at the moment when its token ends, over many gateways, again and again."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from .fleet import Fleet
from .load import Plan, Seen, Visitor, ask_all_at
from .outages import Refreshes

TOKEN_SECONDS: Final = 40
"""An access token that lives so long is renewed from the middle of its life on; no round lasts until then."""

BYSTANDER_SECONDS: Final = 7200
REFRESH_SECONDS: Final = 0.15
BYSTANDER_SHARE: Final = 10
"""One request of the bystander goes with so many of the session whose token ends."""

CONNECT_SECONDS: Final = 3.0
"""How long before the moment the clients begin to connect."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StormSeen:
    """What was seen; `longest` is how many seconds the slowest request took."""

    statuses: Counter[int]
    refreshes: int
    refused: int
    longest: float
    problems: Sequence[str]


def storm(fleet: Fleet, users: Sequence[str], *, rounds: int, requests: int) -> StormSeen:
    """Let so many requests meet the end of a token at each gateway, of one session after the other.

    The provider gives out a new refresh token each time, and ends a session whose old one comes back. Among the
    requests are some of the first user, whose token does not end.
    """
    bystander = fleet.sign_in(users[0], lifetime=BYSTANDER_SECONDS)
    visitors = [fleet.sign_in(user, lifetime=TOKEN_SECONDS) for user in users[1:]]
    ends_at = [time.monotonic() + TOKEN_SECONDS] * len(visitors)
    fleet.provider.access_token_lifetime = TOKEN_SECONDS
    refreshes = Refreshes(fleet.provider, seconds=REFRESH_SECONDS)
    seen, problems = list[Seen](), list[str]()
    for number in range(rounds):
        turn = number % len(visitors)
        moment = max(ends_at[turn], time.monotonic() + CONNECT_SECONDS)
        time.sleep(max(0.0, moment - CONNECT_SECONDS - time.monotonic()))
        before = refreshes.made
        answers = ask_all_at(moment, _plans(fleet, visitors[turn], bystander, requests))
        ends_at[turn] = moment + TOKEN_SECONDS
        problems += [f"round {number}: {problem}" for problem in _of_one(fleet, answers, refreshes.made - before)]
        seen += [replace(one, body=b"") for one in answers]
    made = refreshes.made
    problems += [f"{refreshes.refused} refreshes were refused"] if refreshes.refused else []
    problems += [] if fleet.all_live([*visitors, bystander]) else ["a session has ended"]
    return StormSeen(
        statuses=Counter(one.status for one in seen),
        refreshes=made,
        refused=refreshes.refused,
        longest=max(one.answered_at - one.asked_at for one in seen),
        problems=problems,
    )


def _plans(fleet: Fleet, visitor: Visitor, bystander: Visitor, requests: int) -> list[Plan]:
    crowd = [visitor] * requests + [bystander] * (requests // BYSTANDER_SHARE)
    return fleet.plans(crowd)


def _of_one(fleet: Fleet, answers: Sequence[Seen], refreshes: int) -> list[str]:
    wrong = Counter(f"status {one.status}" for one in answers if not fleet.is_right(one))
    found = [f"{number} x {what}" for what, number in wrong.items()]
    return found if refreshes == 1 else [*found, f"{refreshes} refreshes"]
