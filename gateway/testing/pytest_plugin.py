"""Fixtures for tests of an app behind the gateway; pytest finds them once the package is installed."""

from __future__ import annotations

from collections.abc import Callable
from wsgiref.types import WSGIApplication

import pytest

from gateway.testing.browser import Browser
from gateway.testing.parties import FakeClient
from gateway.testing.provider import FakeProvider

APP_ORIGIN = "https://app.example"
ISSUER = "https://op.example"


@pytest.fixture
def fake_provider() -> FakeProvider:
    """Give a provider at https://op.example that signs in alice without asking.

    Its one client is `app` with the secret `a secret of the app, for tests alone`, at https://app.example with the
    gateway's own callback path.
    """
    client = FakeClient(
        client_id="app",
        client_secret="a secret of the app, for tests alone",
        redirect_uris=[f"{APP_ORIGIN}/oauth2/callback"],
        post_logout_redirect_uris=[f"{APP_ORIGIN}/", f"{APP_ORIGIN}/oauth2/sign_out"],
    )
    alice = {"name": "Alice Example", "email": "alice@op.example", "email_verified": True, "groups": ["staff"]}
    return FakeProvider(issuer=ISSUER, clients=[client], users={"alice": alice}, sign_in_as="alice")


@pytest.fixture
def browser_for(fake_provider: FakeProvider) -> Callable[[WSGIApplication], Browser]:
    """Give a factory of browsers: it puts an app at https://app.example, beside the provider of the test.

    Each browser is another user's, with no cookies: `browser_for(app).navigate("/")`.
    """

    def make(app: WSGIApplication) -> Browser:
        return Browser({APP_ORIGIN: app, ISSUER: fake_provider}, clock=fake_provider.clock)

    return make
