"""An origin on a raw socket that answers 200 to everything, and keeps what it received byte for byte."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from raw_origin import is_whole

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(kw_only=True)
class Recorded:
    """What arrived: each request whole."""

    url: str
    requests: list[bytes] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)


@contextmanager
def recording_origin() -> Iterator[Recorded]:
    """Run it to the end of the block."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        recorded = Recorded(url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        threads = [threading.Thread(target=_accept, args=[listener, recorded])]
        threads[0].start()
        try:
            yield recorded
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            for sock in recorded.sockets:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            threads[0].join(5)
            for sock in recorded.sockets:
                sock.close()


def _accept(listener: socket.socket, recorded: Recorded) -> None:
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        recorded.sockets.append(sock)
        threading.Thread(target=_serve, args=[sock, recorded], daemon=True).start()


def _serve(sock: socket.socket, recorded: Recorded) -> None:
    data = b""
    with suppress(OSError):
        while True:
            while not is_whole(data):
                piece = sock.recv(65536)
                if not piece:
                    return
                data += piece
            recorded.requests.append(data)
            data = b""
            sock.sendall(ANSWER)
