"""The client's own socket, where the server lends it to us (gunicorn's threaded and sync workers)."""

from __future__ import annotations

import os
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from wsgiref.types import WSGIEnvironment

from gateway.errors import TARGET_MALFORMED, UPGRADE_UNSUPPORTED, GatewayError


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSocket:
    """The socket of the request that is being answered."""

    sock: socket.socket

    @property
    def shared(self) -> bool:
        """Whether it stays the server's, because TLS cannot be taken out of it: the thread has to wait for its end."""
        return isinstance(self.sock, ssl.SSLSocket)

    def take(self) -> socket.socket:
        """Take the connection away from the server, which is left with one to nowhere that it may close."""
        if self.shared:
            return self.sock
        mine = socket.socket(self.sock.family, self.sock.type, self.sock.proto, fileno=os.dup(self.sock.fileno()))
        nowhere, other = socket.socketpair()
        with nowhere, other:
            os.dup2(nowhere.fileno(), self.sock.fileno(), inheritable=False)
        return mine


def client_socket(environ: WSGIEnvironment) -> ClientSocket:
    """Find the client's socket; raises `upgrade_unsupported` under a server that does not lend it.

    Raises `target_malformed` where the client has gone on without waiting for the answer: what it said is in the
    server's hands, and would be lost or taken for another request.
    """
    sock = environ.get("gunicorn.socket")
    if not isinstance(sock, socket.socket):
        raise GatewayError(UPGRADE_UNSUPPORTED, f"under {str(environ.get('SERVER_SOFTWARE', 'this server'))[:40]}")
    if _read_ahead(environ):
        raise GatewayError(TARGET_MALFORMED, "octets behind a request that asks for an upgrade")
    return ClientSocket(sock=sock)


def _read_ahead(environ: WSGIEnvironment) -> bool:
    reader: Any = getattr(environ["wsgi.input"], "reader", None)
    buffered: Any = getattr(getattr(reader, "unreader", None), "buf", None)
    return buffered is not None and bool(buffered.getvalue())
