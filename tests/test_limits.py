"""What is one too many is shed, by both faces: 503 at once, and what is under way goes on (RFC 9110 15.6.4)."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from socket import create_connection
from typing import Any, Final
from wsgiref.types import StartResponse

import pytest
from harness import FACE_VARIABLE, ORIGIN, Clock, Config, Site, base_config, error_code, run_site
from lane_face import LaneFace
from peers.listener import Answer, Received, run_listener
from raw_origin import OK, origin
from test_lane_attacks_upstream import eventually, reset

from gateway.backends.memory import MemoryBackend
from gateway.config import parse_settings
from gateway.config_sources import ConfigurationError
from gateway.endpoints.login_failed import LoginFailed
from gateway.errors import OVERLOADED, TOO_MANY_LOGINS, TUNNELS_FULL, GatewayError
from gateway.kept_answers import MAX_KEPT, KeptAnswers
from gateway.lane import client, lane
from gateway.lane.lane import Lane
from gateway.limits import Limits, Places
from gateway.testing import Faults, Page

SECONDS: Final = 10.0
PUBLIC: Final[Config] = {"routes": [{"path": "/**", "access": "public"}]}
SHED: Final = (503, "overloaded", "1")
GERMAN: Final = {"Accept": "text/html", "Accept-Language": "de"}


@pytest.fixture(params=["threads", "lane"])
def _face(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FACE_VARIABLE, request.param)


both_faces: Final = pytest.mark.usefixtures("_face")


@dataclass(kw_only=True, eq=False)
class Slow:
    """Answers what is asked at `/slow` when it may, and all else at once; as an app, and as a listener's answer."""

    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    may: threading.Event = field(default_factory=threading.Event)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        self.wait(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    def answer(self, received: Received) -> Answer:
        self.wait(received.path)
        return Answer(body="ok")

    def wait(self, path: str) -> None:
        if path.endswith("/slow"):
            self.entered.release()
            assert self.may.wait(SECONDS)


@contextmanager
def crowd(site: Site, slow: Slow, count: int, path: str = "/slow") -> Iterator[list[Future[Page]]]:
    """Have requests under way, and let them end behind the block."""
    with ThreadPoolExecutor(count) as threads:
        pages = [threads.submit(site.new_browser().fetch, ORIGIN + path) for _ in range(count)]
        try:
            for _ in range(count):
                assert slow.entered.acquire(timeout=SECONDS)
            yield pages
        finally:
            slow.may.set()
    assert [page.result().status for page in pages] == [200] * count


def seen(page: Page) -> tuple[int, str, str]:
    return page.status, error_code(page) if page.status >= 400 else "", page.headers.get("Retry-After", "")


def ask(site: Site, path: str, headers: Mapping[str, str] | None = None) -> Page:
    return site.new_browser().fetch(ORIGIN + path, headers=headers)


@both_faces
def test_a_process_that_has_enough_to_do_sheds_all_but_who_asks_if_it_lives() -> None:
    slow = Slow()
    asking: Config = {"forward_auth": {"enabled": True}, "trusted_proxies": ["127.0.0.1"]}
    with run_site({**PUBLIC, **asking, "limits": {"requests": 2}}, app=slow) as site:
        forward = {"X-Forwarded-Uri": "/", "X-Forwarded-Method": "GET"}
        assert [ask(site, "/").status, ask(site, "/oauth2/auth", forward).status] == [200, 202]
        with crowd(site, slow, 2):
            for path in ("/", "/oauth2/start", "/oauth2/userinfo"):
                assert seen(ask(site, path)) == SHED
            # The lane has threads for that alone.
            assert ask(site, "/ready").status == (200 if isinstance(site.face, LaneFace) else 503)
            assert seen(ask(site, "/oauth2/auth", forward)) == SHED
            assert seen(ask(site, "/", GERMAN))[:2] == (503, "overloaded")
            assert (ask(site, "/ping").status, ask(site, "/ping").text) == (200, "OK")
        assert [ask(site, "/").status, ask(site, "/oauth2/auth", forward).status] == [200, 202]


@both_faces
def test_without_a_limit_nothing_is_shed() -> None:
    slow = Slow()
    with run_site({**PUBLIC, "limits": {"requests": 0}}, app=slow) as site, crowd(site, slow, 8):
        assert ask(site, "/").status == 200


@contextmanager
def before_two(slow: Slow, limits: Mapping[str, int]) -> Iterator[Site]:
    """Run a gateway before an upstream at /a that may be slow, and another one."""
    with run_listener(slow.answer) as one, run_listener(lambda _: Answer(body="ok")) as other:
        routes = [
            {"path": "/a/**", "access": "public", "upstream": one.origin},
            {"path": "/**", "access": "public", "upstream": other.origin},
        ]
        with run_site({"routes": routes, "limits": dict(limits)}) as site:
            yield site
            for upstream in site.gateway.upstreams.values():
                upstream.close()


@both_faces
def test_a_slow_upstream_takes_no_place_of_another() -> None:
    slow = Slow()
    with before_two(slow, {"upstream_requests": 2}) as site:
        assert [ask(site, "/a").status, ask(site, "/b").status] == [200, 200]
        with crowd(site, slow, 2, "/a/slow"):
            assert [seen(ask(site, "/a")), seen(ask(site, "/a", GERMAN))[:2]] == [SHED, SHED[:2]]
            assert ask(site, "/b").status == 200
            assert ask(site, "/ping").status == 200
        for _ in range(3):
            assert ask(site, "/a").status == 200
        assert [one.places.taken for one in site.gateway.upstreams.values()] == [0, 0]


@both_faces
def test_an_upstream_that_fails_gives_its_places_back() -> None:
    routes = [{"path": "/**", "access": "public", "upstream": "http://127.0.0.1:9"}]
    with run_site({"routes": routes, "limits": {"upstream_requests": 1}}) as site:
        assert [ask(site, "/").status for _ in range(3)] == [502] * 3


@pytest.fixture
def laned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FACE_VARIABLE, "lane")


@contextmanager
def opened(site: Site, sent: bytes) -> Iterator[Any]:
    assert isinstance(site.face, LaneFace)
    with create_connection(("127.0.0.1", site.face.port), timeout=SECONDS) as sock:
        sock.sendall(sent)
        yield sock


def received_until(sock: Any, words: bytes) -> bytes:
    data = b""
    while words not in data:
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return data


def request(method: str, path: str, *fields: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: app.example", *fields, "", ""]).encode("ascii") + body


@pytest.mark.parametrize(
    ("sent", "rest"),
    [
        pytest.param(request("GET", "/"), b"", id="without a body"),
        pytest.param(request("POST", "/", "Content-Length: 2", body=b"a"), b"b", id="before the body was there"),
    ],
)
@pytest.mark.usefixtures("laned")
def test_an_answer_that_has_begun_holds_no_place_of_its_upstream(sent: bytes, rest: bytes) -> None:
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegun"
    with origin([begun], [OK], head_only=True) as raw:
        routes = [{"path": "/**", "access": "public", "upstream": raw.url}]
        with (
            run_site({"routes": routes, "limits": {"upstream_requests": 1}}) as site,
            opened(site, sent) as sock,
        ):
            received_until(sock, b"begun")
            sock.sendall(rest)
            time.sleep(0.2)
            assert ask(site, "/").status == 200


@pytest.mark.usefixtures("laned")
def test_clients_that_are_slow_take_no_place_and_what_is_under_way_is_not_shed(lanes: list[Lane]) -> None:
    slow = Slow()
    with before_two(slow, {"upstream_requests": 1}) as site:
        half = request("POST", "/a", "Content-Length: 4", body=b"ab")
        with opened(site, half) as one, opened(site, half) as two:
            eventually(lambda: len(lanes[0].forwardings) == 2)
            assert ask(site, "/a").status == 200
            with crowd(site, slow, 1, "/a/slow"):
                assert seen(ask(site, "/a")) == SHED
                for sock in (one, two):
                    sock.sendall(b"cd")
                    assert received_until(sock, b"ok").startswith(b"HTTP/1.1 200 ")
        assert ask(site, "/a").status == 200


@pytest.mark.usefixtures("laned")
def test_a_client_that_leaves_gives_its_place_back(lanes: list[Lane]) -> None:
    slow = Slow()
    with before_two(slow, {"upstream_requests": 1}) as site:
        with opened(site, request("GET", "/a/slow")) as sock:
            assert slow.entered.acquire(timeout=SECONDS)
            assert seen(ask(site, "/a")) == SHED
            reset(sock)
        eventually(lambda: not lanes[0].forwardings)
        slow.may.set()
        assert ask(site, "/a").status == 200


@pytest.mark.usefixtures("laned")
def test_who_is_signed_in_notices_nothing_of_a_provider_that_hangs() -> None:
    slow = Slow()
    pushing: Config = {"provider": {"authorization": {"via": "pushed"}}, "limits": {"requests": 1}}
    with run_site(pushing, mode="upstream") as site:
        site.sign_in()
        site.provider.faults = Faults(before=lambda name: slow.wait(f"/{'slow' if name == 'par' else name}"))
        with ThreadPoolExecutor(1) as threads:
            begun = threads.submit(site.new_browser().navigate, f"{ORIGIN}/", follow=False)
            assert slow.entered.acquire(timeout=SECONDS)
            page = site.new_browser().navigate(f"{ORIGIN}/", follow=False)
            assert (page.status, error_code(page)) == (503, "overloaded")
            for _ in range(3):
                assert site.browser.fetch(f"{ORIGIN}/data").status == 200
            slow.may.set()
            assert begun.result().status == 303


@pytest.mark.usefixtures("laned")
def test_connections_that_are_too_many_wait_and_lose_nothing(lanes: list[Lane]) -> None:
    last = request("GET", "/", "Connection: close")
    with run_site({**PUBLIC, "limits": {"connections": 2}}) as site:
        with opened(site, b"") as one, opened(site, b"") as two:
            eventually(lambda: len(lanes[0].clients) == 2)
            with opened(site, last) as three:
                for sock in (one, two):
                    sock.sendall(request("GET", "/"))
                    received_until(sock, b"hello nobody")
                assert len(lanes[0].clients) == 2
                one.close()
                received_until(three, b"hello nobody")
        with opened(site, last) as four:
            received_until(four, b"hello nobody")


@pytest.fixture
def impatient(laned: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(client, "LINGER_SECONDS", 0.1)


def dribbled(sock: Any, octets: bytes) -> bytes:
    """Send octet by octet until the other side hangs up or all is sent, and return what it said."""
    with suppress(ConnectionError):
        for octet in octets:
            sock.sendall(bytes([octet]))
            time.sleep(0.01)
    data = b""
    with suppress(ConnectionError):
        while piece := sock.recv(65536):
            data += piece
    return data


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("seconds", "answered"), [pytest.param(30.0, True, id="in time"), pytest.param(0.1, False, id="too slow")]
)
def test_a_head_that_dribbles_has_only_so_much_time(
    monkeypatch: pytest.MonkeyPatch, seconds: float, answered: bool
) -> None:
    monkeypatch.setattr(client, "HEAD_SECONDS", seconds)
    with run_site(PUBLIC) as site, opened(site, b"") as sock:
        assert (b"hello" in dribbled(sock, request("GET", "/", "Connection: close"))) == answered


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("seconds", "sent", "status"),
    [
        pytest.param(SECONDS, b"abcd", b"200", id="slow, and whole"),
        pytest.param(0.2, b"ab", b"400", id="silent in the middle"),
    ],
)
def test_a_body_on_the_way_to_an_upstream_may_be_slow_but_not_silent(
    monkeypatch: pytest.MonkeyPatch, seconds: float, sent: bytes, status: bytes
) -> None:
    monkeypatch.setattr(client, "STALL_SECONDS", seconds)
    slow = Slow()
    with before_two(slow, {}) as site:
        with opened(site, request("POST", "/a", "Content-Length: 4", "Connection: close")) as sock:
            answer = dribbled(sock, sent)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert (b"request_incomplete" in answer) == (status == b"400")
        assert site.gateway.upstreams[site.gateway.settings.routes[0].upstream].places.taken == 0


class Armed(MemoryBackend):
    """Fails whatever it is asked, once it is armed."""

    armed = False

    def get(self, key: str) -> bytes | None:
        assert not self.armed
        return super().get(key)

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        assert not self.armed
        return super().get_many(keys)

    def set(self, key: str, value: bytes, seconds: int) -> None:
        assert not self.armed
        super().set(key, value, seconds)

    def claim(self, key: str, seconds: int) -> bool:
        assert not self.armed
        return super().claim(key, seconds)


def test_shedding_asks_no_store_and_costs_one_line_and_one_page_a_second(caplog: pytest.LogCaptureFixture) -> None:
    slow, backend = Slow(), Armed()
    with run_site({"limits": {"requests": 1}}, app=slow, backend=backend) as site:
        site.sign_in()
        with ThreadPoolExecutor(1) as threads:
            under_way = threads.submit(site.browser.fetch, f"{ORIGIN}/slow")
            assert slow.entered.acquire(timeout=SECONDS)
            backend.armed = True
            with caplog.at_level(logging.WARNING):
                pages = [site.browser.fetch(f"{ORIGIN}/{number}") for number in range(50)]
                page = site.browser.navigate(f"{ORIGIN}/", headers=GERMAN)
            backend.armed = False
            slow.may.set()
            assert under_way.result().status == 200
        assert {seen(one) for one in pages} == {SHED}
        assert len({one.json()["reference"] for one in pages}) == 1
        assert "Diese Website ist überlastet" in page.text
        lines = [record.getMessage() for record in caplog.records if "overloaded" in record.getMessage()]
        assert len(lines) == 2
        assert pages[0].json()["reference"] in lines[0]
        assert set(pages[0].json()) == {"error", "message", "reference"}


def test_what_is_for_one_alone_is_never_kept(site: Site) -> None:
    failures, error = site.gateway.failures, GatewayError(TOO_MANY_LOGINS)
    assert failures.answer({}, error) is failures.answer({}, error)
    own = failures.answer({}, LoginFailed(error, "/", ["a=b"]))
    assert own.headers["Set-Cookie"] == "a=b"
    assert "Set-Cookie" not in failures.answer({}, error).headers


def test_answers_that_are_kept_are_few_and_go_with_the_second() -> None:
    clock, made = Clock(), []

    def make(environ: Mapping[str, Any], error: GatewayError) -> Any:
        made.append((environ.get("HTTP_ACCEPT_LANGUAGE"), error.code))
        return made[-1]

    kept = KeptAnswers(make, clock)
    error = GatewayError(OVERLOADED)
    assert kept.answer({}, error) is kept.answer({"HTTP_ACCEPT_LANGUAGE": "de"}, error)  # JSON has no language.
    assert kept.answer({}, GatewayError(TUNNELS_FULL)) is not kept.answer({}, error)
    for number in range(10 * MAX_KEPT):
        kept.answer({"HTTP_ACCEPT": "text/html", "HTTP_ACCEPT_LANGUAGE": f"x-{number}"}, error)
    assert len(made) == MAX_KEPT + 1
    clock.advance(1)
    kept.answer({}, error)
    assert len(made) == MAX_KEPT + 2


def test_places() -> None:
    places = Places(1, "are here")
    with places.held():
        with pytest.raises(GatewayError) as error, places.held():
            pass
        places.take()  # What is under way finds room.
        places.leave()
    assert (error.value.code, error.value.detail, error.value.retry_after) == ("overloaded", "1 requests are here", 1)
    with suppress(ValueError), places.held():
        raise ValueError
    assert places.taken == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("requests", -1, id="a negative number"),
        pytest.param("connections", "many", id="a word"),
        pytest.param("upstream_requests", 10**9, id="more than anybody means"),
        pytest.param("logins_within", "0s", id="no time"),
        pytest.param("login", 5, id="a key that is none"),
    ],
)
def test_a_limit_that_is_none_is_an_error(key: str, value: object) -> None:
    honest = base_config({"type": "memory"})
    assert parse_settings({**honest, "limits": {"requests": 0, "logins_within": "1h"}}, {}).limits.logins_within == 3600
    with pytest.raises(ConfigurationError) as error:
        parse_settings({**honest, "limits": {key: value}}, {})
    assert [problem.partition(":")[0] for problem in error.value.problems] == [f"limits.{key}"]


def test_a_crowd_of_256_is_not_shed_by_default() -> None:
    places = Places(Limits().requests, "are here")
    for _ in range(256):
        places.take()
        places.check()
