"""Writes records of Python's logging as lines: masked, escaped, with the request that they are about."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Mapping
from types import MappingProxyType

from gateway.log_lines import ACCESS, AUDIT, EXCEPTION
from gateway.log_masking import Mask
from gateway.log_requests import Lines
from gateway.log_writer import LineWriter, Write
from gateway.telemetry import Served, Tag, current_tag

ACCESS_FACTS = (
    "client", "subject", "path", "method", "host", "route", "decision", "code", "provider", "upstream", "status",
    "octets", "ms", "upstream_ms",
)  # fmt: skip
"""What a line about a request says, besides what all lines say."""

AUDIT_FACTS = ("kind", "way", "outcome", "client", "provider", "issuer", "subject", "route", "detail")
"""What a line about an event says, besides what all lines say."""

LOGGER = "gateway.logs"

_FACTS: Mapping[str, tuple[str, ...]] = MappingProxyType({ACCESS: ACCESS_FACTS, AUDIT: AUDIT_FACTS})


class LogHandler(logging.Handler):
    """Writes each record as one line; what cannot be written is no failure of whoever logged it."""

    def __init__(
        self,
        lines: Lines,
        mask: Mask,
        write: Write,
        clock: Callable[[], float],
        release: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._release = release
        self.lines = lines
        self.mask = mask
        self.writer = LineWriter(write, self.notice)
        self._clock = clock

    def close(self) -> None:
        """Let go of what it writes to, if that is its own."""
        super().close()
        self._release()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            self.writer.put(self.line(record), at_once=record.levelno >= logging.ERROR)
        except Exception:  # noqa: BLE001 - a request is not refused for what cannot be written down.
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - its name in logging.
        """Say of a record that it could not be written, and nothing of what is in it."""
        facts = {"about": record.name}
        self.writer.put(self.lines.line(record.created, "ERROR", LOGGER, "a record could not be written", facts))

    def request(self, served: Served, path: str, subject: str) -> None:
        """Write the line of a request, past Python's logging, which would cost as much again."""
        self.writer.put(self.lines.request(served, path, subject))

    def line(self, record: logging.LogRecord) -> bytes:
        """Make the line of a record; raises what its arguments raise that do not fit its message."""
        names = _FACTS.get(record.name, ())
        known = vars(record)
        tag = tag_facts(current_tag())
        own = {name: value for name in (*tag, *names) if isinstance(value := known.get(name), str | int | float)}
        facts = {**tag, "pid": os.getpid(), **own}
        facts = {name: self.mask(value) if isinstance(value, str) else value for name, value in facts.items()}
        told = _exception(record)
        if told:
            facts[EXCEPTION] = self.mask(told)
        return self.lines.line(record.created, record.levelname, record.name, self.mask(record.getMessage()), facts)

    def notice(self, lost: int) -> bytes:
        """Make the line that says how many were lost."""
        return self.lines.line(self._clock(), "ERROR", LOGGER, "lines of the log were lost", {"lines": lost})


def tag_facts(tag: Tag) -> dict[str, str | int | float]:
    """Say which request a line is about, and which trace it belongs to; both empty where there is none."""
    return {"request_id": tag.request_id, "trace_id": tag.trace[3:35]}


def _exception(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return record.stack_info or ""
    return "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
