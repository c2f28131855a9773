"""Write what is derived from the configuration model: docs/config.schema.json and the table in README.md."""

from __future__ import annotations

from pathlib import Path

from gateway.config_docs import configuration_table, schema_text

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- gateway schema --table -->\n", "<!-- end -->"


def with_table(readme: str) -> str:
    """Put the table between its marks."""
    head, _, rest = readme.partition(BEGIN)
    return f"{head}{BEGIN}{configuration_table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(with_table(readme.read_text(encoding="utf-8")), encoding="utf-8")
    (ROOT / "docs" / "config.schema.json").write_text(schema_text() + "\n", encoding="utf-8")
