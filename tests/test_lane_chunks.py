"""Chunked answers in the lane (RFC 9112 7.1): the same bodies however they are cut, and the same refusals."""

import pytest

from gateway.errors import UPSTREAM_ANSWER_INVALID, GatewayError
from gateway.lane.chunks import ChunkDecoder
from gateway.upstream_pool import MAX_LINE, MAX_TRAILERS

BODIES = [
    pytest.param(b"5\r\nhello\r\n0\r\n\r\n", b"hello", b"", id="one chunk"),
    pytest.param(b"1\r\na\r\nA\r\n0123456789\r\n0\r\n\r\n", b"a0123456789", b"", id="two chunks"),
    pytest.param(b"0\r\n\r\n", b"", b"", id="an empty body"),
    pytest.param(b"000\r\n\r\n", b"", b"", id="zeros"),
    pytest.param(b'2;a=b;c="d"\r\nhi\r\n0;e\r\n\r\n', b"hi", b"", id="extensions are ignored"),
    pytest.param(b"2 \t;a\r\nhi\r\n0\r\n\r\n", b"hi", b"", id="a space before an extension"),
    pytest.param(b"2\r\nhi\r\n0\r\nA: b\r\nC: d\r\n\r\n", b"hi", b"", id="trailers are dropped"),
    pytest.param(b"2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200", b"hi", b"HTTP/1.1 200", id="what lies behind"),
    pytest.param(b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n", b"", id="line ends as a body"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(("sent", "body", "behind"), BODIES)
def test_a_body_is_the_same_however_it_is_cut(sent: bytes, body: bytes, behind: bytes, size: int) -> None:
    decoder, got, rest = ChunkDecoder(), b"", b""
    for start in range(0, len(sent), size):
        pieces, rest_here = decoder.feed(sent[start : start + size])
        got += b"".join(pieces)
        rest += rest_here
    assert (got, rest, decoder.done) == (body, behind, True)


def feed_all(decoder: ChunkDecoder, sent: bytes, size: int) -> None:
    for start in range(0, len(sent), size):
        decoder.feed(sent[start : start + size])


@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"0x2\r\nhi\r\n", id="0x"),
        pytest.param(b"+2\r\nhi\r\n", id="a plus"),
        pytest.param(b"-2\r\nhi\r\n", id="a minus"),
        pytest.param(b" 2\r\nhi\r\n", id="a space before"),
        pytest.param(b"1_0\r\nhi\r\n", id="an underscore"),
        pytest.param(b"\r\nhi\r\n", id="no size"),
        pytest.param(b"2\nhi\r\n", id="LF alone behind the size"),
        pytest.param(b"2\r\nhi\n0\r\n\r\n", id="LF alone behind the chunk"),
        pytest.param(b"2\r\nhi!\r\n0\r\n\r\n", id="a chunk longer than its size"),
        pytest.param(b"1234567890123456\r\n", id="a size of 16 digits"),
        pytest.param(b"2;" + b"a" * MAX_LINE + b"\r\nhi\r\n", id="an extension that is too long"),
        pytest.param(b"2;\x00\r\nhi\r\n", id="NUL in an extension"),
        pytest.param(b"0\r\n" + b"A: b\r\n" * (MAX_TRAILERS + 1), id="too many trailers"),
        pytest.param(b"0\r\nA: b\n\n", id="a trailer that ends with LF alone"),
    ],
)
def test_what_is_malformed_is_refused(sent: bytes, size: int) -> None:
    with pytest.raises(GatewayError) as refused:
        feed_all(ChunkDecoder(), sent, size)
    assert refused.value.problem is UPSTREAM_ANSWER_INVALID


def test_a_body_that_is_cut_is_not_done() -> None:
    decoder = ChunkDecoder()
    assert decoder.feed(b"5\r\nhel") == ([b"hel"], b"")
    assert not decoder.done
