"""The master of gunicorn holds the last configuration that was right, and workers get it by fork, never from files.

gunicorn has no hook by which a reload could be refused: its own ends the master where its configuration cannot be read
or carried out, and begins new workers in any case, each of which would end the master if it could not start. So the
master's handlers of SIGHUP and SIGTERM are others, and what gunicorn itself was told stays as it is.
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

_SPAWN_SECONDS = 0.05  # So that workers which die at once are not begun as fast as that goes.
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
        self._end, self._manage, self._replaced = server.handle_term, server.manage_workers, 0
        server.handle_hup, server.handle_term, server.manage_workers = self.reload, self.end, self.manage
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
            self._last_good = self._prepare(self._server.cfg)
        except ConfigurationError as error:
            self._refuse(error.problems)
        except BaseException as error:  # noqa: BLE001 - the gateway goes on, also if a check of yours would end it.
            log_unforeseen(_log, "an error that nobody foresaw", error)
            self._refuse([f"internal_error: {type(error).__name__}"])
        else:
            self._accept()

    def manage(self) -> None:
        """See to it that there are as many workers as there are to be, beside those that are ending.

        The oldest that are too many are told each time, since one that has just begun may not have heard it; and none
        of the old, while there is no other in its place.
        """
        server = self._server
        ending = sum(worker.age <= self._replaced for worker in server.WORKERS.values())
        if not ending:
            self._manage()
            return
        try:
            for _ in range(server.num_workers + ending - len(server.WORKERS)):
                server.spawn_worker()
                time.sleep(_SPAWN_SECONDS)
        except Exception as error:  # noqa: BLE001 - it is tried again in a second, and the old ones go on.
            log_unforeseen(_log, "a worker could not be begun", error)
        by_age = sorted(server.WORKERS, key=lambda pid: int(server.WORKERS[pid].age))
        for pid in by_age[: max(0, len(by_age) - server.num_workers)]:
            server.kill_worker(pid, signal.SIGTERM)

    def end(self) -> None:
        """Serve on for a while, saying at `/ready` that this is the end; a second signal of that kind shortens it.

        Where there is another master beside this one, it goes on with what clients connect to: this is no end to them.
        """
        if self._server.reexec_pid or self._server.master_pid:
            self._end()
        self._draining.begin()
        until = time.monotonic() + self._drain_seconds
        while (left := until - time.monotonic()) > 0:
            told = _ENDING.intersection(self._server.wait_for_signals(timeout=min(1.0, left)))
            if told - {signal.SIGTERM}:
                self._server.handle_quit()
            if told:
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
        try:
            self._server.log.reopen_files()
        except Exception as error:  # noqa: BLE001 - that keeps nobody from serving.
            log_unforeseen(_log, "files of the log could not be opened anew", error)
        self._server.num_workers = self._server.num_workers or self._server.cfg.workers  # SIGWINCH has left none.
        self._replaced = self._server.worker_age
        self.manage()
        self._tell(Event(kind=Kind.CONFIGURATION))

    def _refuse(self, problems: list[str]) -> None:
        for problem in problems:
            _log.error("reload refused: %s", problem)
        _log.error("reload refused: the workers go on with the configuration from before")
        self._tell(Event(kind=Kind.CONFIGURATION, outcome=CONFIGURATION_REFUSED, detail="; ".join(problems)))

    def _prepare(self, cfg: Any) -> Prepared:
        return prepare(cfg, self._environ, Outside(is_draining=self._draining.has_begun))
