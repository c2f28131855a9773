"""The answer of an upstream: read without leniency, and what of it goes on."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.remembered import remembered
from gateway.upstream_body import LENGTH, Field
from gateway.upstream_pool import Connection, chunked, counted, refuse_answer, until_closed

MAX_INTERIM_ANSWERS = 100

# RFC 9110 7.6.1, whether `Connection` names them or not.
HOP_BY_HOP = frozenset(
    ("connection", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
     "te", "trailer", "transfer-encoding", "upgrade")
)  # fmt: skip
_SERVER_ADDS = frozenset({"date", "server"})
_NOT_PASSED = HOP_BY_HOP | _SERVER_ADDS | {"content-length"}

_Lowered = tuple[str, Field]
"""A field, and before it its name in lower case."""

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
    """The head of a final answer, or of a 101; `length` is that of a counted body.

    `passed` are the fields that go on to the client.
    """

    status: int
    reason: str
    fields: tuple[Field, ...]
    passed: list[Field]
    framing: Framing
    length: int
    persistent: bool

    def has(self, name: str) -> bool:
        """Tell whether there is a field of that name, which is in lower case."""
        return any(field.lower() == name for field, _ in self.fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer whose head has been read; `body` reads on."""

    head: Head
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
            return Answer(head=head, body=_body(connection, head))
    return refuse_answer("interim answers without end")


def check_head(lines: Sequence[bytes], method: str, *, upgrade: bool = False) -> Head | None:
    """Check the lines of a head without their ends; None for an interim answer, which another follows.

    Raises `upstream_answer_invalid`, also for a 101 where no upgrade was asked for.
    """
    status, reason, http_1_0 = _read_status_line(lines[0])
    lowered = list(map(_read_field, lines[1:]))
    if status == 101 and not upgrade:
        refuse_answer("the upstream switched protocols unasked")
    if 100 <= status < 200 and status != 101:
        return None
    listed = _listed(lowered)
    framing, length = (Framing.NONE, 0) if status == 101 else _framing(listed, method, status, http_1_0=http_1_0)
    return Head(
        status=status,
        reason=reason,
        fields=tuple([field for _, field in lowered]),
        passed=_passed(lowered, listed, status),
        framing=framing,
        length=length,
        persistent=not http_1_0 and framing is not Framing.UNTIL_CLOSED and "close" not in listed["connection"],
    )


@remembered(longest=64)
def _read_status_line(line: bytes) -> tuple[int, str, bool]:
    read = _STATUS_LINE.fullmatch(line) or refuse_answer("the status line is malformed")
    return int(read[2]), (read[3] or b"").decode("latin-1"), read[1] == b"0"


def _is_secret(line: bytes) -> bool:
    # What an app has a browser keep is nothing for us to keep.
    return line[:10].lower() == b"set-cookie"


@remembered(longest=128, unless=_is_secret)
def _read_field(line: bytes) -> _Lowered:
    # A folded line (RFC 9112 5.2) begins with a space, which no name does.
    name, colon, value = line.partition(b":")
    name = name.rstrip(b" \t")  # RFC 9112 5.1
    if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        refuse_answer("a header line is malformed")
    text = name.decode("ascii")
    return text.lower(), (text, value.strip(b" \t").decode("latin-1"))


def _listed(lowered: Iterable[_Lowered]) -> dict[str, list[str]]:
    listed: dict[str, list[str]] = {"transfer-encoding": [], "content-length": [], "connection": []}
    for name, (_, value) in lowered:
        if name in listed:
            listed[name] += _members(value)
    return listed


@remembered(longest=64)
def _members(value: str) -> list[str]:
    # RFC 9110 5.6.1; members in lower case.
    return [member.strip().lower() for member in value.split(",") if member.strip()]


def _framing(listed: Mapping[str, list[str]], method: str, status: int, *, http_1_0: bool) -> tuple[Framing, int]:
    # RFC 9112 6.3, in its order; what is malformed is refused even where it would not count.
    codings, lengths = listed["transfer-encoding"], listed["content-length"]
    if codings and (lengths or http_1_0 or codings != ["chunked"]):
        refuse_answer("the transfer coding is unknown, or beside a length")
    if lengths and (not LENGTH.fullmatch(lengths[0]) or any(length != lengths[0] for length in lengths[1:])):
        refuse_answer("the length is malformed, or there are two")
    if method == "HEAD" or status in (204, 304):
        return Framing.NONE, 0
    if codings:
        return Framing.CHUNKED, 0
    return (Framing.COUNTED, int(lengths[0])) if lengths else (Framing.UNTIL_CLOSED, 0)


def _passed(lowered: Iterable[_Lowered], listed: Mapping[str, list[str]], status: int) -> list[Field]:
    # A length repeated alike is sent once, and a 204 has none (RFC 9110 8.6).
    named, lengths = listed["connection"], listed["content-length"]
    kept = [field for name, field in lowered if name not in _NOT_PASSED and name not in named]
    return kept if status == 204 or not lengths else [*kept, ("Content-Length", lengths[0])]


def _body(connection: Connection, head: Head) -> Iterator[bytes]:
    if head.framing is Framing.NONE:
        return iter(())
    if head.framing is Framing.CHUNKED:
        return chunked(connection)
    return counted(connection, head.length) if head.framing is Framing.COUNTED else until_closed(connection)
