"""The log of a gateway that stands alone: everything that this process logs, as lines on stderr."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from pathlib import Path

from gateway.config import Settings
from gateway.config_logs import LogSettings
from gateway.config_sources import ConfigurationError
from gateway.log_handler import LogHandler
from gateway.log_lines import ACCESS, AUDIT
from gateway.log_masking import masking, secrets_of
from gateway.log_places import LogFile, without_waiting
from gateway.log_requests import JSON, TEXT, Lines
from gateway.log_telemetry import LogTelemetry, naming
from gateway.unforeseen import log_unforeseen

_STDERR = 2
_SECONDS_AT_THE_END = 2.0


def stderr_handler(settings: LogSettings) -> LogHandler:
    """Return what writes this process's lines to stderr, in the form that is configured now; it is made once."""
    root = logging.getLogger()
    handler = next((one for one in root.handlers if isinstance(one, LogHandler)), None)
    if handler is None:
        handler = LogHandler(_lines(settings), masking(iter(())), without_waiting(_STDERR), time.time)
        root.addHandler(handler)
        logging.captureWarnings(capture=True)
        threading.excepthook = _log_end_of_thread
        atexit.register(handler.writer.close, _SECONDS_AT_THE_END)
    handler.lines = _lines(settings)
    return handler


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    # Python would write a traceback of many lines, with whatever the exception quotes.
    if ended.exc_value is not None:
        log_unforeseen(logging.getLogger("gateway"), "a thread ended by an error that nobody foresaw", ended.exc_value)


def log_to_stderr(settings: Settings) -> None:
    """Set up logging for a gateway that stands alone; around an app, it logs to whatever the app has set up.

    Raises `ConfigurationError` for an audit file that cannot be opened.
    """
    handler = stderr_handler(settings.logs)
    handler.mask = masking(secrets_of(settings))
    logging.getLogger("gateway").setLevel(settings.log_level.upper())
    # They have switches of their own.
    logging.getLogger(ACCESS).setLevel(logging.INFO)
    logging.getLogger(AUDIT).setLevel(logging.INFO if settings.logs.audit else logging.CRITICAL)
    _log_audit_to(settings.logs.audit_file, handler)


def make_log_telemetry(settings: Settings) -> LogTelemetry:
    """Make what logs requests and events, to where `log_to_stderr` has them go, or to the app's own logging."""
    root = logging.getLogger()
    handler = next((one for one in root.handlers if isinstance(one, LogHandler)), None)
    mask = masking(secrets_of(settings))
    return LogTelemetry(
        settings.logs, naming(settings.logs.subject, settings.ring), mask, None if handler is None else handler.request
    )


def make_event_log() -> LogTelemetry:
    """Make what logs the events of gunicorn's master, which are about nobody, as `log_to_stderr` was told last."""
    return LogTelemetry(LogSettings(access=False), lambda _issuer, _subject: "", lambda text: text)


def check_audit_file(path: str) -> None:
    """Check that the file of the audit lines, if there is one, can be opened; raises `ConfigurationError`."""
    if path:
        _open_audit_file(path).close()


def _open_audit_file(path: str) -> LogFile:
    try:
        return LogFile(Path(path))
    except OSError as error:
        raise ConfigurationError([f"logs.audit_file: cannot be opened: {error.strerror}"]) from None


def _log_audit_to(path: str, handler: LogHandler) -> None:
    audit = logging.getLogger(AUDIT)
    own = next((one for one in audit.handlers if isinstance(one, LogHandler)), None)
    if own is not None and own.get_name() != path:
        audit.removeHandler(own)
        atexit.unregister(own.writer.close)
        own.writer.close(_SECONDS_AT_THE_END)
        own.close()
        own = None
    if own is None and path:
        file = _open_audit_file(path)
        own = LogHandler(handler.lines, handler.mask, file.write, time.time, file.close)
        own.set_name(path)
        audit.addHandler(own)
        atexit.register(own.writer.close, _SECONDS_AT_THE_END)
    if own is not None:
        own.lines, own.mask = handler.lines, handler.mask
    audit.propagate = own is None


def _lines(settings: LogSettings) -> Lines:
    return JSON if settings.format == "json" else TEXT
