"""How connections end where the loop does not say so, or has to say more than that."""

from __future__ import annotations

import select
import socket
import struct
from typing import Any

_RESET = struct.pack("ii", 1, 0)


def has_hung_up(transport: Any) -> bool:
    """Tell whether the other end has said all, or is gone: nobody is told while nothing is read of it."""
    if transport.is_closing():
        return False
    poller = select.poll()
    poller.register(transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
    return bool(poller.poll(0))


def reset(transport: Any) -> None:
    """End a connection so that the other end sees that something is missing."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
