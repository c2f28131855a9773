"""A short chaos; the long one is `make chaos`."""

from pathlib import Path

import pytest
from chaos.faults import Kind
from chaos.run import Plan, run

pytestmark = [pytest.mark.slow, pytest.mark.real("redis")]


def test_while_everything_fails_nobody_is_mixed_up_or_signed_out_and_no_secret_is_told(tmp_path: Path) -> None:
    seen = run(tmp_path, Plan(seconds=5, users=12, seed=1, afterwards=2))
    assert seen.problems == []
    assert {fault.kind for fault in seen.faults} >= {Kind.WORKER, Kind.REDIS, Kind.PROVIDER, Kind.UPSTREAM}
    assert seen.answers["read: right"] > 30
    assert seen.secrets > 100
