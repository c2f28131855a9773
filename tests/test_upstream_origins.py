"""Several origins of one upstream, and Unix sockets: who is asked, and what is never sent twice."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from raw_origin import GONE, OK, RawOrigin, call, environ, lines, origin, origin_at, upstream, upstream_of

from gateway.errors import GatewayError
from gateway.upstream import Upstream
from gateway.upstream_origin import Origin, Origins

HERE: Final = [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere"]
THERE: Final = [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthere"]
ILL: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
BODY: Final[dict[str, Any]] = {"method": "POST", "body": b"abc", "CONTENT_LENGTH": "3"}


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def nobody() -> Iterator[Origin]:
    """Name an origin whose port refuses connections for as long as it is held."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield origin_at(f"http://127.0.0.1:{held.getsockname()[1]}")


@contextmanager
def two(
    first: list[list[bytes]], second: list[list[bytes]], **settings: Any
) -> Iterator[tuple[Upstream, list[RawOrigin]]]:
    with ExitStack() as stack:
        raws = [stack.enter_context(origin(*script)) for script in (first, second)]
        yield stack.enter_context(upstream_of(*(origin_at(raw.url) for raw in raws), **settings)), raws


def test_origins_are_asked_in_turn() -> None:
    with two([HERE * 2], [THERE * 2]) as (app, raws):
        assert [call(app, environ()).body for _ in range(4)] == [b"here", b"there", b"here", b"there"]
    assert [len(raw.requests) for raw in raws] == [2, 2]


@pytest.mark.parametrize(
    "request_",
    [pytest.param({}, id="GET"), pytest.param(BODY, id="POST with a body, of which nothing was sent")],
)
def test_an_origin_that_refuses_connections_is_passed_over(nobody: Origin, request_: dict[str, Any]) -> None:
    with origin(THERE * 2) as raw, upstream_of(nobody, origin_at(raw.url)) as app:
        assert call(app, environ(**request_)).body == b"there"
        assert call(app, environ(**request_)).body == b"there"
    assert [request.endswith(request_.get("body", b"\r\n\r\n")) for request in raw.requests] == [True, True]


def test_when_all_refuse_the_last_refusal_counts(nobody: Origin) -> None:
    with upstream_of(nobody, nobody) as app:
        for _ in range(3):  # One that failed is asked all the same when nobody else is there.
            with pytest.raises(GatewayError) as error:
                call(app, environ())
            assert error.value.code == "upstream_unreachable"


def test_a_request_that_was_not_answered_is_sent_to_one_other_origin() -> None:
    with two([[GONE]], [THERE]) as (app, raws):
        assert call(app, environ()).body == b"there"
    assert [len(raw.requests) for raw in raws] == [1, 1]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"method": "POST"}, id="POST"),
        pytest.param({"method": "PATCH"}, id="PATCH"),
        pytest.param(BODY, id="a body"),
        pytest.param({**BODY, "method": "PUT"}, id="a body, PUT"),
    ],
)
def test_what_may_have_been_acted_upon_is_not_sent_again(request_: dict[str, Any]) -> None:
    """RFC 9110 9.2.2."""
    with two([[GONE]], [THERE]) as (app, raws):
        with pytest.raises(GatewayError) as error:
            call(app, environ(**request_))
        assert error.value.code == "upstream_unreachable"
        assert [len(raw.requests) for raw in raws] == [1, 0]


def test_what_fells_two_origins_is_not_sent_to_a_third() -> None:
    with two([[GONE]], [[GONE]]) as (app, raws), origin(HERE) as third:
        with (
            upstream_of(*(origin_at(raw.url) for raw in (*raws, third))) as three,
            pytest.raises(GatewayError) as error,
        ):
            call(three, environ())
        assert error.value.code == "upstream_unreachable"
        assert [len(raw.requests) for raw in (*raws, third)] == [1, 1, 0]
        app.close()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", id="an error of its own"),
        pytest.param(ILL, id="503"),
    ],
)
def test_an_answer_is_an_answer(answer: bytes) -> None:
    with two([[answer]], [THERE]) as (app, raws):
        assert call(app, environ()).status.startswith("50")
    assert [len(raw.requests) for raw in raws] == [1, 0]


def test_a_malformed_answer_is_refused_and_nobody_else_asked() -> None:
    with two([[b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok"]], [THERE]) as (app, raws):
        with pytest.raises(GatewayError) as error:
            call(app, environ())
        assert error.value.code == "upstream_answer_invalid"
        assert [len(raw.requests) for raw in raws] == [1, 0]


def test_one_that_failed_is_the_last_to_be_asked_for_a_while() -> None:
    clock = Clock()
    found = [Origin(host=name, port=1, tls=None, connect_timeout=1, read_timeout=1) for name in "abc"]
    origins = Origins(found, clock=clock)
    first, second, third = origins.all()
    assert [origins.in_turn()[0] for _ in range(4)] == [first, second, third, first]
    origins.failed(second, 5)
    assert [origins.in_turn() for _ in range(3)] == [
        [third, first, second],
        [third, first, second],
        [first, third, second],
    ]
    clock.now = 5
    assert [origins.in_turn()[0] for _ in range(3)] == [second, third, first]
    origins.failed(second, 5)
    origins.answered(second)
    assert origins.in_turn()[0] is second


def test_a_check_takes_out_what_is_ill_and_takes_back_what_is_well() -> None:
    well = b"HTTP/1.1 204 No Content\r\n\r\n"
    once = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n"
    first, second = [[ILL], [well], [once + b"1"]], [[well], [once + b"2"], [once + b"2"], [well], [once + b"2"]]
    with two(first, second, health_path="/up") as (app, raws):
        assert app.check_health() == 10.0
        assert [call(app, environ()).body for _ in range(2)] == [b"2", b"2"]
        app.check_health()
        assert {call(app, environ()).body for _ in range(2)} == {b"1", b"2"}
    assert raws[0].requests[0] == b"GET /up HTTP/1.1\r\nHost: up.example\r\nConnection: close\r\n\r\n"


def test_a_check_of_one_that_refuses_connections(nobody: Origin) -> None:
    with upstream_of(nobody, health_path="/up") as app:
        assert app.check_health() == 10.0
        with pytest.raises(GatewayError) as error:
            call(app, environ())
        assert error.value.code == "upstream_unreachable"


@contextmanager
def unix_origin(path: Path, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=lambda: answer(listener.accept()[0]))
        thread.start()
        try:
            yield
        finally:
            thread.join(5)


def test_a_unix_socket(tmp_path: Path) -> None:
    received = bytearray()

    def answer(connection: socket.socket) -> None:
        with connection:
            for _ in range(2):
                received.extend(connection.recv(65536))
                connection.sendall(OK)

    at = origin_at("http://127.0.0.1:1", path=str(tmp_path / "app.sock"))
    with unix_origin(tmp_path / "app.sock", answer), upstream_of(at) as app:
        assert [call(app, environ()).body for _ in range(2)] == [b"ok", b"ok"]
    assert bytes(received).count(b"\r\nHost: app.example\r\n") == 2


def test_a_unix_socket_that_is_not_there(tmp_path: Path) -> None:
    at = origin_at("http://127.0.0.1:1", path=str(tmp_path / "absent.sock"))
    with upstream_of(at) as app, pytest.raises(GatewayError) as error:
        call(app, environ())
    assert error.value.code == "upstream_unreachable"
    assert "absent.sock" in str(error.value)


@pytest.mark.threads_only("a request without Host does not get so far")
def test_the_authority_is_sent_where_no_host_was() -> None:
    request = {key: value for key, value in environ().items() if key != "HTTP_HOST"}
    with origin([OK]) as raw, upstream(raw.url) as app:
        call(app, request)
    assert lines(raw.requests[0])[1] == f"Host: {raw.url.removeprefix('http://')}".encode()
