"""What a forwarding asks of the lane that it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from werkzeug import Response

from gateway.errors import GatewayError
from gateway.headers import Headers
from gateway.held_answer import close_body
from gateway.inner import Admitted
from gateway.lane.client import ClientConnection
from gateway.lane.incoming import Incoming
from gateway.lane.tunnel import Tunnel
from gateway.lane.upstream import UpstreamConnection
from gateway.open_streams import Watch


class Acting(Protocol):
    """The lane, to a request that is being forwarded."""

    loop: asyncio.AbstractEventLoop
    tunnels: set[Tunnel]

    def entered(self, forwarding: Any) -> None:
        """Take note of a forwarding that has begun."""

    def left(self, forwarding: Any) -> None:
        """Take note of one that has ended."""

    def allowed(self, environ: Any, fields: Headers) -> Headers:
        """Add to the fields of an answer what lets pages of other origins read it."""

    def fail(self, client: ClientConnection, incoming: Incoming, error: GatewayError) -> None:
        """Answer with what is told of a failure."""

    def act(self, client: ClientConnection, incoming: Incoming, outcome: Response | Admitted) -> None:
        """Act on another decision in the place of this one."""

    def check_tunnels(self) -> None:
        """See whether there is room for one more tunnel; raises `tunnels_full`."""

    def in_thread(self, call: Callable[[], Any], done: Callable[[asyncio.Future[Any]], None]) -> None:
        """Have something called that may wait."""


class Watching:
    """The watch over what lasts, so that it ends with its session: an answer, or the tunnel that came of it."""

    def __init__(self, watch: Watch | None) -> None:
        self._watch = watch
        self._watched: Iterable[bytes] | None = None

    def begin(self, abort: Callable[[], None]) -> None:
        """Have `abort` called when the session ends, unless that is so already."""
        if self._watched is None and self._watch is not None:
            self._watched = self._watch(Abortable(abort))

    def close(self) -> None:
        """Watch no more."""
        watched, self._watched = self._watched, None
        if watched is not None:
            close_body(watched)


def switch(
    acting: Acting, client: ClientConnection, connection: UpstreamConnection, fields: Headers, watching: Watching
) -> None:
    """Answer with a 101, and make a tunnel of both connections, which ends with the session."""
    rest = connection.release()
    tunnel = Tunnel(acting.loop, client.switch(fields), connection.transport, acting.tunnels, watching.close)
    tunnel.open(rest, is_client_writable=client.is_writable)
    watching.close()
    watching.begin(tunnel.abort)


class Abortable:
    """Stands for an answer that the loop sends, where a body is asked for."""

    def __init__(self, abort: Callable[[], None]) -> None:
        self.abort = abort

    def __iter__(self) -> Iterator[bytes]:
        return iter(())
