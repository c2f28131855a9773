"""A chunked body, read piece by piece as it comes (RFC 9112 7.1)."""

from __future__ import annotations

import enum

from gateway.upstream_pool import CHUNK_SIZE, MAX_LINE, MAX_TRAILERS, refuse_answer


class _Next(enum.Enum):
    SIZE = "size"
    END_OF_CHUNK = "end of chunk"
    TRAILER = "trailer"


class ChunkDecoder:
    """Takes the chunks away, ignoring extensions and dropping trailers; `done` once the last has been read."""

    def __init__(self) -> None:
        self.done = False
        self._left = 0
        self._line = b""
        self._next = _Next.SIZE
        self._trailers = 0

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return the pieces of the body in `data`, and what lies behind it; raises `upstream_answer_invalid`."""
        pieces: list[bytes] = []
        position = 0
        while position < len(data) and not self.done:
            if self._left:
                piece = data[position : position + self._left]
                self._left -= len(piece)
                position += len(piece)
                pieces.append(piece)
                continue
            end = data.find(b"\n", position) + 1
            self._line += data[position : end or len(data)]
            if len(self._line) > MAX_LINE:
                refuse_answer("a line is too long")
            position = end or len(data)
            if end:
                self._read_line()
        return pieces, data[position:]

    def _read_line(self) -> None:
        line, self._line = self._line, b""
        if not line.endswith(b"\r\n"):
            refuse_answer("a line among the chunks ends without CR")
        if self._next is _Next.SIZE:
            size = CHUNK_SIZE.fullmatch(line[:-2]) or refuse_answer("a chunk size is malformed")
            self._left = int(size[1], 16)
            self._next = _Next.END_OF_CHUNK if self._left else _Next.TRAILER
        elif self._next is _Next.END_OF_CHUNK:
            if line != b"\r\n":
                refuse_answer("a chunk is longer than its size")
            self._next = _Next.SIZE
        else:
            self._trailers += 1
            self.done = line == b"\r\n"
            if self._trailers > MAX_TRAILERS:
                refuse_answer("the trailer section is too long")
