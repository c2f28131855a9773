"""A small HTTP listener on loopback that stands for a relying party or an application, and keeps what it received."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import urlsplit

from .servers import LOOPBACK

IDLE_SECONDS: Final = 10.0
STOP_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """One request as it arrived; header names are lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the listener answers with."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = "<!DOCTYPE html><title>Landed</title><p>Landed."


def answer_landed(received: Received) -> Answer:
    """Answer every request with a small page."""
    return Answer()


class Listener(ThreadingHTTPServer):
    """A listener on a free port; `received` grows with every request, oldest first."""

    request_queue_size = 128  # Of fifty that connect at once, the default of 5 would keep some waiting for seconds.

    def __init__(self, answer: Callable[[Received], Answer]) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.answer = answer
        self.received: list[Received] = []

    @property
    def origin(self) -> str:
        """The listener's own origin."""
        return f"http://{LOOPBACK}:{self.server_port}"

    def received_at(self, path: str) -> list[Received]:
        """Return what arrived at one path; browsers ask for other things, such as an icon, too."""
        return [received for received in self.received if received.path == path]


@contextmanager
def run_listener(answer: Callable[[Received], Answer] = answer_landed) -> Iterator[Listener]:
    """Run a listener in a thread until the end of the block."""
    with Listener(answer) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield listener
        finally:
            listener.shutdown()
            thread.join(STOP_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    server: Listener
    timeout = IDLE_SECONDS  # Browsers open connections ahead of need and say nothing on them.

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the test's output quiet."""

    def _respond(self) -> None:
        answer = self._answer()
        body = answer.body.encode("utf-8")
        self.send_response(answer.status)
        for name, value in {"Content-Type": "text/html", **answer.headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _answer(self) -> Answer:
        target = urlsplit(self.path)
        received = Received(
            method=self.command,
            path=target.path,
            query=target.query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length", "0"))),
        )
        self.server.received.append(received)
        return self.server.answer(received)
