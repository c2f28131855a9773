"""The lane towards upstreams that dawdle, hang up and speak unasked, while clients leave or send at the wrong time."""

import asyncio
import os
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
import uvloop
from answering import hello, run_before
from harness import Members, base_config
from lane_face import run_lane
from peers.listener import Answer, Received
from raw_origin import OK, is_whole, origin_at
from test_lane_recollection import connected, request

from gateway import Gateway
from gateway.lane.incoming import MAX_BODY_WAITING
from gateway.lane.lane import Lane
from gateway.lane.pool import AsyncPool
from gateway.lane.tunnel import Tunnel
from gateway.lane.upstream import UpstreamConnection
from gateway.renewal import MIN_TOKEN_AGE
from gateway.testing import Faults
from gateway.websocket import accept_of

SECONDS: Final = 10.0
EXCHANGED: Final = {"exchange": {"audience": ["inventory"]}}
HEAD: Final = b"Host: app.example\r\n"
GET: Final = b"GET /a HTTP/1.1\r\n" + HEAD + b"\r\n"
PUT: Final = b"PUT /a HTTP/1.1\r\n" + HEAD
WEBSOCKET: Final = (
    b"GET /ws HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@dataclass(kw_only=True)
class Upstream:
    """Plays a script for each connection, and keeps what it received."""

    url: str
    requests: list[bytes] = field(default_factory=list)

    def read(self, peer: socket.socket, *, head_only: bool = False) -> None:
        """Read a request, or its head."""
        data = b""
        while not is_whole(data) and not (head_only and b"\r\n\r\n" in data):
            piece = peer.recv(65536)
            if not piece:
                break
            data += piece
        self.requests.append(data)


@contextmanager
def upstream(*scripts: Callable[[Upstream, socket.socket], None]) -> Iterator[Upstream]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        up = Upstream(url=f"http://127.0.0.1:{listener.getsockname()[1]}")

        def serve() -> None:
            for script in scripts:
                with suppress(OSError), listener.accept()[0] as peer:
                    peer.settimeout(SECONDS)
                    script(up, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield up
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(SECONDS)
    assert not thread.is_alive()


class Gate:
    """Holds up connections to the upstream, as a handshake with another continent does."""

    def __init__(self) -> None:
        self.is_open = True
        self.waiting = 0


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    made = Gate()
    connect = AsyncPool.connect

    async def slow(self: AsyncPool) -> UpstreamConnection:
        made.waiting += 1
        while not made.is_open:
            await asyncio.sleep(0.005)
        connection = await connect(self)
        made.waiting -= 1
        return connection

    monkeypatch.setattr(AsyncPool, "connect", slow)
    return made


@contextmanager
def before(up: Upstream) -> Iterator[Callable[[], socket.socket]]:
    document = {
        **base_config({"type": "memory"}),
        "upstream": up.url,
        "routes": [{"path": "/**", "access": "public"}],
    }
    with run_lane(Gateway.from_config(document)(None)) as face:
        yield lambda: socket.create_connection(("127.0.0.1", face.port), timeout=SECONDS)


def eventually(is_so: Callable[[], object]) -> None:
    until = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.005)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def answer(sock: socket.socket) -> bytes:
    """Read an answer that has a length."""
    received = b""
    while not (head := re.search(rb"(?is)content-length: (\d+).*?\r\n\r\n", received)) or len(
        received
    ) < head.end() + int(head[1]):
        piece = sock.recv(65536)
        assert piece, "the lane has hung up"
        received += piece
    return received


def answers(up: Upstream, peer: socket.socket) -> None:
    up.read(peer)
    peer.sendall(OK)
    up.read(peer)


def answers_and_dies_upon_the_next(up: Upstream, peer: socket.socket) -> None:
    up.read(peer)
    peer.sendall(OK)
    up.read(peer, head_only=True)


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        pytest.param(b"Content-Length: 48\r\n\r\n", b"B" * 48, id="a counted body"),
        pytest.param(b"Content-Length: 100000\r\n\r\n", b"B" * 100_000, id="a long one"),
    ],
)
def test_a_body_that_comes_while_its_request_is_tried_again_is_sent(
    lanes: list[Lane], gate: Gate, framing: bytes, body: bytes
) -> None:
    with upstream(answers_and_dies_upon_the_next, answers) as up, before(up) as open_it, open_it() as sock:
        sock.sendall(GET)
        answer(sock)
        gate.is_open = False
        sock.sendall(PUT + framing)
        eventually(lambda: gate.waiting)
        (forwarding,) = lanes[0].forwardings
        sock.sendall(body)
        eventually(lambda: forwarding._incoming.complete)
        gate.is_open = True
        assert answer(sock).startswith(b"HTTP/1.1 200")
        assert len(up.requests) == 3
        assert up.requests[2].endswith(b"\r\n\r\n" + body)
        sock.sendall(GET)
        eventually(lambda: len(up.requests) == 4)
        assert up.requests[3].startswith(b"GET /a HTTP/1.1\r\n")


def test_a_body_of_which_octets_are_missing_is_never_sent_as_if_it_were_whole(lanes: list[Lane], gate: Gate) -> None:
    gate.is_open = False
    with upstream(answers) as up, before(up) as open_it, open_it() as sock:
        sock.sendall(PUT + b"Content-Length: 4\r\n\r\nbody")
        eventually(lambda: gate.waiting)
        (forwarding,) = lanes[0].forwardings
        eventually(lambda: forwarding._incoming.complete)
        forwarding._incoming.pieces.clear()  # However it may come to that.
        forwarding._incoming.buffered = 0
        gate.is_open = True
        assert answer(sock).startswith(b"HTTP/1.1 400")
        assert up.requests == []


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(GET, id="a request"),
        pytest.param(PUT + b"Content-Length: 9\r\n\r\nabc", id="part of a body"),
        pytest.param(WEBSOCKET, id="an upgrade"),
    ],
)
def test_a_client_that_leaves_before_the_upstream_is_connected_leaves_nothing_behind(
    lanes: list[Lane], gate: Gate, sent: bytes
) -> None:
    gate.is_open = False
    with upstream(answers) as up, before(up) as open_it:
        sock = open_it()
        sock.sendall(sent)
        eventually(lambda: gate.waiting)
        reset(sock)
        eventually(lambda: not lanes[0].clients)
        assert not lanes[0].forwardings
        gate.is_open = True
        eventually(lambda: not gate.waiting)
        with open_it() as other:
            other.sendall(GET.replace(b"/a", b"/b"))
            answer(other)
        # Nothing was asked for the client that had left.
        assert [one[:6] for one in up.requests] == [b"GET /b"]


def test_one_that_leaves_while_its_request_is_made_anew_too(lanes: list[Lane], gate: Gate) -> None:
    def refusing(received: Received) -> Answer:
        if received.path != "/data":
            return Answer(body="hello")
        gate.is_open = False
        headers = {"WWW-Authenticate": 'Bearer error="invalid_token"', "Connection": "close"}
        return Answer(status=401, headers=headers, body="another token, please")

    config = {"routes": [{"path": "/**", "token": "access_token"}]}
    with run_before(refusing, config) as site, connected(site) as client:
        site.sign_in()
        site.clock.advance(MIN_TOKEN_AGE)
        client._sock.sendall(request(site))
        eventually(lambda: gate.waiting)
        reset(client._sock)
        eventually(lambda: not lanes[-1].clients)
        assert not lanes[-1].forwardings
        gate.is_open = True
        eventually(lambda: not gate.waiting)


def test_a_client_is_held_back_while_the_upstream_is_being_connected(lanes: list[Lane], gate: Gate) -> None:
    gate.is_open = False
    size = 16 << 20
    with upstream(answers) as up, before(up) as open_it, open_it() as sock:
        sender = threading.Thread(target=sock.sendall, args=[PUT + b"Content-Length: %d\r\n\r\n" % size + bytes(size)])
        sender.start()
        eventually(lambda: gate.waiting)
        (client,), (forwarding,) = lanes[0].clients, lanes[0].forwardings
        eventually(lambda: client._inlet.is_paused)
        assert forwarding._incoming.buffered < 4 * MAX_BODY_WAITING
        gate.is_open = True
        assert answer(sock).startswith(b"HTTP/1.1 200")
        sender.join(SECONDS)
        assert up.requests[0].endswith(b"\r\n\r\n" + bytes(size))


def test_octets_behind_an_upgrade_are_not_lost_without_a_word(lanes: list[Lane], gate: Gate) -> None:
    gate.is_open = False
    with upstream(answers) as up, before(up) as open_it, open_it() as sock:
        sock.sendall(WEBSOCKET)
        eventually(lambda: gate.waiting)
        sock.sendall(b"GET /b HTTP/1.1\r\n")
        assert answer(sock).startswith(b"HTTP/1.1 400")
        assert sock.recv(1) == b""  # Part of what it said is lost, so that nothing more can be understood.
        gate.is_open = True
        eventually(lambda: not gate.waiting)
        assert not lanes[0].tunnels
        assert up.requests == []


BEHIND: Final = 64 << 20
"""More than the kernel takes for a client that does not read."""


@contextmanager
def tunnelled(
    lanes: list[Lane], gate: Gate, then: Callable[[socket.socket], None], *, is_behind: bool
) -> Iterator[tuple[socket.socket, Tunnel]]:
    """Have a client behind with what was sent to it before, if that is so, and then be given a tunnel."""
    gate.is_open = False

    def switch(up: Upstream, peer: socket.socket) -> None:
        up.read(peer)
        accept = accept_of("AAAAAAAAAAAAAAAAAAAAAA==").encode("ascii")
        peer.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        then(peer)

    with upstream(switch) as up, before(up) as open_it, open_it() as sock:
        sock.sendall(WEBSOCKET)
        eventually(lambda: gate.waiting)
        (client,) = lanes[0].clients
        if is_behind:
            lanes[0].loop.call_soon_threadsafe(client.transport.write, bytes(BEHIND))
            eventually(lambda: not client.is_writable)
        gate.is_open = True
        eventually(lambda: lanes[0].tunnels)
        (tunnel,) = lanes[0].tunnels
        yield sock, tunnel


def is_open(transport: Any) -> Callable[[], bool]:
    """Tell whether the socket that a transport has now is still open, whatever the transport says."""
    number = transport.get_extra_info("socket").fileno()
    inode = os.fstat(number).st_ino

    def is_so() -> bool:
        with suppress(OSError):
            return os.fstat(number).st_ino == inode
        return False

    return is_so


def test_an_upstream_is_held_back_while_the_client_that_gets_a_tunnel_is_behind(lanes: list[Lane], gate: Gate) -> None:
    pushed = threading.Event()

    def push(peer: socket.socket) -> None:
        peer.sendall(b"x" * BEHIND)
        pushed.set()

    with tunnelled(lanes, gate, push, is_behind=True) as (sock, _):
        assert not pushed.wait(0.3)
        said = 0
        while said < BEHIND:
            said += sock.recv(1 << 20).count(b"x")
        assert pushed.wait(SECONDS)


@pytest.mark.parametrize("is_behind", [False, True], ids=["while the tunnel lasts", "before there was a tunnel"])
def test_a_client_that_takes_nothing_keeps_no_tunnel_open_whose_upstream_is_gone(
    monkeypatch: pytest.MonkeyPatch, lanes: list[Lane], gate: Gate, is_behind: bool
) -> None:
    monkeypatch.setattr("gateway.lane.tunnel.LINGER_SECONDS", 0.1)

    def push_and_reset(peer: socket.socket) -> None:
        peer.settimeout(0.3)
        with suppress(TimeoutError):
            peer.sendall(bytes(BEHIND))
        reset(peer)

    with tunnelled(lanes, gate, push_and_reset, is_behind=is_behind) as (_, tunnel):
        ends = [is_open(end.transport) for end in tunnel._ends]
        eventually(lambda: not any(end() for end in ends))
        assert not lanes[0].tunnels


def test_what_an_upstream_said_last_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch, lanes: list[Lane], gate: Gate
) -> None:
    monkeypatch.setattr("gateway.lane.tunnel.LINGER_SECONDS", 0.1)
    is_over = threading.Event()

    def wait(_: socket.socket) -> None:
        is_over.wait(SECONDS)

    with tunnelled(lanes, gate, wait, is_behind=True) as (_, tunnel):
        ends = [is_open(end.transport) for end in tunnel._ends]
        lanes[0].loop.call_soon_threadsafe(lambda: tunnel.close(gracefully=True))
        eventually(lambda: not any(end() for end in ends))
        assert not lanes[0].tunnels
        is_over.set()


@contextmanager
def idle_connection(loop: asyncio.AbstractEventLoop) -> Iterator[tuple[AsyncPool, socket.socket]]:
    """Have a pool keep one connection; yields it with the upstream's end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pool = AsyncPool(origin_at(f"http://127.0.0.1:{listener.getsockname()[1]}"), loop)
        kept = loop.run_until_complete(pool.connect())
        pool.give_back(kept)
        peer, _ = listener.accept()
        with peer:
            yield pool, peer
        kept.close()
        loop.run_until_complete(asyncio.sleep(0.01))  # A loop with open transports is not always ready to be closed.


def test_an_idle_connection_is_taken_only_if_the_upstream_was_silent() -> None:
    with closing(uvloop.new_event_loop()) as loop, idle_connection(loop) as (pool, _):
        taken = pool.take()
        assert taken is not None
        assert taken.reused


@pytest.mark.parametrize(
    "unasked", [pytest.param(OK, id="an answer that nobody asked for"), pytest.param(b"", id="a hang-up")]
)
def test_what_lies_unread_in_an_idle_connection_is_nobodys_answer(unasked: bytes) -> None:
    with closing(uvloop.new_event_loop()) as loop, idle_connection(loop) as (pool, peer):
        (kept,) = pool._idle
        peer.sendall(unasked)
        peer.shutdown(socket.SHUT_WR)
        # It is there, and the loop had no turn in which to see it.
        arrived = select.poll()
        arrived.register(kept.transport.get_extra_info("socket").fileno(), select.POLLIN)
        assert arrived.poll(1000)
        assert pool.take() is None
        assert not kept.is_open


def test_an_exchanged_token_that_was_fetched_anew_is_the_one_that_is_sent() -> None:
    given: list[str] = []

    def numbered(members: Members) -> Members:
        given.append(f"{members['access_token']}-{len(given)}")
        return {**members, "expires_in": 10, "access_token": given[-1]}

    config = {"session": {"local_cache": 60, "idle_timeout": "10h"}, "routes": [{"path": "/**", "token": EXCHANGED}]}
    with run_before(hello, config) as site, connected(site) as client:
        site.provider.exchange_audiences = ["inventory"]
        site.provider.faults = Faults(token_exchange=numbered)
        site.sign_in()
        sent = request(site)
        for _ in range(8):
            assert client.ask(sent)[0] == 200
            assert site.received[-1].headers["authorization"] == f"Bearer {given[-1]}"
            site.clock.advance(6)
        assert len(given) > 1
