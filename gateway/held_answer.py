"""An inner app's answer, held back until its status has been looked at (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

from gateway.errors import INTERNAL, GatewayError
from gateway.headers import Headers


class HeldAnswer:
    """Stands for the server's `start_response`, and passes it on when released or when the app writes at once."""

    def __init__(self, start_response: StartResponse) -> None:
        self._start_response = start_response
        self._write: Callable[[bytes], object] | None = None
        self._status: str | None = None
        self._exc_info: Any = None
        self.headers: Headers = []

    @property
    def status(self) -> int:
        """The status code that the app has named, 0 while it has named none."""
        code = (self._status or "")[:3]
        return int(code) if code.isascii() and code.isdigit() else 0

    @property
    def released(self) -> bool:
        """Whether the answer is on its way to the client."""
        return self._write is not None

    def call(self, app: WSGIApplication, environ: dict[str, Any]) -> Iterable[bytes]:
        """Call the app and return its body; an app that starts its answer only as it is read is read that far.

        Raises `internal_error` for an app that begins its body without having started its answer.
        """
        body = app(environ, self._start)
        begun = _Begun(body) if self._status is None else body
        if self._status is None:
            close_body(begun)
            raise GatewayError(INTERNAL, "the app began its body before its answer")
        return begun

    def release(self) -> None:
        """Let the status and the fields go out."""
        if self._write is None and self._status is not None:
            self._write = self._start_response(self._status, self.headers, self._exc_info)

    def _start(self, status: str, headers: Headers, exc_info: Any = None, /) -> Callable[[bytes], object]:
        if self._write is not None:  # The server knows whether it is too late for another answer.
            self._write = self._start_response(status, headers, exc_info)
        self._status, self.headers, self._exc_info = status, headers, exc_info
        return self._write_at_once

    def _write_at_once(self, data: bytes) -> object:
        self.release()
        assert self._write is not None  # noqa: S101 - `release` has just set it.
        return self._write(data)


class _Begun:
    """A body whose first piece has been read already."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body
        try:
            pieces = iter(body)
            first = next(pieces, None)
        except BaseException:  # The server has been given nothing that it could close.
            self.close()
            raise
        self._pieces: Iterator[bytes] = pieces if first is None else chain((first,), pieces)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        """Close the app's body."""
        close_body(self._body)


def close_body(body: Iterable[bytes]) -> None:
    """Close a body that can be closed, as whoever called the app must (PEP 3333)."""
    close = getattr(body, "close", None)
    if close is not None:
        close()
