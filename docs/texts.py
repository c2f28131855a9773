"""Write the texts of our pages for translators, and compile what they have made of them: gateway/locale/."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from gateway import errors
from gateway.errors import Problem

PACKAGE = Path(__file__).resolve().parent.parent / "gateway"
TEMPLATE = PACKAGE / "locale" / "gateway.pot"
DATE = datetime(2026, 11, 30, tzinfo=UTC)
"""Stands in every header: what changed when, the repository knows."""


def texts() -> Iterator[tuple[str, str]]:
    """Find the texts, each with the file where it is: those of the templates, and what is told of failures."""
    options = {"**.html": {"newstyle_gettext": "true", "silent": "false"}}
    extracted = extract_from_dir(PACKAGE / "pages", method_map=[("**.html", "jinja2")], options_map=options)
    yield from ((str(message), f"gateway/pages/{file}") for file, _, message, *_ in extracted)
    for problem in vars(errors).values():
        if isinstance(problem, Problem):
            yield from ((text, "gateway/errors.py") for text in (problem.title, problem.advice))


def template() -> Catalog:
    """Make the template that translations are made of."""
    made = Catalog(project="gateway", charset="utf-8", header_comment="# The texts of the gateway's pages.\n#")
    for text, file in texts():
        made.add(text, locations=[(file, 0)])
    return _dated(made)


def translations() -> Iterator[tuple[Path, Catalog]]:
    """Read the translations, each with its file, and bring them up to date: a new text has none yet."""
    for file in sorted(PACKAGE.glob("locale/*/LC_MESSAGES/gateway.po")):
        found = read_po(BytesIO(file.read_bytes()), locale=file.parent.parent.name)
        found.update(template(), no_fuzzy_matching=True)
        yield file, _dated(found)


def written() -> dict[Path, bytes]:
    """Return every file with what it should be."""
    files = {TEMPLATE: _text(template())}
    for file, found in translations():
        compiled = BytesIO()
        write_mo(compiled, found)
        files |= {file: _text(found), file.with_suffix(".mo"): compiled.getvalue()}
    return files


def _dated(catalogue: Catalog) -> Catalog:
    catalogue.creation_date = catalogue.revision_date = DATE
    catalogue.project, catalogue.fuzzy = "gateway", False
    return catalogue


def _text(catalogue: Catalog) -> bytes:
    buffer = BytesIO()
    write_po(buffer, catalogue, width=120, ignore_obsolete=True, include_lineno=False)
    return buffer.getvalue()


if __name__ == "__main__":
    for path, content in written().items():
        path.write_bytes(content)
