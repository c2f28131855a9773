"""Requests as the lane reads them (RFC 9112): what of them is in the environ, and what is no request."""

from collections.abc import Iterable
from sys import getsizeof
from typing import Any, Final

import pytest

from gateway.lane.incoming import Incoming, Refused
from gateway.lane.recollection import MAX_OCTETS
from gateway.lane.request_reader import MAX_FIELD, MAX_FIELDS, MAX_HEAD, MAX_TARGET, RequestReader

HOST = b"Host: app.example\r\n"
GET = b"GET /a HTTP/1.1\r\n" + HOST


def read(sent: bytes, size: int = 1 << 20) -> tuple[list[Incoming], bytes]:
    found: list[Incoming] = []
    reader = RequestReader({"SCRIPT_NAME": ""}, found.append)
    rest = b"".join(reader.feed(sent[start : start + size]) for start in range(0, len(sent), size))
    return found, rest


@pytest.mark.parametrize("size", [1, 5, 1 << 20])
@pytest.mark.parametrize(
    ("sent", "members"),
    [
        pytest.param(GET + b"\r\n", {"REQUEST_METHOD": "GET", "RAW_URI": "/a", "PATH_INFO": "/a"}, id="a GET"),
        pytest.param(
            b"GET /%C3%A4?q=%20#f HTTP/1.1\r\n" + HOST + b"\r\n",
            {"PATH_INFO": "/\xc3\xa4", "QUERY_STRING": "q=%20#f"},
            id="an encoded target, decoded once",
        ),
        pytest.param(GET + b"X-A: 1\r\nx-a: 2\r\n\r\n", {"HTTP_X_A": "1,2"}, id="a field twice"),
        pytest.param(GET + b"X_A: 1\r\n\r\n", {"HTTP_X_A": None}, id="an underscore in a name"),
        pytest.param(GET + b"X-A: \t1 \t\r\n\r\n", {"HTTP_X_A": "1"}, id="spaces around a value"),
        pytest.param(GET + b"Content-Type: a/b\r\n\r\n", {"CONTENT_TYPE": "a/b"}, id="a type"),
        pytest.param(
            GET + b"Content-Length: " + b"0" * 17 + b"1\r\n\r\na",
            {"CONTENT_LENGTH": "0" * 17 + "1"},
            id="a length of eighteen digits",
        ),
        pytest.param(GET + b"X-A: \xe4\r\n\r\n", {"HTTP_X_A": "\xe4"}, id="octets beyond ASCII"),
        pytest.param(
            GET + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Forwarded-User: root\r\n\r\n",
            {"HTTP_X_FORWARDED_USER": None},
            id="trailers are no fields",
        ),
    ],
)
def test_what_is_in_the_environ(sent: bytes, members: dict[str, Any], size: int) -> None:
    (incoming,), rest = read(sent, size)
    assert {key: incoming.environ.get(key) for key in members} == members
    assert (incoming.complete, rest) == (True, b"")


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"GET /" + b"a" * MAX_TARGET + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, id="a long target"),
        pytest.param(GET + b"X-A: " + b"a" * MAX_FIELD + b"\r\n\r\n", 431, id="a long field"),
        pytest.param(GET + b"X-A: 1\r\n" * MAX_FIELDS + b"\r\n", 431, id="many fields"),
        pytest.param(GET + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, id="another coding"),
        pytest.param(
            GET + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, id="length and chunks"
        ),
        pytest.param(GET + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400, id="two lengths"),
        pytest.param(GET + b"Content-Length: +1\r\n\r\na", 400, id="a length with a plus"),
        pytest.param(GET + b"Content-Length: " + b"0" * 18 + b"1\r\n\r\na", 400, id="a length of nineteen digits"),
        pytest.param(GET + b"Content-Length: " + b"0" * 4400 + b"\r\n\r\n", 400, id="a length of too many for int"),
        pytest.param(b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, id="chunks in HTTP/1.0"),
        pytest.param(b"GET /a HTTP/2.0\r\n" + HOST + b"\r\n", 505, id="HTTP/2.0"),
        pytest.param(GET + b"Expect: a miracle\r\n\r\n", 417, id="an unknown expectation"),
        pytest.param(GET + b"X-A: 1\n\r\n", 400, id="LF alone"),
        pytest.param(GET + b"X-A: 1\r\n folded\r\n\r\n", 400, id="a folded line"),
        pytest.param(GET + b"X-A: a\x00b\r\n\r\n", 400, id="NUL"),
        pytest.param(b"\x16\x03\x01\x02", 400, id="TLS where it is not spoken"),
    ],
)
def test_what_is_no_request(sent: bytes, status: int, size: int) -> None:
    assert len(read(GET + b"\r\n", size)[0]) == 1
    with pytest.raises(Refused) as refused:
        read(sent, size)
    assert refused.value.status == status


@pytest.mark.parametrize("size", [pytest.param(2, id="two octets"), pytest.param(700, id="700 octets")])
def test_a_body_in_small_chunks_weighs_little_more_than_its_octets(size: int) -> None:
    chunks = (64 * 1024 // size) * (f"{size:x}\r\n".encode() + b"a" * size + b"\r\n")
    (incoming,), _ = read(GET + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert incoming.buffered == len(b"".join(incoming.pieces)) == 64 * 1024 // size * size
    assert sum(map(getsizeof, incoming.pieces)) < 1.2 * incoming.buffered


def test_a_head_without_end_is_refused_before_it_is_large() -> None:
    with pytest.raises(Refused) as refused:
        read(GET + b"X-A: " + b"a" * (MAX_HEAD + 1000), 1000)
    assert refused.value.status == 431


@pytest.mark.parametrize(
    ("sent", "comes_again"),
    [
        pytest.param(GET + b"Cookie: a=1\r\n\r\n", True, id="a GET"),
        pytest.param(b"\r\n" + GET + b"\r\n", False, id="an empty line before it"),
        pytest.param(GET + b"\r\n" + GET + b"\r\n", False, id="two at once"),
        pytest.param(GET + b"\r\nGET /b", False, id="the beginning of another"),
        pytest.param(b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\nhi", True, id="a body"),
        pytest.param(
            b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\n\r\n\r\n", True, id="a body of line ends"
        ),
        pytest.param(b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", True, id="a body of nothing"),
        pytest.param(
            GET + b"Connection: upgrade\r\nUpgrade: a\r\nContent-Length: 2\r\n\r\nhi", False, id="an upgrade, a body"
        ),
        pytest.param(
            b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False, id="chunks"
        ),
        pytest.param(GET + b"Expect: 100-continue\r\n\r\n", False, id="an expectation"),
        pytest.param(GET + b"X-A: " + b"a" * MAX_OCTETS + b"\r\n\r\n", False, id="one that is long"),
        pytest.param(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False, id="HTTP/1.0"),
    ],
)
def test_the_same_octets_are_the_same_request_each_time(sent: bytes, comes_again: bool) -> None:
    """One that ends with the beginning of another is continued by what would have come again."""
    found: list[Incoming] = []
    reader = RequestReader({"SCRIPT_NAME": ""}, found.append)
    times = 2 if sent.endswith(b"/b") else 5
    for _ in range(times):
        reader.feed(sent if not reader.in_head else b" HTTP/1.1\r\n" + HOST + b"\r\n" + sent)
    first = found[0]
    again = [one for one in found if one.environ["RAW_URI"] == "/a"]
    assert len(again) == times * sent.count(b" /a ")
    assert all(one.environ == first.environ and one.method == first.method for one in again)
    assert all((one.complete, one.keep_alive, one.pieces) == (True, True, first.pieces) for one in again)
    assert (again[-1].recollection is not None and again[-1].fields is not None) == comes_again


REST = HOST + b"Cookie: a=1\r\nX-A: b\r\n\r\n"


def outcome(reader: RequestReader, found: list[Incoming], sent: bytes) -> object:
    """Tell what becomes of octets: the environs of the requests, or the status with which they are refused."""
    del found[:]
    try:
        reader.feed(sent)
    except Refused as refused:
        return refused.status
    return [(one.environ, one.method, one.complete, one.keep_alive, one.upgrade, one.pieces) for one in found]


@pytest.mark.parametrize(
    "line",
    [
        b"GET /a HTTP/1.1\r\n",
        b"GET /b?c=%41&d HTTP/1.1\r\n",
        b"GET /%C3%A4/%2e%2E?q HTTP/1.1\r\n",
        b"GET //x;y=/../?? HTTP/1.1\r\n",
        b"HEAD /a HTTP/1.1\r\n",
        b"POST /a HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"CONNECT app.example:443 HTTP/1.1\r\n",
        b"GET http://other.example/a HTTP/1.1\r\n",
        b"GET /a#b HTTP/1.1\r\n",
        b'GET /a"<>\\^`{|} HTTP/1.1\r\n',
        b"GET /\xc3\xa4 HTTP/1.1\r\n",
        b"GET /a HTTP/1.0\r\n",
        b"GET /a HTTP/2.0\r\n",
        b"GET /a\r\n",
        b"GET  /a HTTP/1.1\r\n",
        b"GET /a  HTTP/1.1\r\n",
        b"get /a HTTP/1.1\r\n",
        b"GET /a HTTP/1.1\n",
        b"GET /a HTTP/1.1\r\r\n",
        b"GET /a b HTTP/1.1\r\n",
        b" GET /a HTTP/1.1\r\n",
        b"\r\nGET /a HTTP/1.1\r\n",
        b"GET /a HTTP/1.1\r\nX-B: c\r\n",
        b"GET /a HTTP/1.1\r\nHost: other.example\r\n",
        b"GET /a HTTP/1.1\r\nContent-Length: 3\r\n",
        b"GET /a HTTP/1.1\r\n\r\n",
        b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n",
        b"GET /" + b"a" * MAX_TARGET + b" HTTP/1.1\r\n",
        b"GET /a HTTP/1.1\r",
        b"",
        b"\n",
    ],
)
def test_before_fields_that_are_known_every_line_means_what_it_means_elsewhere(line: bytes) -> None:
    base = {"SCRIPT_NAME": ""}
    found: list[Incoming] = []
    fresh, warm = RequestReader(base, found.append), RequestReader(base, found.append)
    for _ in range(3):
        warm.feed(b"GET /first HTTP/1.1\r\n" + REST)
    assert found[-1].fields is not None
    expected = outcome(fresh, found, line + REST)
    assert outcome(warm, found, line + REST) == expected
    assert outcome(warm, found, line + REST) == outcome(fresh, found, line + REST)


POST = b"POST /a HTTP/1.1\r\n"
POSTED = HOST + b"Cookie: a=1\r\nContent-Length: 19\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(POST + POSTED + b"b" * 19, id="another body"),
        pytest.param(POST + POSTED + b"GET /b HTTP/1.1\r\n\r\n", id="a body that looks like a request"),
        pytest.param(POST + POSTED + b"GET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n", id="another request behind it"),
        pytest.param(POST + POSTED + b"b" * 18, id="an octet less"),
        pytest.param(POST + POSTED + b"b" * 20, id="an octet more"),
        pytest.param(POST + POSTED, id="none of it"),
        pytest.param(POST + POSTED[:-1], id="a head that is not whole"),
        pytest.param(b"PUT /c?d HTTP/1.1\r\n" + POSTED + b"b" * 19, id="another line"),
        pytest.param(b"GET /a HTTP/1.1\r\n" + POSTED + b"b" * 19, id="a GET"),
        pytest.param(b"HEAD /a HTTP/1.1\r\n" + POSTED + b"b" * 19, id="a HEAD"),
        pytest.param(b"OPTIONS /a HTTP/1.1\r\n" + POSTED + b"b" * 19, id="an OPTIONS"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\n" + POSTED + b"b" * 19, id="a CONNECT"),
        pytest.param(b"POST /a HTTP/1.0\r\n" + POSTED + b"b" * 19, id="HTTP/1.0"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n" + POSTED + b"b" * 19, id="chunks before it"),
        pytest.param(POST + b"Content-Length: 3\r\n" + POSTED + b"b" * 19, id="another length before it"),
        pytest.param(POST + b"Expect: 100-continue\r\n" + POSTED + b"b" * 19, id="an expectation before it"),
        pytest.param(POST + b"\r\n" + POSTED + b"b" * 19, id="an end of the head before it"),
        pytest.param(b"\r\n\r\n" + POST + POSTED + b"b" * 19, id="empty lines before it"),
    ],
)
def test_behind_fields_that_are_known_a_body_is_what_it_is_elsewhere(sent: bytes) -> None:
    found: list[Incoming] = []
    fresh, warm = RequestReader({}, found.append), RequestReader({}, found.append)
    for _ in range(3):
        warm.feed(POST + POSTED + b"a" * 19)
    assert (found[-1].fields is not None, found[-1].pieces) == (True, [b"a" * 19])
    for octets in (sent, b"b", POST + POSTED + b"c" * 19):
        assert outcome(warm, found, octets) == outcome(fresh, found, octets)


def test_nothing_comes_again_behind_a_last_request() -> None:
    found: list[Incoming] = []
    reader = RequestReader({}, found.append)
    for _ in range(3):
        reader.feed(GET + b"\r\n")
    reader.feed(GET + b"Connection: close\r\n\r\n")
    with pytest.raises(Refused):
        reader.feed(GET + b"\r\n")
    assert len(found) == 4


def test_requests_behind_each_other_are_each_their_own() -> None:
    found, _ = read(GET + b"Cookie: a=1\r\n\r\n" + GET.replace(b"/a", b"/b") + b"\r\n")
    assert [(one.environ["RAW_URI"], one.environ.get("HTTP_COOKIE")) for one in found] == [("/a", "a=1"), ("/b", None)]


def test_what_lies_behind_an_upgrade_is_returned() -> None:
    (incoming,), rest = read(GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
    assert (incoming.upgrade, rest) == (True, b"GET /b HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize(
    ("framing", "body"),
    [
        pytest.param(b"Content-Length: 5\r\n", b"hello", id="a length"),
        pytest.param(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n", id="chunks"),
    ],
)
def test_an_upgrade_with_a_body_is_a_request_like_others(framing: bytes, body: bytes, size: int) -> None:
    head = b"POST /a HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + framing + b"\r\n"
    found, rest = read(head + body + GET + b"\r\n", size)
    assert [(one.method, one.upgrade, one.complete, b"".join(one.pieces)) for one in found] == [
        ("POST", False, True, b"hello"),
        ("GET", False, True, b""),
    ]
    assert rest == b""


def feed_all(reader: RequestReader, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        reader.feed(piece)


UPGRADE: Final = HOST + b"Connection: Upgrade\r\nUpgrade: x\r\n"
BEHIND: Final = b"GET /admin HTTP/1.1\r\nHost: app.example\r\nX-Forwarded-User: root\r\n\r\n"


@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /x HTTP/1.1\r\n" + UPGRADE + b"Expect: y\r\n\r\n", id="an expectation"),
        pytest.param(b"GET /x HTTP/1.1\r\n" + UPGRADE + b"Transfer-Encoding: gzip, chunked\r\n\r\n", id="a coding"),
        pytest.param(b"GET /x HTTP/2.0\r\n" + UPGRADE + b"\r\n", id="HTTP/2.0"),
        pytest.param(b"GET /x HTTP/1.1\r\n" + UPGRADE + b"Content-Type: a\r\nContent-Type: b\r\n\r\n", id="two types"),
        pytest.param(b"GET /" + b"x" * MAX_TARGET + b" HTTP/1.1\r\n" + UPGRADE + b"\r\n", id="a long target"),
        pytest.param(b"GET /x HTTP/1.1\r\n" + UPGRADE + b"X: y\r\n" * MAX_FIELDS + b"\r\n", id="many fields"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"Expect: y\r\n\r\n", id="CONNECT"),
    ],
)
@pytest.mark.parametrize("method", [b"POST", b"GET"])
def test_what_is_behind_an_upgrade_that_is_refused_belongs_to_no_request(
    method: bytes, head: bytes, apart: bool
) -> None:
    """As the rest of the body of the request before it, it went to an upstream as a request of its own."""
    found: list[Incoming] = []
    reader = RequestReader({}, found.append)
    first = method + b" /a HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(BEHIND) + b"x" * len(BEHIND)
    with pytest.raises(Refused):
        feed_all(reader, [first, head + BEHIND] if apart else [first + head + BEHIND])
    assert [(one.environ["RAW_URI"], one.complete) for one in found] == [("/a", True)]
    assert b"".join(found[0].pieces) == b"x" * len(BEHIND)


@pytest.mark.parametrize("size", [50, 1 << 20])
@pytest.mark.parametrize(
    "trailers",
    [
        pytest.param(b"X: y\r\n" * (MAX_FIELDS + 1), id="many"),
        pytest.param(b"X: " + b"y" * (MAX_FIELD + 1) + b"\r\n", id="a large one"),
    ],
)
def test_a_request_whose_trailers_are_refused_has_failed(trailers: bytes, size: int) -> None:
    found: list[Incoming] = []
    reader = RequestReader({}, found.append)
    sent = b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + trailers + b"\r\n"
    with pytest.raises(Refused) as refused:
        feed_all(reader, [sent[start : start + size] for start in range(0, len(sent), size)])
    assert refused.value.status == 431
    assert found[0].failed or reader.reading is found[0]  # Which the connection then fails.
    assert not found[0].complete


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"0\r\nX: ", id="a trailer"),
        pytest.param(b"1;x=", id="an extension"),
        pytest.param(b"1\r\na\r\n0\r\nX: ", id="a trailer behind a body"),
    ],
)
def test_what_has_no_end_is_refused_before_it_is_large(begun: bytes) -> None:
    reader = RequestReader({}, list[Incoming]().append)
    reader.feed(b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + begun)
    with pytest.raises(Refused) as refused:
        feed_all(reader, [b"y" * 1000] * (MAX_HEAD // 1000 + 2))
    assert refused.value.status in (400, 431)


@pytest.mark.parametrize(
    ("request_", "size"),
    [
        pytest.param(GET + b"\r\n", 50, id="reads that end inside heads"),
        pytest.param(GET + b"X: " + b"a" * 2000 + b"\r\n\r\n", 1500, id="and are shorter than them"),
        pytest.param(
            b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000, 100_060, id="bodies"
        ),
    ],
)
def test_what_is_behind_each_other_does_not_add_up(request_: bytes, size: int) -> None:
    found, _ = read(request_ * 100, size)
    assert [one.complete for one in found] == [True] * 100


def test_upgrades_with_bodies_behind_each_other_are_requests_like_others() -> None:
    one = b"POST /a HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 2\r\n\r\nhi"
    found, rest = read(one * 3 + GET + b"\r\n")
    assert [(b"".join(each.pieces), each.complete, each.upgrade) for each in found] == [
        *[(b"hi", True, False)] * 3,
        (b"", True, False),
    ]
    assert rest == b""
