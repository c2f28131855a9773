"""How large a request may be that goes on: its fields all together, and its body."""

from __future__ import annotations

from typing import Any, NoReturn

from werkzeug.wsgi import LimitedStream

from gateway.errors import REQUEST_BODY_TOO_LARGE, REQUEST_FIELDS_TOO_LARGE, GatewayError
from gateway.headers import Headers
from gateway.request_context import Environ

_AROUND_A_FIELD = 4
"""The octets of colon, space and line end."""


def weight_of(headers: Headers) -> int:
    """Tell how many octets fields are."""
    return sum([len(name) + len(value) + _AROUND_A_FIELD for name, value in headers])


def check_fields(weight: int, limit: int) -> None:
    """Check what all fields weigh that go on, ours included; raises `request_fields_too_large` (RFC 6585 5)."""
    if weight > limit:
        raise GatewayError(REQUEST_FIELDS_TOO_LARGE, f"{weight} octets of fields, and {limit} may be")


def check_length(environ: Environ, limit: int) -> None:
    """Check the length that is announced, if one is; raises `request_body_too_large` (RFC 9110 15.5.14)."""
    length = str(environ.get("CONTENT_LENGTH") or "0")
    if not length.isascii() or not length.isdigit() or len(length) > 18 or int(length) > limit:
        raise GatewayError(REQUEST_BODY_TOO_LARGE, f"a body of {length[:20]} octets, and {limit} may be")


def limited_body(environ: Environ, limit: int) -> LimitedStream:
    """Return the body as a stream that ends with `request_body_too_large` where it is longer than `limit` octets.

    Raises the same where the length that is announced says so, or is none.
    """
    check_length(environ, limit)
    return _LimitedBody(environ["wsgi.input"], limit + 1, is_max=True)  # One more, or its end could not be read.


class _LimitedBody(LimitedStream):
    @property
    def reader(self) -> Any:
        """The server's own, by which `client_socket` sees what has been read ahead."""
        return getattr(self._stream, "reader", None)

    def readinto(self, buffer: bytearray, /) -> int | None:  # type: ignore[override]
        size = super().readinto(buffer)
        if self.is_exhausted:  # Before any of it is handed on: whoever reads once would take it for the whole.
            self.on_exhausted()
        return size

    def on_exhausted(self) -> NoReturn:
        raise GatewayError(REQUEST_BODY_TOO_LARGE, "a body without length, and longer than may be")
