"""The secret of the sessions is replaced while they are in use, in steps that each gateway takes on its own."""

import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from .fleet import Fleet
from .load import Load, Seen
from .outages import reload_workers

RENEWED_SECONDS: Final = 4
"""An access token that lives so long is renewed, and its session written anew, after two."""

REWRITTEN_SECONDS: Final = 6.0
"""Within this all sessions have been written anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RingSeen:
    """What was seen; `repeated` counts requests sent once more since an idle connection had been closed."""

    statuses: Counter[int]
    repeated: int
    reloads: int
    problems: Sequence[str]


class RingFile:
    """A configuration file whose only key is the ring; the rest comes from the environment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.secrets = [secrets.token_urlsafe(32)]
        self.write()

    @property
    def environ(self) -> Mapping[str, str]:
        """What to lay over the environment of a gateway that reads the file."""
        return {"GATEWAY_CONFIG": str(self._path), "GATEWAY_SESSION__SECRET": ""}

    def write(self) -> None:
        """Write the ring down."""
        self._path.write_text(yaml.safe_dump({"session": {"secret": self.secrets}}), encoding="utf-8")


def rotate_under_load(fleet: Fleet, ring: RingFile, users: Sequence[str], *, rate: float, times: int) -> RingSeen:
    """Replace the secret so many times, and the old one is dropped at last, under requests at an even pace."""
    visitors = fleet.sign_in_all(users)
    for visitor in visitors:
        fleet.shorten(visitor, RENEWED_SECONDS)
    fleet.provider.access_token_lifetime = RENEWED_SECONDS
    reloads = 0
    with Load(fleet.plans(visitors), rate=rate) as load:
        for _ in range(times):
            reloads += _replace_secret(fleet, ring)
        seen = load.stop()
    problems = _problems(fleet, seen)
    if not fleet.all_live(visitors):
        problems.append("a session has ended")
    statuses = Counter(one.status for one in seen)
    return RingSeen(statuses=statuses, repeated=sum(one.repeated for one in seen), reloads=reloads, problems=problems)


def _replace_secret(fleet: Fleet, ring: RingFile) -> int:
    new = secrets.token_urlsafe(32)
    steps = [[*ring.secrets, new], [new, *ring.secrets], [new]]
    for step in steps:
        ring.secrets = step
        ring.write()
        for master in fleet.masters:
            reload_workers(master)
        time.sleep(REWRITTEN_SECONDS)
    return len(steps) * len(fleet.masters)


def _problems(fleet: Fleet, seen: Sequence[Seen]) -> list[str]:
    wrong = Counter(f"status {one.status}" for one in seen if not fleet.is_right(one))
    return [f"{number} x {what}" for what, number in wrong.items()]
