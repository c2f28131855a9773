"""Connections that have become tunnels: octets both ways by one thread for all of them, with bounded buffers."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from gateway.errors import TUNNELS_FULL, GatewayError
from gateway.unforeseen import log_unforeseen

MAX_BUFFERED = 65536
"""Octets that wait for a reader, in each direction; then nothing more is read for it."""

MAX_TUNNELS = 2000
LINGER_SECONDS = 30.0
"""How long one side may go on after the other has ended."""

_TICK_SECONDS = 1.0
_ROUNDS = 16
"""How often one tunnel moves what it has before the others get their turn."""

_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
_AGAIN = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_log = logging.getLogger("gateway.tunnel")


class _End:
    """One socket, and the octets that wait to be written to it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.waiting = bytearray()
        self.ended = False
        self.shut = False
        self.events = 0
        self._extra = 0
        sock.settimeout(0)
        with suppress(OSError):  # A Unix socket has none of these.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)

    def read(self) -> bytes | None:
        """Read what is there; None where there is nothing yet, nothing at the end."""
        try:
            return self.sock.recv(MAX_BUFFERED)
        except _AGAIN as error:
            self._note(error)
            return None
        except ssl.SSLEOFError:
            return b""

    def write(self) -> bool:
        """Write what waits, as far as the socket takes it, and tell whether it took any."""
        try:
            written = self.sock.send(self.waiting)
        except _AGAIN as error:
            self._note(error)
            return False
        del self.waiting[:written]
        return written > 0

    def shut_down(self) -> None:
        """Say that nothing more will come."""
        self.shut = True
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def wanted(self, *, may_read: bool) -> int:
        """Tell which events to wait for."""
        read = selectors.EVENT_READ if may_read and not self.ended else 0
        write = selectors.EVENT_WRITE if self.waiting else 0
        extra, self._extra = self._extra, 0
        return read | write | extra

    def _note(self, error: Exception) -> None:
        # TLS may have to read in order to write, and the other way round.
        if isinstance(error, ssl.SSLWantWriteError):
            self._extra |= selectors.EVENT_WRITE
        elif isinstance(error, ssl.SSLWantReadError) and self.waiting:
            self._extra |= selectors.EVENT_READ


class Tunnel:
    """Two sockets that speak to each other through us.

    `owns_client` says that the client's socket is ours to close, and not the server's that gave it to us.
    """

    def __init__(self, client: socket.socket, upstream: socket.socket, first: bytes, *, owns_client: bool) -> None:
        self.ends = (_End(client), _End(upstream))
        self.ends[0].waiting += first
        self.aborted = False
        self._owns_client = owns_client
        self._lingers_until: float | None = None
        self._done = threading.Event()
        self._guard = threading.Lock()
        self._when_ended: list[Callable[[], None]] = []

    def wait(self) -> None:
        """Wait until it has ended."""
        self._done.wait()

    def when_ended(self, call: Callable[[], None]) -> None:
        """Have something called when it ends, at once if it has."""
        with self._guard:
            if not self._done.is_set():
                self._when_ended.append(call)
                return
        call()

    def move(self, now: float) -> bool:
        """Move what can be moved, and tell whether there is more; raises OSError when a side is gone."""
        client, upstream = self.ends
        for _ in range(_ROUNDS):
            if not (self._move(client, upstream) | self._move(upstream, client)):
                break
        else:
            return True
        if (client.ended or upstream.ended) and self._lingers_until is None:
            self._lingers_until = now + LINGER_SECONDS
        return False

    def is_over(self, now: float) -> bool:
        """Tell whether both sides have said all, or one has been waited for too long."""
        if self.aborted or all(end.ended and not end.waiting for end in self.ends):
            return True
        return self._lingers_until is not None and now >= self._lingers_until

    def close(self) -> None:
        """Close both sockets, and tell who waits for that."""
        client, upstream = self.ends
        upstream.sock.close()
        if self._owns_client:
            client.sock.close()
        else:
            client.shut_down()
        with self._guard:
            self._done.set()
            calls = list(self._when_ended)
        for call in calls:
            call()

    def _move(self, source: _End, target: _End) -> bool:
        moved = False
        if not source.ended and len(target.waiting) < MAX_BUFFERED:
            data = source.read()
            if data is not None:
                moved = True
                source.ended = not data
                target.waiting += data
        if target.waiting:
            moved = target.write() or moved
        if source.ended and not target.waiting and not target.shut:
            target.shut_down()
        return moved


class Tunnels:
    """The tunnels to an upstream, in this process; a worker that was forked begins with none."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._process = 0
        self._pump: _Pump | None = None

    def check(self) -> None:
        """See whether there is room for one more; raises `tunnels_full`."""
        if self._pump is not None and self._process == os.getpid() and self._pump.count >= MAX_TUNNELS:
            raise GatewayError(TUNNELS_FULL, f"{MAX_TUNNELS} in this process", retry_after=10)

    def open(self, tunnel: Tunnel) -> None:
        """Have a tunnel's octets moved until it ends."""
        with self._guard:
            if self._pump is None or self._process != os.getpid():
                self._process, self._pump = os.getpid(), _Pump()
            self._pump.add(tunnel)

    def abort(self, tunnel: Tunnel) -> None:
        """End a tunnel."""
        tunnel.aborted = True
        if self._pump is not None:
            self._pump.wake()


class _Pump:
    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._awake, self._waker = socket.socketpair()
        for end in (self._awake, self._waker):
            end.settimeout(0)
        self._selector.register(self._awake, selectors.EVENT_READ, None)
        self._new: deque[Tunnel] = deque()
        self._tunnels: set[Tunnel] = set()
        threading.Thread(target=self._run, name="gateway-tunnels", daemon=True).start()

    @property
    def count(self) -> int:
        return len(self._tunnels) + len(self._new)

    def add(self, tunnel: Tunnel) -> None:
        self._new.append(tunnel)
        self.wake()

    def wake(self) -> None:
        with suppress(BlockingIOError):
            self._waker.send(b"x")

    def _run(self) -> None:
        busy: set[Tunnel] = set()
        while True:
            try:
                busy = self._round(busy)
            except Exception as error:  # noqa: BLE001 - the thread must outlive whatever it was.
                log_unforeseen(_log, "an error that nobody foresaw", error)
                busy = set()
                time.sleep(_TICK_SECONDS)

    def _round(self, busy: set[Tunnel]) -> set[Tunnel]:
        ready = set(busy)
        for key, _ in self._selector.select(0 if busy else _TICK_SECONDS):
            if key.data is None:
                with suppress(BlockingIOError):
                    self._awake.recv(4096)
            else:
                ready.add(key.data)
        while self._new:
            self._tunnels.add(self._new[0])
            ready.add(self._new.popleft())
        now = time.monotonic()
        ready |= {one for one in self._tunnels if one.is_over(now)}
        return {tunnel for tunnel in ready if tunnel in self._tunnels and self._step(tunnel, now)}

    def _step(self, tunnel: Tunnel, now: float) -> bool:
        try:
            more = False if tunnel.aborted else tunnel.move(now)
            if not tunnel.is_over(now):
                self._await(tunnel)
                return more
        except OSError:
            pass  # One side is gone, and so is the other for it.
        except Exception as error:  # noqa: BLE001 - one tunnel must not be the end of the others.
            log_unforeseen(_log, "an error that nobody foresaw", error)
        self._end(tunnel)
        return False

    def _await(self, tunnel: Tunnel) -> None:
        client, upstream = tunnel.ends
        for end, other in ((client, upstream), (upstream, client)):
            events = end.wanted(may_read=len(other.waiting) < MAX_BUFFERED)
            if events == end.events:
                continue
            if end.events and events:
                self._selector.modify(end.sock, events, tunnel)
            elif events:
                self._selector.register(end.sock, events, tunnel)
            else:
                self._selector.unregister(end.sock)
            end.events = events

    def _end(self, tunnel: Tunnel) -> None:
        for end in tunnel.ends:
            if end.events:
                with suppress(OSError, ValueError, KeyError):
                    self._selector.unregister(end.sock)
        self._tunnels.discard(tunnel)
        tunnel.close()
