"""The reverse proxy: which connections are used again, and which requests are sent again."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from raw_origin import GONE, OK, TIMEOUT, call, environ, ignore_start, lines, origin, upstream

from gateway.errors import GatewayError
from gateway.upstream_origin import MAX_IDLE, MAX_IDLE_SECONDS, Origin, Pool
from gateway.upstream_pool import Connection


def test_a_connection_is_used_again() -> None:
    with origin([OK, OK, OK]) as raw, upstream(raw.url) as app:
        assert [call(app, environ(f"/{number}")).body for number in range(3)] == [b"ok"] * 3
    assert [lines(request)[0] for request in raw.requests] == [b"GET /%d HTTP/1.1" % number for number in range(3)]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK + OK, id="9112-9.2-a-second-answer"),
        pytest.param(OK + b"x", id="9112-6.3-extra-octets"),
        pytest.param(b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nbad", id="9112-6.3-body-of-204"),
        pytest.param(OK.replace(b"OK\r\n", b"OK\r\nConnection: Close\r\n"), id="9112-9.6-close"),
        pytest.param(OK.replace(b"1.1", b"1.0"), id="http-1.0"),
    ],
)
def test_a_connection_is_not_used_again_after(answer: bytes) -> None:
    second = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond"
    with (
        origin([answer], [second]) as raw,
        upstream(raw.url) as app,
    ):
        call(app, environ("/1"))
        assert call(app, environ("/2")).body == b"second"


@pytest.mark.threads_only("a client that may only have closed its side is answered for five seconds more")
def test_a_response_left_midway_closes_its_connection() -> None:
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(10)
    with origin([long], [OK]) as raw, upstream(raw.url) as app:
        response = app(environ(), ignore_start)
        assert next(iter(response))
        response.close()  # type: ignore[attr-defined]
        assert raw.sockets[0].recv(1) == b""
        assert call(app, environ()).body == b"ok"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_an_idempotent_request_is_repeated_once_on_a_dead_connection(method: str) -> None:
    empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with origin([empty, GONE], [empty]) as raw, upstream(raw.url) as app:
        call(app, environ("/1"))
        assert call(app, environ("/2", method)).status == "200 OK"
    assert len(raw.requests) == 3


@pytest.mark.parametrize(
    ("script", "request_", "sent"),
    [
        pytest.param([[OK, GONE], [OK]], environ(method="POST"), 2, id="9110-9.2.2-POST"),
        pytest.param([[OK, GONE], [OK]], environ(method="PATCH"), 2, id="9110-9.2.2-PATCH"),
        pytest.param(
            [[OK, GONE], [OK]], environ(method="PUT", body=b"a", CONTENT_LENGTH="1"), 2, id="a-body-is-sent-once"
        ),
        pytest.param([[OK, GONE], [GONE], [OK]], environ(), 3, id="twice-in-a-row"),
    ],
)
def test_a_request_is_not_repeated(script: Sequence[Sequence[bytes]], request_: dict[str, Any], sent: int) -> None:
    with origin(*script) as raw, upstream(raw.url) as app:
        call(app, environ())
        with pytest.raises(GatewayError) as error:
            call(app, request_)
        assert error.value.code == "upstream_unreachable"
        assert len(raw.requests) == sent


def test_a_first_connection_without_an_answer_is_not_repeated() -> None:
    with origin([GONE], [OK]) as raw, upstream(raw.url) as app, pytest.raises(GatewayError) as error:
        call(app, environ())
    assert (error.value.code, len(raw.requests)) == ("upstream_unreachable", 1)


def test_an_answer_cut_in_its_head_is_not_repeated() -> None:
    with origin([OK, b"HTTP/1.1 2"], [OK]) as raw, upstream(raw.url, read_timeout=0.2) as app:
        call(app, environ())
        with pytest.raises(GatewayError) as error:
            call(app, environ())
    assert (error.value.code, len(raw.requests)) == ("upstream_read_timeout", 2)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def listening_pool(clock: Clock) -> Iterator[Pool]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        port = listener.getsockname()[1]
        pool = Pool(
            Origin(host="127.0.0.1", port=port, tls=None, connect_timeout=TIMEOUT, read_timeout=TIMEOUT), clock=clock
        )
        try:
            yield pool
        finally:
            pool.close()


def parked(pool: Pool, number: int) -> list[Connection]:
    connections = [pool.take() for _ in range(number)]
    for connection in connections:
        pool.give_back(connection)
    return connections


def test_the_pool_gives_the_freshest_first() -> None:
    with listening_pool(Clock()) as pool:
        old, fresh = parked(pool, 2)
        assert pool.take() is fresh
        assert pool.take() is old
        fresh.close()
        old.close()


def test_the_pool_forgets_what_was_idle_for_long() -> None:
    clock = Clock()
    with listening_pool(clock) as pool:
        [connection] = parked(pool, 1)
        clock.now = MAX_IDLE_SECONDS
        fresh = pool.take()
        assert fresh is not connection
        assert not fresh.reused
        fresh.close()


def test_the_pool_keeps_a_bounded_number() -> None:
    with listening_pool(Clock()) as pool:
        parked(pool, MAX_IDLE + 3)
        taken = [pool.take() for _ in range(MAX_IDLE + 1)]
        assert [connection.reused for connection in taken] == [True] * MAX_IDLE + [False]
        for connection in taken:
            connection.close()
