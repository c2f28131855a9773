"""Logs what the gateway tells of its work: a line for each request, and one for what happens to sessions."""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Callable
from http import HTTPStatus

from gateway.config_logs import LogSettings
from gateway.log_handler import tag_facts
from gateway.log_lines import ACCESS, AUDIT
from gateway.log_masking import Mask
from gateway.log_requests import request_facts, request_message
from gateway.remembered import remembered
from gateway.route import compile_pattern
from gateway.sealing import KeyRing, derived_key
from gateway.telemetry import OK, Called, Event, Kind, Served, current_tag

SUBJECT_DIGITS = 16
"""How long the word for a user is: 64 bits, in hexadecimal digits."""

Request = Callable[[Served, str, str], None]
"""Takes a request, its path without secrets, and the word for its user."""

Who = Callable[[str, str], str]
"""Names the user whom an issuer knows by a subject."""

_log = logging.getLogger(ACCESS)
_audit = logging.getLogger(AUDIT)


class LogTelemetry:
    """Logs to `gateway.access` and `gateway.audit`; a `request` takes requests past Python's logging."""

    def __init__(self, settings: LogSettings, who: Who, mask: Mask, request: Request | None = None) -> None:
        self._access = settings.access
        self._audit = settings.audit
        self._who = who
        self._request = request or _log_request
        pattern = "|".join(compile_pattern(path).pattern for path in settings.exclude) or "(?!)"
        self._excluded = re.compile(pattern, re.DOTALL)
        self._mask = mask
        self._path = remembered(longest=256)(self._masked_path)

    def served(self, served: Served) -> None:
        """Log a request that was answered."""
        if self._access:
            path = self._path(served.path)
            if path is None and served.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                path = self._mask(served.path)
            if path is not None:
                self._request(served, path, self._who(served.issuer, served.subject))

    def _masked_path(self, path: str) -> str | None:
        return None if self._excluded.fullmatch(path) else self._mask(path)

    def happened(self, event: Event) -> None:
        """Log an event, but no renewal: one that ends a session is a logout, too."""
        if not self._audit or event.kind is Kind.REFRESH:
            return
        facts = {
            **tag_facts(current_tag()),
            "kind": event.kind.value,
            "way": event.way,
            "outcome": event.outcome,
            "client": event.client,
            "provider": event.provider,
            "issuer": event.issuer,
            "subject": self._who(event.issuer, event.subject),
            "route": event.route,
            "detail": self._mask(event.detail),
        }
        level = logging.INFO if event.outcome == OK else logging.WARNING
        message = " ".join(part for part in (event.kind.value, event.way, event.outcome) if part)
        _audit.log(level, "%s", message, extra=facts)

    def called(self, call: Called) -> None:
        """Pass over a call: what goes wrong with it is logged where it is met."""

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """Pass over a number."""


def naming(subject: str, ring: KeyRing) -> Who:
    """Make what names users: `plain`, `none`, or `hashed` under a key that is made of the ring's first secret."""
    if subject == "plain":
        return lambda _, sub: sub
    if subject == "none":
        return lambda _issuer, _subject: ""
    key = derived_key(ring, "log subject")

    def word(name: str) -> str:
        return hmac.digest(key, name.encode("utf-8", "surrogatepass"), "sha256").hex()[:SUBJECT_DIGITS]

    known = remembered(longest=512, entries=4096)(word)
    return lambda issuer, sub: known(f"{issuer}\n{sub}") if sub else ""


def _log_request(served: Served, path: str, subject: str) -> None:
    if _log.isEnabledFor(logging.INFO):
        _log.info("%s", request_message(served, path), extra=request_facts(served, path, subject))
