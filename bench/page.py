"""docs/PERFORMANCE.md: what is between its marks is written anew, the prose around it stays."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.peers.peer import ROOT
from bench.processes import BenchError
from bench.table import Table, as_markdown

PAGE: Final = ROOT / "docs" / "PERFORMANCE.md"
PLOT: Final = ROOT / "docs" / "performance.svg"
BEGIN: Final = "<!-- measured: begin -->\n"
END: Final = "<!-- measured: end -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run tells: the command, what makes it worth less, versions by title, tables, and what was odd."""

    command: str
    remarks: Sequence[str]
    versions: Sequence[tuple[str, str]]
    targets: Table
    cases: Sequence[tuple[str, Table]]
    oddities: Sequence[str]


def machine() -> str:
    """Say what it ran on: processor, cores and kernel."""
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"


def section(report: Report) -> str:
    """Write what goes between the marks."""
    today = datetime.now(UTC).date().isoformat()
    versions = "\n".join(f"- {title}: {version}" for title, version in report.versions)
    odd = "\n".join(f"- {one}" for one in report.oddities) or "None."
    parts = [
        " ".join([f"`{report.command}`, {today}, on {machine()}.", *report.remarks]),
        as_markdown(report.targets),
        *(f"### {title}\n\n{as_markdown(table)}" for title, table in report.cases),
        f"### What went wrong meanwhile\n\n{odd}",
        f"### Versions\n\n{versions}",
    ]
    return "\n\n".join(parts) + "\n"


def between_marks(page: str, text: str) -> str:
    """Put a text between the marks; raises `BenchError` for a page that does not have each of them once, in order."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(END) < page.index(BEGIN):
        raise BenchError(f"the page needs {BEGIN.strip()} and {END} once each")
    head, _, rest = page.partition(BEGIN)
    return f"{head}{BEGIN}{text}{END}{rest.partition(END)[2]}"
