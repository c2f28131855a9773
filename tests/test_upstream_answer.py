"""The reverse proxy: what comes of what an origin answers."""

import socket
import threading

import pytest
from raw_origin import OK, TIMEOUT, Response, answered, call, environ, finish, ignore_start, origin, upstream

from gateway.errors import GatewayError


@pytest.mark.parametrize(
    ("answer", "status", "headers", "body"),
    [
        pytest.param(OK, "200 OK", [("Content-Length", "2")], b"ok", id="plain"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX: 1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
            "200 OK",
            [("Set-Cookie", "a=1"), ("X", "1"), ("Set-Cookie", "b=2"), ("Content-Length", "0")],
            b"",
            id="9110-5.3-lines-apart-and-in-order",
        ),
        pytest.param(
            b"HTTP/1.1 299 Quite \xe4\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n"
            b"Proxy-Authenticate: x\r\nDate: d\r\nServer: s\r\nWWW-Authenticate: Basic, Bearer\r\n"
            b"Content-Length: 0\r\n\r\n",
            "299 Quite \xe4",
            [("WWW-Authenticate", "Basic, Bearer"), ("Content-Length", "0")],
            b"",
            id="9110-7.6.1-hop-by-hop",
        ),
        pytest.param(
            b"HTTP/1.1 302 Found\r\nLocation: //elsewhere\r\nContent-Length: 0\r\n\r\n",
            "302 Found",
            [("Location", "//elsewhere"), ("Content-Length", "0")],
            b"",
            id="redirect-untouched",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nTrailer: X-User\r\n\r\n"
            b"3;x=y\r\nabc\r\n0A \t;z\r\n0123456789\r\n0\r\nX-User: eve\r\n\r\n",
            "200 OK",
            [],
            b"abc0123456789",
            id="9112-7.1.2-chunked-trailers-dropped",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\0\0",
            "200 OK",
            [("Content-Encoding", "gzip"), ("Content-Length", "4")],
            b"\x1f\x8b\0\0",
            id="nothing-is-decoded",
        ),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
            "200 OK",
            [("Content-Length", "2")],
            b"ok",
            id="9110-15.2-interim-answers",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\ncontent-length: 2\r\n\r\nok",
            "200 OK",
            [("Content-Length", "2")],
            b"ok",
            id="9112-6.3-same-length-twice",
        ),
        pytest.param(
            b"HTTP/1.1 200\r\nX-A : 1 \t\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n",
            "200 ",
            [("X-A", "1"), ("X-Empty", ""), ("Content-Length", "0")],
            b"",
            id="9112-5.1-space-before-colon",
            marks=pytest.mark.threads_only("an empty reason becomes the usual one"),
        ),
        pytest.param(
            b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "204 No Content", [], b"", id="9110-15.3.5"
        ),
        pytest.param(
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
            "304 Not Modified",
            [("ETag", "x"), ("Content-Length", "5")],
            b"",
            id="9110-15.4.5",
        ),
    ],
)
def test_an_answer_is_passed_on(answer: bytes, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
    assert answered(answer) == Response(status=status, headers=headers, body=body)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", id="http-1.1"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n", id="http-1.0"),
    ],
)
def test_a_body_without_length_ends_with_the_connection(head: bytes) -> None:
    assert answered(head + b"all", hang_up=True).body == b"all"


def test_head_keeps_the_length_and_has_no_body() -> None:
    response = answered(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", method="HEAD")
    assert (response.headers, response.body) == ([("Content-Length", "500")], b"")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"SSH-2.0-x\r\n", id="not-http"),
        pytest.param(b"HTTP/2 200 OK\r\n\r\n", id="other-version"),
        pytest.param(b"HTTP/1.1 +20 OK\r\n\r\n", id="status-not-a-number"),
        pytest.param(b"HTTP/1.1 999 Denied\r\n\r\n", id="9110-15-status-out-of-range"),
        pytest.param(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", id="9110-15.2.2"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", id="9112-5.2-obs-fold"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: a\r\n b: c\r\nContent-Length: 0\r\n\r\n", id="9112-5.2-obs-fold-colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n", id="9110-5.5-NUL"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n", id="9112-2.2-bare-CR"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: a\nContent-Length: 0\r\n\r\n", id="9112-2.2-bare-LF"),
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", id="9112-2.2-only-LF"),
        pytest.param(b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 0\r\n\r\n", id="no-colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", id="9112-6.3-two-lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok", id="9112-6.3-length-list"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", id="9112-6.3-length-with-sign"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok", id="9112-6.3-length-in-hex"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\nok", id="9112-6.3-length-with-underscore"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\nok", id="9110-8.6-length-too-big"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="9112-6.1-TE+CL"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="9112-6.1-unknown-TE"),
        pytest.param(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="9112-6.1-TE-in-http-1.0"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", id="header-section-too-long"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 200, id="interim-answers-without-end"),
    ],
)
def test_an_answer_that_is_not_http_is_a_bad_gateway(answer: bytes) -> None:
    with pytest.raises(GatewayError) as error:
        answered(answer)
    assert error.value.code == "upstream_answer_invalid"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", id="9112-6.3-length-short"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort", id="9112-8-in-a-chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", id="9112-8-no-last-chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", id="9112-8-no-end-of-trailers"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n", id="chunk-too-long"
        ),
        *(
            pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\nok\r\n0\r\n\r\n" % size, id=name)
            for name, size in {
                "9112-7.1-0x": b"0x2",
                "9112-7.1-sign": b"+2",
                "9112-7.1-underscore": b"0_2",
                "9112-7.1-space": b" 2",
                "9112-7.1-empty": b"",
                "9112-7.1-overflow": b"1" * 20,
                "9112-7.1.1-endless-extension": b"2;" + b"x" * 9000,
            }.items()
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
            id="many-trailers",
        ),
    ],
)
def test_a_body_that_is_cut_cuts_the_response(answer: bytes) -> None:
    with origin([answer], hang_up=True) as raw, upstream(raw.url) as app:
        response = app(environ(), ignore_start)
        with pytest.raises(GatewayError) as error:
            list(response)
        response.close()  # type: ignore[attr-defined]
    assert error.value.code == "upstream_answer_invalid"


def test_a_refused_connection_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with upstream(f"http://127.0.0.1:{port}") as app:
        for attempt in (lambda: call(app, environ()), app.check):
            with pytest.raises(GatewayError) as error:
                attempt()
            assert error.value.code == "upstream_unreachable"


def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    with upstream(f"http://{'x' * 64}.invalid") as app, pytest.raises(GatewayError) as error:
        app.check()
    assert error.value.code == "upstream_unreachable"


def test_a_full_backlog_is_a_connect_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        with (
            upstream(f"http://127.0.0.1:{address[1]}", connect_timeout=0.2) as app,
            pytest.raises(GatewayError) as error,
        ):
            app.check()
        for filler in fillers:
            filler.close()
    assert error.value.code == "upstream_connect_timeout"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Len", id="in-the-head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nslow", id="in-the-body"),
    ],
)
def test_a_silent_upstream_is_a_read_timeout(answer: bytes) -> None:
    with origin([answer]) as raw, upstream(raw.url, read_timeout=0.2) as app, pytest.raises(GatewayError) as error:
        call(app, environ())
    assert error.value.code == "upstream_read_timeout"


def test_an_upstream_that_takes_no_body_is_a_read_timeout() -> None:
    with (
        origin([b"HTTP"], head_only=True) as raw,
        upstream(raw.url, read_timeout=0.2) as app,
        pytest.raises(GatewayError) as error,
    ):
        call(app, environ(method="POST", body=bytes(2**25), CONTENT_LENGTH=str(2**25)))
    assert error.value.code == "upstream_read_timeout"


@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"], ids=["alone", "after-hints"])
@pytest.mark.parametrize("hang_up", [pytest.param(True, id="and-hangs-up"), pytest.param(False, id="and-waits")])
def test_an_answer_before_the_end_of_the_body_is_the_answer(hang_up: bool, interim: bytes) -> None:
    refused = interim + b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"
    with origin([refused], [OK], head_only=True, hang_up=hang_up) as raw, upstream(raw.url) as app:
        response = call(app, environ(method="POST", body=bytes(2**25), CONTENT_LENGTH=str(2**25)))
        assert (response.status, response.body) == ("413 Content Too Large", b"big")
        assert call(app, environ()).body == b"ok"
    assert len(raw.requests) == 2, "The half-sent request's connection carried another."


def test_an_interim_answer_does_not_end_the_request_body() -> None:
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    with origin([hints], head_only=True) as raw, upstream(raw.url) as app:
        # The origin's script ends after the hints; once our buffers are full and nothing else moves, the rest is read.
        rest = threading.Timer(0.2, finish, (raw, body + b"ok"))
        rest.start()
        response = call(app, environ(method="POST", body=bytes(2**25), CONTENT_LENGTH=str(2**25)))
        rest.join(TIMEOUT)
    assert (response.status, response.body) == ("200 OK", b"ok")
    assert len(raw.requests[0].partition(b"\r\n\r\n")[2]) + len(raw.requests[1]) == 2**25
