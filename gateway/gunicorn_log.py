"""gunicorn's own log as lines of ours: what it quotes of a request that it refuses begins no line of its own."""

from __future__ import annotations

import logging
import os
from typing import Any

from gunicorn.glogging import Logger

from gateway.config_logs import log_settings_or_usual
from gateway.log_handler import LogHandler
from gateway.logs import stderr_handler


class GunicornLog(Logger):
    """gunicorn's logger; requests it does not log, since `logs.access` does."""

    def setup(self, cfg: Any) -> None:
        """Set up what gunicorn says; what a configuration of logging sets up is left to it."""
        # It is set up anew when gunicorn reads its configuration anew.
        self.error_log.handlers[:] = [one for one in self.error_log.handlers if not isinstance(one, LogHandler)]
        super().setup(cfg)
        if not (cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json):
            ours = stderr_handler(log_settings_or_usual(os.environ))
            self.error_log.handlers[:] = [_as_lines(one, ours) for one in self.error_log.handlers]
        if cfg.accesslog is not None:
            logging.getLogger("gateway").warning("gunicorn's access log is not written: logs.access is in its place")

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Pass over a request: our own line says more of it, and nothing decoded."""


def _as_lines(handler: logging.Handler, ours: LogHandler) -> logging.Handler:
    if isinstance(handler, logging.FileHandler):
        handler.setFormatter(_Formatter(ours))
        return handler
    return ours if type(handler) is logging.StreamHandler else handler


class _Formatter(logging.Formatter):
    """Writes the same lines into a file that gunicorn was told of."""

    def __init__(self, ours: LogHandler) -> None:
        super().__init__()
        self._ours = ours

    def format(self, record: logging.LogRecord) -> str:
        return self._ours.line(record).decode("utf-8").rstrip("\n")
