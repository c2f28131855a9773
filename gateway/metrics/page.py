"""The table of all metrics, for the documentation."""

from __future__ import annotations

from gateway.metrics.families import BUILD, FAMILIES, WORKERS, Family, Kind

_TYPES = {Kind.COUNT: "counter", Kind.STATE: "gauge", Kind.LATEST: "gauge", Kind.SECONDS: "histogram"}


def metrics_table() -> str:
    """Write the Markdown table of all metrics."""
    lines = ["| metric | type | labels | |", "| --- | --- | --- | --- |"]
    return "\n".join([*lines, *(_row(family) for family in (*FAMILIES.values(), WORKERS, BUILD))])


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {_TYPES[family.kind]} | {labels} | {family.help} |"
