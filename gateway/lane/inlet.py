"""What is read of a client, and when: as much as there is a place for, and others have their turn in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.lane.request_queue import RequestQueue


class Inlet:
    """Has a client's octets read; `catch_up` is called in a turn of its own where more has come than was read in one.

    `is_paused` says that nothing is read of the connection.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: Any,
        requests: RequestQueue,
        catch_up: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._requests = requests
        self._catch_up = catch_up
        self._catching_up = False
        self._drains = False
        self.is_paused = False

    def pause(self) -> None:
        """Read nothing more for now."""
        if not self.is_paused and not self._drains and not self._transport.is_closing():
            self.is_paused = True
            self._transport.pause_reading()

    def resume(self) -> bool:
        """Read on, first what has come already; tells whether it is the connection that is read again."""
        if self._drains or self._transport.is_closing():
            return False
        if self._requests.is_behind:
            if not self._catching_up:
                self._catching_up = True
                self.pause()
                self._loop.call_soon(self._take_turn)
            return False
        if not self.is_paused or not self._requests.has_room:
            return False
        self.is_paused = False
        self._transport.resume_reading()
        return True

    def drain(self) -> None:
        """Read what comes, to be forgotten, to the end."""
        self._drains = True
        if self.is_paused:
            self.is_paused = False
            self._transport.resume_reading()

    def _take_turn(self) -> None:
        self._catching_up = False
        self._catch_up()
