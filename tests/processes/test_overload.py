"""A worker that has enough to do: it says so at once, answers who asks if it lives, and loses nothing."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from peers.servers import LOOPBACK, free_port

from .running import Connection, Face, environment, origin_at, run_gateway, run_provider

pytestmark = pytest.mark.slow

PLACES = 2
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@pytest.fixture
def upstream() -> Iterator[socket.socket]:
    with socket.create_server((LOOPBACK, 0)) as listener:
        listener.settimeout(10)
        yield listener


def test_a_worker_sheds_what_is_too_much_for_its_upstream(face: Face, tmp_path: Path, upstream: socket.socket) -> None:
    port = free_port()
    origin = origin_at(port)
    with ExitStack() as stack:
        provider = stack.enter_context(run_provider([origin], {"alice": {}}))
        settings = {
            "UPSTREAM": f"http://{LOOPBACK}:{upstream.getsockname()[1]}",
            "ROUTES": '[{"path": "/**", "access": "public"}]',
            "LIMITS__UPSTREAM_REQUESTS": str(PLACES),
            "LIMITS__CONNECTIONS": str(PLACES + 1),
        }
        environ = environment(origin, provider.issuer, settings)
        stack.enter_context(run_gateway(tmp_path, port, environ, workers=1, face=face))
        waiting = [Connection(origin) for _ in range(PLACES)]
        for one in waiting:
            one.send("GET", "/")
        taken = [stack.enter_context(upstream.accept()[0]) for _ in waiting]
        other, late = Connection(origin), Connection(origin)
        for _ in range(3):
            other.send("GET", "/")
            shed = other.receive()
            assert (shed.status, shed.shown["error"], shed.headers["Retry-After"]) == (503, "overloaded", "1")
        other.send("GET", "/ping")
        assert other.receive().status == 200
        late.send("GET", "/ping")  # One more than the lane takes: it waits, and is not refused.
        for sock in taken:
            sock.recv(65536)
            sock.sendall(ANSWER)
        assert [one.receive().status for one in waiting] == [200] * PLACES
        for one in waiting:
            one.close()
        assert late.receive().status == 200
        for one in (other, late):
            one.close()
