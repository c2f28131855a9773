"""Lines of the log: one for each record, in which nothing from outside can act, as JSON or as text."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.log_lines import ACCESS, MAX_LINE, Facts, json_line, rfc3339, text_line
from gateway.log_requests import JSON, TEXT, json_request, request_facts, request_message, text_request
from gateway.telemetry import Decision, Served, Tag

NOW: Final = 1_800_000_000.1264

NASTY: Final = [
    pytest.param("a\nforged INFO gateway signed in", r"a\nforged INFO gateway signed in", id="a line end"),
    pytest.param("a\r\nb\tc", r"a\r\nb\tc", id="CR, LF and a tab"),
    pytest.param("a\x00b\x08c\x7f", r"a\x00b\x08c\x7f", id="NUL, backspace and DEL"),
    pytest.param("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07", id="escapes of a terminal"),
    pytest.param("\x9b31mred", r"\x9b31mred", id="an escape of a terminal in one character"),
    pytest.param("a\x85b\u2028c\u2029d", r"a\x85b\u2028c\u2029d", id="line ends of Unicode"),
    pytest.param("user\u202egpj.exe\u2066", r"user\u202egpj.exe\u2066", id="text that runs backwards"),
    pytest.param("a\u200bb\ufeffc", r"a\u200bb\ufeffc", id="what has no width"),
    pytest.param("\U000e0041", r"\U000e0041", id="a tag of Unicode"),
    pytest.param('say "x" status=200', r"say \"x\" status=200", id="quotes, and what looks like a fact"),
    pytest.param("back\\slash = ", r"back\\slash = ", id="a backslash"),
]


@pytest.mark.parametrize(("value", "escaped"), NASTY)
def test_nothing_in_a_record_begins_a_line_or_moves_a_terminal(value: str, escaped: str) -> None:
    facts: Facts = {"request_id": "r-1", "detail": value}
    for line in (json_line, text_line):
        honest = line(NOW, "INFO", "gateway", "signed in", {"request_id": "r-1"}).decode()
        assert honest.count("\n") == 1
        assert honest.removesuffix("\n").isprintable()
        for written in (line(NOW, "INFO", "gateway", value, {}), line(NOW, "INFO", "gateway", "m", facts)):
            text = written.decode()
            assert (text.count("\n"), text.endswith("\n"), text.removesuffix("\n").isprintable()) == (1, True, True)
    assert json.loads(json_line(NOW, "INFO", "gateway", value, facts)) == {
        "time": "2027-01-15T08:00:00.126Z",
        "level": "INFO",
        "logger": "gateway",
        "message": value,
        **facts,
    }
    for_people = text_line(NOW, "INFO", "gateway", value, facts).decode()
    assert for_people == f'2027-01-15T08:00:00.126Z INFO gateway "{escaped}" request_id=r-1 detail="{escaped}"\n'


def test_half_a_surrogate_pair_is_no_json_and_is_not_written() -> None:
    line = json_line(NOW, "INFO", "gateway", "a\ud800b", {"detail": "\udc80", "name": "\U0001f600"})
    members = json.loads(line)
    assert (members["message"], members["detail"], members["name"]) == ("a?b", "?", "\U0001f600")
    assert b"\\ud800" not in line
    assert rb"\ud83d\ude00" in line
    assert text_line(NOW, "INFO", "gateway", "a\ud800b", {}).endswith(b' gateway "a\\ud800b"\n')


def test_a_plain_message_stands_as_it_is_and_empty_facts_are_left_out() -> None:
    facts: Facts = {"request_id": "", "route": "/a/**", "name": "Zoë O'Hara", "octets": 0}
    line = text_line(NOW, "WARNING", "gateway", "'GET /a\\n': refused", facts).decode()
    assert line == (
        "2027-01-15T08:00:00.126Z WARNING gateway 'GET /a\\n': refused route=/a/** name=\"Zoë O'Hara\" octets=0\n"
    )


@pytest.mark.parametrize("line", [pytest.param(json_line, id="json"), pytest.param(text_line, id="text")])
@pytest.mark.parametrize("value", ["x" * 100_000, "\u2028" * 5000, "\U0001f600" * 5000, "é\n" * 5000, '"' * 5000])
def test_a_long_record_is_cut_to_what_a_pipe_takes_in_one_piece(line: object, value: str) -> None:
    assert callable(line)
    facts = {f"fact_{number}": value for number in range(18)}
    for written in (
        line(NOW, "INFO", "gateway", value, {}),
        line(NOW, "INFO", "gateway", "m", {"detail": value}),
        line(NOW, "INFO", "gateway", value, facts),
        line(NOW, "INFO", "gateway", "m", {"exception": f"{value}\nValueError: why"}),
    ):
        assert 40 < len(written) <= MAX_LINE
        assert written.count(b"\n") == 1
        assert b"\\u2026" in written or "…".encode() in written
    assert b"ValueError: why" in written


def test_a_traceback_is_cut_at_its_beginning() -> None:
    exception = "Traceback\n" + "  frame\n" * 2000 + "ValueError: why"
    told = json.loads(json_line(NOW, "ERROR", "gateway", "it failed", {"exception": exception}))["exception"]
    assert (told[0], told.endswith("frame\nValueError: why")) == ("…", True)


@hypothesis.settings(deadline=None)
@given(message=st.text(), facts=st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(max_size=80)))
def test_every_record_is_one_line_and_json_gives_it_back(message: str, facts: Mapping[str, str]) -> None:
    written = json_line(NOW, "INFO", "gateway", message[:200], {**facts, "level": "INFO"}) if len(facts) < 8 else None
    text = text_line(NOW, "INFO", "gateway", message, facts).decode("utf-8")
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    assert len(text.encode()) <= MAX_LINE
    if written is None:
        return
    assert written.endswith(b"\n")
    assert written[:-1].isascii()
    assert written[:-1].decode().isprintable()
    members = json.loads(written)
    if len(written) < 2000:  # What is longer may be cut.
        assert members["message"] == whole(message[:200])
        assert {name: members[name] for name in facts if name not in ("level", "time", "logger", "message")} == {
            name: whole(value) for name, value in facts.items() if name not in ("level", "time", "logger", "message")
        }


def whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


REQUEST: Final = Served(
    tag=Tag(request_id="r-1", trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    method="GET",
    path="/api/things",
    host="app.example",
    client="192.0.2.1",
    route="/api/**",
    decision=Decision.ALLOW,
    code="",
    issuer="https://op.example",
    subject="alice",
    provider="default",
    upstream="http://127.0.0.1:3000",
    status=200,
    sent=1024,
    began_at=NOW,
    seconds=0.0031,
    upstream_seconds=0.0027,
)

TEXTS: Final = ("method", "path", "host", "client", "route", "code", "provider", "upstream")


def test_the_line_of_a_request() -> None:
    assert json_request(REQUEST, REQUEST.path, "f00").decode() == re.sub(
        r"PID",
        str(request_facts(REQUEST, "", "")["pid"]),
        '{"time":"2027-01-15T08:00:00.129Z","level":"INFO","logger":"gateway.access","message":"GET /api/things 200",'
        '"request_id":"r-1","trace_id":"0af7651916cd43dd8448eb211c80319c","pid":PID,"client":"192.0.2.1",'
        '"subject":"f00","path":"/api/things","method":"GET","host":"app.example","route":"/api/**","decision":"allow",'
        '"code":"","provider":"default","upstream":"http://127.0.0.1:3000","status":200,"octets":1024,"ms":3.1,'
        '"upstream_ms":2.7}\n',
    )


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    "value",
    [*(case.values[0] for case in NASTY), "", "plain", "a=b", "a b", "x" * 5000, "\u2028" * 2000, "\ud800", "Zoë"],
)
def test_the_quick_line_of_a_request_is_the_general_one(name: str, value: str) -> None:
    changed: dict[str, Any] = {name: value}
    assert_same(REQUEST._replace(**changed))


@pytest.mark.parametrize("tag", [Tag(request_id=""), Tag(request_id="a\nb", trace="\x1b[2J\n\u2028"), REQUEST.tag])
@pytest.mark.parametrize("seconds", [0.0, 0.00004, 0.05, 12.34567, 86400.0])
def test_the_quick_line_has_the_same_numbers(tag: Tag, seconds: float) -> None:
    assert_same(REQUEST._replace(tag=tag, seconds=seconds, upstream_seconds=seconds / 3))


def assert_same(served: Served) -> None:
    at, facts = served.began_at + served.seconds, request_facts(served, served.path, "f00")
    for quick, general in ((json_request, json_line), (text_request, text_line)):
        expected = general(at, "INFO", ACCESS, request_message(served, served.path), facts)
        assert quick(served, served.path, "f00") == expected
    assert (JSON.request, TEXT.request) == (json_request, text_request)


@pytest.mark.parametrize(
    ("at", "written"),
    [
        pytest.param(0.0, "1970-01-01T00:00:00.000Z", id="the epoch"),
        pytest.param(1_800_000_000.9999, "2027-01-15T08:00:01.000Z", id="rounded to the next second"),
        pytest.param(1_800_000_000.0004, "2027-01-15T08:00:00.000Z", id="rounded down"),
    ],
)
def test_times_are_in_utc_with_milliseconds(at: float, written: str) -> None:
    assert rfc3339(at) == written
