"""The master of gunicorn holds the last configuration that was right, and workers get it by fork, never from files.

gunicorn has no hook by which a reload could be refused: its own ends the master where its configuration cannot be read,
and begins new workers in any case, each of which would end the master if it could not start. So the master's handlers
of SIGHUP and SIGTERM are wrapped.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

from gateway.assembly import Outside
from gateway.config import Settings
from gateway.config_sources import ConfigurationError
from gateway.draining import Draining
from gateway.logs import log_to_stderr
from gateway.prepared import Prepared, prepare
from gateway.telemetry import Event, Kind
from gateway.unforeseen import log_unforeseen

CONFIGURATION_REFUSED = "configuration_refused"
"""The outcome of a reload that was refused."""

_ENDING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
_log = logging.getLogger("gateway")

BeginTelling = Callable[[Settings], Callable[[Event], None]]


class Reloading:
    """Has a gunicorn master serve by what it holds.

    `begin_telling` makes what is told of each reload. `drain_seconds` is for how long all is served after SIGTERM,
    while `/ready` says that others should be asked. Raises `ConfigurationError` where there is nothing to begin with.
    """

    def __init__(
        self, server: Any, environ: Mapping[str, str], *, begin_telling: BeginTelling, drain_seconds: float
    ) -> None:
        self._server = server
        self._environ = environ
        self._drain_seconds = drain_seconds
        self._draining = Draining()
        self._last_good = self._prepare(server.cfg)
        self._tell = begin_telling(self._last_good.settings)
        self._reload, self._end = server.handle_hup, server.handle_term
        server.handle_hup, server.handle_term = self.reload, self.end
        log_to_stderr(self._last_good.settings)

    def equip(self, worker: Any) -> None:
        """Give a worker what it serves by; in the worker's own process, just after the fork."""
        held = self._last_good
        worker.app.load = held.new_gateway
        if held.listening is not None:
            worker.cfg.set("ssl_context", lambda _cfg, _make: held.listening)

    def reload(self) -> None:
        """Replace the workers by such as have the configuration of now; or keep them, and say why."""
        try:
            self._last_good = self._prepare(self._read_own())
        except ConfigurationError as error:
            self._refuse(error.problems)
        except Exception as error:  # noqa: BLE001 - the gateway goes on whatever it was.
            log_unforeseen(_log, "an error that nobody foresaw", error)
            self._refuse([f"internal_error: {type(error).__name__}"])
        else:
            self._accept()

    def end(self) -> None:
        """Serve on for a while, saying at `/ready` that this is the end; a second signal of that kind shortens it."""
        self._draining.begin()
        until = time.monotonic() + self._drain_seconds
        while (left := until - time.monotonic()) > 0:
            if _ENDING.intersection(self._server.wait_for_signals(timeout=min(1.0, left))):
                break
            self._server.reap_workers()
            self._server.murder_workers()
            self._server.manage_workers()
        self._end()

    def _accept(self) -> None:
        settings = self._last_good.settings
        log_to_stderr(settings)
        _log.info(
            "reload accepted: routes %d, providers %d, upstreams %d; the workers are being replaced",
            len(settings.routes),
            len(settings.providers),
            len(settings.upstreams),
        )
        self._tell(Event(kind=Kind.CONFIGURATION))
        self._reload()

    def _refuse(self, problems: list[str]) -> None:
        for problem in problems:
            _log.error("reload refused: %s", problem)
        _log.error("reload refused: the workers go on with the configuration from before")
        self._tell(Event(kind=Kind.CONFIGURATION, outcome=CONFIGURATION_REFUSED, detail="; ".join(problems)))

    def _prepare(self, cfg: Any) -> Prepared:
        environ = {**self._environ, **cfg.env}  # `raw_env`, which gunicorn sets when it has reloaded.
        return prepare(cfg, environ, Outside(is_draining=self._draining.has_begun))

    def _read_own(self) -> Any:
        """Read what gunicorn itself is told, as its reload will, and leave that as it is."""
        app = self._server.app
        before = app.cfg
        try:
            app.do_load_config()
            read = app.cfg
            moved = read.address != self._server.cfg.address
            read.worker_class_str, read.worker_class  # noqa: B018 - is looked for when it is asked for.
        except (SystemExit, RuntimeError) as error:
            raise ConfigurationError(["gunicorn: its configuration cannot be used; it has said why"]) from error
        finally:
            app.cfg = before
        if moved:
            raise ConfigurationError(["bind: cannot be changed by a reload; restart the gateway"])
        return read
