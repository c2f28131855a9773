"""The lane where forwarding fails on our side, and where an answer makes it think twice: somebody always answers."""

import threading
import time
from typing import Any, Final

import pytest
from answering import run_before
from harness import Site, held_session, own_cookies
from peers.listener import Answer, Received
from test_forms import SUBMITTED
from test_lane import CLOSE, answered, statuses
from test_lane_attacks_upstream import answers, before, eventually, upstream
from test_lane_recollection import connected, request

from gateway.lane import forwarding, lane
from gateway.lane.attempts import Attempts
from gateway.lane.lane import Lane
from gateway.lane.passing_body import PassingBody
from gateway.lane.pool import AsyncPool
from gateway.lane.upstream import UpstreamConnection
from gateway.open_streams import CHECK_SECONDS

SECONDS: Final = 10.0
INVALID: Final = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
FORM: Final = b"a=b&c=d"


def failing(*_: object, **__: object) -> Any:
    raise ValueError("for the test")


@pytest.mark.parametrize(
    ("fails", "name"),
    [
        pytest.param(AsyncPool, "connect", id="connecting"),
        pytest.param(AsyncPool, "take", id="looking for a connection"),
        pytest.param(PassingBody, "check", id="looking at the body"),
        pytest.param(UpstreamConnection, "begin", id="sending"),
        pytest.param(Attempts, "start", id="beginning"),
        pytest.param(forwarding, "head_for", id="writing the head"),
        pytest.param(forwarding, "answer_fields", id="writing the fields of the answer"),
    ],
)
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="no body"),
        pytest.param(b"POST /a HTTP/1.1\r\nHost: app.example\r\nContent-Length: 2\r\n\r\nhi", id="a body"),
    ],
)
def test_what_nobody_foresaw_is_answered_and_leaves_nothing_behind(
    lanes: list[Lane], monkeypatch: pytest.MonkeyPatch, fails: Any, name: str, sent: bytes
) -> None:
    with upstream(answers, answers, answers) as up, before(up) as open_it:
        with monkeypatch.context() as patched:
            patched.setattr(fails, name, failing)
            assert statuses(answered(open_it, sent + CLOSE)) == [500] * (2 if sent else 1)
        eventually(lambda: not lanes[0].clients)
        assert not lanes[0].forwardings
        assert statuses(answered(open_it, CLOSE)) == [200]


@pytest.fixture
def watched_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(lane, "WATCH_AFTER_SECONDS", 0.0)


@pytest.mark.usefixtures("watched_soon")
def test_a_request_that_waits_for_its_answer_gets_it_though_its_session_ends() -> None:
    """What has been asked is done already: only answers that go on and on are cut off, as in the other face."""
    asked, let = threading.Event(), threading.Event()

    def slow(received: Received) -> Answer:
        if received.path == "/data":
            asked.set()
            assert let.wait(SECONDS)
        return Answer(body="hello")

    with run_before(slow) as site:
        site.sign_in()
        with connected(site) as client:
            client._sock.sendall(request(site))
            assert asked.wait(SECONDS)
            time.sleep(0.2)  # Some ticks.
            site.gateway.store.end(held_session(site).id)
            streams = site.gateway._admission._streams
            for one in streams._open:
                one.began_at -= CHECK_SECONDS
            streams.step()
            let.set()
            assert client.ask(b"") == (200, b"hello")


def refusing(received: Received) -> Answer:
    if received.method == "POST":
        return Answer(status=401, headers=INVALID, body="another token, please")
    return Answer(body="hello")


def may_pass(*_: object) -> bool:
    return True


def form(site: Site) -> bytes:
    """Write the head of a form that would be kept if it met no session."""
    cookies = "; ".join(f"{name}={value}" for name, value in own_cookies(site.browser).items())
    fields = {"Host": "app.example", "Cookie": cookies, "Content-Length": str(len(FORM)), **SUBMITTED}
    lines = ["POST /form HTTP/1.1", *[f"{name}: {value}" for name, value in fields.items()], "", ""]
    return "\r\n".join(lines).encode("ascii")


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({}, id="decided by the loop"),
        pytest.param({"require": {"check": "test_lane_attacks_forwarding:may_pass"}}, id="decided by a thread"),
    ],
)
@pytest.mark.parametrize("pause", [0.0, 0.2], ids=["at once", "body later"])
def test_a_form_that_has_gone_on_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, rule: dict[str, object], pause: float
) -> None:
    config = {"routes": [{"path": "/**", "token": "access_token", "keep_forms": True, **rule}]}
    with run_before(refusing, config) as site:
        site.sign_in()
        monkeypatch.setattr(site.gateway.authenticator, "after_rejection", lambda _held: None)
        with connected(site) as client:
            client._sock.sendall(form(site))
            time.sleep(pause)
            status, body = client.ask(FORM)
        assert status == 401
        assert b"login_url" in body or b"login_required" in body


class Beyond(BaseException):
    """What is no error, as what ends a process is none."""


def test_no_second_thought_leaves_a_client_waiting(monkeypatch: pytest.MonkeyPatch, lanes: list[Lane]) -> None:
    def beyond(_: object) -> None:
        raise Beyond

    with run_before(refusing, {"routes": [{"path": "/**", "token": "access_token"}]}) as site:
        site.sign_in()
        monkeypatch.setattr(site.gateway.authenticator, "after_rejection", beyond)
        with connected(site) as client:
            assert client.ask(form(site) + FORM)[0] == 500
            assert not lanes[-1].forwardings


def test_nothing_is_sent_behind_an_answer_that_could_not_be_begun(
    monkeypatch: pytest.MonkeyPatch, lanes: list[Lane]
) -> None:
    with run_before(refusing, {"routes": [{"path": "/**", "token": "access_token"}]}) as site:
        site.sign_in()
        monkeypatch.setattr(site.gateway.authenticator, "after_rejection", lambda held: held)
        monkeypatch.setattr(forwarding, "answer_fields", failing)
        with connected(site) as client:
            status, body = client.ask(form(site) + FORM)
            assert (status, b"another token" in body) == (500, False)
