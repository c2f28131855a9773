"""Sessions that are not at hand: those that many requests wait for are fetched together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from gateway.errors import GatewayError
from gateway.store import HeldSession
from gateway.telemetry import NO_TAG, Tag, tagged
from gateway.unforeseen import log_unforeseen

Found = Mapping[bytes, HeldSession | None]
Told = Callable[[HeldSession | None], None]
"""Is told of a session; None where there is none, or where it cannot be told."""

MAX_FETCHES = 2
"""How many questions are on their way to the store at once; what comes meanwhile goes with the next."""

MAX_TOGETHER = 100

_log = logging.getLogger("gateway")


class Fetching:
    """Asks the store in threads of its own; what is asked first was not known before it was wanted.

    Of a question for many requests it is told as of one for the first of them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, find_many: Callable[[Collection[bytes]], Found]) -> None:
        self._loop = loop
        self._find_many = find_many
        self._wanted: dict[bytes, list[Told]] = {}
        self._first = NO_TAG
        self._under_way = 0
        self._threads = ThreadPoolExecutor(MAX_FETCHES, thread_name_prefix="gateway-fetch")

    def want(self, handle: bytes, told: Told, tag: Tag = NO_TAG) -> None:
        """Have a session fetched, as it is in the store from now on, for the request of a tag."""
        if not self._wanted:
            self._first = tag
        self._wanted.setdefault(handle, []).append(told)
        if self._under_way < MAX_FETCHES:
            self._fetch()

    def close(self) -> None:
        """Ask no more."""
        self._wanted.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _fetch(self) -> None:
        handles = list(self._wanted)[:MAX_TOGETHER]
        waiting = {handle: self._wanted.pop(handle) for handle in handles}
        self._under_way += 1
        asked = self._loop.run_in_executor(self._threads, self._find, handles, self._first)
        asked.add_done_callback(lambda done: self._tell(waiting, {} if done.cancelled() else done.result()))

    def _find(self, handles: Collection[bytes], tag: Tag) -> Found:
        try:
            with tagged(tag):
                return self._find_many(handles)
        except Exception as error:  # noqa: BLE001 - whoever decides on each request will find the same, and say so.
            if not isinstance(error, GatewayError):
                log_unforeseen(_log, "an error that nobody foresaw", error)
            return {}

    def _tell(self, waiting: Mapping[bytes, list[Told]], found: Found) -> None:
        self._under_way -= 1
        if self._wanted:
            self._fetch()
        for handle, all_told in waiting.items():
            for told in all_told:
                told(found.get(handle))
