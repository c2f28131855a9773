"""The short form of the fuzz run, the same inputs every time; `make fuzz` is the long one."""

from typing import Final

import pytest

from fuzz.target import Target, run
from fuzz.targets import ALL

pytestmark = pytest.mark.slow

INPUTS: Final = 200
WITH_A_PROVIDER: Final = frozenset({"the provider's word", "the provider's metadata"})
"""Each input is a login or two."""


@pytest.mark.parametrize("target", [pytest.param(target, id=target.name.replace(" ", "-")) for target in ALL])
def test_nothing_comes_of_odd_inputs_but_a_refusal(target: Target) -> None:
    count = run(target, 60 if target.name in WITH_A_PROVIDER else INPUTS, 1)
    assert count.accepted > 0, "too wild to get past the first check"
