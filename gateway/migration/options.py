"""Every option of oauth2-proxy and what becomes of it: the rows of oauth2_proxy.yaml."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import yaml


class Fate(enum.Enum):
    """What becomes of an option."""

    MAPPED = "mapped"
    NOT_NEEDED = "not needed"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option by its name in the file; `to` is where it goes, `note` one sentence about it.

    `kind` is text, list, bool, int or duration. `access` says of one that is unsupported whether it `restricts` who may
    pass or `grants` something.
    """

    name: str
    flag: str
    kind: str
    fate: Fate
    to: str
    access: str
    note: str

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"OAUTH2_PROXY_{self.name.upper()}"


@cache
def known_options() -> Mapping[str, Option]:
    """Read the table: all options by their name in the file."""
    rows = yaml.safe_load(files(__package__).joinpath("oauth2_proxy.yaml").read_text(encoding="utf-8"))
    return MappingProxyType({row["name"]: _option(row) for row in rows})


def options_table() -> str:
    """Write the Markdown table of all options."""
    lines = ["| option | | becomes | |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{one.name}` | {one.fate.value} | {f'`{one.to}`' if one.to else ''} | {_said(one)} |"
        for one in known_options().values()
    ]
    return "\n".join(lines)


def _option(row: Mapping[str, str]) -> Option:
    return Option(
        name=row["name"],
        flag=row.get("flag", row["name"].replace("_", "-")),
        kind=row.get("kind", "text"),
        fate=Fate(row["is"].replace("_", " ")),
        to=row.get("to", ""),
        access=row.get("access", ""),
        note=row.get("note", ""),
    )


def _said(option: Option) -> str:
    consequence = {
        "restricts": "Restricts access: nobody may pass until that is said in another way.",
        "grants": "Grants access: what it lets pass has to sign in.",
    }.get(option.access, "")
    return " ".join(part for part in (consequence, option.note) if part).replace("|", r"\|")
