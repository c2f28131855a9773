"""The long run: `FUZZ_INPUTS` inputs in all, from the seed `FUZZ_SEED`, counted by target."""

import os
import sys
import time
import traceback
import warnings
from typing import Final

from fuzz.target import Target, run
from fuzz.targets import ALL

INPUTS: Final = "FUZZ_INPUTS"
SEED: Final = "FUZZ_SEED"
DEFAULT_INPUTS: Final = 200_000
DEFAULT_SEED: Final = 1


def main() -> int:
    """Run all targets, to the end whatever fails; the exit status is 1 if anything did."""
    warnings.simplefilter("error")
    inputs, start = int(os.environ.get(INPUTS, DEFAULT_INPUTS)), int(os.environ.get(SEED, DEFAULT_SEED))
    print(f"{inputs} inputs at least, {SEED}={start}")
    began, used, total, failures = time.monotonic(), time.process_time(), 0, 0
    for target in ALL:
        tried = _run(target, _part(target, inputs), start)
        total += tried
        failures += tried == 0
    seconds, processor = time.monotonic() - began, time.process_time() - used
    print(f"{total} inputs in {seconds:.0f} s, {processor:.0f} s of one processor; {failures} failures")
    return 1 if failures or total < inputs else 0


def _part(target: Target, inputs: int) -> int:
    return -(-inputs * target.share // sum(each.share for each in ALL))


def _run(target: Target, inputs: int, start: int) -> int:
    try:
        count = run(target, inputs, start)
    except Exception:  # noqa: BLE001 - whatever it is, it is what was looked for.
        print(f"{target.name}: FAILED")
        traceback.print_exc()
        return 0
    print(f"{target.name}: {count.inputs} inputs, {count.accepted} accepted, 0 failures", flush=True)
    return count.inputs


if __name__ == "__main__":
    sys.exit(main())
