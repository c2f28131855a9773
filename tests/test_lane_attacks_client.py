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

from gateway import Gateway
from gateway.lane import client, lane, patience

SECONDS: Final = 10.0
GET: Final = b"GET /a HTTP/1.1\r\nHost: app.example\r\n"
SLOW: Final = b"GET /slow HTTP/1.1\r\nHost: app.example\r\n\r\n"
PAGE: Final = 20_000
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
            assert self.go_on.wait(SECONDS)
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
