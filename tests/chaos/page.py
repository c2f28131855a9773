"""The figures of a run in which nothing was wrong, as rows of docs/RELIABILITY.md."""

from collections import Counter
from typing import Final

from .faults import RECOVERY_SECONDS, Kind
from .run import Plan, Seen
from .site import GATEWAYS, WORKERS

_NAMES: Final = {
    Kind.WORKER: "workers killed",
    Kind.RELOAD: "reloads",
    Kind.REDIS: "ends of Redis",
    Kind.PROVIDER: "faults of the provider",
    Kind.KEYS: "rotations of its keys",
    Kind.UPSTREAM: "faults of the upstream",
    Kind.LATE: "moments of a busy machine",
}


def table(plan: Plan, seen: Seen) -> str:
    """Write what was done and what was seen."""
    answers = seen.answers
    kinds = Counter(fault.kind for fault in seen.faults)
    broken = ", ".join(f"{kinds[kind]} {name}" for kind, name in _NAMES.items() if kinds[kind])
    done = (
        f"| done | {plan.users} users at {GATEWAYS} gateways of {WORKERS} workers for {plan.seconds:.0f} s, seed "
        f"{plan.seed}: {answers.total():,} answers, {answers['callback: right']:,} sign-ins, {seen.refreshes:,} "
        f"renewals, {answers['leave: right']:,} sign-outs, {answers['socket: right']:,} WebSockets |"
    )
    none = (
        "| another user's token, one of an ended session, one that had ended, a status 500, somebody signed out "
        "without cause | none |"
    )
    rows = [
        done,
        f"| broken | {broken} |",
        f"| whole and right | {_counted(answers, 'right')} |",
        f"| told to come again, or lost, within a fault that explains it | {_failed(answers)} |",
        f"| signed out since the provider refused a refresh token that had been used | {seen.refused} sessions |",
        none,
        f"| the last failure after the last fault, at most {RECOVERY_SECONDS:.0f} s | {seen.recovered:.1f} s |",
        f"| secrets searched for in all outputs | {seen.secrets:,} in {seen.searched / 2**20:.0f} MiB, none found |",
    ]
    return "\n".join(["| what | seen |", "| --- | --- |", *rows, ""])


def _counted(answers: Counter[str], verdict: str) -> str:
    return f"{sum(count for what, count in answers.items() if what.endswith(f': {verdict}')):,}"


def _failed(answers: Counter[str]) -> str:
    told = Counter[str]()
    for what, count in answers.items():
        verdict = what.partition(": ")[2]
        if verdict != "right" and not verdict.startswith("signed out"):
            told[verdict] += count
    return ", ".join(f"{count:,} x {verdict}" for verdict, count in told.most_common())
