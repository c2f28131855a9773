"""A request to an upstream by way of our own rules, just as if the browser had made it; nowhere else does it lead."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final
from urllib.parse import unquote_to_bytes
from wsgiref.types import StartResponse, WSGIApplication

from werkzeug import Response

from gateway.config import Settings
from gateway.console.actions import Result, failure, secrets_of
from gateway.console.messages import Pairs
from gateway.console.redaction import Redaction, described
from gateway.endpoints.request import Request
from gateway.errors import PARAMETER_REFUSED, GatewayError
from gateway.headers import Headers, client_headers
from gateway.held_answer import close_body
from gateway.inner import Admitted
from gateway.session import Session
from gateway.target import canonical_path

METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
MAX_BODY = 16 * 1024
"""How much of an answer is shown, in octets."""

MAX_SECONDS = 10
"""How long an answer is read that does not end."""

_TITLE = "Call an upstream"
_KEPT = frozenset(
    {
        "SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "REMOTE_ADDR", "wsgi.version",
        "wsgi.url_scheme", "wsgi.errors", "wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once", "HTTP_HOST",
        "HTTP_COOKIE", "HTTP_USER_AGENT", "HTTP_ACCEPT_LANGUAGE", "HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE",
        "HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST",
    }
)  # fmt: skip

Forward = Callable[[dict[str, Any]], Response | Admitted]
"""Decides what becomes of a request, as the gateway decides on all of them."""


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What the upstream was sent, and what it answered."""

    environ: Mapping[str, Any] | None = None
    status: str = ""
    headers: Headers | None = None
    body: bytes = b""
    is_whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamCalls:
    """Makes requests that the rules route; `forward` decides on them."""

    settings: Settings
    forward: Forward

    def call(self, request: Request, session: Session, method: str, address: str) -> Result:
        """Send a request to where the rules send it, and tell what went and what came; nothing of it is raised."""
        try:
            target = self._target(method, address)
            outcome = self.forward(_environ(request, method, target))
            if isinstance(outcome, Response):
                return _answered_by_us(outcome, f"{method} {target}")
            return self._told(outcome, session, f"{method} {target}", _asked(outcome))
        except GatewayError as error:
            return failure(_TITLE, error)

    def _target(self, method: str, address: str) -> str:
        if method not in METHODS:
            raise GatewayError(PARAMETER_REFUSED, f"the method is none of {', '.join(METHODS)}")
        path, mark, query = address.partition("#")[0].partition("?")
        path = canonical_path(path)
        own = (self.settings.prefix, self.settings.callback_path, self.settings.post_logout_path, "/ping", "/ready")
        if any(path == each or path.startswith(f"{each}/") for each in own):
            raise GatewayError(PARAMETER_REFUSED, "that is an endpoint of the gateway itself, and no upstream's")
        return f"{path}{mark}{query}"

    def _told(self, admitted: Admitted, session: Session, asked: str, seen: _Seen) -> Result:
        redaction = _knowing(admitted, session, seen)
        sent = client_headers(seen.environ or {})
        route = admitted.passage.route
        facts: Pairs = (
            ("request", redaction.text(asked)),
            ("rule", route.path),
            ("goes to", route.upstream_url or route.upstream or "the app that is wrapped"),
            ("as", redaction.text(str((seen.environ or {}).get("RAW_URI", "")))),
            *((f"sent {name}", self._field(name, value, route.request_headers, redaction)) for name, value in sent),
            ("answer", redaction.text(seen.status)),
            *((f"got {name.lower()}", _answer_field(name, value, redaction)) for name, value in seen.headers or []),
        )
        text = redaction.text(seen.body.decode("utf-8", "replace"), MAX_BODY, is_whole=seen.is_whole)
        told = "" if seen.is_whole else "The answer goes on; this is its beginning."
        return Result(title=_TITLE, told=told, facts=facts, text=text)

    def _field(self, name: str, value: str, configured: Mapping[str, str], redaction: Redaction) -> str:
        fixed = {each.lower() for each, template in configured.items() if "{" not in template}
        if name in fixed:
            return "⟨as configured⟩"
        if name == "cookie":
            return ", ".join(part.partition("=")[0].strip() for part in value.split(";")) + " ⟨values⟩"
        if name in ("authorization", "dpop", "x-gateway-identity"):
            scheme, _, secret = value.rpartition(" ")
            return f"{scheme} {described(name, secret)}".strip()
        return redaction.text(value)


def _knowing(admitted: Admitted, session: Session, seen: _Seen) -> Redaction:
    redaction = secrets_of(session)
    for name, value in admitted.passage.route.request_headers.items():
        if "{" not in value:
            redaction.hide(value, f"{name} as configured")
    for name, value in client_headers(seen.environ or {}):
        if name in ("authorization", "dpop", "x-gateway-identity"):
            redaction.hide(value.rpartition(" ")[2], name)
    for name, value in client_headers(admitted.passage.environ):
        if name == "cookie":
            for part in value.split(";"):
                redaction.hide(part.partition("=")[2].strip(), "cookie")
    return redaction


def _asked(admitted: Admitted) -> _Seen:
    seen, written = _Seen(), list[bytes]()

    def start_response(status: str, headers: Headers, _: Any = None, /) -> Callable[[bytes], object]:
        seen.status, seen.headers = status, headers
        return written.append

    body = replace(admitted, inner=_looking(admitted.inner, seen))(start_response)
    try:
        _read(chain(written, body), seen)
    finally:
        close_body(body)
    return seen


def _looking(inner: WSGIApplication, seen: _Seen) -> WSGIApplication:
    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        seen.environ = dict(environ)
        return inner(environ, start_response)

    return app


def _read(body: Iterable[bytes], seen: _Seen) -> None:
    # A little more than is shown, so that a secret that begins before the end is known for one.
    deadline, most, pieces, size = time.monotonic() + MAX_SECONDS, 2 * MAX_BODY, [], 0
    seen.is_whole = True
    for piece in body:
        pieces.append(piece[: most - size])
        size += len(piece)
        if size > most or time.monotonic() > deadline:
            seen.is_whole = False
            break
    seen.body = b"".join(pieces)


def _answered_by_us(response: Response, asked: str) -> Result:
    try:
        members = json.loads(response.get_data())
        code, meaning = str(members.get("error", "")), str(members.get("message", ""))
    except (ValueError, AttributeError):
        code, meaning = "", ""
    facts = (("request", asked), ("answer", response.status))
    told = f"{meaning}. The gateway answered by itself, and no upstream was asked.".removeprefix(". ")
    return Result(title=_TITLE, code=code, told=told, facts=facts)


def _answer_field(name: str, value: str, redaction: Redaction) -> str:
    if name.lower() == "set-cookie":
        return f"{value.partition('=')[0]} ⟨value⟩"
    return redaction.text(value)


def _environ(request: Request, method: str, target: str) -> dict[str, Any]:
    """Write a request of a script of the console's page to that target; its body is empty."""
    kept = {name: value for name, value in request.environ.items() if name in _KEPT}
    path, _, query = target.partition("?")
    script_name = str(kept.get("SCRIPT_NAME", ""))
    return {
        **kept,
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1").removeprefix(script_name),
        "QUERY_STRING": query,
        "RAW_URI": target,
        "REQUEST_URI": target,
        "CONTENT_LENGTH": "0",
        "HTTP_ACCEPT": "*/*",
        "HTTP_SEC_FETCH_MODE": "cors",
        "HTTP_SEC_FETCH_DEST": "empty",
        "wsgi.input": io.BytesIO(),
    }
