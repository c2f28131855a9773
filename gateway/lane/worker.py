"""The gunicorn worker that runs the lane: `worker_class = "gateway.lane.worker.LaneWorker"`."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import Mapping
from typing import Any

import uvloop
from gunicorn import sock
from gunicorn.arbiter import Arbiter
from gunicorn.workers import base

from gateway.app import Gateway
from gateway.lane.lane import Lane
from gateway.lane.listening import Listening, room_for

_HEARTBEAT_SECONDS = 1.0


class LaneWorker(base.Worker):
    """Serves a `Gateway` in an event loop."""

    def init_process(self) -> None:
        """Make the loop before the app is loaded."""
        self.loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self._quick = False
        super().init_process()

    def init_signals(self) -> None:
        """Have signals handled by the loop."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self.loop.add_signal_handler(signal.SIGTERM, self._stop)
        for number in (signal.SIGQUIT, signal.SIGINT):
            self.loop.add_signal_handler(number, self._stop_at_once)
        self.loop.add_signal_handler(signal.SIGUSR1, self.log.reopen_files)
        self.loop.add_signal_handler(signal.SIGABRT, self._abort)

    def run(self) -> None:
        """Serve until told to stop; the process ends with it, and the loop with that."""
        self.loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        app: Any = self.wsgi
        if not isinstance(app, Gateway):
            self.log.error("the lane serves a Gateway; other apps are for worker_class = 'gthread'")
            sys.exit(Arbiter.APP_LOAD_ERROR)
        lane = Lane(
            app,
            base=self._base_environ,
            keep_alive_seconds=self.cfg.keepalive,
            threads=self.cfg.threads,
        )
        context = sock.ssl_context(self.cfg) if self.cfg.is_ssl else None
        listeners: list[Any] = self.sockets
        has_room = room_for(app.settings.limits.connections, lane.clients)
        listening = [
            Listening(self.loop, one.sock, lane.new_client, context=context, has_room=has_room) for one in listeners
        ]
        while self.alive:
            self.notify()
            if os.getppid() != self.ppid or lane.served >= self.max_requests:
                break
            await asyncio.sleep(_HEARTBEAT_SECONDS)
        for one in listening:
            await one.close()
        heartbeat = self.loop.create_task(self._beat())
        await lane.close(0 if self._quick else self.cfg.graceful_timeout)
        heartbeat.cancel()

    async def _beat(self) -> None:
        while True:
            self.notify()
            await asyncio.sleep(_HEARTBEAT_SECONDS)

    def _stop(self) -> None:
        self.alive = False

    def _stop_at_once(self) -> None:
        self.alive = False
        self._quick = True

    def _abort(self) -> None:
        self.cfg.worker_abort(self)
        sys.exit(1)

    def _base_environ(self, transport: Any) -> Mapping[str, Any]:
        peer, name = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        secure = isinstance(transport.get_extra_info("ssl_object"), ssl.SSLObject)
        return {
            "wsgi.version": (1, 0),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": self.cfg.workers > 1,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "wsgi.url_scheme": "https" if secure else "http",
            "SERVER_SOFTWARE": "gateway",
            "SCRIPT_NAME": "",
            "SERVER_NAME": name[0] if isinstance(name, tuple) else str(name or ""),
            "SERVER_PORT": str(name[1]) if isinstance(name, tuple) else "",
            "REMOTE_ADDR": peer[0] if isinstance(peer, tuple) else "",
            "REMOTE_PORT": str(peer[1]) if isinstance(peer, tuple) else "",
        }
