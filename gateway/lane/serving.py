"""What a client's connection asks of the server that it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol

from gateway.lane.incoming import Incoming, Refused


class Serving(Protocol):
    """What a connection asks of the server that it belongs to.

    `now` is its clock, in seconds, to about one; `date` is what `Date` says.
    """

    now: float
    date: str
    keep_alive_seconds: float
    closing: bool
    loop: asyncio.AbstractEventLoop

    def begin(self, client: Any, incoming: Incoming) -> None:
        """Have a request answered."""

    def unanswered(self, incoming: Incoming, answer: Any) -> None:
        """Take note of a request whose client is gone, with what of its answer had gone out, if any."""

    def answered(self, client: Any, incoming: Incoming, status: int, sent: int) -> None:
        """Take note of an answer that is complete."""


@lru_cache(maxsize=256)
def status_line(status: int, reason: str) -> str:
    """Write the first line of an answer; the reason is the usual one where none is given."""
    try:
        return f"HTTP/1.1 {status} {reason or HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP/1.1 {status} "


def answer_head(status: int, reason: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """Write the head of an answer."""
    lines = [status_line(status, reason), *[f"{name}: {value}" for name, value in fields], "", ""]
    return "\r\n".join(lines).encode("latin-1")


def refusal(refused: Refused, date: str) -> bytes:
    """Write the last answer of a connection, on which something came that is no request."""
    body = f"{refused.text}\n".encode("latin-1")
    fields = [
        ("Content-Type", "text/plain"),
        ("Content-Length", str(len(body))),
        ("Date", date),
        ("Connection", "close"),
    ]
    return answer_head(refused.status, "", fields) + body
