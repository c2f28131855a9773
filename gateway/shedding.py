"""Taking on no more requests at once than a process has places for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

from gateway.cors import Cors
from gateway.endpoints.table import is_ping
from gateway.errors import GatewayError
from gateway.failures import Failures
from gateway.limits import Places


class Shedding:
    """Stands before what answers; `most` may be answered at once, of a number that is not 0."""

    def __init__(self, most: int, failures: Failures, cors: Cors) -> None:
        self._places = Places(most, "are in threads")
        self._failures = failures
        self._cors = cors

    def around(self, app: WSGIApplication, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Have a request answered by an app; where there are too many, only whoever asks if we live."""
        if is_ping(environ):
            return app(environ, start_response)
        try:
            with self._places.held():
                return app(environ, start_response)
        except GatewayError as error:
            response = self._failures.answer(environ, error)
            return response(environ, self._cors.answering(environ, start_response))
