"""An upstream that is asked through the lane, where the tests of the reverse proxy have one that is a WSGI app."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, Final
from wsgiref.types import StartResponse

from harness import base_config
from lane_face import run_lane

from gateway import Gateway, errors
from gateway.errors import UPSTREAM_ANSWER_INVALID, GatewayError, Problem
from gateway.upstream import Upstream

SECONDS: Final = 20.0
PROBLEMS: Final = {one.code: one for one in vars(errors).values() if isinstance(one, Problem)}
OURS: Final = ("date", "transfer-encoding", "connection")
"""What the lane says of its own connection to the client."""


class Laned:
    """Calls an upstream through a lane of its own; all else is the upstream's."""

    def __init__(self, upstream: Upstream, port: int, broken: "_Broken") -> None:
        self._upstream = upstream
        self._port = port
        self._broken = broken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._upstream, name)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> "_Body":
        """Ask; raises the `GatewayError` that the answer, or the log, names."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=SECONDS)
        connection.putrequest(environ["REQUEST_METHOD"], environ["RAW_URI"], skip_host=True, skip_accept_encoding=True)
        for key, value in environ.items():
            if key.startswith("HTTP_"):
                connection.putheader(key[5:].replace("_", "-").title(), value.encode("latin-1"))
        for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if key in environ:
                connection.putheader(key.replace("_", "-").title(), environ[key])
        body = environ["wsgi.input"].read()
        chunked = "HTTP_TRANSFER_ENCODING" in environ
        connection.endheaders(body or None, encode_chunked=chunked)
        if chunked and not body:
            connection.send(b"0\r\n\r\n")
        try:
            answer = connection.getresponse()
        except (HTTPException, OSError) as error:
            connection.close()
            raise self._broken.error() from error
        if _is_problem(answer):
            connection.close()
            raise self._broken.error()
        headers = [pair for pair in answer.getheaders() if pair[0].lower() not in OURS]
        start_response(f"{answer.status} {answer.reason}", headers)
        return _Body(answer, connection, self._broken)


class _Body:
    def __init__(self, answer: HTTPResponse, connection: HTTPConnection, broken: "_Broken") -> None:
        self._answer = answer
        self._connection = connection
        self._broken = broken

    def __iter__(self) -> Iterator[bytes]:
        try:
            while piece := self._answer.read1(65536):
                yield piece
            if self._answer.length:
                raise self._broken.error()
        except (HTTPException, OSError) as error:
            raise self._broken.error() from error

    def close(self) -> None:
        """Hang up."""
        self._answer.close()
        self._connection.close()


class _Broken(logging.Handler):
    """Keeps what the lane's log says of the last failure, which the client is not told."""

    def __init__(self) -> None:
        super().__init__()
        self._last = GatewayError(UPSTREAM_ANSWER_INVALID)

    def emit(self, record: logging.LogRecord) -> None:
        """Note the failure."""
        found = re.search(r"(?:': |broken off: )([a-z0-9_]+): (.*)", record.getMessage())
        if found is not None and found[1] in PROBLEMS:
            self._last = GatewayError(PROBLEMS[found[1]], found[2])

    def error(self) -> GatewayError:
        """Make the error that the WSGI app would have raised."""
        return self._last


def _is_problem(answer: HTTPResponse) -> bool:
    is_json = answer.headers["Content-Type"] == "application/json"
    return answer.status >= 400 and is_json and json.loads(answer.read())["error"] in PROBLEMS


@contextmanager
def laned(upstream: Upstream) -> Iterator[Laned]:
    """Run a lane whose one route, which anyone may use, leads to an upstream."""
    document = {
        **base_config({"type": "memory"}),
        "upstream": "http://127.0.0.1:9",
        "routes": [{"path": "/**", "access": "public", "allow_encoded_slash": True}],
    }
    gateway = Gateway.from_config(document)(None)
    (name,) = gateway.upstreams
    # In its place, for what is tested is made by the tests, not configured.
    gateway.upstreams = {name: upstream}
    gateway._admission._inner = gateway.upstreams
    broken = _Broken()
    log = logging.getLogger("gateway")
    log.addHandler(broken)
    try:
        with run_lane(gateway) as face:
            yield Laned(upstream, face.port, broken)
    finally:
        log.removeHandler(broken)
