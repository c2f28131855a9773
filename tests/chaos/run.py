"""One run from the first sign-in to the search for secrets."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .breaking import Breaking
from .faults import RECOVERY_SECONDS, Fault, FaultLog
from .outputs import command_lines, files, leaks, metrics, strangers
from .site import Site, run_site
from .users import User
from .verdicts import Judge

CALM_SECONDS: Final = 5.0
"""For so long nothing may fail at all, once everybody has had the time to recover."""

SIGNING_IN_SECONDS: Final = 2.0
SIGN_INS_A_SECOND: Final = 20
"""Most users sign in before anything breaks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """For how many seconds things break, for how many users, and by which seed; and for how many they go on then."""

    seconds: float
    users: int
    seed: int
    afterwards: float = RECOVERY_SECONDS + CALM_SECONDS


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What was seen; `problems` is empty where all was as it should be.

    `recovered` is how many seconds after the last fault something failed for the last time, `refused` how many refresh
    tokens the provider refused, `searched` how many octets were looked through for how many `secrets`.
    """

    answers: Counter[str]
    faults: Sequence[Fault]
    recovered: float
    refreshes: int
    refused: int
    secrets: int
    searched: int
    problems: Sequence[str]


def run(directory: Path, plan: Plan) -> Seen:
    """Let users live while things break; then see to it that all is well again, and search all that was put out."""
    names = [f"user-{number}" for number in range(plan.users)]
    with run_site(directory, names) as site:
        faults = FaultLog()
        judge = Judge(site, faults)
        with faults.watching_time():
            recovered = asyncio.run(_live(site, judge, faults, plan, names))
        asked = {**command_lines(site), **metrics(site)}
    return _seen(site, judge, faults, recovered, asked, files(directory))


async def _live(site: Site, judge: Judge, faults: FaultLog, plan: Plan, names: Sequence[str]) -> float:
    users = [User(site, judge, name, random.Random(f"{plan.seed} {name}")) for name in names]
    ended = asyncio.Event()
    living = [asyncio.create_task(user.live(ended)) for user in users]
    await asyncio.sleep(max(SIGNING_IN_SECONDS, plan.users / SIGN_INS_A_SECOND))
    await Breaking(site, faults, plan.seed).run(plan.seconds)
    calm_at = time.monotonic()
    judge.calm_from = calm_at + RECOVERY_SECONDS
    await asyncio.sleep(plan.afterwards)
    ended.set()
    await asyncio.gather(*living)
    well = await asyncio.gather(*(user.becomes_well(judge.calm_from) for user in users))
    judge.problems["not well in the end"] += well.count(False)
    for user in users:
        user.close()
    return max(0.0, judge.troubled_at - calm_at)


def _seen(
    site: Site,
    judge: Judge,
    faults: FaultLog,
    recovered: float,
    asked: Mapping[str, bytes],
    written: Mapping[str, bytes],
) -> Seen:
    put_out = {**asked, **written}
    told = {what: list(answers) for what, answers in judge.told.items()}
    problems = [f"{count} x {problem}" for problem, count in judge.problems.items() if count]
    problems += [*judge.unexplained_refusals(), *strangers(written), *leaks(site, told, put_out)]
    calls = site.tap.calls
    return Seen(
        answers=judge.seen,
        faults=faults.faults,
        recovered=recovered,
        refreshes=calls["refresh_token 200"],
        refused=len(site.tap.refused),
        secrets=len(site.canaries),
        searched=sum(map(len, put_out.values())) + sum(len(one) for answers in told.values() for one in answers),
        problems=problems,
    )
