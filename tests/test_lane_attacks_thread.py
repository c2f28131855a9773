"""The lane under attack where threads answer: others must not feel what one client does, nor what an app does."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication

import pytest
from harness import base_config
from lane_face import run_lane
from test_lane import CLOSE, GET, HEAD, SECONDS, answered, around, echo, statuses

from gateway import Gateway
from gateway.lane import gathering
from gateway.lane.client import ClientConnection
from gateway.lane.incoming import MAX_BODY_WAITING
from gateway.lane.thread_input import ThreadInput

LINES: Final = b"one\n\nthree" + b"\n" * 3


class Counted(bytes):
    """A piece of a body that counts how many of its octets are copied."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        Counted.copied += len(part) if isinstance(part, bytes) else 1
        return Counted(part) if isinstance(part, bytes) else part


def given_in(pieces: list[bytes]) -> ThreadInput:
    left: Iterator[bytes] = iter(pieces)
    return ThreadInput(lambda: next(left, b""))


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(list, id="lines"),
        pytest.param(lambda given: list(iter(lambda: given.readline(1), b"")), id="lines of one octet"),
        pytest.param(lambda given: list(iter(lambda: given.read(1), b"")), id="octets"),
    ],
)
def test_reading_in_small_parts_copies_each_octet_once(read: Callable[[ThreadInput], list[bytes]]) -> None:
    Counted.copied = 0
    assert b"".join(read(given_in([Counted(b"\n" * 1000)]))) == b"\n" * 1000
    assert Counted.copied == 1000


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([LINES], id="at once"),
        pytest.param([LINES[i : i + 1] for i in range(len(LINES))], id="octet by octet"),
        pytest.param([LINES[:2], LINES[2:6], LINES[6:]], id="lines in two pieces"),
    ],
)
@pytest.mark.parametrize(
    ("read", "expected"),
    [
        pytest.param(lambda given: given.readlines(), [b"one\n", b"\n", b"three\n", b"\n", b"\n"], id="all lines"),
        pytest.param(lambda given: given.readlines(0), [], id="no lines"),
        pytest.param(lambda given: [given.readline(2), given.readline(5)], [b"on", b"e\n"], id="parts of lines"),
        pytest.param(lambda given: [given.readline(0), given.read(0)], [b"", b""], id="nothing"),
        pytest.param(lambda given: [given.readline(), given.read(3), given.read()], [b"one\n", b"\nth", b"ree\n\n\n"],
                     id="a line and the rest"),
        pytest.param(lambda given: [given.read(None), given.read(), given.readline()], [LINES, b"", b""], id="all"),
    ],
)  # fmt: skip
def test_a_body_is_read_as_a_file(
    pieces: list[bytes], read: Callable[[ThreadInput], list[bytes]], expected: list[bytes]
) -> None:
    assert read(given_in(pieces)) == expected


def test_a_line_without_end_is_given_in_parts() -> None:
    given = given_in([b"a" * MAX_BODY_WAITING, b"b\n"])
    assert given.readline() == b"a" * MAX_BODY_WAITING
    assert given.readline() == b"b\n"


def test_a_body_is_read_into_a_buffer() -> None:
    given, buffer = given_in([b"abc", b"d"]), bytearray(2)
    read = [(given.readinto(buffer), bytes(buffer)) for _ in range(4)]
    assert read == [(2, b"ab"), (1, b"cb"), (1, b"db"), (0, b"db")]


PIECE: Final = 1 << 20
PIECES: Final = 64


def test_a_slow_client_holds_back_an_app_behind_another_answer() -> None:
    yielded = threading.Semaphore(0)

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/first":
            start_response("200 OK", [("Content-Length", str(16 * PIECE))])
            yield bytes(16 * PIECE)
            return
        start_response("200 OK", [("Content-Length", str(PIECES * PIECE))])
        for _ in range(PIECES):
            yield bytes(PIECE)
            yielded.release()

    with around(app) as open_it, open_it() as sock:
        sock.sendall(GET.replace(b"/a", b"/first") + CLOSE)
        while b"\r\n\r\n" not in sock.recv(1024):
            continue
        taken = 0
        while taken < PIECES and yielded.acquire(timeout=0.2):
            taken += 1
        assert taken < PIECES / 2
        received = 0
        while piece := sock.recv(PIECE):
            received += len(piece)
        assert received > (PIECES + 15) * PIECE


def saying(status: str, *fields: tuple[str, str]) -> WSGIApplication:
    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, list(fields))
        return [b"HTTP/1.1 200 OK\r\n", b"Content-Length: 0\r\n\r\n"]

    return app


@pytest.mark.parametrize(
    "app",
    [
        pytest.param(saying("200 OK", ("X-Name", "a\r\nSet-Cookie: sid=evil")), id="a line end in a value"),
        pytest.param(saying("200 OK", ("X-Name", "a\nb")), id="a line feed in a value"),
        pytest.param(saying("200 OK", ("X-Name", "a\0b")), id="a NUL in a value"),
        pytest.param(saying("200 OK", ("X-Name", "\u0142")), id="a value that is not Latin-1"),
        pytest.param(saying("200 OK", ("X-Name\r\nSet-Cookie", "sid=evil")), id="a line end in a name"),
        pytest.param(saying("200 OK", ("X Name", "a")), id="a space in a name"),
        pytest.param(saying("200 OK", ("", "a")), id="no name"),
        pytest.param(saying("200 OK", ("Content-Length", "0x10")), id="a length in hexadecimal"),
        pytest.param(saying("200 OK", ("Content-Length", "-1")), id="a negative length"),
        pytest.param(saying("200 OK", ("Content-Length", "\u00b2")), id="a length in other digits"),
        pytest.param(saying("200 OK", ("Content-Length", "2"), ("content-length", "3")), id="two lengths"),
        pytest.param(saying("200 OK\r\nSet-Cookie: sid=evil"), id="a line end in a reason"),
        pytest.param(saying("200 \u0142"), id="a reason that is not Latin-1"),
        pytest.param(saying("100 Continue"), id="an interim status"),
        pytest.param(saying("101 Switching Protocols"), id="a switch"),
        pytest.param(saying("600 Beyond"), id="a status beyond the last"),
        pytest.param(saying("OK"), id="no status"),
        pytest.param(saying("2000 OK"), id="four digits"),
    ],
)
def test_what_an_app_says_that_cannot_be_sent_is_an_error_and_nothing_of_it_goes_out(app: WSGIApplication) -> None:
    with around(app) as open_it:
        received = answered(open_it, GET, CLOSE)
        assert statuses(received) == [500, 500]
        assert received.count(b"internal_error") == 2
        assert b"evil" not in received


@pytest.mark.parametrize(
    ("app", "line"),
    [
        pytest.param(saying("200 OK", ("X-Name", "a\tb \u00e9")), b"X-Name: a\tb \xe9", id="a tab and Latin-1"),
        pytest.param(saying("200", ("X-Name", "a")), b"HTTP/1.1 200 OK", id="no reason"),
        pytest.param(saying("499 Odd", ("X-Name", "a")), b"HTTP/1.1 499 Odd", id="an unknown status"),
        pytest.param(saying("200 OK", ("Content-Length", "36"), ("content-length", "36")), b"Content-Length: 36",
                     id="one length twice"),
    ],
)  # fmt: skip
def test_what_an_app_says_that_can_be_sent_is_sent(app: WSGIApplication, line: bytes) -> None:
    with around(app) as open_it:
        assert answered(open_it, CLOSE).partition(b"\r\n\r\n")[0].lower().split(b"\r\n").count(line.lower()) == 1


def test_a_body_never_goes_out_without_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object) -> None:
        raise ValueError("for the test")

    with around(saying("200 OK")) as open_it:
        monkeypatch.setattr(ClientConnection, "start", start)
        with open_it() as sock, suppress(ConnectionResetError):
            sock.sendall(GET)
            assert sock.recv(65536) == b""
        monkeypatch.undo()
        assert b"Date: " in answered(open_it, CLOSE)


OURS: Final = (
    b"POST /oauth2/backchannel-logout HTTP/1.1\r\n" + HEAD + b"Content-Type: application/x-www-form-urlencoded\r\n"
)
APPS: Final = b"POST /a HTTP/1.1\r\n" + HEAD
EXPECTS: Final = b"Expect: 100-continue\r\n"
LENGTH: Final = b"Content-Length: 5\r\n\r\n"
CHUNKS: Final = b"Transfer-Encoding: chunked\r\n\r\n"
THREADS: Final = 32


def until_closed(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        pytest.param(OURS + LENGTH, b"a=b&c", 400, id="a page of ours"),
        pytest.param(OURS + CHUNKS, b"5\r\na=b&c\r\n0\r\n\r\n", 400, id="a page of ours, in chunks"),
        pytest.param(OURS + EXPECTS + LENGTH, b"a=b&c", 400, id="a page of ours, with an expectation"),
        pytest.param(APPS + LENGTH, b"hello", 200, id="an app"),
        pytest.param(APPS + CHUNKS, b"5\r\nhello\r\n0\r\n\r\n", 200, id="an app, in chunks"),
        pytest.param(APPS + EXPECTS + LENGTH, b"hello", 200, id="an app, with an expectation"),
    ],
)
def test_bodies_that_do_not_come_hold_no_threads(head: bytes, body: bytes, status: int) -> None:
    with around(echo) as open_it, ExitStack() as stack:
        slow = [stack.enter_context(open_it()) for _ in range(THREADS + 1)]
        for sock in slow:
            sock.sendall(head + body[:1])
        for sock in slow if EXPECTS in head else ():
            assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert statuses(answered(open_it, CLOSE)) == [200]
        assert statuses(answered(open_it, CLOSE.replace(b"/a", b"/ping"))) == [200]
        for sock in slow:
            sock.sendall(body[1:] + CLOSE)
            assert statuses(until_closed(sock)) == [status, 200]


def test_a_large_body_is_given_to_an_app_while_it_comes() -> None:
    begun = threading.Event()

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        size = len(environ["wsgi.input"].read(1))
        begun.set()
        size += len(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return [b"<%d>" % size]

    size = 4 * MAX_BODY_WAITING
    with around(app) as open_it, open_it() as sock:
        sock.sendall(APPS + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size + bytes(size // 2))
        assert begun.wait(SECONDS)
        sock.sendall(bytes(size // 2))
        assert b"<%d>" % size in until_closed(sock)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(OURS, id="a page of ours"),
        pytest.param(OURS + EXPECTS, id="a page of ours, with an expectation"),
        pytest.param(APPS, id="an app"),
        pytest.param(APPS + EXPECTS, id="an app, with an expectation"),
    ],
)
@pytest.mark.parametrize(
    ("sent", "seconds", "end"),
    [
        pytest.param(LENGTH + b"a", 0.01, False, id="late"),
        pytest.param(LENGTH, 0.01, False, id="never"),
        pytest.param(LENGTH + b"a", SECONDS, True, id="cut"),
        pytest.param(CHUNKS + b"5\r\na", SECONDS, True, id="a chunk that is cut"),
        pytest.param(CHUNKS + b"zz\r\n", SECONDS, False, id="a malformed chunk"),
        pytest.param(CHUNKS + b"1\r\naxx", SECONDS, False, id="a chunk without its end"),
    ],
)
def test_a_body_that_does_not_come_is_said_to_be_incomplete(
    head: bytes,
    sent: bytes,
    seconds: float,
    end: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(gathering, "BODY_SECONDS", seconds)
    with around(echo) as open_it:
        received = answered(open_it, head + sent, end=end)
    assert statuses(received)[-1:] == [400]
    assert b"request_incomplete" in received
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize(
    ("rule", "expected"),
    [pytest.param("public", [100, 200], id="let in"), pytest.param("required", [401], id="refused")],
)
def test_a_body_is_asked_for_when_its_request_has_been_let_in(rule: str, expected: list[int]) -> None:
    document = {**base_config({"type": "memory"}), "routes": [{"path": "/**", "access": rule}]}
    with run_lane(Gateway.from_config(document)(echo)) as face:
        sock = socket.create_connection(("127.0.0.1", face.port), timeout=SECONDS)
        with sock:
            sock.sendall(APPS + EXPECTS + b"Connection: close\r\n" + LENGTH)
            received = sock.recv(65536)
            if statuses(received) == [100]:
                sock.sendall(b"hello")
            assert statuses(received + until_closed(sock)) == expected


def test_a_request_that_a_thread_decides_on_is_forwarded_before_its_body_has_come() -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        origin = f"http://127.0.0.1:{upstream.getsockname()[1]}"
        rules = {"upstream": origin, "routes": [{"path": "/**", "access": "public"}]}
        document = {**base_config({"type": "memory"}), **rules}
        with run_lane(Gateway.from_config(document)(None)) as face:
            sock = socket.create_connection(("127.0.0.1", face.port), timeout=SECONDS)
            with sock:
                sock.sendall(b"OPTIONS /a HTTP/1.1\r\n" + HEAD + CHUNKS + b"1\r\na\r\n")
                upstream.settimeout(SECONDS)
                asked, received = upstream.accept()[0], b""
                with asked:
                    asked.settimeout(SECONDS)
                    while not received.endswith(b"1\r\na\r\n"):
                        piece = asked.recv(65536)
                        assert piece
                        received += piece


def test_what_waits_for_a_thread_is_not_done_for_clients_that_are_gone() -> None:
    asked, let = threading.Semaphore(0), threading.Event()
    paths: list[str] = []

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        paths.append(environ["PATH_INFO"])
        asked.release()
        let.wait(SECONDS)
        start_response("200 OK", [("Content-Length", "0")])
        return []

    with around(app) as open_it, ExitStack() as stack:
        busy = [stack.enter_context(open_it()) for _ in range(THREADS)]
        for sock in busy:
            sock.sendall(CLOSE)
            assert asked.acquire(timeout=SECONDS)
        with open_it() as sock:
            sock.sendall(GET.replace(b"/a", b"/gone"))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for _ in range(3):  # Answered by the loop alone, which by then has seen the reset.
            assert statuses(answered(open_it, b"GET / HTTP/3.0\r\n\r\n"))[:1] in ([400], [505])
        let.set()
        for sock in busy:
            assert statuses(until_closed(sock)) == [200]
        assert statuses(answered(open_it, CLOSE)) == [200]
    assert "/gone" not in paths


EVIL: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nSet-Cookie: a=evil\r\n\r\nevil"


def giving(*pieces: Any, length: int | None = None) -> WSGIApplication:
    """Give what an app must not: pieces of any kind."""

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        fields = [] if length is None else [("Content-Length", str(length))]
        start_response("200 OK", fields)
        return iter(pieces)

    return app


@pytest.mark.parametrize(
    "odd", [pytest.param("x", id="text"), pytest.param(5, id="a number"), pytest.param(memoryview(b"abc"), id="a view")]
)
@pytest.mark.parametrize("length", [None, 1 + len(EVIL)], ids=["chunks", "counted"])
def test_a_piece_that_is_no_bytes_is_an_error_and_nothing_goes_out_bare(odd: Any, length: int | None) -> None:
    with around(giving(b"x", EVIL, length=length)) as open_it:
        assert statuses(answered(open_it, CLOSE))[:1] == [200]
    with around(giving(odd, EVIL, length=length)) as open_it:
        received = answered(open_it, CLOSE)
        assert (statuses(received), b"internal_error" in received, b"evil" in received) == ([500], True, False)
    with around(giving(b"a", odd, EVIL, length=length)) as open_it, suppress(ConnectionResetError):
        received = answered(open_it, GET, CLOSE)
        assert (statuses(received), b"evil" in received) == ([200], False)
        assert not received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("name", ["send", "finish"])
def test_a_piece_that_cannot_be_sent_is_the_last(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fail(*_: object) -> None:
        raise ValueError("for the test")

    with around(giving(b"a", b"b")) as open_it:
        with monkeypatch.context() as patched:
            patched.setattr(ClientConnection, name, fail)
            with suppress(ConnectionResetError):
                assert not answered(open_it, GET).endswith(b"0\r\n\r\n")
        assert answered(open_it, CLOSE).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "beyond",
    [
        pytest.param(SystemExit, id="the end of the process"),
        pytest.param(asyncio.CancelledError, id="a cancellation"),
        pytest.param(GeneratorExit, id="the end of a generator"),
    ],
)
def test_an_app_that_raises_what_is_no_error_is_answered_for(beyond: type[BaseException]) -> None:
    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/late":
            start_response("200 OK", [])
            yield b"part"
        raise beyond

    def early(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/early":
            raise beyond
        return app(environ, start_response)

    with around(early) as open_it:
        for path in (b"/early", b"/a"):
            received = answered(open_it, CLOSE.replace(b"/a", path))
            assert (statuses(received), b"internal_error" in received) == ([500], True)
        received = b""
        with suppress(ConnectionResetError):
            received = answered(open_it, CLOSE.replace(b"/a", b"/late"))
        assert not received.endswith(b"0\r\n\r\n")


def test_nothing_is_written_behind_the_end_of_an_answer() -> None:
    kept: list[Callable[[bytes], object]] = []
    failed: list[type[Exception]] = []

    def late(environ: dict[str, Any]) -> None:
        try:
            kept[-1](b"LATE!")
        except ConnectionError as error:
            failed.append(type(error))
            if environ["PATH_INFO"] == "/raise":
                raise

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/keep":
            kept.append(start_response("200 OK", [("Content-Length", "0")]))
            return
        if environ["PATH_INFO"] != "/begun":
            late(environ)
        start_response("200 OK", [("Content-Length", "10")])
        yield b"he"
        if environ["PATH_INFO"] == "/begun":
            late(environ)
        yield b"llo, you"

    with around(app) as open_it:
        keep = GET.replace(b"/a", b"/keep")
        for path, expected in ((b"/begin", [200, 200]), (b"/begun", [200, 200]), (b"/raise", [200, 500])):
            received = answered(open_it, keep, CLOSE.replace(b"/a", path))
            assert statuses(received) == expected
            assert b"LATE!" not in received
            assert received.endswith(b"\r\n\r\nhello, you") == (expected[-1] == 200)
    assert len(failed) == 3
