"""How much a process takes on at once, and the places that requests hold meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.errors import OVERLOADED, GatewayError

RETRY_SECONDS = 1
"""When those come again that were one too many: a request takes less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What each process takes on; 0 is any number.

    `requests` are those that threads are busy with or that wait for one, `upstream_requests` those that wait for one
    upstream to begin its answer, `connections` those of clients. One address may begin `logins` within `logins_within`
    seconds.
    """

    requests: int = 1000
    upstream_requests: int = 1000
    connections: int = 10_000
    logins: int = 1000
    logins_within: int = 60


class Places:
    """Counts requests that are at one stage at once, of which there may be `most`; `what` names them in the log."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._guard = threading.Lock()
        self.taken = 0

    def check(self) -> None:
        """See whether there is room for one more; raises `overloaded`."""
        if self._most and self.taken >= self._most:
            raise GatewayError(OVERLOADED, f"{self.taken} requests {self._what}", retry_after=RETRY_SECONDS)

    def take(self) -> None:
        """Take a place, even where there was none: for what is under way already."""
        with self._guard:
            self.taken += 1

    def leave(self) -> None:
        """Give a place back."""
        with self._guard:
            self.taken -= 1

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold a place; raises `overloaded` where there is none."""
        self.check()
        self.take()
        try:
            yield
        finally:
            self.leave()
