"""Waiting for others on the machine to be done, for as long as one has the patience."""

from __future__ import annotations

import time
from typing import Final

from bench.processes import LOAD_CORE, SERVER_CORE, core_ticks, share_busy

FOREIGN: Final = 0.1
"""From which share of a core on others are said to use it."""

_LOOK_SECONDS: Final = 0.5


def wait_for_quiet(patience: float) -> None:
    """Return once both cores have been idle for a moment, or after so many seconds; at once without patience."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        before = {core: core_ticks(core) for core in (SERVER_CORE, LOAD_CORE)}
        time.sleep(_LOOK_SECONDS)
        if all(share_busy(core, ticks) < FOREIGN for core, ticks in before.items()):
            return
