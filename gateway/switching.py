"""The answer that makes a connection a tunnel: when its head is out, the socket goes over from the server to us."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator

from gateway.client_socket import ClientSocket
from gateway.tunnel import Tunnel, Tunnels
from gateway.upstream_pool import Connection


class Switching:
    """The body of a 101, which has none: read to its end it leaves a tunnel behind, closed earlier it hangs up."""

    def __init__(self, tunnels: Tunnels, client: ClientSocket, connection: Connection) -> None:
        self._tunnels = tunnels
        self._client = client
        self._connection = connection
        self._guard = threading.Lock()
        self._tunnel: Tunnel | None = None
        self._closed = False

    @property
    def goes_on(self) -> bool:
        """Whether there is a tunnel, which ends by itself."""
        return self._tunnel is not None

    def __iter__(self) -> Iterator[bytes]:
        yield b""  # Nothing, but now the server sends the head.
        self._open()
        if self._tunnel is not None and self._client.shared:
            self._tunnel.wait()
        # The server must neither wait for another request on this connection nor say anything more: for it the client
        # is gone, of which it makes no noise.
        raise BrokenPipeError(errno.EPIPE, "the connection has become a tunnel")

    def _open(self) -> None:
        with self._guard:
            if self._closed:
                return
            try:
                client = self._client.take()
            except OSError:  # The client is gone.
                self._connection.close()
                raise
            upstream, first = self._connection.release()
            self._tunnel = Tunnel(client, upstream, first, owns_client=not self._client.shared)
            self._tunnels.open(self._tunnel)

    def when_ended(self, call: Callable[[], None]) -> None:
        """Have something called when the tunnel ends."""
        if self._tunnel is not None:
            self._tunnel.when_ended(call)

    def abort(self) -> None:
        """End the tunnel."""
        if self._tunnel is not None:
            self._tunnels.abort(self._tunnel)

    def close(self) -> None:
        """Hang up, if there is no tunnel."""
        with self._guard:
            self._closed = True
            if self._tunnel is None:
                self._connection.close()
