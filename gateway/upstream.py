"""The reverse proxy as a WSGI app: one request to one origin, its target untouched, both bodies streamed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from wsgiref.types import StartResponse, WSGIEnvironment

from gateway.background import Background
from gateway.client_socket import client_socket
from gateway.errors import INTERNAL, UPSTREAM_UNREACHABLE, GatewayError
from gateway.headers import client_headers
from gateway.limits import Places
from gateway.switching import Switching
from gateway.tunnel import Tunnels
from gateway.upstream_answer import Answer, read_answer
from gateway.upstream_body import request_body
from gateway.upstream_origin import NotConnected, Origin, Origins, Pool
from gateway.upstream_pool import Connection, NothingReceived, StoppedReading
from gateway.upstream_request import REPEATABLE, field_lines, forwarded_fields, request_line, via
from gateway.websocket import UPGRADE_FIELDS, asks_for_websocket, check_switch

_HEALTH_ROUNDS = 3
"""What a check says counts for so many intervals, in case that the checks come to a stop."""

_log = logging.getLogger("gateway.upstream")


class Upstream:
    """A reverse proxy as a WSGI app: forwards the environ's RAW_URI to one of the origins.

    `base` goes before every target, `authority` is the host where none was sent, `pseudonym` names us in `Via`.
    At most `most` requests, of a number that is not 0, wait for it to begin its answer.
    `health_path` is asked of each origin every `health_interval` seconds where there is one.
    The environ was sanitised before: its HTTP_* are forwarded, but for those that end at this hop.
    """

    def __init__(
        self,
        *,
        origins: Sequence[Origin],
        authority: str,
        base: str = "",
        pseudonym: str,
        health_path: str = "",
        health_interval: float = 10.0,
        most: int = 0,
    ) -> None:
        self.authority = authority
        self.base = base
        self.pseudonym = pseudonym
        self.origins = Origins(origins)
        self.places = Places(most, f"wait for {authority}")
        self._health_path = health_path
        self._health_interval = health_interval
        self._tunnels = Tunnels()
        self._closed = False
        self._health = Background("gateway-health", self.check_health)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Forward one request.

        Raises `overloaded`, `upstream_unreachable`, `upstream_connect_timeout`, `upstream_read_timeout`,
        `upstream_answer_invalid`, `request_incomplete` and `forwarding_loop` before `start_response`; the response
        raises what cuts it short.
        """
        if environ["REQUEST_METHOD"] == "OPTIONS" and environ.get("HTTP_MAX_FORWARDS") == "0":
            start_response("204 No Content", [])  # RFC 9110 7.6.2: we are the last to receive it.
            return ()
        if asks_for_websocket(environ):
            return self._upgraded(environ, start_response)
        done = self._waited_for(_read_request(environ, self.authority, self.base, self.pseudonym))
        return self._answered(done, start_response)

    def _upgraded(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        client = client_socket(environ)
        self._tunnels.check()
        request = _read_request(environ, self.authority, self.base, self.pseudonym, upgrade=True)
        done = self._waited_for(request)
        if done.answer.head.status != 101:
            return self._answered(done, start_response)
        switching = Switching(self._tunnels, client, done.connection)
        try:
            start_response("101 Switching Protocols", check_switch(done.answer.head, environ))
        except BaseException:
            switching.close()
            raise
        return switching

    def _answered(self, done: _Exchanged, start_response: StartResponse) -> Iterable[bytes]:
        head = done.answer.head
        response = _Response(done.answer.body, done.connection, done.pool)
        try:
            start_response(f"{head.status} {head.reason}", head.passed)
        except BaseException:
            response.close()
            raise
        return response

    def check(self) -> None:
        """Connect to each origin and hang up; raises `upstream_unreachable` and `upstream_connect_timeout`."""
        for pool in self.origins.all():
            pool.connect().close()

    def watch_health(self) -> None:
        """See to it that the origins are asked how they are, where that is wanted."""
        if self._health_path:
            self._health.wake(after=self._health_interval)

    def check_health(self) -> float | None:
        """Ask each origin how it is, note it, and return in how many seconds to ask again; None once closed."""
        if self._closed:
            return None
        for pool in self.origins.all():
            try:
                self._ask_health(pool)
                self.origins.answered(pool)
            except GatewayError as error:
                _log.warning("an origin is left alone until it is well: %s", error)
                self.origins.failed(pool, _HEALTH_ROUNDS * self._health_interval)
        return self._health_interval

    def close(self) -> None:
        """Close the idle connections, and ask nobody any more how it is."""
        self._closed = True
        self.origins.close()

    def _waited_for(self, request: _Request) -> _Exchanged:
        if request.body == ():
            with self.places.held():
                return self._exchange(request)
        # While a body comes, it is the client that is waited for: clients that are slow must not take all places.
        self.places.check()
        return self._exchange(request)

    def _exchange(self, request: _Request) -> _Exchanged:
        self.watch_health()
        sent = False
        failure: GatewayError | None = None
        for pool in self.origins.in_turn():
            try:
                return _exchanged(pool, request)
            except NotConnected as error:
                failure = error
            except NothingReceived as error:
                # It may have acted upon what it did not answer, and fallen over it: once is enough to find out.
                if sent or not request.repeatable:
                    raise
                failure, sent = error, True
            self.origins.failed(pool)
        raise failure or GatewayError(INTERNAL, "an upstream without origins")

    def _ask_health(self, pool: Pool) -> None:
        head = f"GET {self.base}{self._health_path} HTTP/1.1\r\nHost: {self.authority}\r\nConnection: close\r\n\r\n"
        with closing(pool.connect()) as connection:
            connection.send(head.encode("latin-1"))
            status = read_answer(connection, "GET").head.status
        if not 200 <= status < 400:
            raise GatewayError(UPSTREAM_UNREACHABLE, f"its health check answers {status}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exchanged:
    pool: Pool
    connection: Connection
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    head: bytes
    body: Iterable[bytes]
    repeatable: bool
    upgrade: bool


class _Response:
    """The body of a response: read to its end it gives the connection back, left earlier it hangs up."""

    def __init__(self, body: Iterator[bytes], connection: Connection, pool: Pool) -> None:
        self._body = body
        self._connection = connection
        self._pool = pool
        self._guard = threading.Lock()
        self._done = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self._body
        if self._is_first_end():
            self._pool.give_back(self._connection)

    def close(self) -> None:
        if self._is_first_end():
            self._connection.close()

    def abort(self) -> None:
        """End an answer that another thread is waiting for, and no other one that the connection may carry later."""
        with self._guard:
            if not self._done:
                self._connection.abort()

    def _is_first_end(self) -> bool:
        with self._guard:
            first, self._done = not self._done, True
        return first


def _exchanged(pool: Pool, request: _Request) -> _Exchanged:
    connection = pool.connect() if request.upgrade else pool.take()
    try:
        return _Exchanged(pool=pool, connection=connection, answer=_attempt(connection, request))
    except NothingReceived:
        # An idle connection may be closed while the request is on its way: that says nothing about the upstream.
        if not (connection.reused and request.repeatable):
            raise
    connection = pool.connect()
    return _Exchanged(pool=pool, connection=connection, answer=_attempt(connection, request))


def _attempt(connection: Connection, request: _Request) -> Answer:
    try:
        try:
            connection.send(request.head)
            for piece in request.body:
                connection.send(piece)
        except StoppedReading:
            connection.reusable = False
        return read_answer(connection, request.method, upgrade=request.upgrade)
    except BaseException:
        connection.close()
        raise


def _read_request(
    environ: WSGIEnvironment, authority: str, base: str, pseudonym: str, *, upgrade: bool = False
) -> _Request:
    method = str(environ["REQUEST_METHOD"])
    line = request_line(method, base, str(environ.get("RAW_URI", "")))
    framing, body = request_body(environ)
    fields = [
        ("Host", environ.get("HTTP_HOST") or authority),
        *([("Content-Type", environ["CONTENT_TYPE"])] if environ.get("CONTENT_TYPE") else []),
        *forwarded_fields(client_headers(environ), method),
        ("Via", via(environ.get("HTTP_VIA", ""), pseudonym)),
        *framing,
        *(UPGRADE_FIELDS if upgrade else ()),
    ]
    repeatable = method in REPEATABLE and body == ()
    head = b"".join([line, field_lines(fields), b"\r\n"])
    return _Request(method=method, head=head, body=body, repeatable=repeatable, upgrade=upgrade)
