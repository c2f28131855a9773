"""Two providers in one gateway, one of them evil: what each was sent by the gateway and by browsers is kept."""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

import pytest
from harness import (
    ALICE,
    BOB,
    ORIGIN,
    SECRET,
    SESSION_COOKIE,
    SIGNED_OUT,
    Clock,
    Config,
    merged,
    recording_app,
    set_cookie_names,
)
from peers.listener import Received

from gateway import Gateway
from gateway.assembly import Outside
from gateway.cookies import session_handles
from gateway.oidc.messages import Call, Reply
from gateway.session import Session
from gateway.testing import Browser, FakeClient, FakeProvider, Faults, Page
from gateway.testing.jws import read_compact

HONEST: Final = "https://op.example"
EVIL: Final = "https://evil.example"
HONEST_CALLBACK: Final = f"{ORIGIN}/oauth2/callback/honest"
EVIL_CALLBACK: Final = f"{ORIGIN}/oauth2/callback/evil"
CLIENT_ID: Final = "app"
HONEST_SECRET: Final = "the secret that only the honest provider may see"
EVIL_SECRET: Final = "the secret that the evil provider gave to us, it"
EVIL_USERS: Final[Mapping[str, Mapping[str, object]]] = {
    "alice": {"email": "alice@op.example", "email_verified": True, "groups": ["staff", "ops"]},
    "mallory": {"email": "mallory@evil.example", "groups": ["staff", "ops"]},
}
ROUTES: Final[list[Config]] = [
    {"path": "/honest/**", "provider": "honest"},
    {"path": "/evil/**", "provider": "evil"},
    {"path": "/optional/**", "provider": "honest", "access": "optional"},
    {"path": "/public/**", "access": "public"},
]

WSGI = Callable[..., Iterable[bytes]]


@dataclass(kw_only=True, eq=False)
class Two:
    """A gateway with an honest and an evil provider; `seen` is what each origin was sent, as text, oldest first."""

    gateway: Gateway
    honest: FakeProvider
    evil: FakeProvider
    browser: Browser
    clock: Clock
    received: list[Received]
    seen: dict[str, list[str]]
    replies: dict[str, list[tuple[Call, Reply]]]
    apps: Mapping[str, WSGI] = field(repr=False)
    browsers: list[Browser] = field(default_factory=list)

    def new_browser(self) -> Browser:
        """Open a browser of another user, without cookies."""
        browser = Browser(self.apps, clock=self.clock)
        self.browsers.append(browser)
        return browser

    def restarted(self) -> Browser:
        """Replace the browser by one that has no cookies anywhere."""
        self.browser = self.new_browser()
        return self.browser

    def sign_in(self, path: str = "/honest/page") -> Page:
        """Sign in by asking for a page of a provider's, which the app then answers."""
        page = self.browser.navigate(ORIGIN + path)
        assert (page.status, page.url) == (200, ORIGIN + path), page
        return page

    def begin(self, path: str) -> dict[str, str]:
        """Begin a login and return the authorization request that the browser is sent off with."""
        redirect = self.browser.navigate(ORIGIN + path, follow=False)
        assert redirect.status == 303, redirect
        return query_of(redirect.headers["Location"])

    def callback(self, path: str) -> dict[str, str]:
        """Begin a login, let the provider answer, and return the answer without visiting the callback."""
        redirect = self.browser.navigate(ORIGIN + path, follow=False)
        answer = self.browser.navigate(redirect.headers["Location"], follow=False)
        return query_of(answer.headers["Location"])

    def session(self) -> Session | None:
        """Read the session of the browser out of the store."""
        handles = session_handles(self.gateway.settings.cookies, self.browser.cookies.header(f"{ORIGIN}/"))
        loaded = (self.gateway.store.load(handle) for handle in handles)
        return next((held.session for held in loaded if held is not None), None)

    def tokens_of_honest(self) -> list[dict[str, Any]]:
        """List the honest provider's token answers."""
        return [
            parse_reply(reply) for call, reply in self.replies[HONEST] if call.url.endswith("/token") and reply.body
        ]

    def secrets_of_honest(self) -> set[str]:
        """List what the evil provider must never be sent: secret, codes and tokens of the honest one."""
        tokens = {
            str(value)
            for members in self.tokens_of_honest()
            for name, value in members.items()
            if name in ("access_token", "refresh_token", "id_token")
        }
        return {HONEST_SECRET, *self.codes_of_honest(), *tokens}

    def codes_of_honest(self) -> set[str]:
        """List the codes that the honest provider gave to any browser."""
        locations = (
            page.headers.get("Location", "")
            for browser in self.browsers
            for page in browser.history
            if page.url.startswith(HONEST)
        )
        return {query["code"] for location in locations if "code" in (query := query_of(location))}

    def assert_evil_got_nothing(self) -> None:
        """Hold all that the evil provider was sent against the honest one's secrets, codes and tokens."""
        secrets = self.secrets_of_honest()
        assert HONEST_SECRET in secrets
        leaked = [text for text in self.seen[EVIL] if any(secret in text for secret in secrets)]
        assert leaked == []

    def assert_no_session_of_honest(self) -> None:
        """See that the browser may not go where only the honest provider's users may."""
        reached = len(self.received)
        assert self.browser.fetch(f"{ORIGIN}/honest/data").status == 401
        assert len(self.received) == reached
        session = self.session()
        assert session is None or session.provider == "evil"


@contextmanager
def run_two(
    config: Mapping[str, object] | None = None,
    *,
    honest: Mapping[str, object] | None = None,
    evil: Mapping[str, object] | None = None,
    response_iss: bool = True,
) -> Iterator[Two]:
    """Run a gateway with two providers that know it by the same client_id; the configurations are laid over ours."""
    clock = Clock()
    good = _provider(HONEST, HONEST_SECRET, HONEST_CALLBACK, {"alice": ALICE, "bob": BOB}, "alice", clock)
    bad = _provider(EVIL, EVIL_SECRET, EVIL_CALLBACK, EVIL_USERS, "mallory", clock)
    good.response_iss = bad.response_iss = response_iss
    seen: dict[str, list[str]] = {HONEST: [], EVIL: []}
    replies: dict[str, list[tuple[Call, Reply]]] = {HONEST: [], EVIL: []}

    def transport(call: Call) -> Reply:
        origin = HONEST if call.url.startswith(f"{HONEST}/") else EVIL
        seen[origin].append(readable(call))
        reply = (good if origin == HONEST else bad).transport(call)
        replies[origin].append((call, reply))
        return reply

    document = {
        "public_url": ORIGIN,
        "providers": {
            "honest": merged(_settings(HONEST, HONEST_SECRET), honest or {}),
            "evil": merged(_settings(EVIL, EVIL_SECRET), evil or {}),
        },
        "session": {"secret": SECRET, "store": {"type": "memory"}},
        "routes": ROUTES,
    }
    received: list[Received] = []
    outside = Outside(transport=transport, clock=clock)
    gateway = Gateway.from_config(merged(document, config or {}), outside=outside)(recording_app(received))
    apps: dict[str, WSGI] = {ORIGIN: gateway, HONEST: _noted(good, seen[HONEST]), EVIL: _noted(bad, seen[EVIL])}
    browser = Browser(apps, clock=clock)
    yield Two(
        gateway=gateway,
        honest=good,
        evil=bad,
        browser=browser,
        clock=clock,
        received=received,
        seen=seen,
        replies=replies,
        apps=apps,
        browsers=[browser],
    )


def query_of(url: str) -> dict[str, str]:
    """Read the query of a URL, each parameter once."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def with_query(url: str, parameters: Mapping[str, str]) -> str:
    """Write a URL with a query."""
    return f"{url}?{urlencode(parameters)}"


def readable(call: Call) -> str:
    """Write a call down with everything decoded that could hide a secret."""
    scheme, _, value = call.headers.get("Authorization", "").partition(" ")
    credentials = unquote_plus(base64.b64decode(value).decode()) if scheme == "Basic" else value
    form = " ".join(f"{name}={text}" for name, text in parse_qsl(call.body.decode("utf-8")))
    return f"{call.method} {unquote_plus(call.url)} {scheme} {credentials} {form}"


def parse_reply(reply: Reply) -> dict[str, Any]:
    """Read the JSON of a reply; empty for anything else."""
    return json.loads(reply.body) if reply.media_type == "application/json" else {}


def _provider(
    issuer: str, secret: str, callback: str, users: Mapping[str, Mapping[str, object]], user: str, clock: Clock
) -> FakeProvider:
    client = FakeClient(
        client_id=CLIENT_ID,
        client_secret=secret,
        redirect_uris=[callback],
        post_logout_redirect_uris=[SIGNED_OUT],
        token_endpoint_auth_method="client_secret_post",
    )
    return FakeProvider(
        issuer=issuer, clients=[client], users=users, clock=clock, sign_in_as=user, id_token_alg="ES256"
    )


def _settings(issuer: str, secret: str) -> Config:
    return {
        "issuer": issuer,
        "client_id": CLIENT_ID,
        "client_secret": secret,
        "token_endpoint_auth_method": "client_secret_post",
        "scope": "openid profile email offline_access",
        "id_token_signed_response_alg": "ES256",
    }


def _noted(provider: FakeProvider, seen: list[str]) -> WSGI:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen.append(f"browser: {environ['PATH_INFO']} {unquote_plus(environ.get('QUERY_STRING', ''))}")
        return provider(environ, start_response)

    return app


WITH_AND_WITHOUT_ISS = pytest.mark.parametrize(
    "response_iss", [pytest.param(True, id="iss"), pytest.param(False, id="no-iss")]
)


def assert_harmless(two: Two, page: Page) -> None:
    """No session, no word of the honest provider's to the evil one, and nothing but a plain page for the user."""
    assert "Traceback" not in page.text
    assert all(SESSION_COOKIE not in set_cookie_names(each) for each in two.browser.history)
    two.assert_no_session_of_honest()
    two.assert_evil_got_nothing()


def honest_id_token(two: Two) -> str:
    return str(two.tokens_of_honest()[-1]["id_token"])


def honest_kid(two: Two) -> str:
    return str(read_compact(honest_id_token(two)).header["kid"])


def faults(two: Two, **hooks: Any) -> None:
    two.evil.faults = Faults(**hooks)
