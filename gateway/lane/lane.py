"""The lane: `Lane.begin` is the story of a request here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from functools import partial
from typing import Any

from gateway.app import Gateway
from gateway.errors import REQUEST_INCOMPLETE, TUNNELS_FULL, GatewayError
from gateway.inner import Admitted
from gateway.lane.at_once import Asked, Remembered, admit_at_once, read_at_once
from gateway.lane.client import ClientConnection
from gateway.lane.client_answer import ClientAnswer
from gateway.lane.fetching import Fetching
from gateway.lane.forwarding import Forwarding
from gateway.lane.in_thread import InThread, Outcome
from gateway.lane.incoming import Incoming
from gateway.lane.origins import LaneUpstream
from gateway.lane.probing import Probing
from gateway.lane.threads import Threads
from gateway.lane.tunnel import MAX_TUNNELS, Tunnel
from gateway.lane.uses import Uses
from gateway.request_notes import NOTES_KEY
from gateway.store import HeldSession
from gateway.telemetry import tagged
from gateway.teller import CLIENT_GONE
from gateway.unforeseen import log_unforeseen, problem_of

TICK_SECONDS = 1.0
WATCH_AFTER_SECONDS = 1.0

_log = logging.getLogger("gateway")


class Lane:
    """Serves a gateway in an event loop; `threads` is how many requests may wait at once for what is not at hand.

    `base` makes the members that all environs of a connection have.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        base: Callable[[Any], Mapping[str, Any]],
        keep_alive_seconds: float,
        threads: int,
    ) -> None:
        self.gateway = gateway
        self.loop = asyncio.get_running_loop()
        self.keep_alive_seconds = keep_alive_seconds
        self.closing = False
        self.served = 0
        self.clients: set[ClientConnection] = set()
        self.forwardings: set[Forwarding] = set()
        self.tunnels: set[Tunnel] = set()
        self.now, self.date = self.loop.time(), ""
        self._base = base
        self._threads = Threads(self.loop, threads, gateway.settings.limits.requests)
        self._probing = Probing(self)
        self._fetching = Fetching(self.loop, gateway.authenticator.find_many)
        patience = gateway.settings.lifetimes.touch_interval
        self.uses = Uses(gateway.authenticator.note_use, patience_seconds=patience)
        self._upstreams = {id(one): LaneUpstream(one, self.loop) for one in gateway.upstreams.values()}
        gateway.teller.watch("connections", lambda: len(self.clients))
        gateway.teller.watch("forwarded_requests", lambda: len(self.forwardings))
        gateway.teller.watch("tunnels", lambda: len(self.tunnels))
        self._tick()

    def new_client(self) -> ClientConnection:
        """Make what serves a connection."""
        return ClientConnection(self, self.clients, self._base)

    def begin(self, client: ClientConnection, incoming: Incoming) -> None:
        """Answer a request: at once where it can be decided at once, else by a thread."""
        incoming.notes = self.gateway.teller.begin(incoming.environ)
        if incoming.failed:
            self.fail(client, incoming, GatewayError(REQUEST_INCOMPLETE, "the body is malformed, or was cut"))
            return
        self._try(partial(self._decide, client, incoming), client, incoming)

    def _try(self, step: Callable[[], None], client: ClientConnection, incoming: Incoming) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - fails closed whatever it was.
            problem = problem_of(error)
            if incoming.job is None:
                self._have_decided(client, incoming)
            else:
                self._give_up(client, incoming, problem)

    def _give_up(self, client: ClientConnection, incoming: Incoming, error: GatewayError) -> None:
        """End what may have been begun, and must not be done twice."""
        if incoming.job is not None:
            incoming.job.client_lost()
        if client.has_started:
            client.abort()
        else:
            self.fail(client, incoming, error)

    def _decide(self, client: ClientConnection, incoming: Incoming) -> None:
        recollection = incoming.recollection
        remembered: Remembered | None = None if recollection is None else recollection.made
        asked = (
            read_at_once(self.gateway, incoming.environ, incoming.fields) if remembered is None else remembered.asked
        )
        if asked is None:
            self._have_decided(client, incoming)
            return
        if recollection is not None and remembered is None:
            recollection.made = remembered = Remembered(asked)
        admit = partial(self._admit, client, incoming, asked, remembered)
        held = self.gateway.authenticator.session_at_hand(asked.handles)
        if held is None and asked.handles:
            fetched = partial(self._fetched, client, incoming, admit)
            self._fetching.want(asked.handles[0], fetched, incoming.notes.tag)
        elif held is None or self._is_noted(held):
            admit(held)
        else:
            self._have_decided(client, incoming)

    def _fetched(
        self,
        client: ClientConnection,
        incoming: Incoming,
        admit: Callable[[HeldSession | None], None],
        found: HeldSession | None,
    ) -> None:
        if not client.is_gone:
            self._try(partial(self._use, client, incoming, admit, found), client, incoming)

    def _use(
        self,
        client: ClientConnection,
        incoming: Incoming,
        admit: Callable[[HeldSession | None], None],
        found: HeldSession | None,
    ) -> None:
        held = None if found is None else self.gateway.authenticator.as_it_is(found)
        if incoming.failed or held is None or not self._is_noted(held):
            self._have_decided(client, incoming)
        else:
            admit(held)

    def _is_noted(self, held: HeldSession) -> bool:
        return not self.gateway.authenticator.is_use_due(held) or self.uses.note(held, self.gateway.now())

    def _admit(
        self,
        client: ClientConnection,
        incoming: Incoming,
        asked: Asked,
        remembered: Remembered | None,
        held: HeldSession | None,
    ) -> None:
        admitted = admit_at_once(self.gateway, asked, held, remembered)
        if admitted is None:
            self._have_decided(client, incoming)
        elif self.takes(admitted):
            self.act(client, incoming, admitted)
        else:
            self._in_turn(client, incoming, partial(self.act, client, incoming, admitted))

    def _have_decided(self, client: ClientConnection, incoming: Incoming) -> None:
        if self._probing.takes(incoming):
            self._probing.answer(client, incoming)
        else:
            self._in_turn(client, incoming, lambda: self.submit(InThread(self, client, incoming).run))

    def _in_turn(self, client: ClientConnection, incoming: Incoming, begin: Callable[[], None]) -> None:
        """Begin what a thread is to do for a new request, unless too many wait for one."""
        try:
            self._threads.check()
        except GatewayError as error:
            self.fail(client, incoming, error)
        else:
            begin()

    def act(self, client: ClientConnection, incoming: Incoming, outcome: Outcome) -> None:
        """Act on what was decided."""
        try:
            self._act(client, incoming, outcome)
        except Exception as error:  # noqa: BLE001 - somebody waits for an answer, whatever it was.
            self._give_up(client, incoming, problem_of(error))

    def _act(self, client: ClientConnection, incoming: Incoming, outcome: Outcome) -> None:
        if isinstance(outcome, Admitted):
            passage = outcome.passage
            incoming.notes.admitted(passage.target.client, passage.route, passage.session)
        upstream = self._upstreams.get(id(outcome.inner)) if isinstance(outcome, Admitted) else None
        if upstream is None or not isinstance(outcome, Admitted):
            self.submit(partial(InThread(self, client, incoming).run, outcome))
        elif incoming.method == "OPTIONS" and incoming.environ.get("HTTP_MAX_FORWARDS") == "0":
            client.start(204, "", [], None)  # RFC 9110 7.6.2: we are the last to receive it.
            client.finish()
        else:
            Forwarding(self, client, incoming, outcome, upstream).start()

    def takes(self, outcome: Outcome) -> bool:
        """Tell whether the loop can act on a decision by itself."""
        return isinstance(outcome, Admitted) and id(outcome.inner) in self._upstreams

    def entered(self, forwarding: Forwarding) -> None:
        """Take note of a forwarding that has begun."""
        forwarding.began_at = self.now
        self.forwardings.add(forwarding)

    def left(self, forwarding: Forwarding) -> None:
        """Take note of one that has ended."""
        self.forwardings.discard(forwarding)

    def fail(self, client: ClientConnection, incoming: Incoming, error: GatewayError) -> None:
        """Answer with what is told of a failure; where not even that can be said, the connection ends."""
        incoming.job = None
        try:
            environ = {**incoming.environ, NOTES_KEY: incoming.notes}
            with tagged(incoming.notes.tag):
                response = self.gateway.failures.answer(environ, error)
            self.respond(client, incoming, response)
        except Exception as failure:  # noqa: BLE001 - there is nothing left to say.
            log_unforeseen(_log, "an answer could not be given", failure)
            client.abort()

    def allowed(self, environ: Any, fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Add to the fields of an answer what lets pages of other origins read it."""
        return self.gateway.cors.allowed(environ, fields)

    def check_tunnels(self) -> None:
        """See whether there is room for one more; raises `tunnels_full`."""
        if len(self.tunnels) >= MAX_TUNNELS:
            raise GatewayError(TUNNELS_FULL, f"{MAX_TUNNELS} in this process", retry_after=10)

    def submit(self, call: Callable[[], None]) -> None:
        """Have something called by a thread: what is under way finds room, however much there is to do."""
        self._threads.submit(call)

    def in_thread(self, call: Callable[[], Any], done: Callable[[asyncio.Future[Any]], None]) -> None:
        """Have something called that may wait."""
        self._threads.ask(call, done)

    def answered(self, client: ClientConnection, incoming: Incoming, status: int, sent: int) -> None:  # noqa: ARG002
        """Take note of an answer that is complete."""
        self.served += 1
        self.gateway.teller.tell(incoming.notes, incoming.environ, status, sent)

    def unanswered(self, incoming: Incoming, answer: ClientAnswer | None) -> None:
        """Take note of a request whose client is gone, or whose answer was broken off."""
        status, sent = (CLIENT_GONE, 0) if answer is None else (answer.status, answer.sent)
        self.gateway.teller.tell(incoming.notes, incoming.environ, status, sent)

    async def close(self, seconds: float) -> None:
        """Let requests be answered, and tokens be written that no other has; end the rest after so many seconds."""
        self.closing = True
        deadline = self.loop.time() + seconds
        while (self.clients or self.tunnels or self.gateway.authenticator.unsaved) and self.loop.time() < deadline:
            await asyncio.sleep(0.05)
        for tunnel in list(self.tunnels):
            tunnel.close()
        for client in list(self.clients):
            client.abort()
        for upstream in self._upstreams.values():
            upstream.close()
        self._timer.cancel()
        self._fetching.close()
        self.uses.close()
        self._threads.close()
        self._probing.close()

    def respond(self, client: ClientConnection, incoming: Incoming, response: Outcome) -> None:
        """Answer at once."""
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None, /) -> Callable[[bytes], object]:
            started.append((status, headers))
            return started.append  # type: ignore[return-value]

        body = b"".join(self.gateway.answer(response, incoming.environ, start_response))
        status, headers = started[0]
        client.start(int(status[:3]), status[4:], headers, len(body))
        client.send(body)
        client.finish()

    def _tick(self) -> None:
        self._timer = self.loop.call_later(TICK_SECONDS, self._tick)
        self.now, self.date = self.loop.time(), formatdate(time.time(), usegmt=True)
        lasting = [one for one in self.forwardings if self.now - one.began_at >= WATCH_AFTER_SECONDS]
        for step in [*(one.tick for one in self.clients), *(one.watch for one in lasting), self.uses.step]:
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the others still have theirs.
                log_unforeseen(_log, "an error that nobody foresaw", error)
