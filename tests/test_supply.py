"""What we depend on: its licences, its list, and the vulnerabilities that are known of it."""

import datetime
import importlib.metadata
import itertools
import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import audit
import pytest
from supply_tools import tool

ROOT: Final = Path(__file__).resolve().parent.parent
LOCK: Final = ROOT / "locks" / "runtime.txt"
LOCKED: Final = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE))
PAGE: Final = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
TABLE: Final = PAGE.partition("## Licences")[2].partition("| --- |")[2]
LICENCES: Final = dict(re.findall(r"^\| ([a-z0-9-]+) \| ([^|]+?) \|$", TABLE, re.MULTILINE))
ALLOWED: Final = frozenset({"MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "PSF-2.0", "MPL-2.0"})
"""MPL-2.0 is certifi's, a list of certificates that we pass on unchanged."""

SPDX: Final = {
    "MIT License": "MIT",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
}
TODAY: Final = datetime.date(2026, 11, 30)


def declared(name: str) -> str:
    """Return the licence that an installed package declares, the newest of the three fields first."""
    data = importlib.metadata.metadata(name)
    fields = [data.get_all(field) or [] for field in ("License-Expression", "License", "Classifier")]
    said = next(one for one in itertools.chain(*fields) if " :: " not in one or one.startswith("License :: "))
    return str(SPDX.get(said, said))


def test_the_page_lists_what_is_locked() -> None:
    assert set(LICENCES) == set(LOCKED)


@pytest.mark.parametrize("name", sorted(LOCKED))
def test_each_licence_is_listed_and_allowed(name: str) -> None:
    assert set(re.split(r" (?:OR|AND) ", LICENCES[name])) <= ALLOWED
    if name == "async-timeout":
        pytest.skip("for Python 3.11.0 to 3.11.2 alone")
    assert declared(name) == LICENCES[name]


def report(*vulnerabilities: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": [{"name": "sound", "version": "1", "vulns": []},
                             {"name": "frail", "version": "2", "vulns": list(vulnerabilities)}]}  # fmt: skip


KNOWN: Final = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["3"]}


SKIPPED: Final = {"dependencies": [{"name": "left", "skip_reason": "not found"}]}


def excepted(package: str = "frail", id_: str = "CVE-1", until: str = "2026-12-01") -> audit.Exemption:
    return audit.Exemption(package=package, id=id_, reason="not called", until=datetime.date.fromisoformat(until))


@pytest.mark.parametrize(
    ("given", "exceptions", "lines"),
    [
        pytest.param(report(), [], 0, id="none"),
        pytest.param(report(KNOWN), [], 1, id="one"),
        pytest.param(report(KNOWN), [excepted()], 0, id="excepted-by-alias"),
        pytest.param(report(KNOWN), [excepted(id_="PYSEC-1")], 0, id="excepted"),
        pytest.param(report(KNOWN), [excepted(until="2026-11-30")], 1, id="exception-that-is-over"),
        pytest.param(report(KNOWN), [excepted(package="sound")], 1, id="exception-of-another-package"),
    ],
)
def test_what_counts_as_found(given: dict[str, Any], exceptions: list[audit.Exemption], lines: int) -> None:
    assert len(audit.open_findings(given, exceptions, TODAY)) == lines


@pytest.mark.parametrize(
    "output",
    [pytest.param("", id="nothing"), pytest.param("[]", id="no-report"), pytest.param("Error: timed out", id="error")],
)
def test_a_report_that_did_not_come_is_no_clean_one(output: str) -> None:
    assert audit.read_report(json.dumps(report())) == report()
    assert audit.read_report(output) is None


@pytest.mark.parametrize(
    ("reports", "code"),
    [
        pytest.param([report()], 0, id="clean"),
        pytest.param([report(KNOWN)], audit.FOUND, id="found"),
        pytest.param([None], audit.NOT_ASKED, id="nobody-asked"),
        pytest.param([SKIPPED], audit.NOT_ASKED, id="a-package-that-was-not-looked-up"),
        pytest.param([SKIPPED, report(KNOWN)], audit.FOUND, id="found-beside-one-that-was-not"),
        pytest.param([None, report(KNOWN)], audit.FOUND, id="found-by-who-could-be-asked"),
    ],
)
def test_how_it_ends(reports: list[dict[str, Any] | None], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = dict(zip(audit.AUDITED, reports, strict=False))
    monkeypatch.setattr(audit, "ask", lambda lock: answers.get(lock, report()))
    assert audit.main() == code


def test_the_recorded_exceptions_say_why_and_until_when() -> None:
    recorded = audit.exemptions((ROOT / "locks" / "exceptions.yaml").read_text(encoding="utf-8"))
    assert all(one.reason and isinstance(one.until, datetime.date) for one in recorded)
    with pytest.raises(TypeError):
        audit.exemptions("exceptions: [{package: frail, id: CVE-1}]")


@pytest.mark.real("supply")
def test_the_list_of_parts_names_every_locked_package_with_its_hashes(tmp_path: Path) -> None:
    written = tmp_path / "sbom.json"
    made = ["requirements", "--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "-o", str(written)]
    subprocess.run([str(tool("cyclonedx-py")), *made, str(LOCK)], check=True, capture_output=True, timeout=60)
    document = json.loads(written.read_text(encoding="utf-8"))
    assert (document["bomFormat"], document["metadata"]["component"]["name"]) == ("CycloneDX", "gateway")
    assert {one["name"]: one["version"] for one in document["components"]} == LOCKED
    assert all(one["purl"] and one["externalReferences"][0]["hashes"] for one in document["components"])
