"""gateway doctor as a user runs it: what it prints, its exit codes, and that no secret is among it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from doctor_set_ups import CLIENT_SECRET, RING_SECRET, SetUp, run_set_up
from harness import merged
from peers.listener import Answer, run_listener
from peers.matrix_tls import make_tls_material
from peers.servers import LOOPBACK, free_port

from gateway.doctor.diagnoses_contact import OUTSIDE_CONTACT, PROVIDER_CONTACT, UPSTREAM_CONTACT
from gateway.doctor.finding import Severity
from gateway.doctor.page import all_diagnoses, diagnoses_table
from gateway.testing import Faults

ROOT: Final = Path(__file__).resolve().parent.parent
CANARY: Final = "CANARY"
CONTACTS: Final = (PROVIDER_CONTACT, UPSTREAM_CONTACT, OUTSIDE_CONTACT)

pytestmark = pytest.mark.slow  # Each starts a process.


def doctor(
    directory: Path, config: Mapping[str, Any], *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    (directory / "config.yaml").write_text(json.dumps(config))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    command = [sys.executable, "-c", "from gateway.cli import main; main()", "doctor", *arguments]
    return subprocess.run(
        command,
        cwd=directory,
        env={**inherited, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.fixture
def set_up(tmp_path: Path) -> Iterator[SetUp]:
    with run_set_up(tmp_path) as running:
        yield running


def test_a_line_for_each_finding_and_0_where_nothing_fails(set_up: SetUp, tmp_path: Path) -> None:
    ran = doctor(tmp_path, set_up.config)
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("ok       configuration  configuration_ok: ")
    warned = next(number for number, line in enumerate(lines) if line.startswith("warning  outside"))
    assert lines[warned + 1].startswith("         Start the gateway")


def test_1_where_something_fails_and_the_same_as_json(set_up: SetUp, tmp_path: Path) -> None:
    broken = set_up.changed({"upstream": f"http://{LOOPBACK}:{free_port()}"}).config
    ran = doctor(tmp_path, broken, "config.yaml", "--json")
    assert ran.returncode == 1
    findings = json.loads(ran.stdout)["findings"]
    (failed,) = [one for one in findings if one["severity"] == "failed"]
    assert failed["code"] == "upstream_refused"
    assert failed["remedy"]
    assert doctor(tmp_path, broken).returncode == 1


def test_2_where_the_configuration_is_wrong(set_up: SetUp, tmp_path: Path) -> None:
    wrong = {**set_up.config, "public_url": "http://app.example", "upstrem": "x"}
    ran = doctor(tmp_path, wrong, "--json")
    findings = json.loads(ran.stdout)["findings"]
    assert ran.returncode == 2
    assert {(one["code"], one["severity"]) for one in findings} == {("configuration_invalid", "failed")}
    assert [one["cause"].partition(":")[0] for one in findings] == ["public_url", "upstrem"]
    assert doctor(tmp_path, set_up.config, "missing.yaml").returncode == 2
    assert doctor(tmp_path, set_up.config, "--url", "app.example").returncode == 2


def secret_bearing(set_up: SetUp, directory: Path, upstream: str) -> dict[str, Any]:
    """Plant a secret in every key that holds one."""
    return merged(
        set_up.config,
        {
            "upstream": upstream,
            "session": {
                "store": {
                    "type": "redis",
                    "url": f"redis://u:{CANARY}-store@{LOOPBACK}:{free_port()}/0?client_name={CANARY}",
                }
            },
            "admin_token": [f"{CANARY}-admin-token-of-at-least-32-characters"],
            "provider": {
                "signing_keys": str(make_tls_material(directory / "keys").server.key),
                "token_endpoint_auth_method": "client_secret_basic",
                "authorization": {"extra": {"api_key": f"{CANARY}-extra"}},
            },
            "routes": [{"path": "/x", "request_headers": {"X-Key": f"{CANARY}-header"}}],
        },
    )


def echoing(members: dict[str, object]) -> tuple[int, dict[str, object]]:
    return 400, {"error": f"{CANARY}-error", "error_description": f"{CLIENT_SECRET} is wrong"}


@pytest.mark.parametrize("json_too", [(), ("--json",)], ids=["text", "json"])
def test_no_secret_is_printed(set_up: SetUp, tmp_path: Path, json_too: tuple[str, ...]) -> None:
    # Whoever answers may give back what was sent, or have secrets of its own in its addresses.
    set_up.provider.faults = Faults(
        token_response=lambda _, members: echoing(members),
        authorization_response=lambda members: {**members, "error": f"{CANARY}-{CLIENT_SECRET}"},
    )
    away = Answer(status=302, headers={"Location": f"https://u:{CANARY}@sso.example/?token={CANARY}#{CANARY}"})
    with run_listener(lambda _: away) as listener:
        config = secret_bearing(set_up, tmp_path, listener.origin)
        arguments = ("--url", f"http://u:{CANARY}@{LOOPBACK}:{free_port()}/?x={CANARY}", *json_too)
        ran = doctor(tmp_path, config, *arguments)
        placed = doctor(
            tmp_path, {**config, "session": {"secret": f"{CANARY} change me, for I am no secret"}}, *json_too
        )
        refused = doctor(tmp_path, {**config, "session": {"secret": CANARY}, "admin_token": CANARY}, *json_too)
    assert (ran.returncode, placed.returncode, refused.returncode) == (1, 1, 2)
    for said in (ran, placed, refused):
        assert CANARY not in said.stdout + said.stderr
        assert RING_SECRET not in said.stdout + said.stderr
        assert "Traceback" not in said.stderr
    assert "upstream_redirects_elsewhere" in ran.stdout
    assert "client_unclear" in ran.stdout
    assert "store_unreachable" in ran.stdout
    assert "secret_placeholder" in placed.stdout


def test_the_page_has_every_finding() -> None:
    page = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    assert diagnoses_table() in page, "run `make docs`"


def test_each_code_is_one_finding_alone_and_says_what_to_do() -> None:
    diagnoses = all_diagnoses()
    codes = [one.code for one in diagnoses]
    assert len(set(codes)) == len(codes)
    for one in diagnoses:
        not_well = one.severity in (Severity.FAILED, Severity.WARNING)
        assert bool(one.remedy) == not_well, one.code


def test_each_finding_is_shown_by_a_test() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_doctor*.py"))
    contacts = {one.code for kinds in CONTACTS for one in kinds.values()}
    wanted = [one.code for one in all_diagnoses() if one.remedy and one.code not in contacts]
    assert [code for code in wanted if f'"{code}"' not in tests] == []
