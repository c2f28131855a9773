"""Answers GET /metrics on a listener of its own, by one thread of each worker."""

from __future__ import annotations

import logging
import re
import select
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gateway.config_metrics_model import MetricsSettings
from gateway.metrics.exposition import CONTENT_TYPE
from gateway.unforeseen import log_unforeseen

BACKLOG = 16
MAX_HEAD = 8192
DEADLINE_SECONDS = 5.0
"""How long a scrape may take, from its first octet to the last of the answer."""

_PAUSE_AFTER_ERROR = 1.0
_REQUEST = re.compile(rb"(GET|HEAD) /metrics(?:\?[!-~]*)? HTTP/1\.[01]\r\n")
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_log = logging.getLogger("gateway.metrics")


def bind(settings: MetricsSettings) -> socket.socket:
    """Listen where metrics are to be served; raises `OSError`."""
    if settings.path:
        return _bind_path(Path(settings.path))
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return _bound(listening, (settings.host, settings.port))


def _bind_path(path: Path) -> socket.socket:
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
        path.unlink()  # Left behind by a gateway that was killed.
    listening = _bound(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), str(path))
    path.chmod(0o660)
    return listening


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def _bound(listening: socket.socket, address: tuple[str, int] | str) -> socket.socket:
    try:
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


class Listener:
    """Answers one scrape after the other, each within so many seconds, by what `answer` writes."""

    def __init__(
        self, listening: socket.socket, answer: Callable[[], bytes], *, seconds: float = DEADLINE_SECONDS
    ) -> None:
        self._listening = listening
        self._answer = answer
        self._seconds = seconds

    def begin(self) -> None:
        """Begin to answer, by a thread that ends with its process."""
        # All workers wait for the same socket, and who is stuck does not take what another could answer.
        self._listening.settimeout(0.0)
        threading.Thread(target=self._run, name="gateway-metrics-listener", daemon=True).start()

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._listening, select.POLLIN)
        while True:
            poll.poll()
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue  # Another worker was faster.
            except OSError as error:
                _log.warning("metrics cannot be served: %s", error.strerror)
                time.sleep(_PAUSE_AFTER_ERROR)
                continue
            with connection:
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            answer_one(connection, self._answer, seconds=self._seconds)
        except OSError:
            pass  # Whoever asked has gone, or was too slow.
        except Exception as error:  # noqa: BLE001 - the thread must outlive whatever it was.
            log_unforeseen(_log, "metrics could not be written down", error)


def answer_one(connection: socket.socket, answer: Callable[[], bytes], *, seconds: float) -> None:
    """Read a request and answer it; raises `OSError` for a client that is too slow, or that has gone."""
    deadline = time.monotonic() + seconds
    request = _REQUEST.match(_read_head(connection, deadline))
    answered = _NOT_FOUND if request is None else _found(answer(), method=request[1])
    connection.settimeout(_left(deadline))
    connection.sendall(answered)  # Within that time as a whole.


def _read_head(connection: socket.socket, deadline: float) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and len(head) < MAX_HEAD:
        connection.settimeout(_left(deadline))
        piece = connection.recv(MAX_HEAD - len(head))
        if not piece:
            break
        head += piece
    return head if b"\r\n\r\n" in head else b""


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _found(text: bytes, *, method: bytes) -> bytes:
    fields = f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\n" + fields.encode("ascii") + (text if method == b"GET" else b"")
