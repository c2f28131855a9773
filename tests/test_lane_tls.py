"""The lane's own TLS: what lies unread, what comes last, and who is slow, on both sides."""

import asyncio
import datetime
import gc
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest
import uvloop
from answering import hello, run_before
from harness import base_config
from lane_face import run_lane
from peers.listener import Answer, run_listener
from raw_origin import OK, origin, origin_at
from test_lane_attacks_upstream import GET, SECONDS, WEBSOCKET, answer, eventually
from test_lane_recollection import connected, request

from gateway import Gateway
from gateway.devtls import localhost_certificate
from gateway.lane.listening import Listening
from gateway.lane.pool import AsyncPool
from gateway.lane.records import MAX_EMPTY, RECORDS_AT_ONCE, Records
from gateway.lane.tls import TlsTransport
from gateway.renewal import MIN_TOKEN_AGE
from gateway.store import HeldSession
from gateway.upstream_origin import NotConnected
from gateway.websocket import accept_of

HEAD_REQUEST: Final = GET.replace(b"GET", b"HEAD")
STOLEN: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"
SWITCH: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    + accept_of("AAAAAAAAAAAAAAAAAAAAAA==").encode("ascii")
    + b"\r\n\r\n"
)
SIZES: Final = [pytest.param(size, id=f"{size} octets") for size in range(3_600_000, 4_600_001, 200_000)]


@dataclass(frozen=True, kw_only=True)
class Tls:
    server: ssl.SSLContext
    trusted: str


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    files = localhost_certificate(tmp_path_factory.mktemp("tls"), datetime.datetime.now(datetime.timezone.utc))  # noqa: UP017
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return Tls(server=context, trusted=str(files.certificate))


class Peer:
    """The server's end of a TLS connection, whose records can be sent in parts."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self.sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._until_done(self._tls.do_handshake)

    def records(self, data: bytes) -> bytes:
        """Encrypt octets, and do not send them."""
        self._tls.write(data)
        return self._out.read()

    def send(self, data: bytes) -> None:
        """Send octets, a record for each 16 KiB."""
        for at in range(0, len(data), 16384):
            self._tls.write(data[at : at + 16384])
        self.sock.sendall(self._out.read())

    def read(self) -> bytes:
        """Read some, or nothing when the other end has said all."""
        with suppress(ssl.SSLZeroReturnError):
            return self._until_done(lambda: self._tls.read(65536))
        return b""

    def end(self) -> None:
        """Say that this is all, and close this direction."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self.sock.sendall(self._out.read())
        self.sock.shutdown(socket.SHUT_WR)

    def _until_done(self, step: Callable[[], bytes | None]) -> bytes:
        while True:
            try:
                return step() or b""
            except ssl.SSLWantReadError:
                self._flush()
                data = self.sock.recv(65536)
                if not data:
                    return b""
                self._in.write(data)
            finally:
                self._flush()

    def _flush(self) -> None:
        if self._out.pending:
            self.sock.sendall(self._out.read())


@contextmanager
def upstream(context: ssl.SSLContext, *scripts: Callable[[Peer], None]) -> Iterator[str]:
    """Play a script for each connection; yields the upstream's URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for script in scripts:
                with suppress(OSError), listener.accept()[0] as sock:
                    sock.settimeout(SECONDS)
                    script(Peer(sock, context))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(SECONDS)
    assert not thread.is_alive()


@contextmanager
def before(url: str, tls: Tls) -> Iterator[Callable[[], socket.socket]]:
    document = {
        **base_config({"type": "memory"}),
        "upstream": url,
        "upstream_connection": {"verify_tls": tls.trusted},
        "routes": [{"path": "/**", "access": "public"}],
    }
    with run_lane(Gateway.from_config(document)(None)) as face:

        def connect() -> socket.socket:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
            sock.settimeout(SECONDS)
            sock.connect(("127.0.0.1", face.port))
            return sock

        yield connect


def all_of(sock: socket.socket) -> bytes:
    received = bytearray()
    while piece := sock.recv(1 << 18):
        received += piece
    return bytes(received)


def head(sock: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += sock.recv(1)
    return received


@pytest.mark.parametrize("cut", [1, 4, 5, 6, 20, -1], ids=lambda cut: f"{cut} octets")
def test_part_of_a_record_is_no_quiet_connection(tls: Tls, cut: int) -> None:
    """What a user has asked an upstream to say too much must not be the answer to the next."""
    is_there, goes_on = threading.Event(), threading.Event()

    def says_too_much(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
        assert goes_on.wait(SECONDS)
        record = peer.records(STOLEN)
        peer.sock.sendall(record[:cut])
        time.sleep(0.2)  # The loop reads it.
        is_there.set()
        time.sleep(0.2)
        peer.sock.sendall(record[cut:])

    def honest(peer: Peer) -> None:
        peer.read()
        peer.send(OK)

    with (
        upstream(tls.server, says_too_much, honest) as url,
        before(url, tls) as open_it,
        open_it() as sock,
        open_it() as other,
    ):
        sock.sendall(HEAD_REQUEST)
        head(sock)
        goes_on.set()
        assert is_there.wait(SECONDS)
        other.sendall(GET)
        assert answer(other).endswith(b"\r\n\r\nok")


@contextmanager
def idle(loop: asyncio.AbstractEventLoop, tls: Tls, said: Callable[[Peer], object]) -> Iterator[AsyncPool]:
    """Have a pool keep one connection, on which the upstream then says something."""
    kept, is_said, is_over = threading.Event(), threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        kept.wait(SECONDS)
        said(peer)
        is_said.set()
        is_over.wait(SECONDS)

    with upstream(tls.server, script) as url:
        pool = AsyncPool(origin_at(url, verify_tls=tls.trusted), loop)
        pool.give_back(loop.run_until_complete(pool.connect()))
        kept.set()
        assert is_said.wait(SECONDS)
        yield pool
        is_over.set()
        pool.close()
        loop.run_until_complete(asyncio.sleep(0.01))


@pytest.mark.parametrize("turn", [False, True], ids=["in the socket", "read by the loop"])
@pytest.mark.parametrize(
    ("said", "is_taken"),
    [
        pytest.param(lambda _: None, True, id="the tickets of the handshake"),
        pytest.param(lambda peer: peer.sock.sendall(peer.records(OK)[:9]), False, id="part of a record"),
        pytest.param(lambda peer: peer.sock.sendall(peer.records(OK)[:3]), False, id="part of a header"),
        pytest.param(lambda peer: peer.send(OK), False, id="an answer"),
        pytest.param(lambda peer: peer.end(), False, id="its end"),
        pytest.param(lambda peer: peer.sock.shutdown(socket.SHUT_WR), False, id="a hang-up"),
        pytest.param(lambda peer: peer.sock.sendall(b"HTTP/1.1 200 OK\r\n"), False, id="no TLS"),
    ],
)
def test_an_idle_connection_is_taken_only_if_nothing_was_said(
    tls: Tls, said: Callable[[Peer], object], is_taken: bool, turn: bool
) -> None:
    with closing(uvloop.new_event_loop()) as loop, idle(loop, tls, said) as pool:
        if turn:
            loop.run_until_complete(asyncio.sleep(0.1))
        else:
            time.sleep(0.05)
        taken = pool.take()
        assert (taken is not None) is is_taken
        if taken is not None:
            taken.close()


@pytest.mark.parametrize("piece", [1, 3, 7, 1000])
def test_records_are_followed_whatever_their_parts(piece: int) -> None:
    records = b"\x17\x03\x03\x00\x05hello" + b"\x17\x03\x03\x00\x00" + b"\x17\x03\x03\x01\x00" + bytes(256)
    ends = {10, 15, 276}
    followed = Records()
    for at in range(0, len(records), piece):
        followed.follow(records[at : at + piece], 9)
        assert followed.is_between is (min(at + piece, len(records)) in ends)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", SWITCH], ids=["answer", "tunnel"])
def test_what_an_upstream_said_before_it_hung_up_reaches_a_slow_client(tls: Tls, first: bytes, size: int) -> None:
    def script(peer: Peer) -> None:
        peer.read()
        peer.send(first + bytes(size))
        peer.end()
        peer.read()

    asked = WEBSOCKET if first is SWITCH else GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with upstream(tls.server, script) as url, before(url, tls) as open_it, open_it() as sock:
        sock.sendall(asked)
        time.sleep(0.3)
        status = head(sock)
        body = all_of(sock)
        if first is not SWITCH:
            assert b"chunked" in status
            assert body.endswith(b"0\r\n\r\n")
        assert body.count(b"\0") == size


def test_a_large_body_and_the_last_words_of_a_tunnel_go_up_whole(tls: Tls) -> None:
    size, received = 3_000_000, bytearray()

    def script(peer: Peer) -> None:
        peer.read()
        peer.send(SWITCH)
        time.sleep(0.2)
        while data := peer.read():
            received.extend(data)

    with upstream(tls.server, script) as url, before(url, tls) as open_it, open_it() as sock:
        sock.sendall(WEBSOCKET)
        head(sock)
        sock.sendall(bytes(size) + b"the last")
        sock.shutdown(socket.SHUT_WR)
        eventually(lambda: len(received) == size + 8)
    assert received.endswith(b"the last")


def test_an_answer_that_is_cut_off_without_a_closure_alert_is_not_whole(tls: Tls) -> None:
    def script(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + bytes(100))

    with upstream(tls.server, script) as url, before(url, tls) as open_it, open_it() as sock:
        sock.sendall(GET)
        head(sock)
        assert not all_of(sock).endswith(b"0\r\n\r\n")


def test_a_token_that_was_refused_is_renewed_when_the_body_comes_late(
    monkeypatch: pytest.MonkeyPatch, tls: Tls
) -> None:
    def script(peer: Peer) -> None:
        peer.read()
        fields = b'WWW-Authenticate: Bearer error="invalid_token"\r\nContent-Length: 7\r\nConnection: close\r\n\r\n'
        peer.send(b"HTTP/1.1 401 No\r\n" + fields)
        time.sleep(0.05)
        peer.send(b"refused")
        peer.end()
        peer.read()

    def then(peer: Peer) -> None:
        peer.read()
        peer.send(OK)

    with upstream(tls.server, script, then) as url:
        config = {
            "upstream_connection": {"verify_tls": tls.trusted},
            "routes": [{"path": "/data", "token": "access_token", "upstream": url}, {"path": "/**"}],
        }
        with run_before(hello, config) as site, connected(site) as client:
            renew = site.gateway.authenticator.after_rejection

            def slowly(held: HeldSession) -> HeldSession | None:
                time.sleep(0.3)
                return renew(held)

            monkeypatch.setattr(site.gateway.authenticator, "after_rejection", slowly)
            site.sign_in()
            site.clock.advance(MIN_TOKEN_AGE)
            assert client.ask(request(site)) == (200, b"ok")


@contextmanager
def serving_tls(
    url: str,
    context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    config: Mapping[str, object] = MappingProxyType({}),
) -> Iterator[int]:
    """Run a lane whose clients speak TLS; yields its port."""
    document = {
        **base_config({"type": "memory"}),
        "upstream": url,
        "routes": [{"path": "/**", "access": "public"}],
        **config,
    }
    init = Listening.__init__
    monkeypatch.setattr(Listening, "__init__", partialmethod(init, context=context))
    with run_lane(Gateway.from_config(document)(None)) as face:
        yield face.port


@pytest.mark.parametrize("size", range(2_600_000, 4_400_001, 200_000))
def test_a_slow_client_gets_the_end_of_its_last_answer_over_tls(
    monkeypatch: pytest.MonkeyPatch, tls: Tls, size: int
) -> None:
    monkeypatch.setattr("gateway.lane.client.LINGER_SECONDS", 0.1)
    last = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    with origin([last]) as raw, serving_tls(raw.url, tls.server, monkeypatch) as port, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 200_000)
        sock.settimeout(SECONDS)
        sock.connect(("127.0.0.1", port))
        context = ssl.create_default_context(cafile=tls.trusted)
        with context.wrap_socket(sock, server_hostname="localhost") as client:
            client.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            time.sleep(2.5)  # More than two looks at who lingers.
            head(client)
            assert all_of(client).count(b"\0") == size


@pytest.mark.parametrize(
    ("said", "code"),
    [
        pytest.param(None, "upstream_connect_timeout", id="silence"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", "upstream_unreachable", id="no TLS"),
        pytest.param(b"", "upstream_unreachable", id="a hang-up"),
    ],
)
def test_a_handshake_that_fails_is_no_connection(said: bytes | None, code: str) -> None:
    with (
        closing(uvloop.new_event_loop()) as loop,
        socket.create_server(("127.0.0.1", 0)) as listener,
        ThreadPoolExecutor(1) as threads,
    ):
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        pool = AsyncPool(origin_at(url, verify_tls=False, connect_timeout=0.3), loop)

        def accept() -> socket.socket:
            sock = listener.accept()[0]
            if said is not None:
                sock.sendall(said)
                sock.close()
            return sock

        accepted = threads.submit(accept)
        with pytest.raises(NotConnected) as error:
            loop.run_until_complete(pool.connect())
        accepted.result().close()
        loop.run_until_complete(asyncio.sleep(0.01))
    assert error.value.code == code


@pytest.mark.parametrize(
    ("records", "status"),
    [pytest.param(MAX_EMPTY // 2, b"200", id="some"), pytest.param(MAX_EMPTY * 2, b"502", id="without-end")],
)
def test_only_so_many_records_in_a_row_may_bring_nothing(tmp_path: Path, records: int, status: bytes) -> None:
    """A record of 27 octets that changes the keys is 50 microseconds of the loop: 540 kB/s would be all of a worker."""
    files = localhost_certificate(tmp_path, datetime.datetime.now(datetime.timezone.utc))  # noqa: UP017
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.num_tickets = records

    def script(peer: Peer) -> None:
        peer.read()
        peer.send(OK)
        peer.read()

    own = Tls(server=context, trusted=str(files.certificate))
    with upstream(context, script) as url, before(url, own) as open_it, open_it() as sock:
        sock.sendall(GET)
        assert head(sock).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("size", [1, 100, 16384], ids=lambda size: f"{size} octets")
def test_records_of_any_size_are_read_in_turns_and_none_is_lost(
    monkeypatch: pytest.MonkeyPatch, tls: Tls, size: int
) -> None:
    turns: list[int] = []
    follow = Records.follow

    def counting(self: Records, data: bytes | memoryview, most: int) -> tuple[int, int]:
        octets, ended = follow(self, data, most)
        turns.append(ended)
        return octets, ended

    monkeypatch.setattr(Records, "follow", counting)
    requests = GET * (30 if size == 1 else 500)
    with (
        run_listener(lambda _: Answer(body="ok")) as app,
        serving_tls(app.origin, tls.server, monkeypatch) as port,
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as sock,
    ):
        context = ssl.create_default_context(cafile=tls.trusted)
        with context.wrap_socket(sock, server_hostname="localhost") as client:
            for at in range(0, len(requests), size):
                client.sendall(requests[at : at + size])
            received = b""
            while received.count(b"HTTP/1.1 200") < len(requests) // len(GET):
                received += client.recv(65536)
    assert max(turns) <= RECORDS_AT_ONCE
    assert sum(turns) >= len(requests) // size


def test_a_tunnel_whose_client_broke_off_and_takes_nothing_ends(monkeypatch: pytest.MonkeyPatch, tls: Tls) -> None:
    monkeypatch.setattr("gateway.lane.tls.LAST_SECONDS", 0.2)
    monkeypatch.setattr("gateway.lane.tunnel.LINGER_SECONDS", 0.2)
    is_over = threading.Event()

    def script(peer: Peer) -> None:
        peer.read()
        peer.send(SWITCH)
        with suppress(OSError):
            while True:
                peer.send(bytes(65536))
        is_over.set()

    with upstream(tls.server, script) as url:
        connection = {"upstream_connection": {"verify_tls": tls.trusted}}
        with (
            serving_tls(url, tls.server, monkeypatch, connection) as port,
            socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as sock,
        ):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
            context = ssl.create_default_context(cafile=tls.trusted)
            client = context.wrap_socket(sock, server_hostname="localhost")
            client.sendall(WEBSOCKET)
            head(client)
            time.sleep(0.3)
            raw = socket.socket(fileno=client.detach())
            with raw:
                raw.shutdown(socket.SHUT_WR)  # Without a closure alert, and nothing is read any more.
                assert is_over.wait(SECONDS)


def test_a_connection_that_is_closed_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tls: Tls) -> None:
    """What refers to itself would stay, with all that it holds, until somebody looks for such circles."""
    made: list[weakref.ref[Any]] = []
    connection_made = TlsTransport.connection_made

    def noting(self: TlsTransport, transport: asyncio.BaseTransport) -> None:
        made.append(weakref.ref(self._tls))
        connection_made(self, transport)

    monkeypatch.setattr(TlsTransport, "connection_made", noting)
    context = ssl.create_default_context(cafile=tls.trusted)
    gc.disable()
    try:
        with run_listener(lambda _: Answer(body="ok")) as app, serving_tls(app.origin, tls.server, monkeypatch) as port:
            for _ in range(3):
                sock = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
                with context.wrap_socket(sock, server_hostname="localhost") as client:
                    client.sendall(GET)
                    head(client)
            eventually(lambda: len(made) == 3 and all(one() is None for one in made))
    finally:
        gc.enable()


def test_the_last_words_of_an_upstream_are_read_in_one_turn_however_many_records_they_are(tls: Tls) -> None:
    """It answers an upload early and resets; there is no turn of the loop to come in which more could be read."""
    body = b"x" * 20_000
    said = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    async def last() -> bytes:
        loop, received = asyncio.get_running_loop(), Receiving()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.settimeout(SECONDS)
        context = ssl.create_default_context(cafile=tls.trusted)
        transport = TlsTransport(loop, context, lambda: received, name="localhost")
        peer = loop.run_in_executor(None, Peer, theirs, tls.server)
        await loop.create_connection(lambda: transport, sock=ours)
        await transport.handshake()
        server = await peer
        records = b"".join(server.records(said[at : at + 100]) for at in range(0, len(said), 100))
        received.last = records
        theirs.close()
        await received.lost
        return bytes(received.data)

    with closing(uvloop.new_event_loop()) as loop:
        assert loop.run_until_complete(last()) == said


class Receiving(asyncio.Protocol):
    """Takes what comes, and, when it is told of the end, what still lay in the socket."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.last = b""
        self.lost = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.transport.pause_reading()

    def connection_lost(self, _: Exception | None) -> None:
        self.transport.data_received(self.last)
        self.lost.set_result(None)
