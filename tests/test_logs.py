"""What a gateway logs of requests and events: masked, about whom it may, and to where it was told."""

import json
import logging
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from gunicorn.config import Config
from harness import CLIENT_SECRET, NOW, ORIGIN, SECRET, base_config, merged
from test_log_lines import REQUEST

from gateway import Gateway
from gateway.config import Settings, parse_settings
from gateway.config_logs import LogSettings, log_settings_or_usual
from gateway.config_sources import ConfigurationError
from gateway.gunicorn_log import GunicornLog
from gateway.log_handler import ACCESS_FACTS, AUDIT_FACTS, LogHandler
from gateway.log_lines import ACCESS, AUDIT
from gateway.log_masking import masked, masking, secrets_of
from gateway.log_requests import JSON, TEXT, Lines
from gateway.log_telemetry import LogTelemetry, naming
from gateway.logs import log_to_stderr, make_event_log, make_log_telemetry
from gateway.sealing import KeyRing
from gateway.telemetry import Event, Kind, Tag, tagged
from gateway.testing.wsgi import exchange

RING: Final = KeyRing.of([SECRET])
OTHER_RING: Final = KeyRing.of(["another secret of the gateway, for tests alone"])
TAG: Final = Tag(request_id="r-1", trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
JWT: Final = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"

EVENT: Final = Event(
    kind=Kind.LOGOUT,
    way="back_channel",
    provider="default",
    issuer="https://op.example",
    subject="alice",
    route="/oauth2/backchannel-logout",
    client="192.0.2.1",
    detail="a login",
)


def settings(**logs: object) -> Settings:
    document = merged(base_config({"type": "memory"}), {"logs": logs, "upstream": "http://127.0.0.1:1"})
    return parse_settings(document, {})


class Written:
    """The lines that a handler wrote."""

    def __init__(self, lines: Lines = JSON) -> None:
        self.taken = b""
        self.handler = LogHandler(lines, masking(secrets_of(settings())), self.write, lambda: float(NOW))

    def write(self, data: bytes) -> int:
        self.taken += data
        return len(data)

    @property
    def lines(self) -> list[str]:
        self.handler.writer.close(1)
        return self.taken.decode().splitlines()

    @property
    def members(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def written() -> Iterator[Written]:
    """What is logged under `gateway`, as JSON."""
    made, log = Written(), logging.getLogger("gateway")
    log.addHandler(made.handler)
    level = log.level
    log.setLevel(logging.INFO)
    yield made
    log.setLevel(level)
    log.removeHandler(made.handler)


def telemetry(written: Written, **given: object) -> LogTelemetry:
    found = settings(**given).logs
    return LogTelemetry(found, naming(found.subject, RING), written.handler.mask, written.handler.request)


def test_a_request_is_one_line_with_fixed_keys(written: Written) -> None:
    telemetry(written).served(REQUEST)
    (members,) = written.members
    assert list(members) == ["time", "level", "logger", "message", "request_id", "trace_id", "pid", *ACCESS_FACTS]
    assert (members["logger"], members["pid"], members["subject"]) == (ACCESS, os.getpid(), "7c25e2c78ede6734")


@pytest.mark.parametrize(
    ("given", "path", "status", "lines"),
    [
        pytest.param({}, "/home", 200, 1, id="the usual"),
        pytest.param({"access": False}, "/home", 500, 0, id="switched off"),
        pytest.param({}, "/ping", 200, 0, id="a probe"),
        pytest.param({}, "/ready", 200, 0, id="another probe"),
        pytest.param({}, "/ready", 503, 1, id="a probe that says no"),
        pytest.param({}, "/ping/x", 404, 1, id="below a probe"),
        pytest.param({}, "", 400, 1, id="no path"),
        pytest.param({"exclude": []}, "/ping", 200, 1, id="nothing left out"),
        pytest.param({"exclude": ["/static/**", "/*/health"]}, "/static/a/b.css", 200, 0, id="all below a path"),
        pytest.param({"exclude": ["/static/**", "/*/health"]}, "/api/health", 404, 0, id="any segment"),
        pytest.param({"exclude": ["/static/**", "/*/health"]}, "/ping", 200, 1, id="no longer the probes"),
    ],
)
def test_which_requests_have_a_line(
    written: Written, given: dict[str, object], path: str, status: int, lines: int
) -> None:
    telemetry(written, **given).served(REQUEST._replace(path=path, status=status))
    assert len(written.lines) == lines


def test_a_secret_in_a_path_is_masked(written: Written) -> None:
    telemetry(written).served(REQUEST._replace(path=f"/reset/{JWT}/done"))
    (members,) = written.members
    assert members["path"] == f"/reset/⟨a JWT of {len(JWT)} characters⟩/done"


def test_a_secret_in_an_error_of_the_server_at_a_probe_is_masked_too(written: Written) -> None:
    path = f"/static/{JWT}"
    telemetry(written, exclude=["/static/**"]).served(REQUEST._replace(path=path, status=502))
    telemetry(written).happened(replace(EVENT, detail=f"said {JWT}"))
    assert len(written.lines) == 2
    assert JWT not in "".join(written.lines)


def test_an_event_is_one_line_with_fixed_keys(written: Written) -> None:
    with tagged(TAG):
        telemetry(written).happened(EVENT)
    (members,) = written.members
    assert list(members) == ["time", "level", "logger", "message", "request_id", "trace_id", "pid", *AUDIT_FACTS]
    assert members["message"] == "logout back_channel ok"
    assert (members["request_id"], members["trace_id"]) == ("r-1", TAG.trace[3:35])
    assert (members["level"], members["outcome"], members["detail"]) == ("INFO", "ok", "a login")


@pytest.mark.parametrize(
    ("given", "event", "levels"),
    [
        pytest.param({}, EVENT, ["INFO"], id="a logout"),
        pytest.param({}, Event(kind=Kind.LOGIN, outcome="token_refused"), ["WARNING"], id="a login that failed"),
        pytest.param({}, Event(kind=Kind.REFUSAL, outcome="access_denied"), ["WARNING"], id="a refusal"),
        pytest.param({}, Event(kind=Kind.CONFIGURATION, way="reloaded"), ["INFO"], id="a configuration"),
        pytest.param({}, Event(kind=Kind.REFRESH), [], id="a renewal"),
        pytest.param({}, Event(kind=Kind.REFRESH, outcome="provider_unreachable"), [], id="a renewal put off"),
        pytest.param({"audit": False}, EVENT, [], id="switched off"),
    ],
)
def test_which_events_have_a_line(written: Written, given: dict[str, object], event: Event, levels: list[str]) -> None:
    telemetry(written, **given).happened(event)
    assert [members["level"] for members in written.members] == levels


@pytest.mark.parametrize(
    ("subject", "said"),
    [("hashed", "7c25e2c78ede6734"), ("plain", "alice"), ("none", "")],
)
def test_how_a_user_is_named(written: Written, subject: str, said: str) -> None:
    one = telemetry(written, subject=subject)
    one.served(REQUEST)
    one.happened(EVENT)
    assert [members["subject"] for members in written.members] == [said, said]
    one.served(REQUEST._replace(issuer="", subject=""))
    assert written.members[-1]["subject"] == ""
    if subject != "plain":
        assert "alice" not in "".join(written.lines)


def test_the_word_for_a_user_is_that_of_issuer_and_secret() -> None:
    who = naming("hashed", RING)
    assert who("https://op.example", "alice") == naming("hashed", RING)("https://op.example", "alice")
    others = [
        who("https://op.example", "bob"),
        who("https://other.example", "alice"),
        who("https://op.example\nalice", ""),
        naming("hashed", OTHER_RING)("https://op.example", "alice"),
        who("https://op.example", "a\ud800"),
    ]
    assert len({who("https://op.example", "alice"), *others}) == 6


def test_a_gateway_around_an_app_logs_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    document = {**base_config({"type": "memory"}), "admin_token": "a" * 40}
    gateway = Gateway.from_config(document)(lambda _environ, _start_response: [])
    answered = exchange(gateway, method="GET", url=f"{ORIGIN}/oauth2/admin/sessions")
    assert answered.status == 401
    told = {record.name: record for record in caplog.records}
    assert vars(told["gateway.audit"])["outcome"] == "admin_token_required"
    assert vars(told["gateway.access"])["status"] == 401


def test_around_an_app_records_have_the_facts_and_go_where_the_app_wants(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = make_log_telemetry(settings(subject="plain"))
    one.served(REQUEST)
    one.happened(EVENT)
    access, audit = caplog.records
    assert (access.name, access.getMessage()) == (ACCESS, "GET /api/things 200")
    assert {name: vars(access)[name] for name in ACCESS_FACTS}["route"] == "/api/**"
    assert (audit.name, audit.getMessage()) == (AUDIT, "logout back_channel ok")
    assert {name: vars(audit)[name] for name in AUDIT_FACTS}["subject"] == "alice"
    assert not any(isinstance(one, LogHandler) for one in logging.getLogger("gateway").handlers)
    caplog.set_level(logging.WARNING)
    caplog.clear()
    one.served(REQUEST)
    assert caplog.records == []


def test_whatever_is_logged_for_a_request_names_it(written: Written) -> None:
    log = logging.getLogger("gateway.store")
    with tagged(TAG):
        log.warning("the store is slow")
    log.warning("the store is slow")
    assert [members["request_id"] for members in written.members] == ["r-1", ""]


def test_a_traceback_is_one_line_and_masked(written: Written) -> None:
    try:
        raise ValueError(f"redis://:pa55@redis:6379 said\n{CLIENT_SECRET}\n2027 INFO forged")
    except ValueError:
        logging.getLogger("gateway").exception("an error that nobody foresaw")
    (members,) = written.members
    told = str(members["exception"])
    assert told.startswith("Traceback (most recent call last):\n")
    assert told.endswith("redis://***@redis:6379 said\n⟨client_secret⟩\n2027 INFO forged")


def test_a_record_that_cannot_be_written_is_told_of(written: Written) -> None:
    record = logging.makeLogRecord({"name": "gateway.store", "msg": "%d sessions", "args": ("many",)})
    written.handler.handle(record)
    (members,) = written.members
    assert (members["message"], members["about"]) == ("a record could not be written", "gateway.store")


SECRETS: Final = [
    pytest.param(f"the token {JWT} is refused", JWT, id="a JWT"),
    pytest.param(f"{JWT[:40]} was cut", JWT[:40], id="the beginning of a JWT"),
    pytest.param("Authorization: Bearer SlAV32hkKG", "SlAV32hkKG", id="a field"),
    pytest.param("sent 'Bearer 2YotnFZFEjr1zCsicMWpAA'", "2YotnFZFEjr1zCsicMWpAA", id="a bearer token"),
    pytest.param("proxy said DPoP Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU", "Kz~8mXK1", id="a bound token"),
    pytest.param("Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW in it", "czZCaGRSa3F0", id="a password in base64"),
    pytest.param("GET /oauth2/callback?code=SplxlOBeZQQYbYS6WxSbIA&state=af0ifjsldkj", "SplxlOBe", id="a code"),
    pytest.param("GET /x%3Bcode=SplxlOBeZQQYbYS6WxSbIA", "SplxlOBe", id="behind any encoded sign"),
    pytest.param("GET /auth/Bearer%20eyJSlAV32hkKG", "SlAV32hkKG", id="a scheme in a path"),
    pytest.param("GET /oauth2/callback?code=x1&state=af0ifjsldkj", "af0ifjsldkj", id="a state"),
    pytest.param("/cb%3Fcode%3DSplxlOBeZQQYbYS6WxSbIA", "SplxlOBe", id="a code, encoded"),
    pytest.param("refresh_token=tGzv3JOkF0XG5Qx2TlKWIA refused", "tGzv3JOk", id="a refresh token"),
    pytest.param('answer {"access_token": "2YotnFZFEjr", "token_type": "x"}', "2YotnFZFEjr", id="a member"),
    pytest.param("answer {'id_token': 'odd token'}", "odd token", id="a member, as Python writes it"),
    pytest.param(r'"{\"client_secret\": \"7Fjfp0ZBr1\"}"', "7Fjfp0ZBr1", id="a member in a text"),
    pytest.param("client_id=a&client_secret=7Fjfp0ZBr1KtDRbnfVdmIw", "7Fjfp0ZBr1", id="a secret in a form"),
    pytest.param("redis://user:pa55word@redis.example:6379/0 refused", "pa55word", id="a password in a URL"),
    pytest.param("HTTPSConnectionPool(host='x'): url: /t?password=hunter2", "hunter2", id="a password in a query"),
    pytest.param("Cookie: a=b; __Host-gateway=c2VhbGVk", "c2VhbGVk", id="cookies"),
    pytest.param("set __Host-gateway-tx-0a1b=c2VhbGVk; Secure", "c2VhbGVk", id="a cookie of ours"),
    pytest.param(f"the secret {CLIENT_SECRET} is wrong", CLIENT_SECRET, id="our client secret"),
    pytest.param(f"sealed under {SECRET}", SECRET, id="the session secret"),
    pytest.param(f"admin {'a' * 40}!", "a" * 40, id="an administrator's token"),
    pytest.param("AUTH failed for st0rage", "st0rage", id="the password of the store"),
    pytest.param("sent X-Key k3y-of-an-upstream-that-is-long", "k3y-of-an-upstream", id="a field that a route adds"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_what_is_or_looks_like_a_secret_is_masked(text: str, secret: str) -> None:
    document = merged(
        base_config({"type": "redis", "url": "redis://:st0rage@127.0.0.1:1/0"}),
        {
            "admin_token": "a" * 40,
            "upstream": "http://127.0.0.1:1",
            "routes": [{"path": "/", "request_headers": {"X-Key": "k3y-of-an-upstream-that-is-long"}}],
        },
    )
    mask = masking(secrets_of(parse_settings(document, {})))
    assert mask("GET /home: login_required") == "GET /home: login_required"
    assert secret not in mask(text)
    assert mask(f"{text} of GET /home").endswith("of GET /home") or "ookie" in text or "Authorization" in text


@pytest.mark.parametrize(
    "text",
    [
        "session 0a1b2c3d ended: the refresh gave token_grant_invalid: invalid_grant",
        "'GET /a': access_token_claim_invalid: scope is neither a text nor a list of texts (reference 0a1b2c3d)",
        "error 'access_denied' without state",
        "provider https://op.example: tokens cannot be introspected: provider_unreachable: POST https://op.example/t",
        "bearer_malformed: a bearer token is in it, but not alone",
        "Listening at: http://127.0.0.1:4180 (17)",
        "expected 'https://op.example', got 'https://other.example'",
    ],
)
def test_what_is_no_secret_stands_as_it_is(text: str) -> None:
    assert masked(text) == text


@pytest.fixture
def own_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave Python's logging as it was."""
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    root, names = logging.getLogger(), ("gateway", ACCESS, AUDIT)
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    for handler in [handler for handler in root.handlers if isinstance(handler, LogHandler)]:
        root.removeHandler(handler)
    logging.captureWarnings(capture=False)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    audit = logging.getLogger(AUDIT)
    audit.propagate = True
    audit.handlers[:] = []


def told(settings: Settings, capfd: pytest.CaptureFixture[str]) -> list[str]:
    log_to_stderr(settings)
    one = make_log_telemetry(settings)
    one.served(REQUEST)
    one.happened(EVENT)
    logging.getLogger("gateway.store").info("a store")
    logging.getLogger("urllib3").warning("a library")
    return on_stderr(capfd)


def on_stderr(capfd: pytest.CaptureFixture[str]) -> list[str]:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogHandler):
            handler.writer.close(1)
    return capfd.readouterr().err.splitlines()


@pytest.mark.usefixtures("own_logging")
def test_a_gateway_that_stands_alone_logs_to_stderr(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    names = [json.loads(line)["logger"] for line in told(settings(format="json"), capfd)]
    assert names == [ACCESS, AUDIT, "gateway.store", "urllib3"]
    lines = told(settings(), capfd)
    assert [line.split(" ")[2] for line in lines] == names
    assert not any(line.startswith("{") for line in lines)
    path = tmp_path / "audit.log"
    names = [line.split(" ")[2] for line in told(settings(audit_file=str(path)), capfd)]
    assert names == [ACCESS, "gateway.store", "urllib3"]
    assert path.read_text().count("gateway.audit logout back_channel ok") == 1
    quiet = replace(settings(access=False), log_level="error")
    assert [line.split(" ")[2] for line in told(quiet, capfd)] == [AUDIT, "urllib3"]


@pytest.mark.usefixtures("own_logging")
def test_another_audit_file_leaves_none_open(tmp_path: Path) -> None:
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    log_to_stderr(settings(audit_file=str(tmp_path / "first.log")))
    before = opened()
    for number in range(10):
        log_to_stderr(settings(audit_file=str(tmp_path / f"{number}.log")))
    assert opened() == before
    log_to_stderr(settings())
    assert opened() == before - 1


def test_an_audit_file_that_cannot_be_opened_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    fit = settings(audit_file=str(tmp_path / "audit.log"))
    log_to_stderr(fit)
    with pytest.raises(ConfigurationError, match=r"logs\.audit_file: cannot be opened"):
        log_to_stderr(replace(fit, logs=replace(fit.logs, audit_file=str(tmp_path))))


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        pytest.param({}, LogSettings(), id="none"),
        pytest.param({"GATEWAY_LOGS__FORMAT": "json"}, LogSettings(format="json"), id="in the environment"),
        pytest.param({"GATEWAY_LOGS__FORMAT": "xml"}, LogSettings(), id="of no kind"),
        pytest.param({"GATEWAY_CONFIG": "missing.yaml"}, LogSettings(), id="a file that is not there"),
    ],
)
def test_how_gunicorn_learns_of_the_form_before_all_is_checked(
    environ: dict[str, str], found: LogSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert log_settings_or_usual(environ) == found


DOCS: Final = (Path(__file__).parent.parent / "docs" / "logs.md").read_text(encoding="utf-8")
USER: Final = {"client": "192.0.2.1", "provider": "default", "issuer": "https://op.example", "subject": "alice"}
UNNAMED: Final = {name: value for name, value in USER.items() if name != "client"}
EVENTS: Final = [
    Event(kind=Kind.LOGIN, **USER),
    Event(kind=Kind.LOGOUT, way="provider", detail="token_grant_invalid: invalid_grant", **UNNAMED),
    Event(kind=Kind.REFUSAL, outcome="access_denied", route="/staff/**", detail="lacks claim groups", **USER),
    Event(kind=Kind.STEP_UP, route="/strong/**", **USER),
    Event(kind=Kind.REVOCATION, way="administration", detail="all"),
    Event(kind=Kind.CONFIGURATION, outcome="configuration_refused", detail="upstream: is missing"),
]


def documented(heading: str) -> list[str]:
    section = re.split(r"^##+ ", DOCS, flags=re.MULTILINE)
    (found,) = [text for text in section if text.startswith(f"{heading}\n")]
    rows = [line.split("|")[1] for line in found.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([a-z_]+)`", row)]


def test_the_page_has_every_key_and_every_kind() -> None:
    assert documented("The lines") == [
        *("time", "level", "logger", "message", "request_id", "trace_id", "pid", "exception")
    ]
    assert documented("Requests") == list(ACCESS_FACTS)
    kinds = [kind.value for kind in Kind if kind is not Kind.REFRESH]
    assert sorted(documented("Events")) == sorted([*AUDIT_FACTS, *kinds])


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind.value)
def test_the_page_has_the_line_of_each_kind_of_event(event: Event) -> None:
    made, log = Written(TEXT), logging.getLogger(AUDIT)
    log.addHandler(made.handler)
    log.setLevel(logging.INFO)
    with tagged(Tag(request_id="" if event.kind is Kind.CONFIGURATION else "5b1f0c6de9a34d27")):
        telemetry(made).happened(event)
    log.removeHandler(made.handler)
    log.setLevel(logging.NOTSET)
    (line,) = made.lines
    line = re.sub(r"^\S+", "2027-01-15T08:00:00.126Z", line)
    assert f"`{re.sub(r' pid=[0-9]+', ' pid=17', line)}`" in DOCS


def test_the_page_has_the_line_of_a_request_and_of_what_was_lost() -> None:
    served = REQUEST._replace(tag=Tag(request_id="5b1f0c6de9a34d27"))
    for lines in (JSON, TEXT):
        line = lines.request(served, served.path, naming("hashed", RING)(served.issuer, served.subject)).decode()
        assert re.sub(r"(\bpid\"?[=:])[0-9]+", r"\g<1>17", line) in DOCS
    made = Written(TEXT)
    assert re.sub(r"^\S+", "2027-01-15T08:00:00.126Z", made.handler.notice(12).decode()) in DOCS


@pytest.mark.usefixtures("own_logging")
def test_gunicorns_own_words_are_lines_of_the_same_form(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_LOGS__FORMAT", "json")
    error_log = logging.getLogger("gunicorn.error")
    monkeypatch.setattr(error_log, "handlers", [])
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    forged = "Invalid request from ip=192.0.2.1: \n\x1b[2Jforged"
    config = Config()
    log = GunicornLog(config)
    log.warning(forged)
    log.access(None, None, None, None)
    config.set("errorlog", str(tmp_path / "errors.log"))
    config.set("accesslog", "-")
    log.setup(config)
    log.warning(forged)
    for handler in error_log.handlers:
        handler.close()
    assert [json.loads(line)["message"] for line in on_stderr(capfd)] == [
        forged,
        "gunicorn's access log is not written: logs.access is in its place",
    ]
    assert [json.loads(line)["message"] for line in (tmp_path / "errors.log").read_text().splitlines()] == [forged]


def fail() -> None:
    raise RuntimeError("said\n\x1b[2Jforged")


@pytest.mark.usefixtures("own_logging")
def test_what_ends_a_thread_is_one_line(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    log_to_stderr(settings(format="json"))
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    (line,) = on_stderr(capfd)
    told = json.loads(line)
    assert "foresaw: RuntimeError at " in told["message"]
    assert "said" not in line


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize(("audit", "lines"), [(True, 1), (False, 0)])
def test_the_master_logs_its_events_as_it_was_told_last(
    audit: bool, lines: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    told = make_event_log()
    log_to_stderr(settings(audit=audit))
    told.happened(Event(kind=Kind.CONFIGURATION, outcome="configuration_refused", detail="upstream: is missing"))
    assert [line.split(" ", 3)[2] for line in on_stderr(capfd)] == [AUDIT] * lines
