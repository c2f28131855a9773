"""The lane towards clients that break off, and around an app: what they get, and that nothing is left behind."""

import asyncio
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication

import pytest
import uvloop
from harness import base_config
from lane_face import run_lane

from gateway import Gateway
from gateway.lane.listening import Listening

SECONDS: Final = 10.0
CROWD: Final = 60
HEAD: Final = b"Host: app.example\r\n"
CHUNKED: Final = b"POST /a HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
COUNTED: Final = b"POST /a HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\n\r\n"
GET: Final = b"GET /a HTTP/1.1\r\n" + HEAD + b"\r\n"


@dataclass(kw_only=True, eq=False)
class Stream:
    """A body that waits for the client to leave."""

    closed: threading.Event = field(default_factory=threading.Event)

    def __iter__(self) -> Iterator[bytes]:
        yield b"first"
        while not self.closed.wait(0.02):
            yield b"more"

    def close(self) -> None:
        self.closed.set()


def echo(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def lines(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"<%b>" % line for line in environ["wsgi.input"]]


def ignoring(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def failing(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    raise ValueError("for the test")


def breaking(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    yield b"first"
    raise ValueError("for the test")


def short(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "10")])
    return [b"short"]


def long(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok and more"]


@contextmanager
def around(app: WSGIApplication) -> Iterator[Callable[[], socket.socket]]:
    document = {**base_config({"type": "memory"}), "routes": [{"path": "/**", "access": "public"}]}
    with run_lane(Gateway.from_config(document)(app)) as face:
        yield lambda: socket.create_connection(("127.0.0.1", face.port), timeout=SECONDS)


def answered(open_it: Callable[[], socket.socket], *sent: bytes, end: bool = False) -> bytes:
    """Send pieces and read until the lane hangs up, or, unless `end`, until it has answered a last GET."""
    received = b""
    with open_it() as sock:
        for piece in sent:
            sock.sendall(piece)
        if end:
            sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(65536):
            received += piece
    return received


def statuses(received: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", received)]


CLOSE: Final = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("app", "sent", "expected"),
    [
        pytest.param(echo, COUNTED + b"hello", b"hello", id="a counted body"),
        pytest.param(echo, CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello", id="chunks"),
        pytest.param(lines, COUNTED + b"a\nb\nc", b"<a\n>", id="lines"),
        pytest.param(ignoring, COUNTED + b"hello", b"ok", id="a body that nobody reads"),
        pytest.param(long, GET, b"ok", id="more than its length"),
    ],
)
def test_an_app_is_answered_for_and_the_connection_goes_on(app: WSGIApplication, sent: bytes, expected: bytes) -> None:
    with around(app) as open_it:
        received = answered(open_it, sent, CLOSE)
        assert statuses(received) == [200, 200]
        assert expected in received
        assert b"and more" not in received


@pytest.mark.parametrize(
    ("sent", "end"),
    [
        pytest.param([CHUNKED + b"x\r\n"], False, id="a malformed chunk"),
        pytest.param([CHUNKED, b"2\r\nhe\r\n", b"x\r\n"], False, id="a malformed chunk, later"),
        pytest.param([COUNTED + b"he"], True, id="a body that is cut"),
        pytest.param([CHUNKED + b"2\r\nhe\r\n"], True, id="chunks that are cut"),
    ],
)
def test_a_body_that_does_not_come_is_answered_at_once(sent: list[bytes], end: bool) -> None:
    with around(echo) as open_it:
        assert statuses(answered(open_it, COUNTED + b"hello", CLOSE)) == [200, 200]
        assert statuses(answered(open_it, *sent, end=end))[:1] == [400]


def test_an_app_that_fails_gets_an_error_and_one_that_stops_short_is_seen_to() -> None:
    with around(failing) as open_it:
        received = answered(open_it, GET, CLOSE)
        assert statuses(received) == [500, 500]
        assert received.count(b"internal_error") == 2
    with around(short) as open_it:
        received = answered(open_it, GET)
        assert received.endswith(b"Content-Length: 10\r\n", 0, received.index(b"Date:"))
        assert received.endswith(b"\r\n\r\nshort")


def test_an_answer_without_framing_that_is_broken_off_ends_with_a_reset() -> None:
    with around(breaking) as open_it:
        assert not answered(open_it, GET).endswith(b"0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            answered(open_it, b"GET /a HTTP/1.0\r\n" + HEAD + b"\r\n")


def test_a_client_that_leaves_ends_its_answer() -> None:
    stream = Stream()

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return stream

    with around(app) as open_it:
        with open_it() as sock:
            sock.sendall(GET)
            assert b"first" in sock.recv(65536) + sock.recv(65536)
            assert not stream.closed.is_set()
        assert stream.closed.wait(SECONDS)


def test_a_thousand_requests_behind_each_other_are_all_answered() -> None:
    with around(ignoring) as open_it:
        assert statuses(answered(open_it, GET * 1000, CLOSE)) == [200] * 1001
        unknown = GET.replace(b"/a", b"/../a")
        assert statuses(answered(open_it, unknown * 1000, CLOSE)) == [400] * 1000 + [200]


def test_all_who_wait_are_taken_in_a_few_turns_of_the_loop() -> None:
    """One a turn would have the last of a crowd wait for as many turns as there are clients, each full of work."""
    met: list[asyncio.BaseTransport] = []

    class Client(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            met.append(transport)

    async def turns_until_served(sock: socket.socket) -> int:
        listening = Listening(asyncio.get_running_loop(), sock, Client)
        turns = 0
        while len(met) < CROWD and turns < CROWD:
            await asyncio.sleep(0)
            turns += 1
        await listening.close()
        for transport in met:
            transport.close()
        await asyncio.sleep(0.05)  # A loop with open transports is not always ready to be closed.
        return turns

    with ExitStack() as stack:
        sock = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=CROWD))
        for _ in range(CROWD):
            stack.enter_context(socket.create_connection(sock.getsockname(), timeout=SECONDS))
        loop = stack.enter_context(closing(uvloop.new_event_loop()))
        assert loop.run_until_complete(turns_until_served(sock)) < CROWD / 4
