"""An origin on a raw socket: it keeps what it receives byte for byte, and answers from a script."""

import io
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from harness import FACE_VARIABLE
from laned_upstream import laned

from gateway.tls import tls_context
from gateway.upstream import Upstream
from gateway.upstream_origin import Origin

TIMEOUT = 5.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GONE = b""  # Hang up without an answer.


@dataclass(kw_only=True)
class RawOrigin:
    """Answers from a script, connection by connection; keeps each request as it came, in order."""

    url: str
    requests: list[bytes] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)


@contextmanager
def origin(
    *script: Sequence[bytes],
    hang_up: bool = False,
    says_so: bool = False,
    head_only: bool = False,
    tls: ssl.SSLContext | None = None,
) -> Iterator[RawOrigin]:
    """Serve one connection per sequence of answers; GONE closes the connection after the request.

    Who hangs up over TLS `says_so` or does not (RFC 8446 6.1).
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(TIMEOUT)
    raw = RawOrigin(url=f"http{'s' if tls else ''}://127.0.0.1:{listener.getsockname()[1]}")
    thread = threading.Thread(target=_serve, args=(listener, raw, script, hang_up, says_so, head_only, tls))
    thread.start()
    try:
        yield raw
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # Closing alone would not wake a thread that accepts.
        thread.join(TIMEOUT)
        listener.close()
        for each in raw.sockets:
            each.close()
    assert not thread.is_alive()


def _serve(
    listener: socket.socket,
    raw: RawOrigin,
    script: Sequence[Sequence[bytes]],
    hang_up: bool,
    says_so: bool,
    head_only: bool,
    tls: ssl.SSLContext | None,
) -> None:
    for answers in script:
        try:
            connection, _ = listener.accept()
            connection.settimeout(TIMEOUT)
            raw.sockets.append(connection)
            if tls:
                connection = tls.wrap_socket(connection, server_side=True)
                raw.sockets.append(connection)
            for answer in answers:
                raw.requests.append(_read_request(connection, head_only))
                connection.sendall(answer)
                if answer is GONE or hang_up:
                    if says_so and isinstance(connection, ssl.SSLSocket):
                        connection.unwrap()
                    connection.close()
                    break
        except OSError:
            continue


def _read_request(connection: socket.socket, head_only: bool) -> bytes:
    data = b""
    while not is_whole(data) and not (head_only and b"\r\n\r\n" in data):
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    return data


def finish(raw: RawOrigin, answer: bytes) -> None:
    # Reads what a `head_only` origin left of the first request, then answers.
    head, _, begun = raw.requests[0].partition(b"\r\n\r\n")
    left = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0]) - len(begun)
    rest = bytearray()
    while len(rest) < left and (piece := raw.sockets[0].recv(65536)):
        rest += piece
    raw.requests.append(bytes(rest))
    raw.sockets[0].sendall(answer)


def is_whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    if b"\r\nTransfer-Encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    _, _, length = head.partition(b"\r\nContent-Length: ")
    return len(body) >= int(length.split(b"\r\n")[0] or 0)


def origin_at(
    url: str, *, verify_tls: bool | str = True, certificate: tuple[str, str] | None = None, **changes: Any
) -> Origin:
    parts = urlsplit(url)
    usual: dict[str, Any] = {
        "host": parts.hostname,
        "port": parts.port,
        "tls": tls_context(verify_tls=verify_tls, certificate=certificate) if parts.scheme == "https" else None,
        "connect_timeout": TIMEOUT,
        "read_timeout": TIMEOUT,
    }
    return Origin(**{**usual, **changes})


@contextmanager
def upstream(url: str, **changes: Any) -> Iterator[Upstream]:
    parts = urlsplit(url)
    with upstream_of(origin_at(url, **changes), authority=parts.netloc, base=parts.path.rstrip("/")) as app:
        yield app


@contextmanager
def upstream_of(*origins: Origin, **settings: Any) -> Iterator[Upstream]:
    """Make an upstream; in the lane, what is yielded passes for one."""
    app = Upstream(**{"origins": origins, "authority": "up.example", "pseudonym": "gw", **settings})
    with closing(app):
        if os.environ.get(FACE_VARIABLE) != "lane":
            yield app
            return
        with laned(app) as face:
            yield cast("Upstream", face)


def environ(target: str = "/", method: str = "GET", body: bytes = b"", **more: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "RAW_URI": target,
        "HTTP_HOST": "app.example",
        "wsgi.input": io.BytesIO(body),
        **more,
    }


def ignore_start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
    """Take a response's head and forget it."""


@dataclass(frozen=True, kw_only=True)
class Response:
    status: str
    headers: list[tuple[str, str]]
    body: bytes


def call(app: Upstream, request: dict[str, Any]) -> Response:
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
        started.append((status, headers))

    response = app(request, start_response)
    try:
        body = b"".join(response)
    finally:
        if close := getattr(response, "close", None):
            close()
    [(status, headers)] = started
    return Response(status=status, headers=headers, body=body)


def answered(*answers: bytes, method: str = "GET", hang_up: bool = False) -> Response:
    with origin(answers, hang_up=hang_up) as raw, upstream(raw.url) as app:
        return call(app, environ(method=method))


def lines(request: bytes) -> list[bytes]:
    return request.partition(b"\r\n\r\n")[0].split(b"\r\n")


CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
