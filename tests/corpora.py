"""The corpora: cases as files under tests/corpus/, each with its expected outcome."""

from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

CORPUS: Final = Path(__file__).parent / "corpus"


@cache
def read(name: str) -> list[dict[str, Any]]:
    """Read a corpus, whose ids differ."""
    found: list[dict[str, Any]] = yaml.safe_load((CORPUS / f"{name}.yaml").read_text(encoding="utf-8"))
    assert len({case["id"] for case in found}) == len(found)
    return found


def pairs(name: str, key: str, *, refused: bool) -> list[Any]:
    """List the cases of a corpus that are refused, or those that are not, as parameters of input and outcome."""
    chosen = [case for case in read(name) if case["outcome"].startswith("/") is not refused]
    return [pytest.param(case[key], case["outcome"], id=case["id"]) for case in chosen]
