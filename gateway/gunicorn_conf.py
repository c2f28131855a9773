"""How gunicorn runs the gateway; everything here can be overruled on its command line."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

from gateway.backends.choice import make_backend
from gateway.config import load_standalone_settings
from gateway.config_sources import ConfigurationError
from gateway.cpus import default_workers
from gateway.errors import StoreUnavailable
from gateway.tracing import check_tracing

wsgi_app = "gateway.app:create_app()"
bind = os.environ.get("BIND", "127.0.0.1:4180")
workers = int(os.environ.get("WEB_CONCURRENCY") or default_workers())
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
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - the heartbeat file, not data.

# The path alone: the query of a callback holds the code.
access_log_format = '%(h)s %(t)s "%(m)s %(U)s %(H)s" %(s)s %(b)s %(M)sms'


_M_ARENA_MAX = -8
_ARENAS = 2


def on_starting(server: Any) -> None:
    """Check the configuration before a worker is started: one line for each problem, exit code 2."""
    _limit_arenas()
    try:
        settings = load_standalone_settings(None, os.environ)
        if settings.store.type == "memory" and server.cfg.workers > 1:
            raise ConfigurationError(["session.store.type: memory serves one worker; use file or redis, or -w 1"])
        make_backend(settings.store)
        check_tracing(settings, os.environ)
    except StoreUnavailable as error:
        print(f"session.store: {error}", file=sys.stderr)  # noqa: T201 - as below.
        sys.exit(2)
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the log is not set up for a server that will not start.
        sys.exit(2)


def _limit_arenas() -> None:
    # glibc gives each thread an arena, where what one has freed is of no use to the others: with files, whose reads are
    # by any thread, a worker grew by 27 MiB over 100,000 sessions, and by none with two arenas. Workers inherit it.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
