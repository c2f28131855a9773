"""An upstream that does what the first segment of a path says: resets, hangs up, dawdles; `python -m` with a port.

`/mode/reset` has it do that to all that is `ok` otherwise, until `/mode/ok`. A WebSocket is told in its first frame
what was asked, and then whatever it says itself.
"""

import asyncio
import json
import socket
import struct
import sys
from collections.abc import Mapping
from typing import Final

from peers.websocket import accept_of

SLOW_SECONDS: Final = 0.2
BIG: Final = 300 * 1024
_RESET: Final = struct.pack("ii", 1, 0)
_MAX_HEAD: Final = 64 * 1024


class RoughOrigin:
    """The upstream, and what it does to all that is `ok` otherwise."""

    def __init__(self) -> None:
        self._mode = "ok"

    async def serve(self, port: int) -> None:
        """Serve until the process is ended."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", port, backlog=1024, limit=_MAX_HEAD)
        async with server:
            await server.serve_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request, and tell whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        target = head[0].split(" ")[1]
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        kind = target.split("/")[1]
        shown = json.dumps({"target": target, "fields": fields}).encode("ascii")
        if kind == "mode":
            self._mode = target.split("/")[2]
        if "upgrade" in fields:
            return await _echo(reader, writer, fields, shown)
        return await _answer(reader, writer, self._mode if kind == "ok" else kind, shown)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: str, shown: bytes) -> bool:
    if kind == "drop":
        return False
    if kind == "hang":
        await reader.read()
        return False
    if kind == "reset":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + shown)
        await writer.drain()
        _reset_at_end(writer)
        return False
    if kind == "short":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(shown) + 1, shown))
        return False
    if kind == "slow":
        await _send_slowly(writer, shown)
        return True
    padding = b" " * BIG if kind == "big" else b""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b%b" % (len(shown) + len(padding), shown, padding))
    await writer.drain()
    return kind != "last"  # Without a word of it in the answer, as when a server ends an idle connection.


async def _echo(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fields: Mapping[str, str], shown: bytes
) -> bool:
    accept = accept_of(fields.get("sec-websocket-key", "")).encode("ascii")
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    writer.write(head + accept + b"\r\n\r\n" + struct.pack(">BBH", 0x81, 126, len(shown)) + shown)
    while said := await reader.read(_MAX_HEAD):
        writer.write(said)
        await writer.drain()
    return False


async def _send_slowly(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    half = len(body) // 2
    for piece in (body[:half], body[half:]):
        await asyncio.sleep(SLOW_SECONDS)
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
    writer.write(b"0\r\n\r\n")


def _reset_at_end(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


if __name__ == "__main__":
    asyncio.run(RoughOrigin().serve(int(sys.argv[1])))
