"""Large downloads by a client that spends next to nothing: what arrives is dropped by the kernel, uncopied."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from bench.cases import Case
from bench.processes import BenchError

_AT_ONCE: Final = 1024 * 1024
_HEAD: Final = 65536
_SECONDS: Final = 30.0


class Download:
    """One connection that asks for a file again and again; `received` grows meanwhile, `problem` says why not."""

    def __init__(self, origin: str, case: Case, cookie: str) -> None:
        self._place = urlsplit(origin)
        self._case = case
        field = f"Cookie: {cookie}\r\n" if cookie else ""
        self._request = f"GET {case.path} HTTP/1.1\r\nHost: {self._place.netloc}\r\n{field}\r\n".encode()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.received = 0
        self.files = 0
        self.problem = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, in the midst of a file."""
        self._ends.set()
        self._thread.join(_SECONDS)

    def _run(self) -> None:
        try:
            with socket.create_connection((str(self._place.hostname), self._place.port or 80), _SECONDS) as connection:
                while not self._ends.is_set():
                    self._receive_file(connection)
        except (OSError, BenchError) as error:
            self.problem = str(error) or type(error).__name__

    def _receive_file(self, connection: socket.socket) -> None:
        connection.sendall(self._request)
        head = b""
        while b"\r\n\r\n" not in head:
            some = connection.recv(_HEAD)
            if not some or len(head) > _HEAD:
                raise BenchError("no answer")
            head += some
        head, _, begun = head.partition(b"\r\n\r\n")
        left = self._length(head.decode("latin-1")) - len(begun)
        self.received += len(begun)
        buffer = bytearray(_AT_ONCE)
        while left and not self._ends.is_set():
            count = connection.recv_into(buffer, min(left, _AT_ONCE), socket.MSG_TRUNC)
            if not count:
                raise BenchError(f"{left} bytes are missing")
            left -= count
            self.received += count
        self.files += not left

    def _length(self, head: str) -> int:
        status, *lines = head.split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = fields.get("content-length", "")
        if status.split(" ")[1] != "200" or length != str(self._case.length):
            raise BenchError(f"{status}, Content-Length: {length or 'none'}")
        return int(length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What came of several connections; `files` came to their end."""

    octets: int
    seconds: float
    files: int
    problems: tuple[str, ...]


def download(origin: str, case: Case, cookie: str, seconds: float) -> Received:
    """Download for so long."""
    connections = [Download(origin, case, cookie) for _ in range(case.connections)]
    began = time.monotonic()
    for one in connections:
        one.start()
    time.sleep(seconds)
    octets = sum(one.received for one in connections)
    took = time.monotonic() - began
    for one in connections:
        one.stop()
    problems = tuple(one.problem for one in connections if one.problem)
    return Received(octets=octets, seconds=took, files=sum(one.files for one in connections), problems=problems)
