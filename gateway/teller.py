"""Telling of a request once it has been answered: who begins the notes of one, and reads them at the end."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIApplication

from gateway.client_address import Network, is_trusted
from gateway.held_answer import close_body
from gateway.oidc.messages import Entropy
from gateway.request_context import Environ
from gateway.request_notes import NOTES_KEY, Notes
from gateway.telemetry import NO_TAG, Called, Peer, Served, Silence, Tag, Telemetry, tagged
from gateway.trace_context import NO_TRACES, TraceRules

_ID_BYTES = 8
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_PLAIN = re.compile(r"[!-~]*")
MAX_TOLD = 2048
"""Characters of a path, or of a host, that are told."""

CLIENT_GONE = 499
"""The status of a request whose client left before its answer; nginx's word for it."""


class Teller:
    """Begins the notes of requests, and tells what is in them at the end; of silence, both cost nothing.

    `trusted` and `hops` say whose word counts as in `read_context`, for the id that a proxy has given a request, and
    by the rules of `traces` for its trace.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        *,
        clock: Callable[[], float],
        entropy: Entropy,
        trusted: Sequence[Network],
        hops: int,
        traces: TraceRules = NO_TRACES,
    ) -> None:
        self._telemetry = telemetry
        self._clock = clock
        self._entropy = entropy
        self._trusted = trusted
        self._hops = hops
        self._traces = traces
        self.is_silent = isinstance(telemetry, Silence)

    def around(self, app: WSGIApplication, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Have a request answered by an app, and tell of it when all has gone out."""
        if self.is_silent:
            return app(environ, start_response)
        notes = environ[NOTES_KEY] = self.begin(environ)
        telling = _Telling(self, notes, environ, start_response)
        with tagged(notes.tag):
            try:
                return telling.of(app(environ, telling.start_response))
            except BaseException:
                telling.end(HTTPStatus.INTERNAL_SERVER_ERROR)
                raise

    def begin(self, environ: Environ) -> Notes:
        """Begin the notes of a request."""
        return Notes(NO_TAG if self.is_silent else self._tag(environ), self._clock)

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """Have a number taken note of."""
        self._telemetry.watch(name, read)

    def tell(self, notes: Notes, environ: Environ, status: int, sent: int) -> None:
        """Tell of a request that has been answered with so many octets."""
        if self.is_silent:
            return
        if notes.upstream and notes.upstream_began_at:
            with tagged(notes.tag):
                self._telemetry.called(_upstream_call(notes, environ["REQUEST_METHOD"]))
        session = notes.session
        self._telemetry.served(
            Served(
                tag=notes.tag,
                method=environ["REQUEST_METHOD"],
                path=_path(environ),
                host=str(environ.get("HTTP_HOST", ""))[:MAX_TOLD],
                client=notes.client or str(environ.get("REMOTE_ADDR", "")),
                route=notes.route,
                decision=notes.decision,
                code=notes.code,
                issuer="" if session is None else session.issuer,
                subject="" if session is None else session.subject,
                provider="" if session is None else session.provider,
                upstream=notes.upstream,
                status=status,
                sent=sent,
                began_at=notes.began_at,
                seconds=max(0.0, self._clock() - notes.began_at),
                upstream_seconds=notes.upstream_seconds,
            )
        )

    def _tag(self, environ: Environ) -> Tag:
        given, incoming = str(environ.get("HTTP_X_REQUEST_ID", "")), str(environ.get("HTTP_TRACEPARENT", ""))
        asked = bool(given or (incoming and self._traces.takes_part))
        behind = asked and (self._hops > 0 or is_trusted(str(environ.get("REMOTE_ADDR", "")), self._trusted))
        trace = self._traces.begin(incoming, self._entropy, from_proxy=behind)
        kept = behind and _REQUEST_ID.fullmatch(given)
        request_id = given if kept else self._entropy(_ID_BYTES).hex()
        return Tag(request_id=request_id, trace=trace.ours, parent=trace.parent)


def _upstream_call(notes: Notes, method: str) -> Called:
    return Called(
        peer=Peer.UPSTREAM,
        name=notes.upstream,
        operation=method,
        outcome=notes.upstream_outcome,
        began_at=notes.upstream_began_at,
        seconds=notes.upstream_seconds or max(0.0, notes.clock() - notes.upstream_began_at),
    )


def _path(environ: Environ) -> str:
    raw = environ.get("RAW_URI") or quote(
        environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""), encoding="latin-1"
    )
    path = str(raw).partition("?")[0][:MAX_TOLD]
    # Still encoded, as a line end in it would begin a line that anybody could have written.
    return (
        path if _PLAIN.fullmatch(path) else quote(path, safe=string.punctuation, encoding="latin-1", errors="replace")
    )


class _Telling:
    """Stands between a WSGI server and what answers it, and tells when all has gone out (PEP 3333)."""

    def __init__(self, teller: Teller, notes: Notes, environ: Environ, start_response: StartResponse) -> None:
        self._teller = teller
        self._notes = notes
        self._environ = environ
        self._start_response = start_response
        self._body: Iterable[bytes] = ()
        self._status = 0
        self._sent = 0
        self._told = False

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        """Pass the head on."""
        self._status = int(status[:3])
        write = self._start_response(status, headers, exc_info)

        def counted(data: bytes) -> object:
            self._sent += len(data)
            return write(data)

        return counted

    def of(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return the body as the server is given it; one that is whole stays what it is, so that its length is seen."""
        if isinstance(body, list | tuple):
            self._sent += sum(map(len, body))
            self.end(self._status)
            return body
        self._body = body
        return self

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._body:
            self._sent += len(piece)
            yield piece

    def close(self) -> None:
        """Close the body, and tell; a server calls this whatever has become of the request."""
        try:
            close_body(self._body)
        finally:
            self.end(self._status or CLIENT_GONE)

    def end(self, status: int) -> None:
        """Tell, unless that is done."""
        if not self._told:
            self._told = True
            self._teller.tell(self._notes, self._environ, status, self._sent)
