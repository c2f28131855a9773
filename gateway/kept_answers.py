"""Answers to crowds: the same one for a second, so that whoever is shed costs no page and no line of the log."""

from __future__ import annotations

from collections.abc import Callable

from werkzeug import Response

from gateway.errors import GatewayError
from gateway.request_context import Environ
from gateway.request_notes import NOTES_KEY

KEEP_SECONDS = 1
"""How long an answer is given again, under the reference by which the log knows the first."""

MAX_KEPT = 32
"""How many are kept, by their problem and by what a browser reads; more languages than that are answered in English."""


class KeptAnswers:
    """Has an answer made where there is none at hand."""

    def __init__(self, make: Callable[[Environ, GatewayError], Response], clock: Callable[[], float]) -> None:
        self._make = make
        self._clock = clock
        self._second = 0
        self._kept: dict[tuple[str, bool, str], Response] = {}

    def answer(self, environ: Environ, error: GatewayError) -> Response:
        """Answer a failure, that of this request or the last one of its kind."""
        second = int(self._clock()) // KEEP_SECONDS
        if second != self._second:
            self._second, self._kept = second, {}
        html = "text/html" in environ.get("HTTP_ACCEPT", "")
        language = str(environ.get("HTTP_ACCEPT_LANGUAGE", "")) if html and len(self._kept) < MAX_KEPT else ""
        key = (error.code, html, language)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = self._make(
                # Under a reference of its own: what a proxy calls this request is not for all others to read.
                {**environ, "HTTP_ACCEPT_LANGUAGE": language, NOTES_KEY: None},
                error,
            )
        return kept
