"""The answer of an upstream: read without leniency, and what of it goes on."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.upstream_body import LENGTH, Field
from gateway.upstream_pool import Connection, chunked, counted, refuse_answer, until_closed

MAX_INTERIM_ANSWERS = 100

# RFC 9110 7.6.1, whether `Connection` names them or not.
HOP_BY_HOP = frozenset(
    ("connection", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
     "te", "trailer", "transfer-encoding", "upgrade")
)  # fmt: skip
_SERVER_ADDS = frozenset({"date", "server"})

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t -~\x80-\xff]*))?")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t -~\x80-\xff]*")


class Framing(enum.Enum):
    """How the body of an answer is told from what follows it (RFC 9112 6.3)."""

    NONE = "none"
    COUNTED = "counted"
    CHUNKED = "chunked"
    UNTIL_CLOSED = "until_closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The head of a final answer, or of a 101; `length` is that of a counted body."""

    status: int
    reason: str
    fields: tuple[Field, ...]
    framing: Framing
    length: int
    persistent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer whose head has been read; `body` reads on."""

    status: int
    reason: str
    fields: tuple[Field, ...]
    body: Iterator[bytes]


def read_answer(connection: Connection, method: str, *, upgrade: bool = False) -> Answer:
    """Read an answer up to its body; a 101 is one only where an upgrade was asked for.

    Raises `upstream_answer_invalid`, `upstream_read_timeout` and `NothingReceived`.
    """
    # 1xx are skipped: WSGI has no place for them (RFC 9110 15.2).
    for _ in range(MAX_INTERIM_ANSWERS):
        head = check_head(connection.read_head(), method, upgrade=upgrade)
        if head is not None:
            connection.reusable = connection.reusable and head.persistent
            return Answer(status=head.status, reason=head.reason, fields=head.fields, body=_body(connection, head))
    return refuse_answer("interim answers without end")


def check_head(lines: Sequence[bytes], method: str, *, upgrade: bool = False) -> Head | None:
    """Check the lines of a head without their ends; None for an interim answer, which another follows.

    Raises `upstream_answer_invalid`, also for a 101 where no upgrade was asked for.
    """
    status_line = _STATUS_LINE.fullmatch(lines[0]) or refuse_answer("the status line is malformed")
    status, reason = int(status_line[2]), (status_line[3] or b"").decode("latin-1")
    fields = tuple(map(_field, lines[1:]))
    if status == 101 and not upgrade:
        refuse_answer("the upstream switched protocols unasked")
    if 100 <= status < 200 and status != 101:
        return None
    http_1_0 = status_line[1] == b"0"
    framing, length = (Framing.NONE, 0) if status == 101 else _framing(fields, method, status, http_1_0=http_1_0)
    persistent = not http_1_0 and framing is not Framing.UNTIL_CLOSED and "close" not in _list(fields, "connection")
    return Head(status=status, reason=reason, fields=fields, framing=framing, length=length, persistent=persistent)


def _field(line: bytes) -> Field:
    # A folded line (RFC 9112 5.2) begins with a space, which no name does.
    name, colon, value = line.partition(b":")
    name = name.rstrip(b" \t")  # RFC 9112 5.1
    if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        refuse_answer("a header line is malformed")
    return name.decode("ascii"), value.strip(b" \t").decode("latin-1")


def _framing(fields: Iterable[Field], method: str, status: int, *, http_1_0: bool) -> tuple[Framing, int]:
    # RFC 9112 6.3, in its order; what is malformed is refused even where it would not count.
    codings, lengths = _list(fields, "transfer-encoding"), set(_list(fields, "content-length"))
    if codings and (lengths or http_1_0 or codings != ["chunked"]):
        refuse_answer("the transfer coding is unknown, or beside a length")
    if len(lengths) > 1 or not all(LENGTH.fullmatch(length) for length in lengths):
        refuse_answer("the length is malformed, or there are two")
    if method == "HEAD" or status in (204, 304):
        return Framing.NONE, 0
    if codings:
        return Framing.CHUNKED, 0
    return (Framing.COUNTED, int(lengths.pop())) if lengths else (Framing.UNTIL_CLOSED, 0)


def _body(connection: Connection, head: Head) -> Iterator[bytes]:
    if head.framing is Framing.NONE:
        return iter(())
    if head.framing is Framing.CHUNKED:
        return chunked(connection)
    return counted(connection, head.length) if head.framing is Framing.COUNTED else until_closed(connection)


def end_to_end(answer: Answer | Head) -> list[Field]:
    """List the fields of an answer that go on to the client."""
    # A length repeated alike is sent once, and a 204 has none (RFC 9110 8.6).
    dropped = {*HOP_BY_HOP, *_SERVER_ADDS, *_list(answer.fields, "connection"), "content-length"}
    kept = [field for field in answer.fields if field[0].lower() not in dropped]
    length = _list(answer.fields, "content-length")[:1]
    return kept if answer.status == 204 or not length else [*kept, ("Content-Length", length[0])]


def _list(fields: Iterable[Field], name: str) -> list[str]:
    # RFC 9110 5.6.1; members in lower case.
    lines = [value for field, value in fields if field.lower() == name]
    return [member.strip().lower() for line in lines for member in line.split(",") if member.strip()]
