"""An upstream that does what the first segment of a path says: resets, hangs up, dawdles; `python -m` with a port."""

import asyncio
import json
import socket
import struct
import sys
from typing import Final

SLOW_SECONDS: Final = 0.2
BIG: Final = 300 * 1024
_RESET: Final = struct.pack("ii", 1, 0)
_MAX_HEAD: Final = 64 * 1024


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    async with await asyncio.start_server(_connection, "127.0.0.1", port, backlog=1024, limit=_MAX_HEAD) as server:
        await server.serve_forever()


async def _connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await _exchange(reader, writer):
            pass
    except (OSError, EOFError, asyncio.CancelledError):
        pass
    finally:
        writer.close()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Answer one request, and tell whether the connection goes on."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    target = head[0].split(" ")[1]
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    kind = target.split("/")[1]
    shown = json.dumps({"target": target, "fields": fields}).encode("ascii")
    if kind == "drop":
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
    asyncio.run(serve(int(sys.argv[1])))
