"""Whatever goes wrong in deciding, nothing is let in, and nothing of it is shown."""

import logging
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from harness import (
    CLIENT_SECRET,
    NOW,
    ORIGIN,
    SECRET,
    SESSION_COOKIE,
    Clock,
    base_config,
    error_code,
    held_session,
    logged_codes,
    new_provider,
    recording_app,
    run_site,
    set_cookie_names,
)
from peers.listener import Received

from gateway import Gateway
from gateway.assembly import Outside
from gateway.backends.memory import MemoryBackend
from gateway.oidc.messages import Call, Reply
from gateway.testing import Browser, FakeProvider

SECRET_DETAIL = "a detail that is nobody's business"


class FailingClock:
    """A clock that fails once it is told to."""

    def __init__(self) -> None:
        self.failing = False

    def now(self) -> float:
        if self.failing:
            raise RuntimeError(SECRET_DETAIL)
        return float(NOW)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/home", id="protected"),
        pytest.param("/oauth2/userinfo", id="userinfo"),
        pytest.param("/oauth2/session", id="session"),
    ],
)
def test_a_clock_that_fails_lets_nobody_in(path: str, caplog: pytest.LogCaptureFixture) -> None:
    failing, received = FailingClock(), list[Received]()
    provider = new_provider(Clock())
    outside = Outside(transport=provider.transport, clock=failing.now)
    gateway = Gateway.from_config(base_config({"type": "memory"}), outside=outside)(recording_app(received))
    browser = Browser({ORIGIN: gateway, provider.issuer: provider}, clock=provider.clock)
    assert browser.navigate(f"{ORIGIN}/home").status == 200
    failing.failing = True

    page = browser.navigate(ORIGIN + path)

    assert (page.status, error_code(page), set_cookie_names(page)) == (500, "internal_error", [])
    assert SECRET_DETAIL not in page.text
    assert "Traceback" not in page.text
    assert len(received) == 1
    assert logged_codes(caplog) == ["internal_error"]


def test_a_transport_that_fails_in_a_way_nobody_foresaw(caplog: pytest.LogCaptureFixture) -> None:
    def transport(provider: FakeProvider) -> Callable[[Call], Reply]:
        def send(call: Call) -> Reply:
            if call.url.endswith("/token"):
                raise RuntimeError(SECRET_DETAIL)
            return provider.transport(call)

        return send

    with run_site(transport=transport) as site:
        page = site.browser.navigate(f"{ORIGIN}/home")

        assert (page.status, error_code(page)) == (500, "internal_error")
        assert SESSION_COOKIE not in site.browser.cookies.of(ORIGIN)
        assert SECRET_DETAIL not in page.text
        assert site.received == []
        assert logged_codes(caplog) == ["internal_error"]


class FailingBackend(MemoryBackend):
    """A store that fails in a way that no store should."""

    def __init__(self) -> None:
        super().__init__()
        self.failing = False

    def get(self, key: str) -> bytes | None:
        if self.failing:
            raise RuntimeError(SECRET_DETAIL)
        return super().get(key)


def test_a_store_that_fails_in_a_way_nobody_foresaw(caplog: pytest.LogCaptureFixture) -> None:
    with run_site() as site:
        backend = FailingBackend()
        site.gateway.store._backend = backend
        site.sign_in()
        cookies = site.browser.cookies.of(ORIGIN)
        logged_codes(caplog)
        backend.failing = True
        page = site.browser.fetch(f"{ORIGIN}/data", method="POST", body=b"x")

        assert (page.status, error_code(page)) == (500, "internal_error")
        assert set(page.json()) == {"error", "message", "reference"}
        assert len(site.received) == 1
        assert site.browser.cookies.of(ORIGIN) == cookies
        assert logged_codes(caplog) == ["internal_error"]

        backend.failing = False
        assert site.browser.fetch(f"{ORIGIN}/data").status == 200


def test_no_secret_ever_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with run_site() as site:
        site.sign_in()
        session = held_session(site)
        cookies = site.browser.cookies.of(ORIGIN)
        callback = next(page.url for page in site.browser.history if "code=" in page.url)
        site.provider.faults.token_response = lambda _, __: (400, {"error": "invalid_grant"})
        site.restarted().browser.navigate(f"{ORIGIN}/home")
        site.browser.navigate(callback)
        site.clock.advance(250)
        site.browser.fetch(f"{ORIGIN}/data")
        query = {name: values[0] for name, values in parse_qs(urlsplit(callback).query).items()}

    secrets = [query["code"], query["state"], session.access_token, session.refresh_token, session.id_token, SECRET]
    assert len(caplog.records) >= 3
    assert not any(str(secret) in caplog.text for secret in (*secrets, CLIENT_SECRET, *cookies.values()))
