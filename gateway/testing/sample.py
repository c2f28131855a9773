"""A sample app that knows nothing of login: it shows what it received, so that one sees what the gateway adds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from jinja2 import Environment, PackageLoader, StrictUndefined
from werkzeug.wrappers import Request, Response

SHOWN_OF_A_TOKEN = 12

_FROM_THE_GATEWAY = ("Authorization", "X-Forwarded-", "Forwarded", "Via")
_PAGES = Environment(loader=PackageLoader("gateway.testing", "."), autoescape=True, undefined=StrictUndefined)


def sample_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer any request with a page about it, or with JSON below `/api/`."""
    request = Request(environ)
    response = _as_json(request) if request.path.startswith("/api/") else _page(request)
    return response(environ, start_response)


def _as_json(request: Request) -> Response:
    received = {"method": request.method, "target": environ_target(request), "headers": dict(_headers(request))}
    return Response(json.dumps(received, indent=2) + "\n", mimetype="application/json", headers=_NO_STORE)


def _page(request: Request) -> Response:
    headers = _headers(request)
    context = {
        "title": _title(request.path),
        "user": request.headers.get("X-Forwarded-Preferred-Username") or request.headers.get("X-Forwarded-User", ""),
        "email": request.headers.get("X-Forwarded-Email", ""),
        "line": f"{request.method} {environ_target(request)}",
        "added": [pair for pair in headers if pair[0].startswith(_FROM_THE_GATEWAY)],
        "others": [pair for pair in headers if not pair[0].startswith(_FROM_THE_GATEWAY)],
    }
    body = _PAGES.get_template("sample.html").render(context)
    return Response(body, mimetype="text/html", headers=_NO_STORE)


def environ_target(request: Request) -> str:
    """Tell the target as it came, undecoded where the server kept it."""
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or request.full_path
    return str(raw)


def _headers(request: Request) -> list[tuple[str, str]]:
    # A token is shown by its beginning: enough to see that it is there, too little to use.
    return sorted((name, _shortened(value) if name == "Authorization" else value) for name, value in request.headers)


def _shortened(value: str) -> str:
    scheme, _, token = value.partition(" ")
    return f"{scheme} {token[:SHOWN_OF_A_TOKEN]}… ({len(token)} characters)"


def _title(path: str) -> str:
    if path.startswith("/public"):
        return "A page for everyone"
    return "A page for admins" if path.startswith("/admin") else "The sample app"


_NO_STORE = {"Cache-Control": "no-store"}
