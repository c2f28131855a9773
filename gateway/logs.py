"""Where log lines go."""

from __future__ import annotations

import logging

_log = logging.getLogger("gateway")


def log_to_stderr(level: str) -> None:
    """Set up logging for a gateway that stands alone; around an app, it logs to whatever the app has set up."""
    if not _log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        _log.addHandler(handler)
    _log.setLevel(level.upper())
