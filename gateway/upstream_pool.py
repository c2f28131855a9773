"""A connection to an upstream, read without leniency.

Answers are not left to http.client, because it takes lengths like `+5`, ends the header section at the first line that
is no header, and lets differing lengths pass.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import NoReturn

from urllib3.connection import HTTPConnection
from urllib3.util.connection import is_connection_dropped

from gateway.errors import (
    UPSTREAM_ANSWER_INVALID,
    UPSTREAM_READ_TIMEOUT,
    UPSTREAM_UNREACHABLE,
    GatewayError,
)

PIECE = 65536
MAX_HEAD = 65536
MAX_LINE = 4096
MAX_TRAILERS = 100

_INTERIM_HEAD = re.compile(rb"HTTP/1\.1 1(?!01)[0-9]{2}[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t -~\x80-\xff]*)?")
END_OF_HEAD = re.compile(rb"\n\r?\n")


class NothingReceived(GatewayError):
    """The upstream hung up before the first byte of an answer: the one case in which a request may be sent again."""


class StoppedReading(Exception):
    """The upstream takes no more of the request; its answer, if there is one, is on the way."""


class Connection:
    """A connection to the upstream, with what was received on it and not read yet.

    `reused` says that it carried a request before; whoever finds that it may not carry another clears `reusable`.
    """

    def __init__(self, transport: HTTPConnection) -> None:
        self._transport = transport
        self._socket = transport.sock
        self._received = b""
        self._position = 0
        self._answering = False
        self._poller = select.poll()
        self._poller.register(self._socket, select.POLLIN | select.POLLOUT)
        self.reused = False
        self.reusable = True

    @property
    def is_quiet(self) -> bool:
        """Nothing is left over from the last answer, and the upstream has not hung up (RFC 9112 9.2)."""
        return self._position == len(self._received) and not is_connection_dropped(self._transport)

    def begin_again(self) -> None:
        """Note that another request follows."""
        self.reused = True
        self._answering = False

    def send(self, data: bytes) -> None:
        """Send all of `data`.

        Raises `StoppedReading` when the upstream takes no more, and `upstream_read_timeout`.
        """
        rest = memoryview(data)
        while rest:
            self._wait_for_room()
            try:
                rest = rest[self._socket.send(rest) :]
            except TimeoutError as error:
                raise GatewayError(UPSTREAM_READ_TIMEOUT, "the upstream does not take the request") from error
            except OSError as error:
                raise StoppedReading from error

    def read_head(self) -> list[bytes]:
        """Read the lines up to the empty one, without line ends; raises as `read_answer` does."""
        while (end := END_OF_HEAD.search(self._received, self._position)) is None:
            if len(self._received) - self._position > MAX_HEAD:
                refuse_answer("the header section is too long")
            self._receive_more()
            start = self._received[self._position : self._position + 7]
            if start != b"HTTP/1."[: len(start)]:  # At once: a peer that is no HTTP server may wait for us forever.
                refuse_answer("the answer is not HTTP/1")
        head = self._received[self._position : end.end()]
        self._position = end.end()
        if not head.endswith(b"\r\n\r\n"):
            refuse_answer("a line of the header section ends without CR")
        return head[:-4].split(b"\r\n")

    def read_line(self) -> bytes:
        """Read one line, without its CRLF; raises as `read_answer` does."""
        while (end := self._received.find(b"\r\n", self._position)) < 0:
            if len(self._received) - self._position > MAX_LINE:
                break
            self._receive_more()
        line = self._received[self._position : max(end, 0)]
        if end < 0 or len(line) > MAX_LINE:
            refuse_answer("a line is too long")
        self._position = end + 2
        return line

    def read_some(self, limit: int) -> bytes:
        """Read 1 to `limit` octets, as soon as there are some, or none at the end of the connection."""
        if self._position == len(self._received):
            self._received, self._position = self._receive(), 0
        piece = self._received[self._position : self._position + limit]
        self._position += len(piece)
        return piece

    def release(self) -> tuple[socket.socket, bytes]:
        """Give the socket away, with what was received behind the head that was read last."""
        self.reusable = False
        return self._socket, self._received[self._position :]

    def abort(self) -> None:
        """Wake up whoever waits for the upstream: nothing more will come."""
        self.reusable = False
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def _wait_for_room(self) -> None:
        # Under TLS what can be read may be a session ticket, so there only the socket's own timeout helps.
        timeout = self._socket.gettimeout()
        if isinstance(self._socket, ssl.SSLSocket) or timeout is None:
            return
        while (ready := self._poller.poll(timeout * 1000)) and ready[0][1] == select.POLLIN:
            self._look_at_early_answer()
        if not ready:
            raise GatewayError(UPSTREAM_READ_TIMEOUT, "the upstream does not take the request")

    def _look_at_early_answer(self) -> None:
        # It answers and does not read: to insist would be to wait for each other. A 1xx is no answer, though.
        self._receive_more()
        while interim := _INTERIM_HEAD.match(self._received, self._position):
            self._position = interim.end()
        start = self._received[self._position : self._position + 10]
        if start != b"HTTP/1.1 1"[: len(start)] or len(self._received) - self._position > MAX_HEAD:
            raise StoppedReading

    def _receive_more(self) -> None:
        data = self._receive()
        if not data:
            self._cut("the upstream hung up")
        self._received = self._received[self._position :] + data
        self._position = 0

    def _receive(self) -> bytes:
        # Always a whole TLS record, so that nothing can lie between the socket and us unseen.
        try:
            data: bytes = self._socket.recv(PIECE)
        except TimeoutError as error:
            raise GatewayError(UPSTREAM_READ_TIMEOUT, "the upstream is silent") from error
        except OSError as error:
            self._cut(f"the connection broke: {error}", error)
        self._answering = self._answering or bool(data)
        return data

    def _cut(self, detail: str, cause: OSError | None = None) -> NoReturn:
        if self._answering:
            raise GatewayError(UPSTREAM_ANSWER_INVALID, f"{detail} in the middle of its answer") from cause
        raise NothingReceived(UPSTREAM_UNREACHABLE, f"{detail} without an answer") from cause


def counted(connection: Connection, left: int) -> Iterator[bytes]:
    """Read a body of known length (RFC 9112 6.3 (6)); raises `upstream_answer_invalid` when it ends early."""
    while left:
        piece = connection.read_some(left)
        if not piece:
            refuse_answer("the answer is shorter than its length")
        left -= len(piece)
        yield piece


def chunked(connection: Connection) -> Iterator[bytes]:
    """Read a chunked body (RFC 9112 7.1), ignoring extensions and dropping trailers; raises as `counted` does."""
    while size := _chunk_size(connection):
        yield from counted(connection, size)
        if connection.read_line():
            refuse_answer("a chunk is longer than its size")
    for _ in range(MAX_TRAILERS):
        if not connection.read_line():
            return
    refuse_answer("the trailer section is too long")


def until_closed(connection: Connection) -> Iterator[bytes]:
    """Read a body that ends with the connection (RFC 9112 6.3 (8)), which therefore carries no other answer."""
    connection.reusable = False
    while piece := connection.read_some(PIECE):
        yield piece


def _chunk_size(connection: Connection) -> int:
    size = CHUNK_SIZE.fullmatch(connection.read_line()) or refuse_answer("a chunk size is malformed")
    return int(size[1], 16)


def refuse_answer(detail: str) -> NoReturn:
    """Raise `upstream_answer_invalid`."""
    raise GatewayError(UPSTREAM_ANSWER_INVALID, detail)
