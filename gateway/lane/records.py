"""The records of TLS, by their lengths, which are not encrypted."""

from __future__ import annotations

RECORDS_AT_ONCE = 32
"""How many records are read before others have their turn: they can be of one octet each."""

MAX_EMPTY = 256
"""How many records in a row may bring nothing: tickets and new keys come now and then (RFC 8446 4.6)."""

MAX_UNASKED = 65536
"""How many octets that only TLS wants to say may wait for a peer that takes none (RFC 8446 4.6.3)."""

LAST_SECONDS = 30.0
"""How long what is unsent waits for a peer that has broken off."""

_HEADER = 5


class Records:
    """Follows the lengths of records, which are not encrypted (RFC 8446 5.1)."""

    def __init__(self) -> None:
        self._header = b""
        self._left = 0

    @property
    def is_between(self) -> bool:
        """Whether what was received ends with a record."""
        return not self._header and not self._left

    def follow(self, data: bytes | memoryview, most: int) -> tuple[int, int]:
        """Take note of what was received, to the end of so many records at most; returns how many octets and records.

        A record counts when it ends.
        """
        at = ended = 0
        while at < len(data) and ended < most:
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
            else:
                new = bytes(data[at : at + _HEADER - len(self._header)])
                self._header += new
                at += len(new)
                if len(self._header) < _HEADER:
                    break
                self._left, self._header = int.from_bytes(self._header[3:]), b""
            ended += not self._left
        return at, ended
