"""How large a request may be that goes on (RFC 9110 15.5.14, RFC 6585 5)."""

import io
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from harness import ORIGIN, error_code, run_site
from peers.listener import Answer, Received, run_listener
from raw_origin import CHUNKED, OK, call, environ, origin, upstream

from gateway.errors import GatewayError
from gateway.request_limits import check_fields, limited_body, weight_of

LIMIT: Final = 10


@pytest.mark.parametrize(
    ("length", "body", "code"),
    [
        pytest.param("10", b"0123456789", "", id="as long as may be"),
        pytest.param("11", b"0123456789a", "request_body_too_large", id="announced as longer"),
        pytest.param("99999999999999999999", b"", "request_body_too_large", id="announced as very long"),
        pytest.param("1_0", b"", "request_body_too_large", id="no length"),
        pytest.param("-1", b"", "request_body_too_large", id="a negative length"),
        pytest.param("", b"", "", id="none"),
        pytest.param("", b"0123456789", "", id="not announced, as long as may be"),
        pytest.param("", b"0123456789a", "request_body_too_large", id="not announced, one longer"),
        pytest.param("", bytes(100_000), "request_body_too_large", id="not announced, much longer"),
    ],
)
@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda stream: b"".join(iter(lambda: stream.read(7), b"")), id="in pieces"),
        pytest.param(lambda stream: stream.read(), id="at once"),
        pytest.param(b"".join, id="in lines"),
    ],
)
def test_bodies(length: str, body: bytes, code: str, read: Callable[[Any], bytes]) -> None:
    asked = {"CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(body)}
    if code:
        with pytest.raises(GatewayError) as error:
            read(limited_body(asked, LIMIT))
        assert error.value.code == code
    else:
        assert read(limited_body(asked, LIMIT)) == body


def test_a_chunked_body_that_is_too_long_never_ends_for_the_upstream() -> None:
    with origin([OK, OK]) as raw, upstream(raw.url) as app:
        call(app, environ())
        body = limited_body({"wsgi.input": io.BytesIO(bytes(LIMIT + 1))}, LIMIT)
        request = {**environ(method="POST"), **CHUNKED, "wsgi.input": body}
        with pytest.raises(GatewayError) as error:
            call(app, request)
    assert error.value.code == "request_body_too_large"
    assert not raw.requests[1].endswith(b"0\r\n\r\n")


def test_fields() -> None:
    check_fields(weight_of([("a", "bcde")]), 9)
    with pytest.raises(GatewayError) as error:
        check_fields(weight_of([("a", "bcde"), ("f", "")]), 9)
    assert error.value.code == "request_fields_too_large"


ROUTES: Final[list[dict[str, Any]]] = [
    {"path": "/small/**", "access": "public", "max_body": "10", "max_headers": "1k"},
    {"path": "/large/**", "access": "public", "max_body": "1M"},
]


@pytest.fixture
def pages() -> Iterator[Callable[[str, bytes, str], tuple[int, str, int]]]:
    """Post to the gateway, and tell status, code and how many requests came through."""

    def answer(_: Received) -> Answer:
        return Answer(headers={}, body="ok")

    with run_listener(answer) as listener:
        routes = [{**route, "upstream": listener.origin} for route in ROUTES]
        with run_site({"routes": routes}) as site:

            def post(path: str, body: bytes, field: str) -> tuple[int, str, int]:
                page = site.browser.fetch(
                    ORIGIN + path, method="POST", body=body, headers={"X-Large": field, "Sec-Fetch-Site": "same-origin"}
                )
                return page.status, "" if page.status == 200 else error_code(page), len(listener.received)

            yield post
            for each in site.gateway.upstreams.values():
                each.close()


@pytest.mark.parametrize(
    ("path", "body", "field", "status", "code"),
    [
        pytest.param("/small/a", bytes(10), "", 200, "", id="as much as may be"),
        pytest.param("/small/a", bytes(11), "", 413, "request_body_too_large", id="a body that is too large"),
        pytest.param("/large/a", bytes(11), "", 200, "", id="another route, another limit"),
        pytest.param("/small/a", b"", "x" * 1024, 431, "request_fields_too_large", id="fields that are too large"),
        pytest.param("/large/a", b"", "x" * 1024, 200, "", id="another route, other fields"),
    ],
)
def test_limits_of_a_route(
    pages: Callable[[str, bytes, str], tuple[int, str, int]], path: str, body: bytes, field: str, status: int, code: str
) -> None:
    assert pages(path, body, field) == (status, code, int(status == 200))
