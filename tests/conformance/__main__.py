"""Write docs/CONFORMANCE.md from a run of the conformance tests, or with `--check` tell whether it is what they say.

`--check` does not run the tests: ids, verdicts, codes and names are those of the tests that were collected.
"""

import sys
from pathlib import Path
from typing import Final

import pytest

from conformance.report import ConformanceReport, Incoherent

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "CONFORMANCE.md"


def main(*, check: bool) -> str:
    """Collect or run, and compare or write; returns what is wrong, empty if nothing is."""
    report = ConformanceReport()
    files = sorted(path for path in (ROOT / "tests").glob("test_conformance_*.py") if "table" not in path.name)
    options = ["-q", "-c", str(ROOT / "pyproject.toml"), *(["--collect-only", "-q"] if check else [])]
    code = pytest.main([*options, *map(str, files)], plugins=[report])
    if code != pytest.ExitCode.OK:
        return f"pytest ended with {code!r}"
    try:
        page = report.page()
    except Incoherent as problem:
        return str(problem)
    if check:
        return "" if PAGE.read_text(encoding="utf-8") == page else "run `make conformance`"
    if report.not_passed():
        return f"not passed: {', '.join(report.not_passed())}"
    PAGE.write_text(page, encoding="utf-8")
    return ""


if __name__ == "__main__":
    sys.exit(main(check=sys.argv[1:] == ["--check"]) or 0)
