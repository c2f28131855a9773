"""What a connection remembers of its last requests: the same octets, once more, mean the same."""

from __future__ import annotations

from collections import deque
from typing import Any

MAX_OCTETS = 4096
MAX_KEPT = 4
"""Of a page that polls, or of a client of an API, the next request is one of the last few, octet by octet."""


class Recollection:
    """A request without a body as it was read, and what the server has `made` of it."""

    __slots__ = ("environ", "made", "method")

    def __init__(self, environ: dict[str, Any], method: str) -> None:
        self.environ = environ
        self.method = method
        self.made: Any = None


class Recollections:
    """The last requests of one connection, by their octets; never those of another."""

    __slots__ = ("_kept", "_seen")

    def __init__(self) -> None:
        self._kept: dict[bytes, Recollection] = {}
        self._seen: deque[bytes] = deque(maxlen=MAX_KEPT)

    def find(self, octets: bytes) -> Recollection | None:
        """Return what is known of a request, if it is."""
        return self._kept.get(octets)

    def keep(self, octets: bytes, environ: dict[str, Any], method: str) -> Recollection | None:
        """Keep a request that has come for the second time; most never do."""
        if len(octets) > MAX_OCTETS:
            return None
        if octets not in self._seen:
            self._seen.append(octets)
            return None
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        made = self._kept[octets] = Recollection(environ, method)
        return made
