"""What is told of a failure: little to the public, the rest to the log, under one reference."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

from werkzeug import Response

from gateway.bearer import BearerRefused
from gateway.endpoints.login_failed import LoginFailed
from gateway.errors import OVERLOADED, TOO_MANY_LOGINS, GatewayError
from gateway.kept_answers import KeptAnswers
from gateway.request_context import Environ
from gateway.request_notes import Notes, notes_of
from gateway.responses import Responses, with_cookies
from gateway.session_events import session_event
from gateway.telemetry import Kind, Telemetry

_log = logging.getLogger("gateway")

_REFUSALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class Failures:
    """Answers requests that failed."""

    def __init__(self, responses: Responses, telemetry: Telemetry, clock: Callable[[], float]) -> None:
        self._responses = responses
        self._telemetry = telemetry
        self._kept = KeptAnswers(self._made, clock)

    def answer(self, environ: Environ, error: GatewayError) -> Response:
        """Log a failure and make its page, or its JSON."""
        notes = notes_of(environ)
        notes.code = error.code
        self._tell(error, notes)
        # What has cookies or a challenge of its own is for one alone.
        crowded = type(error) is GatewayError and error.problem in (OVERLOADED, TOO_MANY_LOGINS)
        return self._kept.answer(environ, error) if crowded else self._made(environ, error)

    def _made(self, environ: Environ, error: GatewayError) -> Response:
        reference = notes_of(environ).tag.request_id or self._responses.reference()
        asked = f"{environ.get('REQUEST_METHOD', '')} {environ.get('PATH_INFO', '')}"[:240]
        _log.warning("%r: %s (reference %s)", asked, error, reference)
        html = "text/html" in environ.get("HTTP_ACCEPT", "")
        again = error.return_to if isinstance(error, LoginFailed) else ""
        challenge = error.challenge if isinstance(error, BearerRefused) else ""
        response = self._responses.error(
            error,
            html=html,
            reference=reference,
            accept_language=str(environ.get("HTTP_ACCEPT_LANGUAGE", "")),
            again=again,
            challenge=challenge,
        )
        return with_cookies(response, error.cookies if isinstance(error, LoginFailed) else ())

    def _tell(self, error: GatewayError, notes: Notes) -> None:
        # A login that failed is told of as a login; what else is no matter of who asks is not for an audit.
        if error.problem.status not in _REFUSALS or isinstance(error, LoginFailed):
            return
        self._telemetry.happened(
            session_event(
                Kind.REFUSAL,
                notes.session,
                outcome=error.code,
                route=notes.route,
                client=notes.client,
                detail=error.detail,
            )
        )
