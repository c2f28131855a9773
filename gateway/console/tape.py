"""The calls to providers that one thread makes while somebody takes note of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from gateway.errors import GatewayError
from gateway.oidc.messages import Call, Reply, Transport

MAX_EXCHANGES = 16
"""How many calls are taken note of; no login makes as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A call and what came of it: a reply, or the failure of the call; times are seconds since the epoch."""

    call: Call = field(repr=False)
    reply: Reply | None = field(repr=False)
    failure: GatewayError | None
    began_at: float
    ended_at: float


Tape = list[Exchange]


class Recorder:
    """Puts a transport around another, which takes note of the calls of a thread that asked for it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._threads = threading.local()

    def around(self, transport: Transport) -> Transport:
        """Return a transport that does as the given one, and has its calls taken note of."""
        return partial(self._send, transport)

    @contextmanager
    def tape(self) -> Iterator[Tape]:
        """Take note of the calls that this thread makes until the end of the block, but for those of inner blocks."""
        outer: Tape | None = getattr(self._threads, "tape", None)
        tape: Tape = []
        self._threads.tape = tape
        try:
            yield tape
        finally:
            self._threads.tape = outer

    def _send(self, transport: Transport, call: Call) -> Reply:
        tape: Tape | None = getattr(self._threads, "tape", None)
        if tape is None or len(tape) >= MAX_EXCHANGES:
            return transport(call)
        began = self._clock()
        reply: Reply | None = None
        failure: GatewayError | None = None
        try:
            reply = transport(call)
        except GatewayError as error:
            failure = error
            raise
        finally:
            ended = self._clock()
            tape.append(Exchange(call=call, reply=reply, failure=failure, began_at=began, ended_at=ended))
        return reply
