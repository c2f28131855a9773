"""The long run: all experiments, or those named; after all of them, their figures go into docs/RELIABILITY.md."""

import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from measured_page import write_between

from reliability.crowd import CROWD
from reliability.experiment import Experiment, Result
from reliability.failures import FAILURES
from reliability.streams import STREAMED

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "RELIABILITY.md"
BEGIN: Final = "<!-- measured: begin -->\n"
END: Final = "<!-- measured: end -->\n"
ALL: Final = [*FAILURES, *CROWD, *STREAMED]


def main(names: Sequence[str]) -> int:
    """Run experiments one after another; the exit status is 1 if one of them did not show what it must."""
    warnings.simplefilter("error")
    unknown = set(names) - {experiment.name for experiment in ALL}
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(one.name for one in ALL)}")
        return 2
    _allow_many_files()
    chosen = [experiment for experiment in ALL if not names or experiment.name in names]
    results = [_run(experiment) for experiment in chosen]
    failed = [experiment.name for experiment, result in zip(chosen, results, strict=True) if result.problems]
    if not failed and not names:
        _write(results)
    print(f"{len(chosen)} experiments, failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _run(experiment: Experiment) -> Result:
    print(f"{experiment.name}: {experiment.what}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        result = experiment.run(Path(directory))
    print(f"    {result.figure} [{time.monotonic() - began:.0f} s]", flush=True)
    for problem in result.problems:
        print(f"    PROBLEM: {problem}", flush=True)
    return result


def _write(results: Sequence[Result]) -> None:
    rows = [
        f"| {experiment.what} | {experiment.demand} | {result.figure} |"
        for experiment, result in zip(ALL, results, strict=True)
    ]
    today = datetime.now(UTC).date().isoformat()
    told = f"{today}, {os.cpu_count()} cores shared by clients, gateways and servers.\n\n"
    table = "\n".join(["| what is done | what is demanded | what was seen |", "| --- | --- | --- |", *rows])
    write_between(PAGE, BEGIN, END, f"{told}{table}\n")


def _allow_many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
