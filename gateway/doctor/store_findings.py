"""Judges the store."""

from __future__ import annotations

from gateway.doctor.diagnoses_parts import (
    STORE_EVICTS,
    STORE_MEMORY,
    STORE_MEMORY_SHARED,
    STORE_OK,
    STORE_OTHER_OWNER,
)
from gateway.doctor.finding import Finding, found
from gateway.doctor.store_facts import StoreFacts


def judge_store(facts: StoreFacts) -> list[Finding]:
    """Say what is wrong with the store."""
    subject = f"store {facts.type}"
    values = {
        "place": facts.place,
        "path": facts.place,
        "owner": facts.owner,
        "user": facts.user,
        "workers": facts.workers,
        "detail": facts.detail,
    }
    if facts.type == "memory":
        return [found(STORE_MEMORY_SHARED if facts.workers > 1 else STORE_MEMORY, subject, values)]
    if facts.owner is not None:
        return [found(STORE_OTHER_OWNER, subject, values)]
    if facts.problem is not None:
        return [found(facts.problem, subject, values)]
    evicting = [policy for policy in facts.policies if policy != "noeviction"]
    warnings = [found(STORE_EVICTS, subject, {**values, "policy": policy}) for policy in evicting]
    return [found(STORE_OK, subject, values), *warnings]
