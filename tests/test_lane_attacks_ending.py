"""What another outsider did to the lane as its client: how answers end, and how much is read at once."""

import http.client
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from wsgiref.types import StartResponse

import pytest
from harness import base_config
from lane_face import run_lane
from test_lane_attacks_client import GET, SECONDS, Counting, around, read_all
from test_lane_attacks_upstream import eventually

from gateway import Gateway
from gateway.lane import client, lane
from gateway.lane.incoming import Incoming
from gateway.lane.request_queue import MAX_BODY_PIECES, MAX_WAITING, PIECE, RequestQueue
from gateway.lane.request_reader import MAX_HEAD, RequestReader

POST: Final = b"POST /a HTTP/1.1\r\nHost: app.example\r\n"
CHUNKED: Final = POST + b"Transfer-Encoding: chunked\r\n\r\n"
PIECE_OF_BODY: Final = b"10000\r\n" + bytes(0x10000) + b"\r\n"
LARGE: Final = 8 * 1024 * 1024
TINY: Final = b"GET / HTTP/1.1\r\n\r\n"
BASE: Final = {"SCRIPT_NAME": ""}
AT_MOST: Final = MAX_WAITING + PIECE // len(TINY)


class Echo:
    """Answers with the size of what it was sent."""

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        size = str(len(environ["wsgi.input"].read())).encode("ascii")
        start_response("200 OK", [("Content-Length", str(len(size)))])
        return [size]


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        pytest.param(POST + b"Content-Length: 8388608\r\n\r\n", bytes(LARGE), b"413", id="too-large-by-its-length"),
        pytest.param(CHUNKED, PIECE_OF_BODY * 128, b"413", id="too-large-in-chunks"),
        pytest.param(CHUNKED, b"1\r\nx\r\nzz\r\n" + bytes(LARGE), b"400", id="malformed-in-the-middle"),
    ],
)
def test_who_says_all_before_it_listens_gets_the_refusal(head: bytes, body: bytes, status: bytes) -> None:
    document = {
        **base_config({"type": "memory"}),
        "routes": [{"path": "/**", "access": "public", "max_body": 1000}],
    }
    with (
        run_lane(Gateway.from_config(document)(Echo())) as face,
        socket.create_connection(("127.0.0.1", face.port), timeout=SECONDS) as sock,
    ):
        sock.sendall(head)
        time.sleep(0.1)
        sock.sendall(body)
        received = read_all(sock)
    assert received.startswith(b"HTTP/1.1 " + status)


def test_an_ordinary_client_sees_that_its_upload_is_refused() -> None:
    document = {**base_config({"type": "memory"}), "routes": [{"path": "/**", "access": "public", "max_body": 1000}]}
    with run_lane(Gateway.from_config(document)(Counting(1))) as face:
        connection = http.client.HTTPConnection("127.0.0.1", face.port, timeout=SECONDS)
        connection.request("POST", "/a", body=bytes(LARGE), headers={"Host": "app.example"})
        assert connection.getresponse().status == 413
        connection.close()


def test_a_slow_upload_that_is_answered_early_is_heard_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(client, "LINGER_SECONDS", 0.4)
    with (
        run_lane(Gateway.from_config(base_config({"type": "memory"}))(Counting(1))) as face,
        socket.create_connection(("127.0.0.1", face.port), timeout=SECONDS) as sock,
    ):
        sock.sendall(POST + b"Content-Length: 2000000\r\n\r\n")
        for _ in range(20):  # Two seconds, in which it is never silent for long.
            sock.sendall(bytes(100_000))
            time.sleep(0.1)
        received = read_all(sock)
    assert received.startswith(b"HTTP/1.1 401")


class Waiting:
    """Answers the first with a large page, when it is told to."""

    def __init__(self) -> None:
        self.may_answer = False

    def __call__(self, _: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        eventually(lambda: self.may_answer)
        start_response("200 OK", [("Content-Length", str(LARGE))])
        return [bytes(LARGE)]


@pytest.mark.parametrize(
    "behind", [pytest.param(0, id="none"), pytest.param(4, id="few"), pytest.param(2000, id="more-than-are-read")]
)
def test_the_last_answer_is_whole_whatever_lies_unread_behind_its_request(behind: int) -> None:
    app = Waiting()
    with around(app) as open_it, open_it() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        sock.sendall(GET + b"Connection: close\r\n\r\n" + (GET + b"\r\n") * behind)
        time.sleep(0.2)
        sock.sendall((GET + b"\r\n") * 4)
        app.may_answer = True
        time.sleep(0.2)
        received = read_all(sock)
    assert len(received) > LARGE
    assert received.count(b"HTTP/1.1 200") == 1


def straddling(octets: int) -> bytes:
    """Make requests of which the body of one lies across each border between two pieces."""
    made = b""
    while len(made) < octets:
        room = PIECE - len(made) % PIECE
        made += TINY * ((room - 60) // len(TINY))
        room = PIECE - len(made) % PIECE
        length = next(length for length in range(room, 0, -1) if len(_post(length)) + length == room + 1 or length == 1)
        made += _post(length) + b"x" * length
    return made


def _post(length: int) -> bytes:
    return b"POST / HTTP/1.1\r\nContent-Length:%d\r\n\r\n" % length


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(TINY * 14_000, id="tiny-requests"),
        pytest.param(straddling(256_000), id="bodies-across-the-borders"),
        pytest.param((_post(3) + b"1\r\n") * 6000, id="small-bodies"),
    ],
)
def test_no_more_requests_wait_than_one_piece_holds_and_none_is_lost(octets: bytes) -> None:
    queue = RequestQueue(BASE)
    queue.feed(octets)
    taken: list[Incoming] = []
    while (one := queue.take()) is not None:
        assert len(waiting(queue)) <= AT_MOST
        taken.append(one)
    assert len(taken) == octets.count(b"HTTP/1.1")
    assert all(one.complete and one.buffered == one.length for one in taken)
    assert queue.is_empty


def waiting(queue: RequestQueue) -> "deque[Incoming]":
    return queue._waiting


def test_a_body_of_tiny_chunks_is_read_in_turns() -> None:
    queue = RequestQueue(BASE)
    octets = 40_000
    queue.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * octets + b"0\r\n\r\n" + TINY)
    first = queue.take()
    assert first is not None
    turns = 0
    while queue.is_behind:
        before = first.buffered
        queue.read_on()
        turns += 1
        assert first.buffered - before <= MAX_BODY_PIECES + PIECE // 6
    assert turns > 1
    assert (first.complete, first.buffered) == (True, octets)
    assert queue.take() is not None


def test_a_body_of_tiny_chunks_arrives_whole_and_others_have_their_turn() -> None:
    app = Echo()
    with around(app) as open_it, open_it() as sock, open_it() as other:
        sock.sendall(CHUNKED + b"1\r\nx\r\n" * 100_000)
        other.sendall(GET + b"Connection: close\r\n\r\n")
        assert read_all(other).endswith(b"0")
        sock.sendall(b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n" + GET + b"Connection: close\r\n\r\n")
        received = read_all(sock)
    assert b"\r\n\r\n200000HTTP/1.1 200" in received


def test_empty_lines_between_remembered_requests_add_up_to_nothing() -> None:
    begun: list[Incoming] = []
    take: Callable[[Incoming], None] = begun.append
    reader = RequestReader(BASE, take)
    for _ in range(MAX_HEAD // 2 + 10):
        reader.feed(_post(2) + b"ok")
        reader.feed(b"\r\n")
    assert len(begun) == MAX_HEAD // 2 + 10


@pytest.mark.parametrize("chunk", [1, 60, 4000], ids=lambda size: f"{size} octets")
@pytest.mark.parametrize("who", ["app", "upstream"])
def test_whoever_takes_nothing_is_sent_no_more(who: str, chunk: int) -> None:
    """A body in tiny chunks is read in turns, and none of them lifts the pause that the other side asked for."""
    is_over = threading.Event()
    with silent(who, is_over) as open_it, open_it() as sock:
        sock.settimeout(1.0)
        piece = b"%x\r\n" % chunk + bytes(chunk) + b"\r\n"
        sock.sendall(CHUNKED)
        with pytest.raises(TimeoutError):
            pour(sock, piece * (200_000 // len(piece)))
        is_over.set()


def pour(sock: socket.socket, data: bytes) -> None:
    """Send again and again, up to more than all buffers hold."""
    for _ in range(40_000_000 // len(data)):
        sock.sendall(data)


@contextmanager
def silent(who: str, is_over: threading.Event) -> Iterator[Callable[[], socket.socket]]:
    """Stand before an app or an upstream that takes no body until it is over."""

    def app(_: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        is_over.wait(SECONDS * 2)
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    if who == "app":
        with around(app) as open_it:
            yield open_it
        return
    with socket.create_server(("127.0.0.1", 0)) as listener:
        document = {
            **base_config({"type": "memory"}),
            "upstream": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "routes": [{"path": "/**", "access": "public"}],
        }
        with run_lane(Gateway.from_config(document)(None)) as face:
            yield lambda: socket.create_connection(("127.0.0.1", face.port), timeout=SECONDS)
