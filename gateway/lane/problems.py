"""What is told of an error, whatever it was: somebody waits for an answer."""

from __future__ import annotations

import logging

from gateway.errors import INTERNAL, GatewayError
from gateway.unforeseen import log_unforeseen

_log = logging.getLogger("gateway")


def problem_of(error: BaseException) -> GatewayError:
    """Return an error as one that can be told: those that nobody foresaw are `internal_error`, and logged."""
    if isinstance(error, GatewayError):
        return error
    log_unforeseen(_log, "an error that nobody foresaw", error)
    return GatewayError(INTERNAL, type(error).__name__)
