"""A request that is answered by a thread: whatever may wait, and any WSGI app that is wrapped (PEP 3333)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from werkzeug import Response

from gateway.app import Gateway
from gateway.errors import INTERNAL, REQUEST_INCOMPLETE, GatewayError
from gateway.held_answer import close_body
from gateway.inner import Admitted
from gateway.lane.app_answer import AppAnswer, read_app_answer
from gateway.lane.client import ClientConnection
from gateway.lane.gathering import Failing, Gathering
from gateway.lane.incoming import MAX_BODY_WAITING, Incoming, keep_piece
from gateway.lane.thread_input import ThreadInput
from gateway.request_notes import NOTES_KEY
from gateway.telemetry import tagged, untagged
from gateway.unforeseen import log_unforeseen

_log = logging.getLogger("gateway")

Outcome = Response | Admitted


class ClientGone(ConnectionError):
    """The client hung up, or has all of its answer."""


class BodyLost(ConnectionError):
    """The rest of the body will not come: it is malformed, or late, or was cut."""


class BodyWanted(BaseException):
    """Whoever decides wants a body that has not come; no error, so that nobody who decides takes it for one."""


class Lending(Failing, Protocol):
    """What a request in a thread asks of the lane."""

    gateway: Gateway

    def submit(self, call: Callable[[], None]) -> None:
        """Have something called by a thread."""

    def takes(self, outcome: Outcome) -> bool:
        """Tell whether the loop can act on a decision by itself."""

    def act(self, client: ClientConnection, incoming: Incoming, outcome: Outcome) -> None:
        """Have the loop act on a decision."""


class InThread:
    """The job of a request whose decision, or whose answer, may wait.

    `run` is called in a thread; all that it does to the connection is done by the loop. A thread waits for a body only
    where that is too large to be kept: else the loop waits for it, and calls `run` once more.
    """

    def __init__(self, lending: Lending, client: ClientConnection, incoming: Incoming) -> None:
        self._lending = lending
        self._client = client
        self._incoming = incoming
        self._changed = threading.Condition()
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._body_ended = False
        self._body_failed = False
        self._gone = client.is_gone
        self._is_gathered = False
        self._unsent = 0
        self._started: tuple[str, list[tuple[str, str]]] | None = None
        self._is_out = False
        given = {"wsgi.input": ThreadInput(self._take), NOTES_KEY: incoming.notes}
        incoming.environ = {**incoming.environ, **given}
        incoming.attach(self)

    def run(self, outcome: Outcome | None = None) -> None:
        """Decide, if that was not done, and answer; or leave the answer to the loop."""
        if not self._gone:  # It may have waited for its turn for long.
            with tagged(self._incoming.notes.tag):
                self._run(outcome)

    def _run(self, outcome: Outcome | None) -> None:
        gateway, environ = self._lending.gateway, self._incoming.environ
        try:
            decided = gateway.outcome(environ) if outcome is None else outcome
            if self._lending.takes(decided):
                self._call(self._give_back, decided)
            elif isinstance(decided, Admitted) and not self._has_enough():
                self._call(self._gather, decided)
            else:
                self._send_all(gateway.answer(decided, environ, self._start_response))
                self._call(self._answer, self._finish)
        except BodyWanted:
            with suppress(ClientGone):
                self._call(self._gather, None)
        except GatewayError as error:
            self._fail_soon(error)
        except BaseException as error:  # noqa: BLE001 - fails closed whatever it was, and nobody else would see it.
            if not self._is_of_client(error):
                _log.exception("the answer failed")
            problem = REQUEST_INCOMPLETE if self._body_failed else INTERNAL
            self._fail_soon(GatewayError(problem, "the app ended without an answer"))

    def _is_of_client(self, error: BaseException) -> bool:
        # An app may have met the end of another answer, to which it still wrote.
        return isinstance(error, BodyLost) or (self._gone and isinstance(error, ClientGone))

    def body_received(self, data: bytes) -> None:
        """Take a piece of the body."""
        with self._changed:
            keep_piece(self._pieces, data)
            self._waiting += len(data)
            self._changed.notify_all()
        if self._waiting > MAX_BODY_WAITING:
            self._client.pause_reading()

    def body_ended(self) -> None:
        """Take note that the body is complete."""
        with self._changed:
            self._body_ended = True
            self._changed.notify_all()

    def body_failed(self) -> None:
        """Take note that the rest will not come."""
        with self._changed:
            self._body_failed = True
            self._changed.notify_all()

    def client_lost(self) -> None:
        """Take note that the client is gone."""
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def client_paused(self) -> None:
        """Nothing is to be done: `_send` looks, as the client may have been slow before this request."""

    def client_resumed(self) -> None:
        """Take note that it does again."""
        with self._changed:
            self._unsent = 0
            self._changed.notify_all()

    def _take(self) -> bytes:
        """Wait for more of the body; none at its end. Raises `BodyWanted`, `ClientGone` and `BodyLost`."""
        if not self._has_enough():
            raise BodyWanted
        self._is_gathered = True  # What was taken cannot be given back: nothing is begun anew.
        with self._changed:
            if not self._waiting and not self._body_ended:
                self._call(self._want_body)
            self._changed.wait_for(lambda: self._waiting or self._body_ended or self._body_failed or self._gone)
            if not self._waiting and self._gone:
                raise ClientGone
            if not self._waiting and self._body_failed:
                raise BodyLost
            taken = b"".join(self._pieces)
            self._pieces, self._waiting = [], 0
        if not self._body_ended:
            self._call(self._client.resume_reading)
        return taken

    def _send_all(self, body: Iterable[bytes]) -> None:
        try:
            for piece in body:
                if piece:
                    self._write(piece)
            if not self._is_out:
                self._begin(length=0)
        finally:
            close_body(body)

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        if exc_info is not None and self._is_out:
            raise exc_info[1].with_traceback(exc_info[2])
        self._started = (status, list(headers))
        return self._write

    def _write(self, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise TypeError(f"the app gave a piece of its body that is no bytes object: {type(data).__name__}")
        if not self._is_out:
            self._begin()
        with self._changed:
            self._changed.wait_for(lambda: self._gone or self._unsent <= MAX_BODY_WAITING)
            self._unsent += len(data)
        self._call(self._answer, partial(self._send, data))

    def _begin(self, length: int | None = None) -> None:
        if self._started is None:
            raise AssertionError("the app began its body before its answer")
        answer = read_app_answer(*self._started)
        self._is_out = True
        if answer.length is None and length is not None:
            own = [] if answer.status in (204, 304) else [("Content-Length", str(length))]
            answer = replace(answer, fields=[*answer.fields, *own], length=length)
        self._call(self._answer, partial(self._start, answer))

    def _answer(self, step: Callable[[], None]) -> None:
        """Take a step of the answer, in the loop; one that fails is the last."""
        if self._gone or self._client.is_gone:
            return
        try:
            step()
        except Exception as error:  # noqa: BLE001 - a body without a head would be read as one, and as it likes to be.
            log_unforeseen(_log, "an answer could not be written", error)
            self._client.abort()
            self.client_lost()

    def _start(self, answer: AppAnswer) -> None:
        self._client.start(answer.status, answer.reason, answer.fields, answer.length)

    def _send(self, data: bytes) -> None:
        self._client.send(data)
        if self._client.is_writable:
            with self._changed:
                self._unsent = max(0, self._unsent - len(data))
                self._changed.notify_all()

    def _finish(self) -> None:
        self.client_lost()  # What the app writes from now on would be part of the next answer.
        self._client.finish()

    def _want_body(self) -> None:
        if self._gone:
            return
        self._client.send_continue()
        self._client.resume_reading()

    def _has_enough(self) -> bool:
        return self._body_ended or self._is_gathered or self._waiting > MAX_BODY_WAITING

    def _gather(self, outcome: Outcome | None) -> None:
        self._hand_back_body()
        if not self._client.is_gone:
            self._is_gathered = True
            Gathering(self._lending, self._client, self._incoming, partial(self._go_on, outcome)).start()

    def _go_on(self, outcome: Outcome | None) -> None:
        self._incoming.attach(self)
        self._lending.submit(partial(self.run, outcome))

    def _give_back(self, outcome: Outcome) -> None:
        self._hand_back_body()
        if not self._client.is_gone:
            self._lending.act(self._client, self._incoming, outcome)

    def _hand_back_body(self) -> None:
        incoming = self._incoming
        incoming.job = None
        incoming.pieces, incoming.buffered = self._pieces, self._waiting
        self._pieces, self._waiting = [], 0

    def _fail_soon(self, error: GatewayError) -> None:
        with suppress(ClientGone):
            self._call(self._fail, error)

    def _fail(self, error: GatewayError) -> None:
        if self._gone or self._client.is_gone:
            return
        self.client_lost()
        if self._client.has_started:
            self._client.abort()
        else:
            self._lending.fail(self._client, self._incoming, error)

    def _call(self, call: Callable[..., object], *given: object) -> None:
        if self._gone:
            raise ClientGone
        try:
            # Connections that are opened there outlive this request, and would be known by its id.
            self._lending.loop.call_soon_threadsafe(call, *given, context=untagged())
        except RuntimeError as error:  # The loop is closed: the worker ends.
            self._gone = True
            raise ClientGone from error
