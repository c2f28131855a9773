"""Single-page apps of other origins: which may ask with credentials, and read what they are answered (Fetch 3.2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from wsgiref.types import StartResponse

from werkzeug import Response

from gateway.headers import Headers
from gateway.request_context import Environ

MAX_AGE_SECONDS = 600
EXPOSED = "WWW-Authenticate, Retry-After"
"""What scripts of a listed origin may read beyond what any may."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
_OURS = frozenset({"access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers"})


class Cors:
    """Answers for listed origins alone, each to the letter; `*`, `null` and two in one field are none of them."""

    def __init__(self, origins: frozenset[str]) -> None:
        self._origins = origins

    def preflight(self, environ: Environ) -> Response | None:
        """Answer the question that a browser asks before the request itself, which has no credentials; or None."""
        origin, method = environ.get("HTTP_ORIGIN"), environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
        if environ.get("REQUEST_METHOD") != "OPTIONS" or method is None or origin not in self._origins:
            return None
        response = Response(status=204, headers={"Access-Control-Max-Age": str(MAX_AGE_SECONDS)})
        del response.headers["Content-Type"]
        if _TOKEN.fullmatch(str(method)):
            response.headers["Access-Control-Allow-Methods"] = str(method)
        asked = str(environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")).split(",")
        named = [name.strip() for name in asked if _TOKEN.fullmatch(name.strip())]
        if named:
            response.headers["Access-Control-Allow-Headers"] = ", ".join(named)
        return response

    def answering(self, environ: Environ, start_response: StartResponse) -> StartResponse:
        """Return what starts an answer that a listed origin may read, whoever makes it, errors included."""
        if not self._origins:
            return start_response

        def started(status: str, headers: Headers, exc_info: Any = None, /) -> Callable[[bytes], object]:
            return start_response(status, self.allowed(environ, headers), exc_info)

        return started

    def allowed(self, environ: Environ, headers: Headers) -> Headers:
        """Return the fields of an answer with those by which a listed origin may read it."""
        if not self._origins:
            return headers
        origin = str(environ.get("HTTP_ORIGIN", ""))
        varying = [*headers, ("Vary", "Origin")]
        if origin not in self._origins:
            return varying
        kept = [pair for pair in varying if pair[0].lower() not in _OURS]
        return [
            *kept,
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Expose-Headers", EXPOSED),
        ]
