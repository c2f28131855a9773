"""What one writes in an afternoon: a Flask app with Authlib's login, and requests to what is behind it."""

from __future__ import annotations

import os
from typing import Any, Final

import requests
from authlib.integrations.flask_client import OAuth
from flask import Flask, Response, redirect, request, session, url_for

METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
CHUNK: Final = 64 * 1024
HOP_BY_HOP: Final = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "host", "cookie", "authorization",
})  # fmt: skip


class Site:
    """The views."""

    def __init__(self, oauth: Any, upstream: str) -> None:
        self._provider = oauth.provider
        self._upstream = upstream
        self._client = requests.Session()
        adapter = requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=64)
        self._client.mount("http://", adapter)

    def callback(self) -> Any:
        """End the login."""
        token = self._provider.authorize_access_token()
        session["access_token"] = token["access_token"]
        session["user"] = token["userinfo"]["sub"]
        return redirect(session.pop("landing", "/"))

    def proxy(self, path: str) -> Any:
        """Send on whatever a user asks for, or lead to the login."""
        token = session.get("access_token")
        if token is None:
            session["landing"] = request.full_path
            return self._provider.authorize_redirect(url_for("callback", _external=True))
        kept = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        answer = self._client.request(
            request.method,
            f"{self._upstream}/{path}",
            params=request.query_string or None,
            headers={**kept, "Authorization": f"Bearer {token}"},
            data=request.get_data() or None,
            stream=True,
            allow_redirects=False,
        )
        headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP]
        return Response(answer.raw.stream(CHUNK, decode_content=False), answer.status_code, headers)


def create_app() -> Any:
    """Make the app of what the environment says."""
    app = Flask(__name__, static_folder=None)
    app.secret_key = os.environ["SECRET"]
    oauth = OAuth(app)
    oauth.register(
        "provider",
        client_id=os.environ["CLIENT_ID"],
        client_secret=os.environ["CLIENT_SECRET"],
        server_metadata_url=f"{os.environ['ISSUER']}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256"},
    )
    site = Site(oauth, os.environ["UPSTREAM"])
    app.add_url_rule("/callback", "callback", site.callback)
    app.add_url_rule("/", "proxy", site.proxy, methods=METHODS, defaults={"path": ""})
    app.add_url_rule("/<path:path>", "proxy", site.proxy, methods=METHODS)
    return app
