"""docs/limits.md has the limits that the code has, with their figures."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from gunicorn.config import Config as GunicornConfig

from gateway import gunicorn_conf
from gateway.config_docs import all_keys

ROOT: Final = Path(__file__).parent.parent
ROW: Final = re.compile(
    r"^\| (?P<what>[^|]+) \| (?P<figure>[^|]+) \|[^|]*\| "
    r"(?:`(?P<file>[a-z_/]+)\.py` |(?P<gunicorn>gunicorn) )?`(?P<name>[^`]+)` \|$"
)
FIGURE: Final = re.compile(r"([0-9,]+)(?: (KiB|MiB|octets|s|min))?")
UNITS: Final = {"": 1, "octets": 1, "KiB": 1024, "MiB": 1024**2, "s": 1, "min": 60}
LIMIT: Final = re.compile(r"^(MAX_[A-Z_]+)\b", re.MULTILINE)


def rows() -> list[re.Match[str]]:
    lines = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8").splitlines()
    told = [line for line in lines if line.startswith("|") and not line.startswith(("| what |", "| ---"))]
    found = [ROW.match(line) for line in told]
    assert all(found), [line for line, match in zip(told, found, strict=True) if match is None]
    return [match for match in found if match is not None]


def set_by(row: re.Match[str]) -> Any:
    name = row["name"]
    if row["file"]:
        return getattr(importlib.import_module(f"gateway.{row['file'].replace('/', '.')}"), name)
    if row["gunicorn"]:
        return getattr(gunicorn_conf, name, None) or GunicornConfig().settings[name].default
    return dict(all_keys())[name].default


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row['name']}: {row['what']}")
def test_each_figure_is_that_of_the_code(row: re.Match[str]) -> None:
    figure = FIGURE.fullmatch(row["figure"])
    told = None if figure is None else int(figure[1].replace(",", "")) * UNITS[figure[2] or ""]
    assert told == set_by(row)


def limits_of_the_lane() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "gateway" / "lane").glob("*.py")):
        for name in LIMIT.findall(path.read_text(encoding="utf-8")):
            yield f"lane/{path.stem}", name


def test_no_limit_of_the_lane_and_no_key_is_left_out() -> None:
    told = {(row["file"] or "", row["name"]) for row in rows()}
    keys = {("", key) for key, _ in all_keys() if key.startswith("limits.")}
    assert {*limits_of_the_lane(), *keys} <= told
