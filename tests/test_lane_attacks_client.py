"""What an outsider did to the lane as its client: nothing is held without bound, and nobody is cut short."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication

import pytest
from harness import base_config
from lane_face import run_lane
from test_lane_attacks_upstream import eventually, reset

from gateway import Gateway
from gateway.failures import Failures
from gateway.lane import client, lane, patience
from gateway.lane.client import ClientConnection
from gateway.lane.incoming import MAX_BODY_WAITING
from gateway.lane.lane import Lane
from gateway.lane.uses import Uses

SECONDS: Final = 10.0
GET: Final = b"GET /a HTTP/1.1\r\nHost: app.example\r\n"
SLOW: Final = b"GET /slow HTTP/1.1\r\nHost: app.example\r\n\r\n"
PAGE: Final = 20_000
CLOSE: Final = GET + b"Connection: close\r\n\r\n"
LARGE: Final = 8 * 1024 * 1024
MANY: Final = 2000
THREADS: Final = 32


class Counting:
    """Answers with a page, and counts how often it was asked."""

    def __init__(self, size: int) -> None:
        self.calls = 0
        self._size = size

    def __call__(self, _: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        self.calls += 1
        start_response("200 OK", [("Content-Length", str(self._size))])
        return [bytes(self._size)]


@contextmanager
def around(app: WSGIApplication) -> Iterator[Callable[[], socket.socket]]:
    document = {**base_config({"type": "memory"}), "routes": [{"path": "/**", "access": "public"}]}
    with run_lane(Gateway.from_config(document)(app)) as face:
        yield lambda: socket.create_connection(("127.0.0.1", face.port), timeout=SECONDS)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(client, "LINGER_SECONDS", 0.1)
    monkeypatch.setattr(client, "MAX_LINGER_SECONDS", 0.3)


def settled(read: Callable[[], int]) -> int:
    """Wait until a number stays as it is."""
    last = -1
    while last != (now := read()):
        last = now
        time.sleep(0.3)
    return last


def is_left(sock: socket.socket, words: bytes) -> bool:
    """Go on speaking, and tell whether the lane hangs up."""
    deadline = time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            sock.sendall(words)
            time.sleep(0.02)
    except ConnectionError:
        return True
    return False


def read_all(sock: socket.socket) -> bytes:
    received = bytearray()
    while piece := sock.recv(1 << 20):
        received += piece
    return bytes(received)


def test_who_asks_again_and_again_and_reads_nothing_is_not_answered_any_more() -> None:
    app = Counting(PAGE)
    with around(app) as open_it, open_it() as sock:
        sender = threading.Thread(
            target=sock.sendall, args=[(GET + b"\r\n") * MANY + GET + b"Connection: close\r\n\r\n"]
        )
        sender.start()
        assert settled(lambda: app.calls) < MANY / 2  # What the system's own buffers take, and a little.
        received = read_all(sock)
        sender.join(SECONDS)
    assert received.count(b"HTTP/1.1 200 OK") == app.calls == MANY + 1
    assert len(received) > (MANY + 1) * PAGE


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("last", [b"Connection: close\r\n", b""], ids=["close", "keep-alive"])
def test_who_reads_slowly_gets_all(last: bytes) -> None:
    with around(Counting(LARGE)) as open_it, open_it() as sock:
        sock.sendall(GET + last + b"\r\n")
        time.sleep(1.0)  # Much longer than an answered connection lingers.
        received = bytearray()
        while len(received) < LARGE and (piece := sock.recv(1 << 20)):
            received += piece
    assert len(received) > LARGE


@pytest.mark.usefixtures("impatient")
def test_who_takes_nothing_is_left_though_they_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "STALL_SECONDS", 0.5)
    with around(Counting(LARGE)) as open_it, open_it() as sock:
        sock.sendall(GET + b"\r\n")
        assert is_left(sock, b"\r\n")


@pytest.mark.usefixtures("impatient")
def test_who_was_refused_is_not_listened_to_for_long() -> None:
    with around(Counting(1)) as open_it, open_it() as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        assert is_left(sock, b"more of it")


def test_octets_behind_an_upgrade_are_no_request_whatever_is_answered() -> None:
    upgrade = GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    app = Counting(1)
    with around(app) as open_it, open_it() as sock:
        sock.sendall(upgrade + b"\r\n" + GET + b"\r\n" + GET + b"\r\n")
        received = read_all(sock)
    assert received.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in received
    assert app.calls <= 1


def test_requests_with_refused_trailers_hold_no_threads() -> None:
    trailers = b"X: y\r\n" * 101
    sent = (
        b"POST /oauth2/backchannel-logout HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\n1\r\na\r\n0\r\n" + trailers + b"\r\n"
    )
    with around(Counting(1)) as open_it:
        for _ in range(THREADS + 8):
            with open_it() as sock:
                sock.sendall(sent)
        with open_it() as sock:
            sock.sendall(b"GET /ping HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n")
            assert read_all(sock).startswith(b"HTTP/1.1 200 OK")


def test_failures_behind_each_other_do_not_keep_others_waiting() -> None:
    """All that was answered at once was answered in one turn of the loop."""
    with around(Counting(1)) as open_it, open_it() as flood, open_it() as other:
        flood.sendall(b"GET /../a HTTP/1.1\r\nHost: app.example\r\n\r\n" * MANY)
        other.sendall(b"GET /ping HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n")
        assert read_all(other).startswith(b"HTTP/1.1 200 OK")
        flood.sendall(GET + b"Connection: close\r\n\r\n")
        assert read_all(flood).count(b"HTTP/1.1 400") == MANY


class Reading:
    """Tells how much of a body came, and waits before it answers `/slow`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go_on = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        self.asked.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/slow":
            assert self.go_on.wait(4 * SECONDS)
        octets = 0
        while piece := environ["wsgi.input"].read(10_000):
            octets += len(piece)
        body = f"read {octets}".encode("ascii")
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]


def post(octets: int, *fields: bytes) -> bytes:
    lines = [b"POST /p HTTP/1.1", b"Host: app.example", b"Content-Length: %d" % octets, *fields, b"", b""]
    return b"\r\n".join(lines)


@pytest.mark.parametrize("octets", [300_000, 1_000_000])
def test_a_large_body_comes_whole_and_the_app_is_called_once(octets: int) -> None:
    """What was read before all had come was lost, and the app called anew, behind a request that took its time."""
    app = Reading()
    with around(app) as open_it, open_it() as sock:
        first = octets - 10_000
        sock.sendall(SLOW + post(octets, b"Connection: close") + bytes(first))
        time.sleep(0.2)
        app.go_on.set()
        time.sleep(0.3)
        sock.sendall(bytes(octets - first))
        received = read_all(sock)
    assert received.endswith(b"read %d" % octets)
    assert app.asked == ["/slow", "/p"]


@pytest.mark.parametrize("before", [0, 13, 14, 15, 16, 17, 40])
def test_a_body_behind_many_requests_is_read(before: int) -> None:
    with around(Reading()) as open_it, open_it() as sock:
        sock.sendall((GET + b"\r\n") * before + post(40_000, b"Connection: close") + bytes(40_000))
        received = read_all(sock)
    assert received.count(b"HTTP/1.1 200 OK") == before + 1
    assert received.endswith(b"read 40000")


@pytest.mark.parametrize("before", [0, 13, 14, 15, 16, 17, 40])
def test_octets_behind_an_upgrade_are_no_request_behind_many_others(before: int) -> None:
    upgrade = GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    app = Reading()
    with around(app) as open_it, open_it() as sock:
        sock.sendall((GET + b"\r\n") * before + upgrade + b"GET /smuggled HTTP/1.1\r\nHost: app.example\r\n\r\n")
        received = read_all(sock)
    assert "/smuggled" not in app.asked
    assert received.count(b"HTTP/1.1 ") == before + 1


def test_the_body_of_a_request_that_waits_is_held_back() -> None:
    app = Reading()
    with around(app) as open_it, open_it() as sock:
        sock.sendall(SLOW + post(1_000_000_000))
        sock.settimeout(1.0)
        sent = 0
        with suppress(TimeoutError):
            while sent < 4 * LARGE:
                sent += sock.send(bytes(65536))
        app.go_on.set()
    assert sent < 2 * LARGE  # Most of it in the system's own buffers.


@pytest.mark.parametrize(
    ("requests", "octets"),
    [
        pytest.param(1, 4 * MAX_BODY_WAITING, id="one large body"),
        pytest.param(12, MAX_BODY_WAITING - 1, id="many that are large together"),
    ],
)
def test_the_bodies_of_all_who_wait_are_held_back_together(lanes: list[Lane], requests: int, octets: int) -> None:
    app = Reading()
    with around(app) as open_it, open_it() as sock:
        sent = SLOW + (post(octets) + bytes(octets)) * requests
        sender = threading.Thread(target=sock.sendall, args=[sent + CLOSE])
        sender.start()
        eventually(lambda: lanes[0].clients)
        (one,) = lanes[0].clients
        eventually(lambda: one._inlet.is_paused)
        assert settled(lambda: sum(waiting.buffered for waiting in one._requests._waiting)) < 4 * MAX_BODY_WAITING
        app.go_on.set()
        received = read_all(sock)
        sender.join(SECONDS)
    assert received.count(b"read %d" % octets) == requests


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("behind", [pytest.param(0, id="none"), pytest.param(40, id="more than are read")])
@pytest.mark.parametrize("leave", [pytest.param(reset, id="a reset"), pytest.param(socket.socket.close, id="a close")])
def test_who_leaves_is_noticed_with_requests_behind_one_that_takes_its_time(
    lanes: list[Lane], monkeypatch: pytest.MonkeyPatch, leave: Callable[[socket.socket], None], behind: int
) -> None:
    monkeypatch.setattr(client, "GONE_SECONDS", 0.1)
    app = Reading()
    with around(app) as open_it:
        sock = open_it()
        sock.sendall(SLOW + (GET + b"\r\n") * behind)
        eventually(lambda: app.asked)
        (one,) = lanes[0].clients
        eventually(lambda: one._inlet.is_paused == bool(behind))
        leave(sock)
        eventually(lambda: not lanes[0].clients)
        app.go_on.set()
    assert app.asked == ["/slow"]


@pytest.mark.usefixtures("impatient")
def test_who_has_said_all_is_answered_though_not_all_of_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Reading()
    with around(app) as open_it, open_it() as sock:
        sock.sendall(SLOW + (GET + b"\r\n") * 40)
        sock.shutdown(socket.SHUT_WR)
        eventually(lambda: app.asked)
        time.sleep(0.2)  # Some ticks.
        app.go_on.set()
        assert read_all(sock).count(b"HTTP/1.1 200 OK") == 41


def test_who_is_gone_before_they_are_taken_is_not_answered(lanes: list[Lane]) -> None:
    """Nobody could say from where they asked: the request went on as if from nowhere."""
    app = Reading()
    let = threading.Event()
    with around(app) as open_it:
        lanes[0].loop.call_soon_threadsafe(let.wait, SECONDS)
        for _ in range(8):
            gone = open_it()
            gone.sendall(GET.replace(b"/a", b"/gone") + b"\r\n")
            reset(gone)
        with open_it() as sock:
            sock.sendall(CLOSE)
            let.set()
            assert read_all(sock).startswith(b"HTTP/1.1 200 OK")
        assert app.asked == ["/a"]
        eventually(lambda: not lanes[0].clients)


def failing(*_: object) -> None:
    raise ValueError("for the test")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("fails", "name"),
    [
        pytest.param(Lane, "begin", id="a request cannot be begun"),
        pytest.param(Failures, "answer", id="no failure can be told"),
        pytest.param(ClientConnection, "start", id="no answer can be begun"),
    ],
)
def test_whatever_fails_the_client_is_not_left_waiting(
    lanes: list[Lane], monkeypatch: pytest.MonkeyPatch, fails: type, name: str
) -> None:
    malformed = b"POST /a HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    with around(Counting(1)) as open_it:
        for fault in (False, True):
            with monkeypatch.context() as patched, open_it() as sock, suppress(ConnectionResetError):
                if fault:
                    patched.setattr(fails, name, failing)
                sock.sendall(malformed)
                assert read_all(sock).startswith(b"HTTP/1.1 400") != fault
            eventually(lambda: not lanes[0].clients)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("fails", "name"),
    [pytest.param(ClientConnection, "tick", id="a client"), pytest.param(Uses, "step", id="uses")],
)
def test_no_error_ends_what_is_done_each_second(
    lanes: list[Lane], monkeypatch: pytest.MonkeyPatch, fails: type, name: str
) -> None:
    monkeypatch.setattr(client, "HEAD_SECONDS", 0.1)
    with around(Counting(1)) as open_it, open_it() as sock:
        eventually(lambda: lanes[0].clients)
        with monkeypatch.context() as patched:
            patched.setattr(fails, name, failing)
            before = lanes[0].now
            eventually(lambda: lanes[0].now > before + 0.1)
        sock.sendall(GET)
        assert read_all(sock) == b""
