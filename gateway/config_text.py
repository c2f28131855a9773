"""A configuration as the text of a file, with comments over its sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import indent

import yaml

_WIDTH = 120


class _Dumper(yaml.SafeDumper):
    """Writes what is said twice twice: an anchor would be read as a riddle."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the interface is PyYAML's.
        return True


def config_text(
    head: Sequence[str], document: Mapping[str, object], comments: Mapping[str, Sequence[str]] | None = None
) -> str:
    """Write a document; `head` are lines of comment over all, `comments` those over a section."""
    above = comments or {}
    parts = [_commented(head)] if head else []
    parts += [_commented(above.get(name, ())) + _section(name, value) for name, value in document.items()]
    # What is said of a section that is left out stands at the end.
    parts += [_commented(lines) for name, lines in above.items() if name not in document and lines]
    return "\n".join(parts)


def _commented(lines: Sequence[str]) -> str:
    return "".join(f"# {line}\n" for line in lines)


def _section(name: str, value: object) -> str:
    if isinstance(value, list) and all(isinstance(item, Mapping) for item in value) and value:
        return f"{name}:\n" + "".join(map(_item, value))
    return _dumped({name: value})


def _item(value: object) -> str:
    # A rule in one line is read more easily than one over several.
    line = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=True)
    return f"  - {line}" if len(line) <= _WIDTH else indent(_dumped([value]), "  ")


def _dumped(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
