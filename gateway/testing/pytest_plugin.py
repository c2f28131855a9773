"""Fixtures for tests of an app behind the gateway; pytest finds them once the package is installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from wsgiref.types import WSGIApplication

import pytest

from gateway.app import Gateway
from gateway.assembly import Outside
from gateway.config import parse_settings
from gateway.testing.browser import Browser
from gateway.testing.parties import FakeClient
from gateway.testing.provider import FakeProvider
from gateway.testing.sessions import signed_in

APP_ORIGIN = "https://app.example"
ISSUER = "https://op.example"
CLIENT_ID = "app"
CLIENT_SECRET = "a secret of the app, for tests alone"


@pytest.fixture
def fake_provider() -> FakeProvider:
    """Give a provider at https://op.example that signs in alice without asking.

    Its one client is `app` with the secret `a secret of the app, for tests alone`, at https://app.example with the
    gateway's own callback path.
    """
    client = FakeClient(
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uris=[f"{APP_ORIGIN}/oauth2/callback"],
        post_logout_redirect_uris=[f"{APP_ORIGIN}/oauth2/signed_out"],
    )
    alice = {"name": "Alice Example", "email": "alice@op.example", "email_verified": True, "groups": ["staff"]}
    return FakeProvider(issuer=ISSUER, clients=[client], users={"alice": alice}, sign_in_as="alice")


@pytest.fixture
def protect(fake_provider: FakeProvider) -> Callable[..., Gateway]:
    """Give a factory of gateways around an app, whose users sign in at the test's provider.

    `protect(app)` asks everybody to sign in; `protect(app, {"routes": [...]})` lays keys of config.yaml over that.
    """

    def make(app: WSGIApplication, config: Mapping[str, object] | None = None) -> Gateway:
        document = {
            "public_url": APP_ORIGIN,
            "provider": {"issuer": ISSUER, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
            "session": {"secret": "a secret of the tests, good for nothing else", "store": {"type": "memory"}},
            **(config or {}),
        }
        outside = Outside(transport=fake_provider.transport, clock=fake_provider.clock)
        return Gateway(parse_settings(document, {}), app, outside)  # The developer's own GATEWAY_* take no part.

    return make


@pytest.fixture
def browser_for(fake_provider: FakeProvider) -> Callable[[WSGIApplication], Browser]:
    """Give a factory of browsers: it puts an app at https://app.example, beside the provider of the test.

    Each browser is another user's, with no cookies: `browser_for(app).navigate("/")`.
    """

    def make(app: WSGIApplication) -> Browser:
        return Browser({APP_ORIGIN: app, ISSUER: fake_provider}, clock=fake_provider.clock)

    return make


@pytest.fixture(name="signed_in")
def _signed_in() -> Callable[..., Any]:
    """Give `gateway.testing.signed_in`: `signed_in(browser_for(protect(app)), sub="alice", groups=["staff"])`.

    It takes a `Browser`, werkzeug's test client or Flask's, and returns it with the cookie of a new session.
    """
    return signed_in
