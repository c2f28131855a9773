"""One user's browser: connections that stay open, cookies, and every answer with the times at which it was asked."""

import asyncio
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from canaries import Canaries
from processes.load import Heard, Wire

LOST: Final = 0
HUNG: Final = -1
"""Instead of a status: the connection was lost before the answer, and there was none in time."""

ANSWER_SECONDS: Final = 30.0
_CODE: Final = re.compile(rb'"error":"([a-z0-9_]+)"|<dt>Code</dt><dd>([a-z0-9_]+)</dd>')


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What became of a request; times are those of `time.monotonic`. Of one that was lost there may be a part."""

    asked_at: float
    answered_at: float
    heard: Heard = field(repr=False)

    @property
    def status(self) -> int:
        """The status, or `LOST`, or `HUNG`."""
        return self.heard.status

    @property
    def code(self) -> str:
        """The code of a failure; empty where there is none."""
        found = _CODE.search(self.heard.body)
        return "" if found is None else (found[1] or found[2]).decode("ascii")

    @property
    def location(self) -> str:
        """Where a redirect leads, without the origin."""
        parts = urlsplit(self.heard.field("location"))
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


class Browser:
    """Cookies of the gateway's site, which has several origins, and connections to each."""

    def __init__(self, canaries: Canaries) -> None:
        self._canaries = canaries
        self._wires: dict[str, Wire] = {}
        self.cookies: dict[str, str] = {}

    async def get(self, origin: str, target: str, fields: Mapping[str, str], cookies: Mapping[str, str]) -> Answer:
        """Ask over a connection that is open, and once more where it was closed meanwhile (RFC 9110 9.2.2)."""
        wire = self._wires.setdefault(origin, Wire(origin))
        repeats = wire.used
        answer = await _ask(wire, "GET", target, {**_cookie(cookies), **fields})
        if answer.status == LOST and repeats:
            answer = await _ask(wire, "GET", target, {**_cookie(cookies), **fields})
        self._keep(answer)
        return answer

    async def once(
        self, origin: str, method: str, target: str, fields: Mapping[str, str], cookies: Mapping[str, str]
    ) -> Answer:
        """Ask over a connection of its own, once."""
        wire = Wire(origin)
        answer = await _ask(wire, method, target, {**_cookie(cookies), **fields})
        wire.close()
        self._keep(answer)
        return answer

    def close(self) -> None:
        """Close all connections."""
        for wire in self._wires.values():
            wire.close()

    def _keep(self, answer: Answer) -> None:
        for name, value in answer.heard.fields:
            if name == "set-cookie":
                pair, *attributes = value.split("; ")
                cookie, _, content = pair.partition("=")
                self.cookies.pop(cookie, None)
                if content and "Max-Age=0" not in attributes:
                    self.cookies[cookie] = content
                    self._canaries.add("cookie", content)


async def _ask(wire: Wire, method: str, target: str, fields: Mapping[str, str]) -> Answer:
    asked_at, heard = time.monotonic(), Heard(status=LOST, fields=[], body=b"")
    try:
        heard = await asyncio.wait_for(wire.exchange(method, target, fields), ANSWER_SECONDS)
    except TimeoutError:
        heard = Heard(status=HUNG, fields=[], body=b"")
        wire.close()
    except (OSError, EOFError) as error:
        if isinstance(error, asyncio.IncompleteReadError):
            heard = Heard(status=LOST, fields=[], body=error.partial)
        with suppress(OSError):
            wire.close()
    return Answer(asked_at=asked_at, answered_at=time.monotonic(), heard=heard)


def _cookie(cookies: Mapping[str, str]) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if cookies else {}
