"""The threads of the lane, and how many calls they are busy with, or are to be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gateway.limits import Places

T = TypeVar("T")


class Threads:
    """Calls what may wait; `most` bounds, where it is not 0, how many new requests are taken on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int, most: int) -> None:
        self._loop = loop
        self._executor = ThreadPoolExecutor(count, thread_name_prefix="gateway-lane")
        self._places = Places(most, "are in threads, or wait for one")

    def check(self) -> None:
        """See whether there is room for a new request; raises `overloaded`."""
        self._places.check()

    def submit(self, call: Callable[[], None]) -> None:
        """Have something called."""
        self._places.take()
        self._executor.submit(self._run, call)

    def ask(self, call: Callable[[], T], done: Callable[[asyncio.Future[T]], None]) -> None:
        """Have something called, and its result told to the loop."""
        self._places.take()
        self._loop.run_in_executor(self._executor, self._run, call).add_done_callback(done)

    def close(self) -> None:
        """Call nothing more."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _run(self, call: Callable[[], T]) -> T:
        try:
            return call()
        finally:
            self._places.leave()
