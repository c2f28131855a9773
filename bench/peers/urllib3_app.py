"""The least that a WSGI proxy can be: urllib3 on both sides of nothing, for anybody."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final
from wsgiref.types import StartResponse, WSGIEnvironment

import urllib3

CHUNK: Final = 64 * 1024
HOP_BY_HOP: Final = frozenset({"CONNECTION", "KEEP_ALIVE", "TE", "TRAILER", "TRANSFER_ENCODING", "UPGRADE", "HOST"})


class Proxy:
    """Sends each request on as it is, and streams the answer."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._pool = urllib3.PoolManager(maxsize=64)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Send one request on."""
        query = environ["QUERY_STRING"]
        answer = self._pool.request(
            environ["REQUEST_METHOD"],
            self._upstream + environ["PATH_INFO"] + (f"?{query}" if query else ""),
            body=environ["wsgi.input"] if environ.get("CONTENT_LENGTH") else None,
            headers=_fields(environ),
            preload_content=False,
            redirect=False,
            retries=False,
        )
        headers = [pair for pair in answer.headers.items() if pair[0].upper().replace("-", "_") not in HOP_BY_HOP]
        start_response(f"{answer.status} {answer.reason}", headers)
        return answer.stream(CHUNK, decode_content=False)


def _fields(environ: WSGIEnvironment) -> dict[str, str]:
    fields = {
        name[5:].replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("HTTP_") and name[5:] not in HOP_BY_HOP
    }
    if environ.get("CONTENT_LENGTH"):
        fields["CONTENT-LENGTH"] = environ["CONTENT_LENGTH"]
    return fields


def create_app() -> Proxy:
    """Make the app of what the environment says."""
    return Proxy(os.environ["UPSTREAM"])
