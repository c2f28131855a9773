"""One question to an upstream, or to the gateway by the way that browsers take; nothing that comes is followed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace

from gateway.doctor.finding import place_of
from gateway.doctor.waiting import TooLate, within
from gateway.errors import UPSTREAM_CONNECT_TIMEOUT, UPSTREAM_READ_TIMEOUT, GatewayError
from gateway.upstream_answer import read_answer
from gateway.upstream_origin import Origin
from gateway.upstream_request import field_lines, request_line

ASK_SECONDS = 10.0
"""How long an answer may take, whatever the configuration says: somebody waits."""

MAX_BODY = 64 * 1024

_LATE = (UPSTREAM_CONNECT_TIMEOUT, UPSTREAM_READ_TIMEOUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What was answered; header names are lower case, of the body only the beginning is kept."""

    status: int
    fields: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)

    def all(self, name: str) -> list[str]:
        """List the values of the fields of one name."""
        return [value for other, value in self.fields if other == name]

    def first(self, name: str) -> str:
        """Return the first value of a field, empty where there is none."""
        return next(iter(self.all(name)), "")

    @property
    def media_type(self) -> str:
        """The media type in lower case, without parameters."""
        return self.first("content-type").partition(";")[0].strip().lower()

    @property
    def redirects(self) -> bool:
        """Whether it sends the browser elsewhere."""
        return self.status in (301, 302, 303, 307, 308) and bool(self.first("location"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question and what came of it: an answer, or in `detail` why there is none, and whether time ran out."""

    url: str
    answer: Answered | None = None
    detail: str = ""
    late: bool = False


def ask(origin: Origin, url: str, target: str, fields: Mapping[str, str], seconds: float = ASK_SECONDS) -> Question:
    """Send a GET for a target and read the answer; `url` is what it is called in what we say of it."""
    bounded = replace(
        origin,
        connect_timeout=min(origin.connect_timeout, seconds),
        read_timeout=min(origin.read_timeout, seconds),
    )
    place = place_of(url)
    try:
        answer = within(seconds, lambda: _asked(bounded, target, fields))
    except TooLate as error:
        return Question(url=place, detail=str(error), late=True)
    except GatewayError as error:
        return Question(url=place, detail=error.detail, late=error.problem in _LATE)
    return Question(url=place, answer=answer)


def _asked(origin: Origin, target: str, fields: Mapping[str, str]) -> Answered:
    head = b"".join([request_line("GET", "", target), field_lines({**fields, "Connection": "close"}.items()), b"\r\n"])
    with closing(origin.connect()) as connection:
        connection.send(head)
        answer = read_answer(connection, "GET")
        body = b""
        for piece in answer.body:
            body += piece
            if len(body) >= MAX_BODY:
                break
    found = tuple((name.lower(), value) for name, value in answer.head.fields)
    return Answered(status=answer.head.status, fields=found, body=body[:MAX_BODY])
