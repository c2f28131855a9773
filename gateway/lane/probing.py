"""Who asks whether we live, or how everything is: answered apart from all else there is to do."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

from gateway.app import Gateway
from gateway.endpoints.table import is_ping, is_ready_question
from gateway.errors import GatewayError
from gateway.lane.client import ClientConnection
from gateway.lane.in_thread import Outcome
from gateway.lane.incoming import Incoming
from gateway.request_notes import NOTES_KEY
from gateway.telemetry import tagged
from gateway.unforeseen import problem_of

_THREADS = 2
"""Of those that ask meanwhile, none waits anew for a part that hangs (`ReadinessCheck`)."""


class Answering(Protocol):
    """What probes ask of the lane."""

    gateway: Gateway
    loop: asyncio.AbstractEventLoop

    def respond(self, client: ClientConnection, incoming: Incoming, response: Outcome) -> None:
        """Answer at once."""

    def fail(self, client: ClientConnection, incoming: Incoming, error: GatewayError) -> None:
        """Answer with what is told of a failure."""


class Probing:
    """Answers `/ping` in the loop, and `/ready`, which takes a second at most, in threads of its own."""

    def __init__(self, lane: Answering) -> None:
        self._lane = lane
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="gateway-probes")

    def takes(self, incoming: Incoming) -> bool:
        """Tell whether a request is such a question."""
        return is_ping(incoming.environ) or is_ready_question(incoming.environ)

    def answer(self, client: ClientConnection, incoming: Incoming) -> None:
        """Answer it."""
        try:
            if is_ping(incoming.environ):
                self._lane.respond(client, incoming, self._decide(incoming))
                return
            asked = self._lane.loop.run_in_executor(self._threads, self._decide, incoming)
        except Exception as error:  # noqa: BLE001 - somebody waits for an answer, whatever it was.
            self._lane.fail(client, incoming, problem_of(error))
            return
        asked.add_done_callback(partial(self._told, client, incoming))

    def close(self) -> None:
        """Answer no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _decide(self, incoming: Incoming) -> Outcome:
        with tagged(incoming.notes.tag):
            return self._lane.gateway.outcome({**incoming.environ, NOTES_KEY: incoming.notes})

    def _told(self, client: ClientConnection, incoming: Incoming, done: asyncio.Future[Outcome]) -> None:
        if client.is_gone or done.cancelled():
            return
        try:
            self._lane.respond(client, incoming, done.result())
        except Exception as error:  # noqa: BLE001 - as above.
            self._lane.fail(client, incoming, problem_of(error))
