"""`python -m chaos`: five minutes of it with 200 users; the figures of a whole run go into docs/RELIABILITY.md."""

import argparse
import os
import sys
import tempfile
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from measured_page import write_between

from .page import table
from .run import Plan, Seen, run

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "RELIABILITY.md"
BEGIN: Final = "<!-- chaos: begin -->\n"
END: Final = "<!-- chaos: end -->\n"
WHOLE: Final = Plan(seconds=300, users=200, seed=1)


def main() -> int:
    """Run, tell what was seen, and return 1 if something was not as it should be."""
    warnings.simplefilter("error")
    options = argparse.ArgumentParser(prog="python -m chaos")
    options.add_argument("--minutes", type=float, default=WHOLE.seconds / 60)
    options.add_argument("--users", type=int, default=WHOLE.users)
    options.add_argument("--seed", type=int, default=WHOLE.seed, help="what happens when")
    given = options.parse_args()
    plan = Plan(seconds=60 * given.minutes, users=given.users, seed=given.seed)
    with tempfile.TemporaryDirectory() as directory:
        seen = run(Path(directory), plan)
    _tell(plan, seen)
    if seen.problems:
        return 1
    if (plan.seconds, plan.users) == (WHOLE.seconds, WHOLE.users):
        today = datetime.now(UTC).date().isoformat()
        told = f"{today}, {os.cpu_count()} cores shared by users, provider, gateways and Redis.\n\n"
        write_between(PAGE, BEGIN, END, told + table(plan, seen))
    return 0


def _tell(plan: Plan, seen: Seen) -> None:
    for what, count in sorted(seen.answers.items()):
        print(f"    {count:7,}  {what}")
    for problem in seen.problems:
        print(f"    PROBLEM: {problem}")
    print(table(plan, seen) if not seen.problems else f"{len(seen.problems)} problems")


if __name__ == "__main__":
    sys.exit(main())
