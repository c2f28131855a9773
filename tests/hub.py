"""A provider of plain OAuth 2.0 that answers as GitHub does, and a gateway that signs users in there."""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from harness import ORIGIN, SECRET, Clock, recording_app
from peers.listener import Received
from werkzeug.wrappers import Request, Response

from gateway import Gateway
from gateway.assembly import Outside
from gateway.cookies import session_handles
from gateway.oidc.messages import Call, Reply, s256
from gateway.session import Session
from gateway.testing import Browser
from gateway.testing.wsgi import exchange

HUB: Final = "https://hub.example"
API: Final = "https://api.hub.example"
CLIENT_ID: Final = "Ov23example"
CLIENT_SECRET: Final = "the secret that the hub gave to us"
CONFIG: Final[dict[str, Any]] = {
    "public_url": ORIGIN,
    "provider": {
        "type": "oauth2",
        "issuer": HUB,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "token_endpoint_auth_method": "client_secret_post",
        "scope": "read:user user:email",
        "subject_claim": "id",
        "metadata": {
            "authorization_endpoint": f"{HUB}/login/oauth/authorize",
            "token_endpoint": f"{HUB}/login/oauth/access_token",
            "userinfo_endpoint": f"{API}/user",
        },
    },
    "session": {"secret": SECRET, "store": {"type": "memory"}},
    "routes": [
        {"path": "/scoped/**", "require": {"scope": ["user:email"]}},
        {"path": "/repo/**", "require": {"scope": ["repo"]}},
        {"path": "/named/**", "request_headers": {"X-Who": "{iss} {login}"}},
        {"path": "/ours/**", "require": {"claims": {"iss": [HUB]}}},
        {"path": "/theirs/**", "require": {"claims": {"iss": ["https://op.example"]}}},
    ],
}
USER: Final[dict[str, object]] = {
    "login": "octocat",
    "id": 583231,
    "node_id": "MDQ6VXNlcjU4MzIzMQ==",
    "type": "User",
    "site_admin": False,
    "name": "The Octocat",
    "email": "octocat@hub.example",
    "followers": 3938,
}


@dataclass(kw_only=True, eq=False)
class Hub:
    """Answers as GitHub does; `user` is who is signed in there, `answer` replaces the answer of the token endpoint."""

    user: dict[str, object] = field(default_factory=lambda: dict(USER))
    answer: dict[str, object] = field(default_factory=dict)
    expiring: bool = False
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    asked: list[dict[str, str]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return self._answer(Request(environ))(environ, start_response)

    def transport(self, call: Call) -> Reply:
        """Answer a call of the back channel."""
        self.calls.append(call)
        answer = exchange(self, method=call.method, url=call.url, headers=call.headers.items(), body=call.body)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(status=answer.status, headers=headers, body=answer.body)

    def _answer(self, request: Request) -> Response:
        if request.path == "/login/oauth/authorize":
            return self._authorize(dict(request.args))
        if request.path == "/login/oauth/access_token":
            return self._access_token(request)
        if (request.path, request.host) == ("/user", "api.hub.example"):
            return self._user(request)
        return Response("Not Found", status=404)

    def _authorize(self, asked: dict[str, str]) -> Response:
        self.asked.append(asked)
        code = secrets.token_hex(10)
        self.codes[code] = asked
        query = urlencode({"code": code, "state": asked["state"]})
        return Response(status=302, headers={"Location": f"{asked['redirect_uri']}?{query}"})

    def _access_token(self, request: Request) -> Response:
        form = dict(parse_qsl(request.get_data(as_text=True)))
        members = self.answer or self._grant(form)
        if "json" not in request.headers.get("Accept", ""):
            return Response(urlencode(members), content_type="application/x-www-form-urlencoded; charset=utf-8")
        return Response(json.dumps(members), content_type="application/json; charset=utf-8")

    def _grant(self, form: dict[str, str]) -> dict[str, object]:
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return error("incorrect_client_credentials")
        if form.get("grant_type") == "refresh_token":
            return self._tokens() if form.get("refresh_token", "").startswith("ghr_") else error("bad_refresh_token")
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None or s256(form.get("code_verifier", "")) != asked["code_challenge"]:
            return error("bad_verification_code")
        if form["redirect_uri"] != asked["redirect_uri"]:
            return error("redirect_uri_mismatch")
        return self._tokens()

    def _tokens(self) -> dict[str, object]:
        token = f"gho_{secrets.token_hex(18)}"
        self.tokens.add(token)
        expiry = {"expires_in": 28800, "refresh_token": f"ghr_{secrets.token_hex(36)}"} if self.expiring else {}
        return {"access_token": token, "scope": "read:user,user:email", "token_type": "bearer", **expiry}

    def _user(self, request: Request) -> Response:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return Response('{"message":"Bad credentials"}', status=401, content_type="application/json")
        return Response(json.dumps(self.user), content_type="application/json; charset=utf-8")


def error(code: str) -> dict[str, object]:
    """Write an error as GitHub does, with whatever status."""
    return {"error": code, "error_description": "Something is not right.", "error_uri": "https://docs.hub.example/"}


@dataclass(kw_only=True, eq=False)
class HubSite:
    """A gateway in front of an app, that signs users in at the hub."""

    hub: Hub
    gateway: Gateway
    browser: Browser
    clock: Clock
    received: list[Received]

    def session(self) -> Session:
        """Read the session of the browser out of the store."""
        handle = session_handles(self.gateway.settings.cookies, self.browser.cookies.header(f"{ORIGIN}/"))[0]
        held = self.gateway.store.load(handle)
        assert held is not None
        return held.session


def hub_site() -> HubSite:
    """Make a gateway around an app."""
    clock, hub, received = Clock(), Hub(), list[Received]()
    outside = Outside(transport=hub.transport, clock=clock)
    gateway = Gateway.from_config(CONFIG, outside=outside)(recording_app(received))
    browser = Browser({ORIGIN: gateway, HUB: hub}, clock=clock)
    return HubSite(hub=hub, gateway=gateway, browser=browser, clock=clock, received=received)
