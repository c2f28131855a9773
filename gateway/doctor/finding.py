"""What an examination finds: a kind that never changes, and what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

MAX_SHOWN = 400
"""What is shown of a value that came from elsewhere, in characters."""


class Severity(Enum):
    """How bad a finding is."""

    FAILED = "failed"
    WARNING = "warning"
    OK = "ok"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """A kind of finding; `code` never changes once released, `cause` and `remedy` have in braces what was seen."""

    code: str
    severity: Severity
    cause: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found of one subject: the cause with the values that were seen, and what would help."""

    code: str
    severity: Severity
    subject: str
    cause: str
    remedy: str


def failed(code: str, cause: str, remedy: str) -> Diagnosis:
    """Name what makes a set-up fail."""
    return Diagnosis(code=code, severity=Severity.FAILED, cause=cause, remedy=remedy)


def warning(code: str, cause: str, remedy: str) -> Diagnosis:
    """Name what may be meant, and will surprise somebody if not."""
    return Diagnosis(code=code, severity=Severity.WARNING, cause=cause, remedy=remedy)


def ok(code: str, cause: str) -> Diagnosis:
    """Name what is well."""
    return Diagnosis(code=code, severity=Severity.OK, cause=cause)


def skipped(code: str) -> Diagnosis:
    """Name what is not looked at where something else is in the way."""
    return Diagnosis(code=code, severity=Severity.SKIPPED, cause="This was not looked at, because {why}.")


def found(diagnosis: Diagnosis, subject: str, values: Mapping[str, object] | None = None) -> Finding:
    """Make a finding; values come from elsewhere, so what cannot be printed is left out, and what is long is cut."""
    shown = {name: _shown(value) for name, value in (values or {}).items()}
    return Finding(
        code=diagnosis.code,
        severity=diagnosis.severity,
        subject=subject,
        cause=diagnosis.cause.format_map(shown),
        remedy=diagnosis.remedy.format_map(shown),
    )


def place_of(url: str) -> str:
    """Name a URL without user, password, query and fragment."""
    bare = url.partition("#")[0].partition("?")[0]
    scheme, mark, rest = bare.partition("://")
    if not mark:
        return bare
    # Not by the first slash: what stands before an @ may hold one, and is no place.
    return f"{scheme}://{rest.rpartition('@')[2]}"


def origin_of(url: str) -> str:
    """Name the origin of a URL as browsers do, empty for what is none."""
    try:
        parts = urlsplit(url)
        default = {"https": 443, "http": 80}.get(parts.scheme)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = "" if parts.port in (None, default) else f":{parts.port}"
    except ValueError:
        return ""
    return f"{parts.scheme}://{host}{port}" if host and parts.scheme else ""


def listed(values: Iterable[str]) -> str:
    """Write several values as one text."""
    return ", ".join(values) or "none"


def _shown(value: object) -> str:
    text = "".join(character if character.isprintable() else "?" for character in str(value))
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
