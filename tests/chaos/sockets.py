"""WebSockets of users to the rough upstream, which tells first what it was asked and then echoes."""

import asyncio
import base64
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from peers.websocket import masked
from processes.load import Heard, Wire

_HANDSHAKE: Final = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
_PIECE: Final = 65536


async def shake_hands(wire: Wire, target: str, fields: Mapping[str, str]) -> Heard:
    """Ask for a WebSocket; raises as `Wire.exchange` does."""
    key = base64.b64encode(os.urandom(16)).decode("ascii")
    return await wire.exchange("GET", target, {**_HANDSHAKE, "Sec-WebSocket-Key": key, **fields})


async def first_message(wire: Wire) -> bytes:
    """Read what the upstream saw; raises `EOFError` and `OSError` where the connection is lost."""
    reader, _ = wire.streams
    head = await reader.readexactly(4)
    return await reader.readexactly(int.from_bytes(head[2:], "big"))


async def echoes(wire: Wire, payload: bytes) -> bool:
    """Send a message and tell whether it comes back; raises as `first_message` does."""
    reader, writer = wire.streams
    mask = os.urandom(4)
    frame = bytes([0x82, 0x80 | len(payload)]) + mask + masked(payload, mask)
    writer.write(frame)
    return await reader.readexactly(len(frame)) == frame


async def ends(wire: Wire, seconds: float) -> bool:
    """Tell whether the connection ends within so many seconds."""
    reader, _ = wire.streams
    try:
        async with asyncio.timeout(seconds):
            with suppress(OSError):
                while await reader.read(_PIECE):
                    pass
    except TimeoutError:
        return False
    return True
