"""The reverse proxy as a WSGI app: one request to one origin, its target untouched, both bodies streamed."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

from gateway.errors import FORWARDING_LOOP, INTERNAL, METHOD_REFUSED, TARGET_MALFORMED, GatewayError
from gateway.tls import tls_context
from gateway.upstream_body import LENGTH, Field, request_body
from gateway.upstream_pool import (
    Connection,
    NothingReceived,
    Origin,
    Pool,
    StoppedReading,
    chunked,
    counted,
    refuse_answer,
    until_closed,
)

MAX_INTERIM_ANSWERS = 100
# RFC 9110 9.2.2; a body cannot be sent twice, so these are repeated only without one.
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})

# RFC 9110 7.6.1, whether `Connection` names them or not.
_HOP_BY_HOP = frozenset(
    ("connection", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
     "te", "trailer", "transfer-encoding", "upgrade")
)  # fmt: skip
# These are written from what they mean; an expectation is the server's to meet, which it did before it called us.
_WRITTEN_ANEW = frozenset({"content-length", "content-type", "expect", "host", "via"})
_SERVER_ADDS = frozenset({"date", "server"})

_TARGET = re.compile(r"/[!-~]*")
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LINE = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t -~\x80-\xff]*")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t -~\x80-\xff]*))?")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t -~\x80-\xff]*")


class Upstream:
    """A reverse proxy as a WSGI app: forwards the environ's RAW_URI to one origin.

    `url` is `http(s)://host[:port][/base]`, the base goes before every target; `pseudonym` names us in `Via`.
    Timeouts are in seconds, `read_timeout` for each silence of the upstream. `verify_tls` may name a CA bundle,
    `certificate` the files of our certificate and its key, which tokens may be bound to.
    The environ was sanitised before: its HTTP_* are forwarded, but for those that end at this hop.
    """

    def __init__(
        self,
        *,
        url: str,
        pseudonym: str,
        connect_timeout: float,
        read_timeout: float,
        verify_tls: bool | str = True,
        certificate: tuple[str, str] | None = None,
    ) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        origin = Origin(
            host=parts.hostname or "",
            port=parts.port or (443 if secure else 80),
            tls=tls_context(verify_tls=verify_tls, certificate=certificate) if secure else None,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
        )
        self._authority = parts.netloc
        self._base = parts.path.rstrip("/")
        self._pseudonym = pseudonym
        self._pool = Pool(origin)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Forward one request.

        Raises `upstream_unreachable`, `upstream_connect_timeout`, `upstream_read_timeout`, `upstream_answer_invalid`,
        `request_incomplete` and `forwarding_loop` before `start_response`; the response raises what cuts it short.
        """
        if environ["REQUEST_METHOD"] == "OPTIONS" and environ.get("HTTP_MAX_FORWARDS") == "0":
            start_response("204 No Content", [])  # RFC 9110 7.6.2: we are the last to receive it.
            return ()
        request = _read_request(environ, self._authority, self._base, self._pseudonym)
        connection, answer = self._exchange(request)
        response = _Response(answer.body, connection, self._pool)
        try:
            start_response(f"{answer.status} {answer.reason}", _end_to_end(answer))
        except BaseException:
            response.close()
            raise
        return response

    def check(self) -> None:
        """Connect to the upstream and hang up; raises `upstream_unreachable` and `upstream_connect_timeout`."""
        self._pool.connect().close()

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    def _exchange(self, request: _Request) -> tuple[Connection, _Answer]:
        connection = self._pool.take()
        try:
            return connection, _attempt(connection, request)
        except NothingReceived:
            # An idle connection may be closed while the request is on its way: that says nothing about the upstream.
            if not (connection.reused and request.repeatable):
                raise
        connection = self._pool.connect()
        return connection, _attempt(connection, request)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    head: bytes
    body: Iterable[bytes]
    repeatable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    reason: str
    fields: tuple[Field, ...]
    body: Iterator[bytes]


class _Response:
    """The body of a response: read to its end it gives the connection back, left earlier it hangs up."""

    def __init__(self, body: Iterator[bytes], connection: Connection, pool: Pool) -> None:
        self._body = body
        self._connection = connection
        self._pool = pool
        self._guard = threading.Lock()
        self._done = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self._body
        if self._is_first_end():
            self._pool.give_back(self._connection)

    def close(self) -> None:
        if self._is_first_end():
            self._connection.close()

    def abort(self) -> None:
        """End an answer that another thread is waiting for, and no other one that the connection may carry later."""
        with self._guard:
            if not self._done:
                self._connection.abort()

    def _is_first_end(self) -> bool:
        with self._guard:
            first, self._done = not self._done, True
        return first


def _attempt(connection: Connection, request: _Request) -> _Answer:
    try:
        try:
            connection.send(request.head)
            for piece in request.body:
                connection.send(piece)
        except StoppedReading:
            connection.reusable = False
        return _read_answer(connection, request.method)
    except BaseException:
        connection.close()
        raise


def _read_request(environ: WSGIEnvironment, authority: str, base: str, pseudonym: str) -> _Request:
    method, target = str(environ["REQUEST_METHOD"]), str(environ.get("RAW_URI", ""))
    if not _METHOD.fullmatch(method):
        raise GatewayError(METHOD_REFUSED, f"method {method[:32]!r}")
    if not _TARGET.fullmatch(target):
        raise GatewayError(TARGET_MALFORMED, "the target is not in origin form")
    framing, body = request_body(environ)
    fields = [
        ("Host", environ.get("HTTP_HOST") or authority),
        *_forwarded_fields(environ),
        ("Via", _via(environ.get("HTTP_VIA", ""), pseudonym)),
        *framing,
    ]
    lines = [f"{name}: {value}" for name, value in fields]
    for (name, _), line in zip(fields, lines, strict=True):
        if not _LINE.fullmatch(line):
            raise GatewayError(INTERNAL, f"the field {name[:64]!r} cannot be sent")
    head = "\r\n".join([f"{method} {base}{target} HTTP/1.1", *lines, "", ""]).encode("latin-1")
    return _Request(method=method, head=head, body=body, repeatable=method in _REPEATABLE and body == ())


def _forwarded_fields(environ: WSGIEnvironment) -> Iterator[Field]:
    if environ.get("CONTENT_TYPE"):
        yield "Content-Type", environ["CONTENT_TYPE"]
    for key, value in environ.items():
        name = key[5:].replace("_", "-").lower()
        if not key.startswith("HTTP_") or name in _HOP_BY_HOP or name in _WRITTEN_ANEW:
            continue
        if name == "max-forwards" and environ["REQUEST_METHOD"] == "OPTIONS" and LENGTH.fullmatch(value):
            yield "Max-Forwards", str(int(value) - 1)  # RFC 9110 7.6.2
        else:
            yield name.title(), value


def _via(received: str, pseudonym: str) -> str:
    # RFC 9110 7.6.3; our own name there means that the request has been here before (7.6).
    for hop in received.split(","):
        if pseudonym.lower() in hop.lower().split()[1:2]:
            raise GatewayError(FORWARDING_LOOP, f"Via names {pseudonym}")
    return f"{received}, 1.1 {pseudonym}" if received.strip() else f"1.1 {pseudonym}"


def _read_answer(connection: Connection, method: str) -> _Answer:
    # 1xx are skipped: WSGI has no place for them (RFC 9110 15.2).
    for _ in range(MAX_INTERIM_ANSWERS):
        first, *rest = connection.read_head()
        status_line = _STATUS_LINE.fullmatch(first) or refuse_answer("the status line is malformed")
        status, reason = int(status_line[2]), (status_line[3] or b"").decode("latin-1")
        fields = tuple(_field(line) for line in rest)
        if status == 101:
            refuse_answer("the upstream switched protocols unasked")
        if status >= 200:
            persistent = status_line[1] == b"1" and "close" not in _list(fields, "connection")
            connection.reusable = connection.reusable and persistent
            body = _answer_body(connection, fields, method, status, http_1_0=status_line[1] == b"0")
            return _Answer(status=status, reason=reason, fields=fields, body=body)
    return refuse_answer("interim answers without end")


def _field(line: bytes) -> Field:
    # A folded line (RFC 9112 5.2) begins with a space, which no name does.
    name, colon, value = line.partition(b":")
    name = name.rstrip(b" \t")  # RFC 9112 5.1
    if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        refuse_answer("a header line is malformed")
    return name.decode("ascii"), value.strip(b" \t").decode("latin-1")


def _answer_body(
    connection: Connection, fields: tuple[Field, ...], method: str, status: int, *, http_1_0: bool
) -> Iterator[bytes]:
    # RFC 9112 6.3, in its order; what is malformed is refused even where it would not count.
    codings, lengths = _list(fields, "transfer-encoding"), set(_list(fields, "content-length"))
    if codings and (lengths or http_1_0 or codings != ["chunked"]):
        refuse_answer("the transfer coding is unknown, or beside a length")
    if len(lengths) > 1 or not all(LENGTH.fullmatch(length) for length in lengths):
        refuse_answer("the length is malformed, or there are two")
    if method == "HEAD" or status in (204, 304):
        return iter(())
    if codings:
        return chunked(connection)
    return counted(connection, int(lengths.pop())) if lengths else until_closed(connection)


def _end_to_end(answer: _Answer) -> list[Field]:
    # A length repeated alike is sent once, and a 204 has none (RFC 9110 8.6).
    dropped = {*_HOP_BY_HOP, *_SERVER_ADDS, *_list(answer.fields, "connection"), "content-length"}
    kept = [field for field in answer.fields if field[0].lower() not in dropped]
    length = _list(answer.fields, "content-length")[:1]
    return kept if answer.status == 204 or not length else [*kept, ("Content-Length", length[0])]


def _list(fields: Iterable[Field], name: str) -> list[str]:
    # RFC 9110 5.6.1; members in lower case.
    lines = [value for field, value in fields if field.lower() == name]
    return [member.strip().lower() for line in lines for member in line.split(",") if member.strip()]
