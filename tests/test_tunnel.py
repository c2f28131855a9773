"""Tunnels: octets both ways, plain and over TLS, with bounded buffers, and an end for every way to end."""

import datetime
import os
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from harness import ORIGIN, error_code, run_site

from gateway.client_socket import ClientSocket, client_socket
from gateway.devtls import localhost_certificate
from gateway.errors import GatewayError
from gateway.tunnel import MAX_BUFFERED, Tunnel, Tunnels

SECONDS = 10.0
LARGE = os.urandom(4 * 2**20)


@dataclass(kw_only=True)
class Ends:
    """The far ends of a tunnel: the client and the upstream, as those who speak through it have them."""

    client: socket.socket
    upstream: socket.socket
    tunnel: Tunnel
    tunnels: Tunnels
    ended: threading.Event = field(default_factory=threading.Event)


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    for end in (near, far):
        end.settimeout(SECONDS)
    return near, far


def over_tls(near: socket.socket, far: socket.socket, directory: Path) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    files = localhost_certificate(directory, datetime.datetime.now(datetime.UTC))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.certificate, files.key)
    client = ssl.create_default_context(cafile=str(files.certificate))
    done: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: done.append(server.wrap_socket(far, server_side=True)))
    thread.start()
    wrapped = client.wrap_socket(near, server_hostname="localhost")
    thread.join(SECONDS)
    return wrapped, done[0]


@pytest.fixture(params=["plain", "tls to the upstream", "tls to the client"])
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ends]:
    client_near, client_far = pair()
    upstream_near, upstream_far = pair()
    if request.param == "tls to the upstream":
        upstream_near, upstream_far = over_tls(upstream_near, upstream_far, tmp_path)
    if request.param == "tls to the client":
        client_far, client_near = over_tls(client_far, client_near, tmp_path)
    with ExitStack() as stack:
        for sock in (client_near, client_far, upstream_near, upstream_far):
            stack.callback(sock.close)
        tunnel = Tunnel(client_near, upstream_near, b"first", owns_client=True)
        tunnels = Tunnels()
        made = Ends(client=client_far, upstream=upstream_far, tunnel=tunnel, tunnels=tunnels)
        tunnel.when_ended(made.ended.set)
        tunnels.open(tunnel)
        assert read(client_far, 5) == b"first"
        yield made
        tunnels.abort(tunnel)
        assert made.ended.wait(SECONDS)


def read(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (piece := sock.recv(65536)):
        data += piece
    return bytes(data)


def sending(sock: socket.socket, data: bytes) -> threading.Thread:
    thread = threading.Thread(target=sock.sendall, args=[data])
    thread.start()
    return thread


def exchanged(sock: socket.socket, data: bytes) -> bytes:
    """Send and receive as much at once, in one thread: before Python 3.13 two must not use one TLS socket."""
    waiting, received = memoryview(data), bytearray()
    sock.settimeout(0)
    while waiting or len(received) < len(data):
        assert any(select.select([sock], [sock] if waiting else [], [], SECONDS))
        with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            waiting = waiting[sock.send(waiting[:65536]) :] if waiting else waiting
        with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while len(received) < len(data):
                piece = sock.recv(65536)
                assert piece
                received += piece
    return bytes(received)


def test_octets_go_both_ways_at_once(ends: Ends) -> None:
    received: list[bytes] = []
    other = threading.Thread(target=lambda: received.append(exchanged(ends.upstream, LARGE[::-1])))
    other.start()
    assert exchanged(ends.client, LARGE) == LARGE[::-1]
    other.join(SECONDS)
    assert received == [LARGE]


def test_what_nobody_reads_is_not_piled_up(ends: Ends) -> None:
    ends.client.settimeout(0.5)
    with pytest.raises(TimeoutError):
        ends.client.sendall(bytes(64 * 2**20))
    assert all(len(end.waiting) <= 2 * MAX_BUFFERED for end in ends.tunnel.ends)


def test_when_one_side_goes_the_other_is_told(ends: Ends) -> None:
    ends.upstream.sendall(b"bye")
    ends.upstream.close()
    assert read(ends.client, 4) == b"bye"
    ends.client.close()
    assert ends.ended.wait(SECONDS)


def test_an_abort_ends_both(ends: Ends) -> None:
    ends.tunnels.abort(ends.tunnel)
    assert ends.ended.wait(SECONDS)
    for sock in (ends.client, ends.upstream):
        with suppress(ConnectionError):
            assert sock.recv(1) == b""


def test_who_comes_late_is_told_at_once(ends: Ends) -> None:
    ends.tunnels.abort(ends.tunnel)
    ends.tunnel.wait()
    told = threading.Event()
    ends.tunnel.when_ended(told.set)
    assert told.is_set()


def test_a_side_that_never_ends_is_waited_for_in_vain() -> None:
    (client, _far), (upstream, _other) = pair(), pair()
    tunnel = Tunnel(client, upstream, b"", owns_client=True)
    assert not tunnel.is_over(0.0)
    _other.shutdown(socket.SHUT_WR)
    while not tunnel.ends[1].ended:
        tunnel.move(100.0)
    assert not tunnel.is_over(129.0)
    assert tunnel.is_over(130.0)
    tunnel.close()
    for sock in (_far, _other):
        sock.close()


def test_the_server_is_left_with_a_socket_to_nowhere() -> None:
    near, far = pair()
    mine = ClientSocket(sock=near).take()
    near.settimeout(SECONDS)
    assert near.recv(1) == b""  # What the server does with it ends at once, and tells the client nothing.
    near.close()
    mine.sendall(b"still there")
    assert far.recv(64) == b"still there"
    mine.close()
    far.close()


def test_other_servers_cannot_lend_a_socket() -> None:
    with pytest.raises(GatewayError) as error:
        client_socket({"SERVER_SOFTWARE": "another/1.0"})
    assert error.value.code == "upgrade_unsupported"


@pytest.mark.threads_only("the lane forwards it")
def test_under_another_server_a_websocket_gets_501() -> None:
    with run_site(mode="upstream") as site:
        site.sign_in()
        site.received.clear()
        headers = {
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Origin": ORIGIN,
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-Fetch-Site": "same-origin",
        }  # fmt: skip
        page = site.browser.fetch(f"{ORIGIN}/socket", headers=headers)
        assert (page.status, error_code(page), site.received) == (501, "upgrade_unsupported", [])
