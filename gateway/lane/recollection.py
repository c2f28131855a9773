"""What a connection remembers of its last requests: the same octets, once more, mean the same."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from gateway.lane.incoming import Incoming, Made

MAX_OCTETS = 4096
MAX_KEPT = 4
"""Of a page that polls, or of a client of an API, the next request has the fields of one of the last few."""

# Where all servers agree what it says; any other is read by llhttp, whatever is remembered.
_LINE = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE) (/[A-Za-z0-9\-._~!$&'()*+,;=:@/?%]{0,4000}) HTTP/1\.1\r\n")


V = TypeVar("V")


class LastFew(Generic[V]):
    """What was kept by its octets, from the second time on that they came: most never do."""

    __slots__ = ("_seen", "kept")

    def __init__(self) -> None:
        self.kept: dict[bytes, V] = {}
        self._seen: deque[bytes] = deque(maxlen=MAX_KEPT)

    def keep(self, octets: bytes, make: Callable[[], V]) -> V | None:
        """Make and keep it, unless the octets have come for the first time."""
        if octets not in self._seen:
            self._seen.append(octets)
            return None
        if len(self.kept) >= MAX_KEPT:
            self.kept.clear()
        made = self.kept[octets] = make()
        return made


class Recollection(Made):
    """A request as it was read."""

    __slots__ = ("environ", "method")

    def __init__(self, environ: dict[str, Any], method: str) -> None:
        super().__init__()
        self.environ = environ
        self.method = method


class Fields(Made):
    """The fields of a request, and the last request lines that came with them."""

    __slots__ = ("_environ", "_length", "_lines")

    def __init__(self, environ: dict[str, Any], length: int) -> None:
        super().__init__()
        self._environ = environ
        self._length = length
        self._lines: LastFew[Recollection] = LastFew()

    def recall(self, line: bytes, body: bytes) -> Incoming | None:
        """Make the request of a request line, these fields and all of its body.

        None for a line that is not as simple as most are, and where more or less than the body is there.
        """
        if len(body) != self._length:
            return None
        made = self._head(line)
        if made is not None and body:
            made.keep(body)
        return made

    def _head(self, line: bytes) -> Incoming | None:
        known = self._lines.kept.get(line)
        if known is not None:
            return self._whole(known.environ, known.method, known)
        read = _LINE.fullmatch(line)
        if read is None:
            return None
        method, target = read[1].decode("ascii"), read[2].decode("ascii")
        environ = {**self._environ, **members_of(method, target)}
        return self._whole(environ, method, self._lines.keep(line, partial(Recollection, environ, method)))

    def _whole(self, environ: dict[str, Any], method: str, recollection: Recollection | None) -> Incoming:
        made = Incoming(environ, method, keep_alive=True, upgrade=False, fields=self, recollection=recollection)
        made.complete = True
        return made


class Recollections:
    """The last fields of one connection, by their octets; never those of another."""

    __slots__ = ("_fields",)

    def __init__(self) -> None:
        self._fields: LastFew[Fields] = LastFew()

    def recall(self, octets: bytes) -> Incoming | None:
        """Make the request that octets are, which begin where a request begins; None where the fields are not known."""
        if not self._fields.kept:
            return None
        line, rest, body = _parts(octets)
        fields = self._fields.kept.get(rest)
        return None if fields is None else fields.recall(line, body)

    def keep(self, octets: bytes, incoming: Incoming) -> None:
        """Keep the fields of a request, which is all that the octets are, if they have come for the second time."""
        line, rest, body = _parts(octets)
        # Behind a line that is as it should be, nothing but fields and body is left: what they mean is theirs alone.
        whole = incoming.can_come_again and len(body) == incoming.buffered == incoming.length
        if whole and len(rest) <= MAX_OCTETS and _LINE.fullmatch(line):
            incoming.fields = self._fields.keep(rest, partial(Fields, incoming.environ, len(body)))


def _parts(octets: bytes) -> tuple[bytes, bytes, bytes]:
    line, head = octets.find(b"\n") + 1, octets.find(b"\r\n\r\n") + 4
    return octets[:line], octets[line:head], octets[head:]


def members_of(method: str, target: str) -> dict[str, str]:
    """Make the members of an environ that a request line is read into (PEP 3333)."""
    path, _, query = target.partition("?")
    return {
        "REQUEST_METHOD": method,
        "RAW_URI": target,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1") if "%" in path else path,
        "QUERY_STRING": query,
    }
