"""What the log is told of an error that nobody foresaw: its type and places, not its words, which may quote a token."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import PurePath
from traceback import walk_tb

from gateway.errors import INTERNAL, GatewayError

MAX_CAUSES = 5

_log = logging.getLogger("gateway")


def problem_of(error: BaseException) -> GatewayError:
    """Return an error as one that can be told: those that nobody foresaw are `internal_error`, and logged."""
    if isinstance(error, GatewayError):
        return error
    log_unforeseen(_log, "an error that nobody foresaw", error)
    return GatewayError(INTERNAL, type(error).__name__)


def log_unforeseen(log: logging.Logger, what: str, error: BaseException) -> None:
    """Log an error and what it came from, each with the places that it passed, the last of them where it arose."""
    log.error("%s: %s", what, ", from ".join(_told(each) for each in _chain(error)))


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(MAX_CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _told(error: BaseException) -> str:
    places = [
        f"{'/'.join(PurePath(frame.f_code.co_filename).parts[-2:])}:{line} {frame.f_code.co_name}"
        for frame, line in walk_tb(error.__traceback__)
    ]
    return f"{type(error).__name__} at {' > '.join(places) or 'an unknown place'}"
