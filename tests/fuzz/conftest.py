"""The fuzz run sends the gateway's log into a sink; other tests look at the log."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """Give the log back after a test."""
    log = logging.getLogger("gateway")
    handlers, propagate = list(log.handlers), log.propagate
    yield
    log.handlers[:], log.propagate = handlers, propagate
