"""The lane in process: a WSGI app that sends what it is asked to a lane on loopback, and gives back its answers."""

import asyncio
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPConnection
from typing import Any, Final
from wsgiref.types import StartResponse

import uvloop

from gateway import Gateway
from gateway.lane.lane import Lane
from gateway.lane.listening import Listening, room_for
from gateway.lane.uses import Uses

SECONDS: Final = 20.0
BACKLOG: Final = 1024

Peer = tuple[tuple[str, Any], ...]
"""What an environ says of who asks."""


class LaneFace:
    """Stands where the gateway's WSGI app would."""

    def __init__(self, port: int, peers: dict[int, Mapping[str, Any]], settle: Callable[[], None]) -> None:
        self.port = port
        self._settle = settle
        self._peers = peers
        self._idle: dict[Peer, list[HTTPConnection]] = defaultdict(list)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        """Ask the lane as the client of the environ."""
        connection = self._connection(environ)
        connection.putrequest(environ["REQUEST_METHOD"], _target(environ), skip_host=True, skip_accept_encoding=True)
        for name, value in _fields(environ):
            connection.putheader(name, value.encode("latin-1"))
        length = int(environ.get("CONTENT_LENGTH") or 0)
        try:
            connection.endheaders(environ["wsgi.input"].read(length) if length else None)
            answer = connection.getresponse()
            body = answer.read()
        except BaseException:
            connection.close()
            raise
        self._settle()
        if connection.sock is not None:  # The lane keeps it, too.
            self._idle[_peer(environ)].append(connection)
        dropped = ("transfer-encoding", "connection", "date")
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in dropped]
        start_response(f"{answer.status} {answer.reason}", headers)
        return [body]

    def close(self) -> None:
        """Hang up."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()

    def _connection(self, environ: Mapping[str, Any]) -> HTTPConnection:
        """Take a connection of that client's, so that what the lane remembers of its requests is put to the test."""
        peer = _peer(environ)
        with suppress(IndexError):
            return self._idle[peer].pop()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        connection.connect()
        self._peers[connection.sock.getsockname()[1]] = dict(peer)
        return connection


@contextmanager
def run_lane(gateway: Gateway) -> Iterator[LaneFace]:
    """Run a lane in a thread."""
    loop, ready = uvloop.new_event_loop(), threading.Event()
    peers: dict[int, Mapping[str, Any]] = {}
    ports: list[int] = []
    uses: list[Uses] = []
    stop = asyncio.Event()

    def base(transport: Any) -> Mapping[str, Any]:
        peer = transport.get_extra_info("peername")
        usual = {"SCRIPT_NAME": "", "SERVER_NAME": "app.example", "SERVER_PORT": "443", "wsgi.url_scheme": "https"}
        return {**usual, "REMOTE_ADDR": peer[0], "wsgi.input_terminated": True, **peers.get(peer[1], {})}

    async def serve() -> None:
        lane = Lane(gateway, base=base, keep_alive_seconds=SECONDS, threads=32)
        uses.append(lane.uses)
        with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as sock:
            has_room = room_for(gateway.settings.limits.connections, lane.clients)
            listening = Listening(loop, sock, lane.new_client, has_room=has_room)
            ports.append(sock.getsockname()[1])
            ready.set()
            await stop.wait()
            await listening.close()
        await lane.close(1.0)

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()], daemon=True)
    thread.start()
    assert ready.wait(SECONDS)
    face = LaneFace(ports[0], peers, partial(_settle, loop, uses))
    try:
        yield face
    finally:
        face.close()
        loop.call_soon_threadsafe(stop.set)
        thread.join(SECONDS)
        loop.close()


def _settle(loop: asyncio.AbstractEventLoop, uses: list[Uses]) -> None:
    """Have written down now what else is within a second."""
    while not uses[0].is_done:
        loop.call_soon_threadsafe(uses[0].step)
        time.sleep(0.005)


def _peer(environ: Mapping[str, Any]) -> Peer:
    return tuple((key, environ[key]) for key in ("REMOTE_ADDR", "wsgi.url_scheme") if key in environ)


def _target(environ: Mapping[str, Any]) -> str:
    return str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ["PATH_INFO"])


def _fields(environ: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            yield key[5:].replace("_", "-").title(), str(value)
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(key):
            yield key.replace("_", "-").title(), str(environ[key])
