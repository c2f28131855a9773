"""A request that comes in: its head as an environ, and its body on the way to whoever takes it."""

from __future__ import annotations

from typing import Any, Protocol

from gateway.request_notes import NO_NOTES

MAX_BODY_WAITING = 256 * 1024
"""Octets of a body that wait for whoever takes it; then nothing more is read."""

_SMALL = 1024


def keep_piece(pieces: list[bytes], data: bytes) -> None:
    """Add to the pieces of a body that wait; small ones are put together, as each costs what some twenty octets do."""
    if pieces and len(pieces[-1]) + len(data) <= _SMALL:
        pieces[-1] += data
    else:
        pieces.append(data)


class Job(Protocol):
    """What answers a request: it is given the body, and told what becomes of the client."""

    def body_received(self, data: bytes) -> None:
        """Take a piece of the body."""

    def body_ended(self) -> None:
        """Take note that the body is complete."""

    def body_failed(self) -> None:
        """Take note that the rest of the body will not come: it is malformed, or late."""

    def client_lost(self) -> None:
        """Take note that the client is gone; nothing can be sent any more."""

    def client_paused(self) -> None:
        """Take note that the client takes nothing more for now."""

    def client_resumed(self) -> None:
        """Take note that it does again."""


class Made:
    """Where the server keeps what it has made of what a connection remembers."""

    __slots__ = ("made",)

    def __init__(self) -> None:
        self.made: Any = None


class Incoming:
    """A request whose head has been read; its body waits here until there is a job that takes it.

    Nobody writes to `environ`, which may be that of the same request before. `fields` and `recollection` are there if
    the connection remembers what was made of the fields, or of all of the request.
    """

    __slots__ = (
        "buffered", "chunked", "complete", "environ", "expects_continue", "failed", "fields", "http_1_0",
        "job", "keep_alive", "method", "notes", "pieces", "recollection", "upgrade",
    )  # fmt: skip

    def __init__(
        self,
        environ: dict[str, Any],
        method: str,
        *,
        keep_alive: bool,
        upgrade: bool,
        fields: Made | None = None,
        recollection: Made | None = None,
    ) -> None:
        self.environ = environ
        self.method = method
        self.keep_alive = keep_alive
        self.upgrade = upgrade
        self.fields = fields
        self.recollection = recollection
        self.http_1_0 = environ["SERVER_PROTOCOL"] == "HTTP/1.0"
        self.chunked = "HTTP_TRANSFER_ENCODING" in environ
        self.expects_continue = not self.http_1_0 and environ.get("HTTP_EXPECT", "").lower() == "100-continue"
        self.complete = False
        self.failed = False
        self.job: Job | None = None
        self.pieces: list[bytes] = []
        self.buffered = 0
        self.notes = NO_NOTES

    def attach(self, job: Job) -> None:
        """Have a job take the body, from what has come of it already."""
        self.job = job
        pieces, self.pieces, self.buffered = self.pieces, [], 0
        for piece in pieces:
            job.body_received(piece)
        if self.failed:
            job.body_failed()
        elif self.complete:
            job.body_ended()

    def body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if self.job is not None:
            self.job.body_received(data)
        else:
            self.keep(data)

    def keep(self, data: bytes) -> None:
        """Have a piece of the body wait here."""
        keep_piece(self.pieces, data)
        self.buffered += len(data)

    def end(self) -> None:
        """Take note that the body is complete."""
        self.complete = True
        if self.job is not None:
            self.job.body_ended()

    def fail(self) -> None:
        """Take note that the rest of the body will not come."""
        self.failed = True
        if self.job is not None:
            self.job.body_failed()

    def lose_client(self) -> None:
        """Take note that the client is gone."""
        if self.job is not None:
            self.job.client_lost()

    @property
    def can_come_again(self) -> bool:
        """Whether the same head would be that of the same request, with a body that is as long."""
        plain = not (self.chunked or self.expects_continue or "HTTP_UPGRADE" in self.environ)
        return self.complete and self.keep_alive and plain

    @property
    def length(self) -> int:
        """How many octets the body has by what its head says, if it says so."""
        return int(self.environ.get("CONTENT_LENGTH") or 0)


class Refused(Exception):
    """What a client sends is no request: `status` and `text` say why, and the connection ends."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status = status
        self.text = text
