"""How gunicorn runs the gateway; everything here can be overruled on its command line."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from gateway.app import Gateway
from gateway.config import Settings
from gateway.config_sources import ConfigurationError
from gateway.draining import wait_for_writes
from gateway.gunicorn_log import GunicornLog
from gateway.lane.worker import LaneWorker
from gateway.metrics.place import close_place, open_place
from gateway.reloading import Reloading
from gateway.server_environment import read_server_environment
from gateway.sinks import make_master_telemetry
from gateway.telemetry import Event

wsgi_app = "gateway.standalone:create_app()"
try:
    _told = read_server_environment(os.environ)
except ConfigurationError as error:
    print(error, file=sys.stderr)  # noqa: T201 - gunicorn would say it by a traceback.
    sys.exit(2)
bind = _told.bind
workers = _told.workers
worker_class = os.environ.get("WORKER_CLASS", "gateway.lane.worker.LaneWorker")
threads = 32
keepalive = 15

# Who may say X-Forwarded-* is `trusted_proxies` in our own configuration, and nothing that gunicorn believes.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
header_map = "drop"

limit_request_line = 8190
limit_request_field_size = 16380
control_socket_disable = True
_MEMORY = "/dev/shm"  # noqa: S108 - for the heartbeat file, not for data.
worker_tmp_dir = _MEMORY if os.access(_MEMORY, os.W_OK) else None
logger_class = GunicornLog


_M_ARENA_MAX = -8
_ARENAS = 2


def on_starting(server: Any) -> None:
    """Hold the configuration before a worker is started, or say what is wrong with it: a line each, exit code 2."""
    _limit_arenas()
    try:
        begin_telling = partial(_begin_telling, server)
        server.reloading = Reloading(server, os.environ, begin_telling=begin_telling, drain_seconds=_told.drain_seconds)
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the log is not set up for a server that will not start.
        sys.exit(2)


def post_fork(server: Any, worker: Any) -> None:
    """Give a new worker what the master holds."""
    server.reloading.equip(worker)


def worker_exit(_server: Any, worker: Any) -> None:
    """Let a worker with threads end as the lane does: tokens that the store could not take are written first."""
    gateway = getattr(worker, "wsgi", None)
    if isinstance(gateway, Gateway) and not isinstance(worker, LaneWorker):
        wait_for_writes(lambda: gateway.authenticator.unsaved, worker.cfg.graceful_timeout)


def _begin_telling(server: Any, settings: Settings) -> Callable[[Event], None]:
    open_place(settings.metrics, server)
    return make_master_telemetry(settings, os.environ).happened


def on_exit(server: Any) -> None:
    """Leave nothing behind."""
    close_place(server)


def _limit_arenas() -> None:
    # glibc gives each thread an arena, where what one has freed is of no use to the others: with files, whose reads are
    # by any thread, a worker grew by 27 MiB over 100,000 sessions, and by none with two arenas. Workers inherit it.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
