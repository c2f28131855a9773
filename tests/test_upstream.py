"""The reverse proxy: what a raw origin receives byte for byte, and what comes of what it answers."""

import io
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.errors import GatewayError
from gateway.upstream import Upstream
from gateway.upstream_pool import MAX_IDLE, MAX_IDLE_SECONDS, Connection, Origin, Pool

TIMEOUT = 5.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GONE = b""  # Hang up without an answer.


@dataclass(kw_only=True)
class RawOrigin:
    """Answers from a script, connection by connection; keeps each request as it came, in order."""

    url: str
    requests: list[bytes] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)


@contextmanager
def origin(
    *script: Sequence[bytes], hang_up: bool = False, head_only: bool = False, tls: ssl.SSLContext | None = None
) -> Iterator[RawOrigin]:
    """Serve one connection per sequence of answers; GONE closes the connection after the request."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(TIMEOUT)
    raw = RawOrigin(url=f"http{'s' if tls else ''}://127.0.0.1:{listener.getsockname()[1]}")
    thread = threading.Thread(target=_serve, args=(listener, raw, script, hang_up, head_only, tls))
    thread.start()
    try:
        yield raw
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # Closing alone would not wake a thread that accepts.
        thread.join(TIMEOUT)
        listener.close()
        for each in raw.sockets:
            each.close()
    assert not thread.is_alive()


def _serve(
    listener: socket.socket,
    raw: RawOrigin,
    script: Sequence[Sequence[bytes]],
    hang_up: bool,
    head_only: bool,
    tls: ssl.SSLContext | None,
) -> None:
    for answers in script:
        try:
            connection, _ = listener.accept()
            connection.settimeout(TIMEOUT)
            raw.sockets.append(connection)
            if tls:
                connection = tls.wrap_socket(connection, server_side=True)
                raw.sockets.append(connection)
            for answer in answers:
                raw.requests.append(_read_request(connection, head_only))
                connection.sendall(answer)
                if answer is GONE or hang_up:
                    connection.close()
                    break
        except OSError:
            continue


def _read_request(connection: socket.socket, head_only: bool) -> bytes:
    data = b""
    while not _is_whole(data) and not (head_only and b"\r\n\r\n" in data):
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    return data


def _finish(raw: RawOrigin, answer: bytes) -> None:
    # Reads what a `head_only` origin left of the first request, then answers.
    head, _, begun = raw.requests[0].partition(b"\r\n\r\n")
    left = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0]) - len(begun)
    rest = bytearray()
    while len(rest) < left and (piece := raw.sockets[0].recv(65536)):
        rest += piece
    raw.requests.append(bytes(rest))
    raw.sockets[0].sendall(answer)


def _is_whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    if b"\r\nTransfer-Encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    _, _, length = head.partition(b"\r\nContent-Length: ")
    return len(body) >= int(length.split(b"\r\n")[0] or 0)


@contextmanager
def upstream(url: str, **changes: Any) -> Iterator[Upstream]:
    app = Upstream(**{"url": url, "pseudonym": "gw", "connect_timeout": TIMEOUT, "read_timeout": TIMEOUT, **changes})
    try:
        yield app
    finally:
        app.close()


def environ(target: str = "/", method: str = "GET", body: bytes = b"", **more: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "RAW_URI": target,
        "HTTP_HOST": "app.example",
        "wsgi.input": io.BytesIO(body),
        **more,
    }


def ignore_start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
    """Take a response's head and forget it."""


@dataclass(frozen=True, kw_only=True)
class Response:
    status: str
    headers: list[tuple[str, str]]
    body: bytes


def call(app: Upstream, request: dict[str, Any]) -> Response:
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
        started.append((status, headers))

    response = app(request, start_response)
    try:
        body = b"".join(response)
    finally:
        if close := getattr(response, "close", None):
            close()
    [(status, headers)] = started
    return Response(status=status, headers=headers, body=body)


def answered(*answers: bytes, method: str = "GET", hang_up: bool = False) -> Response:
    with origin(answers, hang_up=hang_up) as raw, upstream(raw.url) as app:
        return call(app, environ(method=method))


def lines(request: bytes) -> list[bytes]:
    return request.partition(b"\r\n\r\n")[0].split(b"\r\n")


# What the upstream receives.


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/", id="root"),
        pytest.param("/a%2Fb/%C3%A4;v=1", id="9110-7.7-encoded-slash-and-parameters"),
        pytest.param("/a?next=//x/../y&b=%zz;&&=", id="9110-7.7-query-byte-for-byte"),
        pytest.param("/a?", id="empty-query"),
        pytest.param("/[x]|'\"", id="nothing-is-encoded-again"),
    ],
)
def test_the_target_leaves_as_it_is(target: str) -> None:
    with origin([OK]) as raw, upstream(raw.url) as app:
        call(app, environ(target))
    assert lines(raw.requests[0])[0] == f"GET {target} HTTP/1.1".encode()


def test_the_base_path_goes_before_the_target() -> None:
    with origin([OK]) as raw, upstream(raw.url + "/base/") as app:
        call(app, environ("/a"))
    assert lines(raw.requests[0])[0] == b"GET /base/a HTTP/1.1"


CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}


@pytest.mark.parametrize(
    ("method", "body", "more", "sent"),
    [
        pytest.param("GET", b"", {}, b"\r\n\r\n", id="GET-without-body-has-no-framing"),
        pytest.param("GET", b"", {"wsgi.input_terminated": True}, b"\r\n\r\n", id="GET-under-gunicorn"),
        pytest.param("POST", b"", {"CONTENT_LENGTH": ""}, b"\r\n\r\n", id="POST-without-body"),
        pytest.param("POST", b"", {"CONTENT_LENGTH": "0"}, b"\r\nContent-Length: 0\r\n\r\n", id="POST-empty"),
        pytest.param("POST", b"abc", {"CONTENT_LENGTH": "3"}, b"\r\nContent-Length: 3\r\n\r\nabc", id="length"),
        pytest.param("POST", b"abcd", {"CONTENT_LENGTH": "3"}, b"\r\nContent-Length: 3\r\n\r\nabc", id="no-more"),
        pytest.param(
            "POST", b"abc", CHUNKED, b"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", id="chunked"
        ),
        pytest.param("POST", b"", CHUNKED, b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="chunked-empty"),
        pytest.param(
            "POST",
            b"abc",
            {"wsgi.input_terminated": True},
            b"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            id="3.3-chunked-although-the-field-is-gone",
        ),
        pytest.param(
            "POST",
            b"abc",
            {**CHUNKED, "CONTENT_LENGTH": "3"},
            b"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            id="9112-6.2-never-both",
        ),
    ],
)
def test_the_body_has_one_framing(method: str, body: bytes, more: Mapping[str, Any], sent: bytes) -> None:
    with origin([OK]) as raw, upstream(raw.url) as app:
        call(app, environ(method=method, body=body, **more))
    head, _, rest = raw.requests[0].partition(b"\r\nVia: 1.1 gw")
    assert rest == sent
    assert head == f"{method} / HTTP/1.1\r\nHost: app.example".encode()


@pytest.mark.parametrize(
    ("more", "sent"),
    [
        pytest.param({"HTTP_X_FORWARDED_USER": "ann"}, b"X-Forwarded-User: ann", id="title-case"),
        pytest.param({"CONTENT_TYPE": "text/plain"}, b"Content-Type: text/plain", id="content-type"),
        pytest.param({"HTTP_X": "\xe4\xff"}, b"X: \xe4\xff", id="latin-1-octets"),
        pytest.param({"HTTP_AUTHORIZATION": "Bearer t"}, b"Authorization: Bearer t", id="9110-11.6.2-authorization"),
        pytest.param(
            {"HTTP_VIA": "1.0 a (gw), 1.1 b"}, b"Via: 1.0 a (gw), 1.1 b, 1.1 gw", id="9110-7.6.3-via-is-added"
        ),
        pytest.param({"HTTP_MAX_FORWARDS": "7"}, b"Max-Forwards: 7", id="9110-7.6.2-only-for-OPTIONS"),
        pytest.param(
            {"HTTP_MAX_FORWARDS": "7", "REQUEST_METHOD": "OPTIONS"}, b"Max-Forwards: 6", id="9110-7.6.2-counted-down"
        ),
    ],
)
def test_a_field_is_forwarded(more: Mapping[str, Any], sent: bytes) -> None:
    with origin([OK]) as raw, upstream(raw.url) as app:
        call(app, environ() | dict(more))
    assert sent in lines(raw.requests[0])


def test_nothing_is_added_and_what_ends_here_is_dropped() -> None:
    hop_by_hop: dict[str, Any] = {
        "HTTP_CONNECTION": "x-identity, upgrade",
        "HTTP_EXPECT": "100-continue",
        "HTTP_KEEP_ALIVE": "timeout=5",
        "HTTP_PROXY_AUTHORIZATION": "Basic eA==",
        "HTTP_PROXY_CONNECTION": "keep-alive",
        "HTTP_TE": "trailers",
        "HTTP_TRAILER": "x",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONTENT_LENGTH": "9",
    }
    with origin([OK]) as raw, upstream(raw.url) as app:
        call(app, environ(**hop_by_hop, HTTP_X_IDENTITY="ann", REMOTE_USER="bob", SERVER_NAME="s"))
    assert lines(raw.requests[0]) == [b"GET / HTTP/1.1", b"Host: app.example", b"X-Identity: ann", b"Via: 1.1 gw"]


def test_options_that_may_go_no_further_is_answered_here() -> None:
    with upstream("http://127.0.0.1:1") as app:
        assert call(app, environ(method="OPTIONS", HTTP_MAX_FORWARDS="0")).status == "204 No Content"


class Leaving(io.BytesIO):
    """A client that leaves: the server's input raises at its end."""

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        if not piece:
            raise ConnectionResetError
        return piece


@pytest.mark.parametrize(
    ("more", "code"),
    [
        pytest.param({"HTTP_VIA": "1.1 a, HTTP/1.1 GW"}, "forwarding_loop", id="9110-7.6-loop"),
        pytest.param({"RAW_URI": "http://x/"}, "target_malformed", id="9112-3.2.1-absolute-form"),
        pytest.param({"RAW_URI": "/a b"}, "target_malformed", id="space-in-target"),
        pytest.param({"RAW_URI": "/a\r\nX: y"}, "target_malformed", id="line-in-target"),
        pytest.param({"REQUEST_METHOD": "GET /x"}, "method_refused", id="space-in-method"),
        pytest.param({"HTTP_X": "a\r\nX-Admin: 1"}, "internal_error", id="9110-5.5-line-in-value"),
        pytest.param({"HTTP_X": "a\0b"}, "internal_error", id="9110-5.5-NUL-in-value"),
        pytest.param({"HTTP_X": "\u20ac"}, "internal_error", id="9110-5.5-not-latin-1"),
        pytest.param({"HTTP_X Y": "a"}, "internal_error", id="space-in-name"),
        pytest.param({"CONTENT_LENGTH": "+3"}, "request_incomplete", id="length-with-sign"),
    ],
)
def test_a_request_is_refused_before_it_leaves(more: Mapping[str, Any], code: str) -> None:
    with upstream("http://127.0.0.1:1") as app, pytest.raises(GatewayError) as error:
        call(app, environ() | dict(more))
    assert error.value.code == code
    assert "X-Admin" not in error.value.detail


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"CONTENT_LENGTH": "200", "wsgi.input": io.BytesIO(b"a" * 100)}, id="length-short"),
        pytest.param({"CONTENT_LENGTH": "200", "wsgi.input": Leaving(b"a" * 100)}, id="length-raises"),
        pytest.param({**CHUNKED, "wsgi.input": Leaving(b"a" * 100)}, id="chunked-raises"),
    ],
)
def test_a_body_that_ends_short_never_looks_complete(more: Mapping[str, Any]) -> None:
    with origin([OK]) as raw:
        with upstream(raw.url) as app, pytest.raises(GatewayError) as error:
            call(app, environ(method="POST") | dict(more))
        assert error.value.code == "request_incomplete"
    assert not _is_whole(raw.requests[0])
    assert raw.requests[0].count(b"a" * 100) == 1


# What the upstream answers.


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


# Errors of the connection.


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
        rest = threading.Timer(0.2, _finish, (raw, body + b"ok"))
        rest.start()
        response = call(app, environ(method="POST", body=bytes(2**25), CONTENT_LENGTH=str(2**25)))
        rest.join(TIMEOUT)
    assert (response.status, response.body) == ("200 OK", b"ok")
    assert len(raw.requests[0].partition(b"\r\n\r\n")[2]) + len(raw.requests[1]) == 2**25


# Keep-alive.


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


# TLS.


@dataclass(frozen=True, kw_only=True)
class Certificate:
    context: ssl.SSLContext
    path: Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "upstream")])
    now = datetime.now(timezone.utc)  # noqa: UP017
    built = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "upstream.pem"
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(built.public_bytes(pem) + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return Certificate(context=context, path=path)


@pytest.mark.parametrize("by", ["bundle", "no-verification"])
def test_tls_to_a_trusted_upstream(certificate: Certificate, by: str) -> None:
    trust = str(certificate.path) if by == "bundle" else False
    with origin([OK, OK], tls=certificate.context) as raw, upstream(raw.url, verify_tls=trust) as app:
        assert call(app, environ()).body == b"ok"
        assert call(app, environ(method="POST", body=bytes(2**20), CONTENT_LENGTH=str(2**20))).body == b"ok"
    assert len(raw.requests) == 2


def test_an_untrusted_upstream_is_unreachable(certificate: Certificate) -> None:
    with origin([OK], tls=certificate.context) as raw, upstream(raw.url) as app, pytest.raises(GatewayError) as error:
        call(app, environ())
    assert error.value.code == "upstream_unreachable"
    assert raw.requests == []


def test_tls_that_ends_without_closure_is_a_cut(certificate: Certificate) -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it?"
    with (
        origin([head], hang_up=True, tls=certificate.context) as raw,
        upstream(raw.url, verify_tls=False) as app,
        pytest.raises(GatewayError) as error,
    ):
        call(app, environ())
    assert error.value.code == "upstream_answer_invalid"
