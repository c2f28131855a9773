"""Write what is derived: the schema, tables in README.md and of migrations, docs/configuration/ and docs/doctor.md."""

from __future__ import annotations

from pathlib import Path

import yaml

from gateway.cli import main
from gateway.cli_reference import command_pages
from gateway.config_docs import configuration_table, schema_text
from gateway.config_reference import reference_pages
from gateway.doctor.page import diagnoses_table
from gateway.metrics.page import metrics_table
from gateway.migration.options import options_table

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
BEGIN, END = "<!-- gateway schema --table -->\n", "<!-- end -->"
DIRECTIVES_BEGIN = "<!-- directives -->\n"
FINDINGS_BEGIN = "<!-- findings -->\n"
COMMANDS_BEGIN = "<!-- commands -->\n"
OPTIONS_BEGIN = "<!-- options -->\n"
METRICS_BEGIN = "<!-- metrics -->\n"


def between(text: str, begin: str, written: str) -> str:
    """Put something between a mark and the end of it."""
    head, _, rest = text.partition(begin)
    return f"{head}{begin}{written}\n{END}{rest.partition(END)[2]}"


def directives_table(data: Path = DOCS / "mod_auth_openidc.yaml") -> str:
    """Write the Markdown table of mod_auth_openidc's directives."""
    rows = yaml.safe_load(data.read_text(encoding="utf-8"))["directives"]
    lines = ["| directive | here | |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {_keys(row.get('keys', []))} | {row['note']} |" for name, row in rows.items()]
    return "\n".join(lines)


def written() -> dict[Path, str]:
    """Return every derived file with what it should say."""
    readme, apache, doctor = ROOT / "README.md", DOCS / "mod_auth_openidc.md", DOCS / "doctor.md"
    migration, commands, metrics = DOCS / "migration.md", DOCS / "cli.md", DOCS / "metrics.md"
    pages = {DOCS / "configuration" / f"{name}.md": page for name, page in reference_pages().items()}
    return {
        readme: between(readme.read_text(encoding="utf-8"), BEGIN, configuration_table()),
        apache: between(apache.read_text(encoding="utf-8"), DIRECTIVES_BEGIN, directives_table()),
        migration: between(migration.read_text(encoding="utf-8"), OPTIONS_BEGIN, options_table()),
        commands: between(commands.read_text(encoding="utf-8"), COMMANDS_BEGIN, command_pages("gateway", main)),
        metrics: between(metrics.read_text(encoding="utf-8"), METRICS_BEGIN, metrics_table()),
        doctor: between(doctor.read_text(encoding="utf-8"), FINDINGS_BEGIN, diagnoses_table()),
        DOCS / "config.schema.json": schema_text() + "\n",
        **pages,
    }


def _keys(keys: list[str]) -> str:
    return ", ".join(f"`{key}`" for key in keys)


if __name__ == "__main__":
    for path, text in written().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
