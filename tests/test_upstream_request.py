"""The reverse proxy: what a raw origin receives, byte for byte."""

import io
import time
from collections.abc import Mapping
from typing import Any

import pytest
from raw_origin import (
    CHUNKED,
    OK,
    call,
    environ,
    is_whole,
    lines,
    origin,
    upstream,
)

from gateway.errors import GatewayError

pytestmark = pytest.mark.threads_only("these are the octets of the WSGI app alone, without what a gateway adds")


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
        for _ in range(500):  # What was sent may still be on its way.
            if raw.requests:
                break
            time.sleep(0.01)
    assert not is_whole(raw.requests[0])
    assert raw.requests[0].count(b"a" * 100) == 1
