"""A sample application: a page that shows the request as it arrived, and by which process it was answered."""

import html
import json
import os
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse

PAGE = """<!DOCTYPE html>
<title>Sample application</title>
<h1>Sample application</h1>
<pre>{request}</pre>
<p><a href="/oauth2/sign_out">Sign out</a></p>
"""


def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the request as JSON, in a page for whoever prefers one."""
    shown = json.dumps({"target": environ["RAW_URI"], "process": os.getpid(), "fields": _fields(environ)})
    as_page = "text/html" in environ.get("HTTP_ACCEPT", "")
    body = (PAGE.format(request=html.escape(shown)) if as_page else shown).encode("utf-8")
    media_type = "text/html; charset=utf-8" if as_page else "application/json"
    start_response("200 OK", [("Content-Type", media_type), ("Content-Length", str(len(body)))])
    return [body]


def _fields(environ: dict[str, Any]) -> dict[str, str]:
    return {
        key.removeprefix("HTTP_").lower().replace("_", "-"): value
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
