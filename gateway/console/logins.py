"""The last logins of one browser, kept in the store under a handle that this browser alone has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from gateway.console.checks import Row
from gateway.console.messages import Message
from gateway.cookies import CONSOLE_SECONDS
from gateway.store import SessionStore

MAX_LOGINS = 3
MAX_MESSAGES = 40
MAX_BYTES = 96 * 1024
"""What all logins of a browser may weigh in the store, before it is sealed."""

PURPOSE = "console"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedLogin:
    """One login: `state` is a digest by which its answer is found, `began_at` seconds since the epoch.

    `code` is the error that it ended with; it is `done` when it has ended, well or not. `checks` are those of its ID
    token.
    """

    state: str
    provider: str
    began_at: float
    messages: tuple[Message, ...] = ()
    checks: tuple[Row, ...] = ()
    done: bool = False
    code: str = ""


class RecordedLogins:
    """Reads and writes the logins of browsers; raises `StoreUnavailable` as the store does."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    def of(self, handle: bytes) -> tuple[RecordedLogin, ...]:
        """Return the logins of a browser, the newest first."""
        found = self._store.kept(PURPOSE, handle)
        return () if found is None else _read(found)

    def begin(self, handle: bytes, login: RecordedLogin) -> None:
        """Add a login, in the place of the oldest where there are too many."""
        self._write(handle, (login, *self.of(handle)))

    def go_on(self, handle: bytes, login: RecordedLogin) -> None:
        """Write a login in the place of the one that it goes on with, or add it where there is none."""
        others = [one for one in self.of(handle) if one.state != login.state]
        self._write(handle, (login, *others))

    def find(self, handle: bytes, state: str) -> RecordedLogin | None:
        """Find the login with that digest of its state."""
        return next((one for one in self.of(handle) if one.state == state), None)

    def _write(self, handle: bytes, logins: tuple[RecordedLogin, ...]) -> None:
        kept = [replace(one, messages=one.messages[:MAX_MESSAGES]) for one in logins[:MAX_LOGINS]]
        text = _written(kept)
        while len(text) > MAX_BYTES and len(kept) > 1:
            text = _written(kept := kept[:-1])
        if len(text) > MAX_BYTES:
            text = _written([replace(kept[0], messages=tuple(_bare(one) for one in kept[0].messages))])
        self._store.keep(PURPOSE, handle, text, CONSOLE_SECONDS)


def _bare(message: Message) -> Message:
    return replace(message, parameters=(("parameters", "too many to be kept"),) if message.parameters else ())


def _written(logins: list[RecordedLogin]) -> bytes:
    return json.dumps([asdict(one) for one in logins], separators=(",", ":")).encode("ascii")


def _read(text: bytes) -> tuple[RecordedLogin, ...]:
    try:
        return tuple(_login(members) for members in json.loads(text))
    except (ValueError, TypeError, KeyError):  # Written by a release that knew other members.
        return ()


def _login(members: Mapping[str, Any]) -> RecordedLogin:
    messages = tuple(
        Message(**{**one, "parameters": tuple((name, value) for name, value in one["parameters"])})
        for one in members["messages"]
    )
    return RecordedLogin(**{**members, "messages": messages, "checks": tuple(Row(**one) for one in members["checks"])})
