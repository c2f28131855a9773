"""Ask whether a vulnerability of a locked package is known: `make audit`.

Ends with 0 where none is, with 1 where one is that no exception covers, and with 3 where nobody could be asked.
"""

import datetime
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from supply_tools import tool

LOCKS: Final = Path(__file__).resolve().parent.parent / "locks"
AUDITED: Final = ("runtime.txt", "build.txt", "dev.txt", "docs.txt", "supply.txt")
SECONDS: Final = 240
FOUND: Final = 1
NOT_ASKED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """A vulnerability that does not count, why, and the day on which that is looked at again."""

    package: str
    id: str
    reason: str
    until: datetime.date


def exemptions(text: str) -> list[Exemption]:
    """Read locks/exceptions.yaml; raises `TypeError` where one says less or more than it has to."""
    return [Exemption(**one) for one in yaml.safe_load(text)["exceptions"]]


def open_findings(report: Mapping[str, Any], excepted: Sequence[Exemption], today: datetime.date) -> list[str]:
    """Return a line for each vulnerability in pip-audit's report that no exception covers today."""
    covered = {(one.package, one.id) for one in excepted if today < one.until}
    return [
        f"{package['name']} {package['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'none'}"
        for package in report["dependencies"]
        for found in package.get("vulns", [])
        if not covered & {(package["name"], id_) for id_ in (found["id"], *found.get("aliases", []))}
    ]


def skipped(report: Mapping[str, Any]) -> list[str]:
    """Return a line where packages were not looked up: nothing is known of them, good or bad."""
    reasons = [one["skip_reason"] for one in report["dependencies"] if "skip_reason" in one]
    return [f"{len(reasons)} of {len(report['dependencies'])} were not looked up: {reasons[0]}"] if reasons else []


def read_report(output: str) -> Mapping[str, Any] | None:
    """Return what pip-audit reports, or None where it could not: it ends with 1 for that as for a vulnerability."""
    try:
        report = json.loads(output)
    except ValueError:
        return None
    return report if isinstance(report, dict) and "dependencies" in report else None


def ask(lock: str) -> Mapping[str, Any] | None:
    """Have pip-audit look at one lock."""
    options = ("--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off")
    try:
        done = subprocess.run(
            [str(tool("pip-audit")), *options, "--requirement", str(LOCKS / lock)],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return None
    return read_report(done.stdout)


def main() -> int:
    """Look at every lock and print what was found."""
    excepted = exemptions((LOCKS / "exceptions.yaml").read_text(encoding="utf-8"))
    today = datetime.datetime.now(datetime.UTC).date()
    found = unasked = False
    for lock in AUDITED:
        report = ask(lock)
        findings = [] if report is None else open_findings(report, excepted, today)
        gaps = ["nobody could be asked"] if report is None else skipped(report)
        found, unasked = found or bool(findings), unasked or bool(gaps)
        print(*(f"locks/{lock}: {line}" for line in [*findings, *gaps] or ["no vulnerability is known"]), sep="\n")
    return FOUND if found else NOT_ASKED if unasked else 0


if __name__ == "__main__":
    sys.exit(main())
