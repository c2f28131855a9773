"""What is logged while users sign in, are refused and sign out: a line for each request, and no secret in any."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest
from harness import CLIENT_SECRET, NOW, ORIGIN, SECRET, SIGN_OUT, Config, Site, held_session, run_site
from recording_telemetry import RecordingTelemetry
from test_logs import RING, Written, settings

from gateway.log_masking import masking, secrets_of
from gateway.log_requests import JSON, TEXT, Lines
from gateway.log_telemetry import LogTelemetry, naming
from gateway.telemetry import Several
from gateway.teller import Teller

STAFF: Final[Config] = {"routes": [{"path": "/staff/**", "require": {"claims": {"groups": ["nobody"]}}}]}


@contextmanager
def logged_site(lines: Lines, over: Config | None = None, subject: str = "hashed") -> Iterator[tuple[Site, Written]]:
    written, log, root = Written(lines), logging.getLogger("gateway"), logging.getLogger()
    mask = masking(secrets_of(settings()))
    telemetry = LogTelemetry(settings().logs, naming(subject, RING), mask, written.handler.request)
    log.addHandler(written.handler)
    level, root_level = log.level, root.level
    log.setLevel(logging.DEBUG)
    try:
        with run_site({**STAFF, **(over or {})}, telemetry=Several([telemetry])) as site:
            yield site, written
    finally:
        log.removeHandler(written.handler)
        log.setLevel(level)
        root.setLevel(root_level)


@pytest.mark.parametrize("lines", [pytest.param(JSON, id="json"), pytest.param(TEXT, id="text")])
def test_no_secret_is_in_any_line(lines: Lines) -> None:
    with logged_site(lines) as (site, written):
        page = site.sign_in()
        assert page.status == 200
        session, cookies = held_session(site), dict(site.browser.cookies.of(ORIGIN))
        callback = next(page.url for page in site.browser.history if "code=" in page.url)
        query = {name: values[0] for name, values in parse_qs(urlsplit(callback).query).items()}
        assert site.browser.fetch(f"{ORIGIN}/staff/x").status == 403
        site.browser.navigate(callback)
        site.browser.fetch(f"{ORIGIN}/oauth2/admin/sessions", headers={"Authorization": f"Bearer {'t0ken' * 8}"})
        site.provider.faults.token_response = lambda _, __: (400, {"error": "invalid_grant"})
        site.clock.advance(250)
        site.browser.fetch(f"{ORIGIN}/data")
        site.provider.faults.token_response = None
        site.restarted().sign_in()
        site.browser.navigate(SIGN_OUT)
        text = "\n".join(written.lines)
    secrets = [
        query["code"], query["state"], session.access_token, session.refresh_token, session.id_token, SECRET,
        CLIENT_SECRET, "t0ken" * 8, *cookies.values(),
    ]  # fmt: skip
    assert [secret for secret in secrets if str(secret) in text] == []
    assert "alice" not in text
    for said in ("login ok", "refusal", "logout", "token_grant_invalid", "GET /staff/x 403", "GET /home 200"):
        assert said in text, said


def test_each_request_has_one_line_and_all_that_is_said_of_it_names_it() -> None:
    with logged_site(JSON, subject="plain") as (site, written):
        site.sign_in()
        site.browser.fetch(f"{ORIGIN}/staff/x?code=secret")
        lines = written.members
    access = [line for line in lines if line["logger"] == "gateway.access"]
    ids = [line["request_id"] for line in access]
    assert len(set(ids)) == len(ids) == 4  # The page, the callback, the page again, and the refusal.
    assert [line["subject"] for line in access] == ["", "", "alice", "alice"]
    refused = [line for line in lines if line["request_id"] == ids[-1]]
    assert [(line["logger"], line["level"]) for line in refused] == [
        ("gateway.audit", "WARNING"),
        ("gateway", "WARNING"),
        ("gateway.access", "INFO"),
    ]
    assert (refused[0]["outcome"], refused[0]["route"], refused[0]["subject"]) == (
        "access_denied",
        "/staff/**",
        "alice",
    )
    assert (refused[2]["path"], refused[2]["code"], refused[2]["status"]) == ("/staff/x", "access_denied", 403)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/a%0a2027-01-15T08:00:00.000Z%20INFO%20gateway%20forged", id="a line end"),
        pytest.param("/a%1b%5b2J", id="an escape of a terminal"),
        pytest.param("/a%E2%80%A8b", id="a line end of Unicode"),
        pytest.param("/a%E2%80%AEb", id="text that runs backwards"),
        pytest.param("/a%22%20status=200%20x=%22", id="quotes"),
        pytest.param("/a%ff", id="no UTF-8"),
    ],
)
@pytest.mark.parametrize("lines", [pytest.param(JSON, id="json"), pytest.param(TEXT, id="text")])
def test_no_address_forges_a_line(lines: Lines, path: str) -> None:
    with logged_site(lines) as (site, written):
        site.browser.fetch(f"{ORIGIN}/honest")
        before = len(written.lines)
        site.browser.fetch(ORIGIN + path)
        found = written.lines[before:]
    assert all(line.isprintable() for line in found)
    assert not any(re.match(r"\S+Z INFO gateway forged", line) for line in found)
    if lines is JSON:
        assert [json.loads(line)["logger"] for line in found].count("gateway.access") == 1
    else:
        assert [line.split(" ")[2] for line in found].count("gateway.access") == 1


@pytest.mark.parametrize(
    ("target", "path"),
    [
        pytest.param("/a/b;c=1,2~d", "/a/b;c=1,2~d", id="plain"),
        pytest.param("/a?code=secret", "/a", id="a query"),
        pytest.param("/a%0a127.0.0.1%20-%20forged", "/a%0a127.0.0.1%20-%20forged", id="a line end, encoded"),
        pytest.param("/a%C3%A9", "/a%C3%A9", id="a letter, encoded"),
        pytest.param("/\x85\xe9", "/%85%E9", id="a line end of Unicode, and a letter"),
        pytest.param("/a\nb c", "/a%0Ab%20c", id="what no reader lets pass"),
    ],
)
def test_a_path_is_told_as_it_came(target: str, path: str) -> None:
    telemetry = RecordingTelemetry()
    teller = Teller(telemetry, clock=lambda: float(NOW), entropy=bytes, trusted=(), hops=0)
    environ = {"REQUEST_METHOD": "GET", "RAW_URI": target}
    teller.tell(teller.begin(environ), environ, 200, 0)
    assert [served.path for served in telemetry.requests] == [path]
