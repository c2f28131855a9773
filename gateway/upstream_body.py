"""The body of a request on its way to an upstream: streamed, and framed in one way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from wsgiref.types import WSGIEnvironment

from gateway.errors import REQUEST_INCOMPLETE, GatewayError
from gateway.upstream_pool import PIECE

LENGTH = re.compile(r"[0-9]{1,18}")

Field = tuple[str, str]
Read = Callable[[int], bytes]


def request_body(environ: WSGIEnvironment) -> tuple[list[Field], Iterable[bytes]]:
    """Give the field that frames the body, and its pieces: exactly one framing, whatever came in (RFC 9112 6.2).

    Raises `request_incomplete`, and so do the pieces.
    """
    read: Read = environ["wsgi.input"].read
    length = environ.get("CONTENT_LENGTH", "")
    coding = str(environ.get("HTTP_TRANSFER_ENCODING", "")).strip().lower()
    if coding not in ("", "chunked"):  # The server has taken the chunks away and would leave the rest (RFC 9112 6.1).
        raise GatewayError(REQUEST_INCOMPLETE, f"a transfer coding beside chunked: {coding[:40]!r}")
    if coding:
        return [("Transfer-Encoding", "chunked")], _in_chunks(read, _read(read, PIECE))
    if length:
        if not LENGTH.fullmatch(length):
            raise GatewayError(REQUEST_INCOMPLETE, "the length is malformed")
        return [("Content-Length", length)], _exactly(read, int(length)) if int(length) else ()
    # A server that ends the input by itself may have taken the coding away: only a look tells.
    first = _read(read, PIECE) if environ.get("wsgi.input_terminated") else b""
    return ([("Transfer-Encoding", "chunked")], _in_chunks(read, first)) if first else ([], ())


def _exactly(read: Read, left: int) -> Iterator[bytes]:
    while left:
        piece = _read(read, min(left, PIECE))
        if not piece:
            raise GatewayError(REQUEST_INCOMPLETE, f"{left} octets are missing")
        left -= len(piece)
        yield piece


def _in_chunks(read: Read, piece: bytes) -> Iterator[bytes]:
    while piece:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
        piece = _read(read, PIECE)
    yield b"0\r\n\r\n"


def _read(read: Read, size: int) -> bytes:
    try:
        return read(size)
    except GatewayError:
        raise  # What limits the body has its own word for it.
    except Exception as error:  # Each server has its own for a client that left or sent a malformed chunk.
        raise GatewayError(REQUEST_INCOMPLETE, f"the body cannot be read: {type(error).__name__}") from error
