"""Many idle WebSockets through one gateway: the echo behind it and the clients before it, without a library."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from bench.processes import LOOPBACK, BenchError

_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_AT_ONCE: Final = 50
_SECONDS: Final = 60.0
_TEXT: Final = 0x81
_WORD: Final = b"still here"

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the clients connect, as whom."""

    origin: str
    cookie: str


@contextmanager
def run_echo() -> Iterator[str]:
    """Run the echo in a thread until the end of the block; yield its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(_serve, LOOPBACK, 0, backlog=1024), loop).result(
            _SECONDS
        )
        port = server.sockets[0].getsockname()[1]
        yield f"{LOOPBACK}:{port}"
        loop.call_soon_threadsafe(server.close)
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result(_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_SECONDS)
        loop.close()


async def open_many(target: Target, count: int) -> list[Stream]:
    """Open so many; raises `BenchError` for the first that is refused, with all closed again."""
    opened: list[Stream] = []
    while len(opened) < count:
        some = await asyncio.gather(*(_open(target) for _ in range(_AT_ONCE)), return_exceptions=True)
        opened += [one for one in some if not isinstance(one, BaseException)]
        refused = [one for one in some if isinstance(one, BaseException)]
        if refused:
            for _, writer in opened:
                writer.close()
            raise BenchError(f"after {len(opened)} WebSockets: {refused[0]!s}")
    return opened


async def echo_each(streams: list[Stream]) -> int:
    """Send a word over each, one after another, and return how many came back."""
    came = 0
    for reader, writer in streams:
        mask = os.urandom(4)
        masked = bytes(octet ^ mask[number % 4] for number, octet in enumerate(_WORD))
        writer.write(bytes([_TEXT, 0x80 | len(_WORD)]) + mask + masked)
        with suppress(asyncio.IncompleteReadError, TimeoutError):
            answer = await asyncio.wait_for(reader.readexactly(2 + len(_WORD)), _SECONDS)
            came += answer == bytes([_TEXT, len(_WORD)]) + _WORD
    return came


async def _open(target: Target) -> Stream:
    place = urlsplit(target.origin)
    key = base64.b64encode(os.urandom(16)).decode()
    reader, writer = await asyncio.wait_for(asyncio.open_connection(place.hostname, place.port), _SECONDS)
    fields = (
        f"Host: {place.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\nOrigin: {target.origin}\r\nCookie: {target.cookie}\r\n"
    )
    writer.write(f"GET /socket HTTP/1.1\r\n{fields}\r\n".encode())
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _SECONDS)).decode("latin-1")
    if " 101 " not in head.split("\r\n")[0] or _accepted(key) not in head:
        writer.close()
        raise BenchError(f"no WebSocket, but {head.splitlines()[0]}")
    return reader, writer


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        if "sec-websocket-key" in fields:
            # Case matters to the key alone.
            key = next(line for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
            accept = _accepted(key.partition(":")[2].strip())
            upgrade = "Upgrade: websocket\r\nConnection: Upgrade"
            writer.write(f"HTTP/1.1 101 Switching\r\n{upgrade}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode())
            await _echo(reader, writer)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK")
            await writer.drain()
    writer.close()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        first, length = await reader.readexactly(2)
        mask = await reader.readexactly(4)
        payload = await reader.readexactly(length & 0x7F)  # Ours are short.
        plain = bytes(octet ^ mask[number % 4] for number, octet in enumerate(payload))
        writer.write(bytes([first, len(plain)]) + plain)
        await writer.drain()


def _accepted(key: str) -> str:
    return base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
