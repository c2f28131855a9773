"""A gateway is killed while it refreshes a session and holds the lock: what the next request at another one gets."""

import threading
import time
from dataclasses import dataclass
from typing import Final

from werkzeug import Response

from gateway.testing import Faults

from .fleet import Fleet
from .outages import REFRESH, kill_worker
from .running import SECONDS, Connection

TOKEN_SECONDS: Final = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Aftermath:
    """What the next request got, and how many seconds after the kill; `lives` is whether the session still does."""

    status: int
    seconds: float
    lives: bool


class _Kill:
    """Holds the first refresh, before or after the provider processes it, until its caller was killed."""

    def __init__(self, *, processed: bool) -> None:
        self._guard = threading.Lock()
        self._first = True
        self.reached, self.killed = threading.Event(), threading.Event()
        self.faults = Faults(response=self._response) if processed else Faults(before=self._before)

    def _before(self, name: str) -> None:
        if self._held(name):
            raise ConnectionAbortedError  # The server hangs up, and has done nothing.

    def _response(self, name: str, response: Response) -> Response:
        self._held(name)
        return response

    def _held(self, name: str) -> bool:
        with self._guard:
            mine = self._first and name == REFRESH
            self._first = self._first and not mine
        if mine:
            self.reached.set()
            self.killed.wait(SECONDS)
        return mine


def kill_holder(fleet: Fleet, user: str, *, processed: bool) -> Aftermath:
    """Kill the first gateway in the middle of a refresh, and ask the second one at once.

    `processed` is whether the provider had used up the refresh token by then.
    """
    visitor = fleet.sign_in(user, lifetime=TOKEN_SECONDS)
    time.sleep(TOKEN_SECONDS + 0.2)
    kill = _Kill(processed=processed)
    fleet.provider.faults = kill.faults
    victim = threading.Thread(target=_ask, args=[fleet.origins[0], visitor.cookie], daemon=True)
    victim.start()
    assert kill.reached.wait(SECONDS)
    kill_worker(fleet.masters[0])
    began = time.monotonic()
    kill.killed.set()
    status = _ask(fleet.origins[1], visitor.cookie)
    seconds = time.monotonic() - began
    victim.join(SECONDS)
    fleet.provider.faults = Faults()
    fleet.wait_for(0)
    return Aftermath(status=status, seconds=seconds, lives=fleet.all_live([visitor]))


def _ask(origin: str, cookie: str) -> int:
    try:
        with Connection(origin) as connection:
            return connection.get("/", cookie=cookie).status
    except OSError:
        return 0
