"""The reverse proxy under a real server: gigabytes pass through in flat memory, and a cut upstream cuts the client."""

import contextlib
import http.client
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from peers.servers import LOOPBACK, free_port, run_process

MEBIBYTE = 2**20
SIZE = 1024 * MEBIBYTE
MAX_GROWTH = 64 * MEBIBYTE
TIMEOUT = 30.0
PIECE = bytes(MEBIBYTE // 4)

APPLICATION = """
import os
from urllib.parse import urlsplit
from gateway.upstream import Upstream
from gateway.upstream_origin import Origin

parts = urlsplit(os.environ["UPSTREAM_URL"])
origin = Origin(host=parts.hostname, port=parts.port, tls=None, connect_timeout=5.0, read_timeout=20.0)
app = Upstream(origins=[origin], authority=parts.netloc, pseudonym="gw")
"""


@contextmanager
def running_origin(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Give each connection to `serve` in a thread, and yield the URL."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, serve))
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(TIMEOUT)


def _accept(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.settimeout(TIMEOUT)
            with connection:
                serve(connection)


def stream(connection: socket.socket) -> None:
    """Send SIZE octets for a GET; for a POST read the body and tell how much it was."""
    reader = connection.makefile("rb")
    request_line = reader.readline()
    length = 0
    while (line := reader.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    if request_line.startswith(b"GET"):
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % SIZE)
        for _ in range(SIZE // len(PIECE)):
            connection.sendall(PIECE)
        return
    received, buffer = 0, bytearray(len(PIECE))
    while received < length and (count := reader.readinto(buffer)):
        received += count
    told = str(received).encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told))


def cut(connection: socket.socket) -> None:
    """Promise more than comes."""
    request = connection.recv(65536)
    framing = b"Transfer-Encoding: chunked\r\n\r\n9" if b"/chunked" in request else b"Content-Length: 9\r\n"
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\nshort")


@contextmanager
def running_proxy(url: str, directory: Path) -> Iterator[tuple[int, int]]:
    """Run the proxy under gunicorn's threads; yields the port and the worker's process id."""
    (directory / "proxied.py").write_text(APPLICATION)
    port = free_port()
    argv = [sys.executable, "-m", "gunicorn", "-b", f"{LOOPBACK}:{port}", "-k", "gthread", "--threads", "4"]
    with run_process(
        [*argv, "-w", "1", "--no-control-socket", "proxied:app"],
        env={**os.environ, "UPSTREAM_URL": url},
        cwd=directory,
        ready=lambda: _answers(port),
        name="gunicorn",
        log_path=directory / "gunicorn.log",
    ) as process:
        yield port, _child(process.pid)


def _answers(port: int) -> bool:
    try:
        with _request(port, "OPTIONS", headers={"Max-Forwards": "0"}) as response:
            return response.status == 204
    except OSError:
        return False


def _child(process: int) -> int:
    return int(Path(f"/proc/{process}/task/{process}/children").read_text().split()[0])


def _peak(process: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1]) * 1024


@contextmanager
def _request(port: int, method: str, target: str = "/", **more: Any) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=TIMEOUT)
    try:
        connection.request(method, target, **more)
        yield connection.getresponse()
    finally:
        connection.close()


def _received(response: http.client.HTTPResponse) -> int:
    received, buffer = 0, bytearray(len(PIECE))
    while count := response.readinto(buffer):
        received += count
    return received


@pytest.mark.slow
def test_memory_stays_flat(tmp_path: Path) -> None:
    with running_origin(stream) as url, running_proxy(url, tmp_path) as (port, worker):
        before = _peak(worker)
        with _request(port, "GET") as down:
            assert _received(down) == SIZE
        body = (PIECE for _ in range(SIZE // len(PIECE)))
        with _request(port, "POST", body=body, headers={"Content-Length": str(SIZE)}) as up:
            assert int(up.read()) == SIZE
        assert _peak(worker) - before < MAX_GROWTH


@pytest.mark.slow
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_cut_answer_is_incomplete_for_the_client(framing: str, tmp_path: Path) -> None:
    with (
        running_origin(cut) as url,
        running_proxy(url, tmp_path) as (port, _),
        _request(port, "GET", f"/{framing}") as response,
    ):
        assert response.status == 200
        with pytest.raises(http.client.IncompleteRead):
            response.read()
