"""Requests as they come in: read by llhttp, held to what that lets pass, and put into environs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httptools

from gateway.lane.incoming import Incoming, Refused
from gateway.lane.recollection import Recollections, members_of
from gateway.remembered import remembered
from gateway.upstream_body import LENGTH

MAX_FIELDS = 100
MAX_FIELD = 16380
MAX_TARGET = 8190
MAX_HEAD = 65536


class RequestReader:
    """Reads the requests of one connection; `begun` is given each as soon as its head is read.

    `base` are the members that all environs of the connection have; `body_pieces` counts what was read of bodies.
    """

    def __init__(self, base: Mapping[str, Any], begun: Callable[[Incoming], None]) -> None:
        self._base = base
        self._begun = begun
        self._parser: Any = httptools.HttpRequestParser(self)
        self._environ: dict[str, Any] = {}
        self._target = b""
        self._fields = 0
        self._octets = 0
        self._pending = 0
        self._has_moved = False
        self._refused: Refused | None = None
        self._made: Incoming | None = None
        self._last: Incoming | None = None
        self._requests = 0
        self._resumed: Incoming | None = None
        self._recollections = Recollections()
        self.reading: Incoming | None = None
        self.in_head = False
        self.body_pieces = 0

    def feed(self, data: bytes) -> bytes:
        """Read on; returns what lies behind a request that asks for an upgrade, after which nothing more is read.

        Raises `Refused`.
        """
        between = not self.in_head and self.reading is None and (self._last is None or self._last.keep_alive)
        known = self._recollections.recall(data) if between else None
        if known is not None:
            self._pending = 0
            self._begun(known)
            return b""
        self._requests = 0
        self._has_moved = False
        try:
            rest = self._fed(data)
        except httptools.HttpParserError as error:
            raise self._refused or Refused(400, f"malformed: {type(error).__name__}") from error
        if self._refused is not None:
            raise self._refused
        # Without an end in sight: of a head, of the extension of a chunk, or of a trailer.
        self._pending = 0 if self._has_moved else self._pending + len(data)
        if self._pending > MAX_HEAD:
            raise Refused(431, "a head, or what is between or behind the pieces of a body, is too large")
        if between and self._requests == 1 and not self.in_head and self._last is not None:
            self._recollections.keep(data, self._last)
        return rest

    def _fed(self, data: bytes) -> bytes:
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                rest, made = data[upgrade.args[0] :], self._made
                if self._refused is not None or made is None:  # No request came of this head, least of all the last.
                    raise self._refused or Refused(400, "an upgrade without a request") from upgrade
                if not (made.chunked or made.environ.get("CONTENT_LENGTH", "0").strip("0")):
                    return rest
                data = self._resume(made) + rest
            else:
                return b""

    def _resume(self, made: Incoming) -> bytes:
        """Have the body read of a request that asks for an upgrade: with one, it is like others (RFC 6455 4.2.1).

        llhttp reads none behind such a head, so another parser is given a head that says the same of the body.
        """
        made.complete = made.upgrade = False
        self._resumed, self._parser = made, httptools.HttpRequestParser(self)
        length = made.environ.get("CONTENT_LENGTH")
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        return f"POST / HTTP/1.1\r\n{framing}\r\n\r\n".encode("ascii")

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.in_head = self._has_moved = True
        self._environ = dict(self._base)
        self._made = None
        self._target = b""
        self._fields = self._octets = 0

    def on_url(self, url: bytes) -> None:
        """Take the target."""
        self._target += url
        if len(self._target) > MAX_TARGET:
            self._refuse(414, "the target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field; what comes behind the body is no field of the request (RFC 9110 6.5)."""
        self._fields += 1
        octets = len(name) + len(value)
        self._octets += octets
        if self._fields > MAX_FIELDS or octets > MAX_FIELD or self._octets > MAX_HEAD:
            self._refuse(431, "too many fields, or some that are too large")
        elif self.in_head and (key := _key(name)):
            text = value.strip(b" \t").decode("latin-1")
            if key in self._environ:
                self._add(key, text)
            else:
                self._environ[key] = text

    def on_headers_complete(self) -> None:
        """Make the request of its head."""
        parser, environ = self._parser, self._environ
        self.in_head = False
        self._has_moved = True
        self._fields = self._octets = 0
        if self._resumed is not None:
            self.reading, self._resumed = self._resumed, None
            return
        version = parser.get_http_version()
        if version not in ("1.0", "1.1"):
            self._refuse(505, "not HTTP/1.0 or HTTP/1.1")
        coding = environ.get("HTTP_TRANSFER_ENCODING")
        if coding is not None and (coding.lower() != "chunked" or version == "1.0" or "CONTENT_LENGTH" in environ):
            self._refuse(400, "a transfer coding that is not served")
        if not LENGTH.fullmatch(environ.get("CONTENT_LENGTH", "0")):
            self._refuse(400, "a length that is none")
        if environ.get("HTTP_EXPECT", "100-continue").lower() != "100-continue":
            self._refuse(417, "an expectation that is not met")
        if self._refused is not None:
            return
        method = parser.get_method().decode("ascii")
        environ.update(members_of(method, self._target.decode("latin-1")))
        environ["SERVER_PROTOCOL"] = f"HTTP/{version}"
        self.reading = Incoming(
            environ, method, keep_alive=parser.should_keep_alive(), upgrade=parser.should_upgrade() or False
        )
        self._last = self._made = self.reading
        self._requests += 1
        self._begun(self.reading)

    def on_body(self, data: bytes) -> None:
        """Hand on a piece of the body."""
        self._has_moved = True
        self.body_pieces += 1
        if self.reading is not None:
            self.reading.body(data)

    def on_message_complete(self) -> None:
        """Tell that the request is complete."""
        self._has_moved = True
        reading, self.reading = self.reading, None
        if reading is None:
            return
        if self._refused is None:
            reading.end()
        else:  # Of its trailers: the body is none that was meant to be so.
            reading.keep_alive = False
            reading.fail()

    def _add(self, key: str, value: str) -> None:
        if key.startswith("CONTENT_"):
            self._refuse(400, f"{key} twice")
        else:
            self._environ[key] = f"{self._environ[key]},{value}"

    def _refuse(self, status: int, text: str) -> None:
        self._refused = self._refused or Refused(status, text)


@remembered(longest=64)
def _key(name: bytes) -> str:
    # `_` and `-` would be the same there, so that one could be sent in the place of the other.
    key = "" if b"_" in name else name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("", "CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
