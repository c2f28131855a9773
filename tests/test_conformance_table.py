"""docs/CONFORMANCE.md says what the tests say, and the tests cover every case of the catalogue."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conformance.catalogue import MODULES
from conformance.report import Claim, ConformanceReport, Incoherent

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "CONFORMANCE.md").read_text(encoding="utf-8")

ROW = re.compile(r"^\| ([A-Z]+\d*) \|", re.MULTILINE)
TEST = re.compile(r"`(test_\w+\.py)::(\w+)`")


def _all_ids() -> list[str]:
    numbers = {"B": 14, "F": 14, "C": 6, "K": 8, "R": 3, "T": 1, "L": 14, "P": 11, "A": 32}
    counted = [f"{letter}{number}" for letter, last in numbers.items() for number in range(1, last + 1)]
    return [*counted, *(f"D{number}" for number in (3, 4, 5, 6, 9, 10, 11, 12)), "FX"]


def test_the_page_has_each_case_once_and_no_other() -> None:
    rows = ROW.findall(PAGE)
    assert sorted(rows) == sorted(_all_ids()) == sorted(MODULES)


def test_the_page_names_tests_that_exist() -> None:
    named = set(TEST.findall(PAGE))
    assert len(named) > 20
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")


def test_the_page_claims_no_certification() -> None:
    assert "holds the same cases as the OIDF RP modules" in PAGE
    assert "certified" not in PAGE.lower()


def test_only_what_is_known_is_not_supported() -> None:
    assert {module.id for module in MODULES.values() if module.supported != "yes"} == {"K5", "L14", "A31", "A32"}
    assert all(module.limit for module in MODULES.values() if module.supported != "yes")


@pytest.mark.slow
def test_the_page_is_what_the_tests_say() -> None:
    command = [sys.executable, "-m", "conformance", "--check"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT / "tests")
    assert found.returncode == 0, found.stderr


def _claim(case: str, verdict: str) -> Claim:
    return Claim(id=case, verdict=verdict, code="", test="t", node="t")


@pytest.mark.parametrize(
    ("claims", "problem"),
    [
        pytest.param([], "B1: no test covers it", id="nothing-covered"),
        pytest.param([_claim("B2", "OK")], "OK is not the verdict X-idt of B2", id="another-verdict"),
        pytest.param([_claim("Z9", "OK")], "there is no case Z9", id="unknown-case"),
    ],
)
def test_a_gap_is_told(claims: list[Claim], problem: str) -> None:
    with pytest.raises(Incoherent, match=problem):
        ConformanceReport(claims=claims).page()


def test_a_test_that_was_skipped_or_failed_has_not_passed() -> None:
    report = ConformanceReport(claims=[_claim("B1", "OK")], outcomes={"t": "skipped"})
    assert report.not_passed() == ["t"]
