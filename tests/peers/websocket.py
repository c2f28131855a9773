"""WebSockets by hand (RFC 6455): a server that echoes, and a client that sends whatever frame a test wants."""

import base64
import hashlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import urlsplit

GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
SECONDS: Final = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One frame; `opcode` is one of the constants above."""

    opcode: int
    payload: bytes = field(repr=False)
    final: bool = True


class Wire:
    """A socket that gives exactly as many octets as are asked for."""

    def __init__(self, sock: socket.socket, first: bytes = b"") -> None:
        self.sock = sock
        self._buffer = bytearray(first)

    def read(self, size: int) -> bytes:
        """Read so many octets; raises EOFError at the end."""
        while len(self._buffer) < size:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._buffer += data
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def read_head(self) -> list[str]:
        """Read the lines of a header section."""
        while b"\r\n\r\n" not in self._buffer:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._buffer += data
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        return head.decode("latin-1").split("\r\n")

    def read_frame(self) -> Frame:
        """Read one frame, masked or not."""
        first, second = self.read(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self.read(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self.read(8))
        mask = self.read(4) if second & 0x80 else b""
        payload = self.read(size)
        return Frame(opcode=first & 0xF, payload=masked(payload, mask) if mask else payload, final=bool(first & 0x80))

    def send_frame(self, opcode: int, payload: bytes = b"", *, final: bool = True, mask: bytes = b"") -> None:
        """Send one frame."""
        length = _length(len(payload), 0x80 if mask else 0)
        body = masked(payload, mask) if mask else payload
        self.sock.sendall(bytes([(0x80 if final else 0) | opcode]) + length + mask + body)


def _length(size: int, bit: int) -> bytes:
    if size < 126:
        return bytes([bit | size])
    return (
        bytes([bit | 126]) + struct.pack(">H", size) if size < 65536 else bytes([bit | 127]) + struct.pack(">Q", size)
    )


def masked(payload: bytes, mask: bytes) -> bytes:
    """Mask or unmask (RFC 6455 5.3)."""
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")


def accept_of(key: str) -> str:
    """Compute the answer to a key."""
    return base64.b64encode(hashlib.sha1(f"{key}{GUID}".encode()).digest()).decode()


@dataclass(kw_only=True)
class Server:
    """What an echoing server has received: the head of each handshake; `closed` counts ended connections."""

    origin: str
    heads: list[list[str]] = field(default_factory=list)
    closed: int = 0
    sockets: list[socket.socket] = field(default_factory=list)


@contextmanager
def run_server(answer: str = "", *, first: bytes = b"", subprotocol: str = "") -> Iterator[Server]:
    """Run a server that echoes messages, answers pings and closes; `answer` is another head than the right one."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        server = Server(origin=f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread = threading.Thread(target=_accept, args=[listener, server, answer, first, subprotocol], daemon=True)
        thread.start()
        try:
            yield server
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(SECONDS)
            for sock in server.sockets:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()


def _accept(listener: socket.socket, server: Server, answer: str, first: bytes, subprotocol: str) -> None:
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        server.sockets.append(sock)
        threading.Thread(target=_serve, args=[sock, server, answer, first, subprotocol], daemon=True).start()


def _serve(sock: socket.socket, server: Server, answer: str, first: bytes, subprotocol: str) -> None:
    wire = Wire(sock)
    try:
        lines = wire.read_head()
        server.heads.append(lines)
        fields = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:]}
        accept = accept_of(fields.get("sec-websocket-key", ""))
        chosen = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
        usual = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n{chosen}\r\n"
        )
        sock.sendall((answer.replace("{accept}", accept) or usual).encode("latin-1") + first)
        while _echo(wire):
            pass
    except (EOFError, OSError):
        pass
    finally:
        server.closed += 1
        sock.close()


def _echo(wire: Wire) -> bool:
    frame = wire.read_frame()
    if frame.opcode == CLOSE:
        wire.send_frame(CLOSE, frame.payload)
        return False
    wire.send_frame(PONG if frame.opcode == PING else frame.opcode, frame.payload, final=frame.final)
    return True


class Client:
    """A client that has asked for a WebSocket; `status` and `fields` are the answer."""

    def __init__(
        self,
        origin: str,
        target: str,
        headers: Mapping[str, str | None],
        *,
        behind: bytes = b"",
        method: str = "GET",
        context: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(origin)
        self.key = base64.b64encode(os.urandom(16)).decode()
        usual: dict[str, str | None] = {
            "Host": parts.netloc,
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Key": self.key,
            "Sec-WebSocket-Version": "13",
        }
        fields = {**usual, **headers}
        lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
        sock = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=SECONDS)
        if context is not None:
            sock = context.wrap_socket(sock, server_hostname=parts.hostname)
        self.wire = Wire(sock)
        sock.sendall("\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode("latin-1") + behind)
        first, *rest = self.wire.read_head()
        self.status = int(first.split(" ")[1])
        self.fields = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in rest}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.sock.close()

    def send(self, opcode: int, payload: bytes = b"", *, final: bool = True) -> None:
        """Send one masked frame."""
        self.wire.send_frame(opcode, payload, final=final, mask=os.urandom(4))

    def receive(self) -> Frame:
        """Receive one frame; raises EOFError at the end."""
        return self.wire.read_frame()

    def is_cut(self) -> bool:
        """Wait for the end of the connection."""
        try:
            while self.wire.sock.recv(65536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True
