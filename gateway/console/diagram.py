"""The logins of a browser as sequence diagrams: three participants, and messages between them in their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.console.checks import Row
from gateway.console.logins import RecordedLogin
from gateway.console.messages import BROWSER, GATEWAY, PROVIDER, Message, Pairs
from gateway.console.view import distance, written

PARTICIPANTS: Final = (BROWSER, GATEWAY, PROVIDER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A message as an arrow from one column to another; columns are counted from 1, from left to right."""

    sender: str
    receiver: str
    left: int
    right: int
    is_leftward: bool
    is_failed: bool
    title: str
    place: str
    parameters: Pairs
    after: str
    took: str
    status: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """A login: when and where it began, how it stands, its messages and the checks of its ID token."""

    provider: str
    written: str
    distance: str
    state: str
    code: str
    steps: tuple[Step, ...]
    checks: tuple[Row, ...]


def diagrams(logins: Iterable[RecordedLogin], now: int) -> list[Diagram]:
    """Draw logins."""
    return [_diagram(login, now) for login in logins]


def steps(messages: Iterable[Message]) -> tuple[Step, ...]:
    """Draw messages."""
    return tuple(_step(message) for message in messages)


def _diagram(login: RecordedLogin, now: int) -> Diagram:
    began = int(login.began_at)
    return Diagram(
        provider=login.provider,
        written=written(began),
        distance=distance(began - now),
        state="failed" if login.code else "signed in" if login.done else "not completed",
        code=login.code,
        steps=steps(login.messages),
        checks=login.checks,
    )


def _step(message: Message) -> Step:
    start, end = PARTICIPANTS.index(message.sender) + 1, PARTICIPANTS.index(message.receiver) + 1
    refused = message.status is not None and message.status >= 400
    names = {name for name, _ in message.parameters}
    return Step(
        sender=message.sender,
        receiver=message.receiver,
        left=min(start, end),
        right=max(start, end),
        is_leftward=end < start,
        is_failed=bool(message.code) or refused or "error" in names,
        title=message.title,
        place=message.place,
        parameters=message.parameters,
        after=_duration(message.after),
        took="" if message.took is None else _duration(message.took),
        status="" if message.status is None else str(message.status),
        code=message.code,
        detail=message.detail,
    )


def _duration(milliseconds: int) -> str:
    return f"{milliseconds} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:.1f} s"
