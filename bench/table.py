"""The figures as tables, for the terminal and for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.cases import Case
from bench.figures import Reading, Results, busy, median, p99, rate, speed
from bench.targets import Judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells as text; the first column is what the row is about."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A row of the tables: the name in the results, and what readers are told."""

    name: str
    title: str


def as_text(table: Table) -> str:
    """Align the columns with spaces, numbers to the right."""
    lines = [table.head, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column and _is_number(table, column) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def as_markdown(table: Table) -> str:
    """Write it for a page."""
    marks = ["---:" if column and _is_number(table, column) else "---" for column in range(len(table.head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (table.head, marks, *table.rows))


def of_case(case: Case, servers: Sequence[Server], results: Results) -> Table | None:
    """Make the table of one case, medians of all rounds; None where nothing was measured."""
    names = [server for server in servers if results.get((server.name, case.name))]
    if not names:
        return None
    columns = _DOWNLOAD if case.download else _LOAD
    rows = [
        [
            server.title,
            *(_cell(median(results, (server.name, case.name), reading), shown) for _, reading, shown in columns),
        ]
        for server in names
    ]
    return Table(head=["server", *(head for head, _, _ in columns)], rows=rows)


def of_targets(judged: Sequence[Judged]) -> Table:
    """Make the table of targets."""
    rows = [[one.what, one.wanted, one.seen, one.by_cpu, one.state, one.note] for one in judged]
    return Table(head=["target", "wanted", "seen", "by CPU", "", "note"], rows=rows)


def _cell(value: float | None, shown: str) -> str:
    return "" if value is None else shown.format(value)


def _is_number(table: Table, column: int) -> bool:
    return all(row[column][:1].isdigit() for row in table.rows if row[column])


_Column = tuple[str, Reading, str]
_USE: Sequence[_Column] = (
    ("busy", busy, "{:.0%}"),
    ("others", lambda one: one.foreign, "{:.0%}"),
    ("other core", lambda one: one.load_busy, "{:.0%}"),
    ("MiB", lambda one: one.resident_mib, "{:.0f}"),
)
_LOAD: Sequence[_Column] = (
    ("requests/s", rate, "{:,.0f}"),
    ("p50 ms", lambda one: one.p50, "{:.1f}"),
    ("p99 ms", p99, "{:.1f}"),
    ("CPU s per 1,000", lambda one: one.cpu_ms, "{:.3f}"),
    *_USE,
)
_DOWNLOAD: Sequence[_Column] = (
    ("MiB/s", speed, "{:,.0f}"),
    ("CPU s per GiB", lambda one: one.busy / one.mib_per_second * 1024 if one.mib_per_second else None, "{:.2f}"),
    *_USE,
)
