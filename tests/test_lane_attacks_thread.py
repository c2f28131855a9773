"""The lane under attack where threads answer: others must not feel what one client does, nor what an app does."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication

import pytest
from test_lane import CLOSE, GET, answered, around, statuses

from gateway.lane.client import MAX_BODY_WAITING, ClientConnection
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
