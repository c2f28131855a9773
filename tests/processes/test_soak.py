"""A short soak of each face; the long one is an experiment of `make reliability`."""

from pathlib import Path
from typing import Final

import pytest

from .running import Face
from .soak import soak

pytestmark = pytest.mark.slow

USERS: Final = [f"user-{number}" for number in range(10)]
SECONDS: Final = 15


def test_under_full_load_nothing_is_mixed_up_hangs_or_is_left_behind(face: Face, tmp_path: Path) -> None:
    soaked = soak(tmp_path, face, USERS, seconds=SECONDS)
    assert soaked.problems == []
    assert soaked.reloads > 0
    assert {kind.partition(":")[0] for kind, count in soaked.seen.items() if count} == {
        "ok", "big", "slow", "last", "drop", "reset", "short",
    }  # fmt: skip
