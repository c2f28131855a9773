"""The page of all findings, docs/doctor.md, from the findings themselves."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.doctor import diagnoses_contact, diagnoses_outside, diagnoses_parts, diagnoses_provider
from gateway.doctor.finding import Diagnosis


def all_diagnoses() -> list[Diagnosis]:
    """List every kind of finding, part by part."""
    return [
        *_of(vars(diagnoses_parts).values()),
        *diagnoses_contact.PROVIDER_CONTACT.values(),
        *_of(vars(diagnoses_provider).values()),
        *diagnoses_contact.UPSTREAM_CONTACT.values(),
        *diagnoses_contact.OUTSIDE_CONTACT.values(),
        *_of(vars(diagnoses_outside).values()),
    ]


def diagnoses_table() -> str:
    """Write the Markdown table of all findings: code, severity, cause, remedy."""
    lines = ["| code | severity | cause | remedy |", "| --- | --- | --- | --- |"]
    lines += [f"| `{one.code}` | {one.severity.value} | {one.cause} | {one.remedy} |" for one in all_diagnoses()]
    return "\n".join(lines)


def _of(values: Iterable[object]) -> list[Diagnosis]:
    return [value for value in values if isinstance(value, Diagnosis)]
