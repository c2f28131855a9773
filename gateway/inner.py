"""Handing a request to the inner app: the environ that it receives, and its response on the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit
from wsgiref.types import StartResponse, WSGIApplication

from werkzeug import Response

from gateway.cookies import CookiePolicy
from gateway.errors import NOT_FOUND, GatewayError
from gateway.headers import HeaderRules, Headers, client_headers, inner_headers, response_headers, seen_host, without
from gateway.held_answer import HeldAnswer, close_body
from gateway.open_streams import Watch
from gateway.request_context import Environ
from gateway.request_limits import check_fields, limited_body, weight_of
from gateway.request_notes import NOTES_KEY, notes_of, tag_fields, without_tag
from gateway.route import Route
from gateway.session import Session
from gateway.store import HeldSession
from gateway.target import RequestTarget

SESSION_KEY = "gateway.session"
"""Where a wrapped app finds the `Session`, or None on a route that anyone may see."""

_OUR_KEYS = frozenset({"REMOTE_USER", "AUTH_TYPE", "RAW_URI", "REQUEST_URI", SESSION_KEY, NOTES_KEY})


React = Callable[[int, Headers], "Response | Admitted | None"]
"""What else to do upon an answer of the inner app, by its status and fields; None lets it go out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What a request takes with it to the inner app; `authorization` are the fields by which that knows who asks."""

    environ: Environ = field(repr=False)
    target: RequestTarget
    route: Route
    session: Session | None
    rules: HeaderRules
    authorization: Headers = field(repr=False)

    @property
    def path(self) -> str:
        """The origin-form target as the inner app gets it."""
        path = self.route.inner_path(self.target.path)
        return f"{path}?{self.target.query}" if self.target.query else path

    @property
    def host(self) -> str:
        """The `Host` that the inner app gets."""
        return _host(self.rules, self.route, self.target)

    @property
    def is_proven(self) -> bool:
        """Whether a proof is among the fields, which is for this request alone (RFC 9449 4.1)."""
        return any(name == "dpop" for name, _ in self.authorization)

    def inner_environ(self) -> dict[str, Any]:
        """Make the environ of the inner app; raises as `inner_environ` does."""
        return inner_environ(self.environ, self.target, self.route, self.session, self.rules, self.authorization)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A request that was allowed: calling it calls the inner app.

    `held` is the session with its handle, None for a token that a client brought. `personal` says that a session was
    needed for it, `rewrite` puts the answer's fields into the words of the site. `react` is given the answer before any
    of it goes out, `watch` the body, which it may end with the session.
    """

    inner: WSGIApplication
    passage: Passage
    cookies: CookiePolicy
    personal: bool
    held: HeldSession | None = None
    rewrite: Callable[[Headers], Headers] | None = None
    react: React | None = None
    watch: Watch | None = None

    def __call__(self, start_response: StartResponse) -> Iterable[bytes]:
        """Call the inner app; raises as `inner_environ` and the app do."""

        def guarded(status: str, headers: Headers, exc_info: Any = None, /) -> Callable[[bytes], object]:
            return start_response(status, self.answer_headers(headers), exc_info)

        environ = self.passage.inner_environ()
        if self.react is None:
            return self._watched(self._asked(environ, guarded))
        return self._looked_at(self.react, environ, guarded, start_response)

    def answer_headers(self, headers: Headers) -> Headers:
        """Turn the fields of the inner app's answer into what goes out: none can overwrite our cookies."""
        own = headers if self.rewrite is None else self.rewrite(headers)
        return response_headers(own, self.cookies, personal=self.personal, vary=self.passage.route.vary)

    def _asked(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        notes = notes_of(self.passage.environ)
        notes.upstream_begins()
        try:
            body = self.inner(environ, start_response)
        except GatewayError as error:
            notes.upstream_ends(error.code)
            raise
        notes.upstream_ends()
        return body

    def _watched(self, body: Iterable[bytes]) -> Iterable[bytes]:
        return body if self.watch is None or isinstance(body, list | tuple) else self.watch(body)

    def _looked_at(
        self, react: React, environ: dict[str, Any], guarded: StartResponse, start_response: StartResponse
    ) -> Iterable[bytes]:
        held = HeldAnswer(guarded)
        body = held.call(self._asked, environ)
        with ExitStack() as stack:  # What reacts may refuse; the connection to the upstream is given back all the same.
            stack.callback(close_body, body)
            other = None if held.released else react(held.status, held.headers)
            if other is None:
                held.release()
                stack.pop_all()
                return self._watched(body)
        return other(start_response) if isinstance(other, Admitted) else other(environ, start_response)


def nothing_here(_environ: dict[str, Any], _start_response: StartResponse) -> Iterable[bytes]:
    """Stand for the inner app where there is none; raises `not_found`."""
    raise GatewayError(NOT_FOUND, "no app is wrapped and the route names no upstream")


def upstream_url(route: Route, target: RequestTarget, rules: HeaderRules) -> str:
    """Tell by which address an upstream knows a request, without its query; empty for a wrapped app.

    It is made of the `Host` that the upstream is sent, since that is what a proof is compared with (RFC 9449 4.3).
    """
    if not route.upstream:
        return ""
    parts = urlsplit(route.upstream_url)
    scheme = rules.public_scheme if route.preserve_host else parts.scheme
    path = route.inner_path(target.path)
    return f"{scheme}://{_host(rules, route, target)}{parts.path.rstrip('/')}{path}"


def inner_environ(
    environ: Environ,
    target: RequestTarget,
    route: Route,
    session: Session | None,
    rules: HeaderRules,
    authorization: Headers,
) -> dict[str, Any]:
    """Make the environ of the inner app: the canonical target, the headers of `inner_headers`, and who is signed in.

    Raises `request_fields_too_large` and `request_body_too_large`, which reading the body may do, too.
    """
    path = route.inner_path(target.path)
    raw = f"{path}?{target.query}" if target.query else path
    script_name = str(environ.get("SCRIPT_NAME", ""))
    decoded = unquote_to_bytes(path).decode("latin-1")
    kept = {key: value for key, value in environ.items() if not key.startswith("HTTP_") and key not in _OUR_KEYS}
    made = {
        "PATH_INFO": decoded.removeprefix(script_name),
        "RAW_URI": raw,
        "REQUEST_URI": raw,
        "QUERY_STRING": target.query,
        "HTTP_HOST": _host(rules, route, target),
        "REMOTE_ADDR": target.client or environ.get("REMOTE_ADDR", ""),
        "wsgi.url_scheme": rules.public_scheme,
        # What an app does to the claims is its own affair: the session, which later requests share, is not it.
        SESSION_KEY: None if session is None or route.upstream else replace(session, claims=deepcopy(session.claims)),
    }
    identity = {} if session is None else {"REMOTE_USER": session.subject, "AUTH_TYPE": "OpenIDConnect"}
    tag = notes_of(environ).tag
    headers = inner_headers(without_tag(client_headers(environ), tag), target, route, session, rules, authorization)
    headers += without(tag_fields(tag), headers)
    check_fields(weight_of(headers), route.max_headers)
    body = {} if route.max_body is None else {"wsgi.input": limited_body(environ, route.max_body)}
    return {**kept, **_http_keys(headers), **made, **identity, **body}


def _http_keys(headers: Headers) -> dict[str, str]:
    keys: dict[str, str] = {}
    for name, value in headers:
        key = "HTTP_" + name.upper().replace("-", "_")
        keys[key] = f"{keys[key]}, {value}" if key in keys else value
    return keys


def _host(rules: HeaderRules, route: Route, target: RequestTarget) -> str:
    if route.upstream and not route.preserve_host:
        return urlsplit(route.upstream_url).netloc
    return seen_host(target, route, rules)
