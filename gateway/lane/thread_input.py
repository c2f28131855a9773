"""The body of a request as a file, for whoever reads it in a thread (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable

from gateway.lane.incoming import MAX_BODY_WAITING


class ThreadInput:
    """Reads what `take` gives, which waits for more of the body and gives nothing at its end.

    What was taken stays here until it is read, so that reading it in small parts copies each octet once.
    """

    def __init__(self, take: Callable[[], bytes]) -> None:
        self._take = take
        self._kept = b""
        self._at = 0

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` octets, fewer only at the end, or all of them."""
        parts, left = [], -1 if size is None or size < 0 else size
        while left:
            part = self._part(left)
            if not part:
                break
            parts.append(part)
            left = left - len(part) if left > 0 else left
        return b"".join(parts)

    def readinto(self, buffer: bytearray) -> int:
        """Read into a buffer what there is."""
        part = self._part(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def readline(self, size: int | None = -1) -> bytes:
        """Read up to the end of a line."""
        left = MAX_BODY_WAITING if size is None or size < 0 else size
        start, end = self._at, self._kept.find(b"\n", self._at, self._at + left) + 1
        if end:  # As it is for most, and there may be as many lines as octets.
            self._at = end
            return self._kept[start:end]
        parts = []
        while left and self._has_more():
            end = self._kept.find(b"\n", self._at, self._at + left) + 1
            part = self._part(end - self._at if end else left)
            parts.append(part)
            left = 0 if end else left - len(part)
        return b"".join(parts)

    def readlines(self, hint: int = -1) -> list[bytes]:
        """Read all lines."""
        return list(self) if hint else []

    def __iter__(self) -> ThreadInput:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def _has_more(self) -> bool:
        if self._at == len(self._kept):
            self._kept, self._at = self._take(), 0
        return bool(self._kept)

    def _part(self, size: int) -> bytes:
        """Give up to `size` octets of what is here, or all of that if `size` is negative."""
        if not size or not self._has_more():
            return b""
        end = len(self._kept) if size < 0 else min(self._at + size, len(self._kept))
        part, self._at = self._kept[self._at : end], end
        return part
