"""The developer's console in Chromium, before an independent provider: every action, on a phone and on a desktop."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from peers.browser import run_browser
from peers.node_provider import Features, run_node_provider
from peers.relying_party import PASSWORD
from peers.servers import free_port
from playwright.sync_api import Browser, Locator, Page, expect

from .running import CLIENT_ID, CLIENT_SECRET, SECONDS, environment, origin_at, run_echo, run_gateway

ACCOUNTS = {"alice": {"password": PASSWORD, "claims": {"email": "alice@example.com", "email_verified": True}}}
WIDTHS = [pytest.param(360, id="phone"), pytest.param(1280, id="desktop")]

pytestmark = pytest.mark.real("chromium", "node")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the console is, and what the browser complained of."""

    console: str
    chromium: Browser


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory, port = tmp_path_factory.mktemp("console"), free_port()
    origin = origin_at(port)
    client = {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uris": [f"{origin}/oauth2/callback"],
        "post_logout_redirect_uris": [f"{origin}/oauth2/signed_out"],
        "grant_types": ["authorization_code", "refresh_token"],
    }
    features = Features(claims_parameter=True)
    with (
        run_node_provider(
            port=free_port(), host="localhost", clients=[client], accounts=ACCOUNTS, features=features
        ) as provider,
        run_echo(directory) as upstream,
    ):
        settings = {
            "UPSTREAM": upstream,
            "CONSOLE__ENABLED": "true",
            "PROVIDER__SCOPE": "openid email offline_access",
            "PROVIDER__AUTHORIZATION__PROMPT": "consent",
        }
        with (
            run_gateway(directory, port, environment(origin, provider.issuer, settings)),
            run_browser() as chromium,
        ):
            yield Place(console=f"{origin}/oauth2/console", chromium=chromium)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_action(place: Place, width: int) -> None:
    complaints: list[str] = []
    with place.chromium.new_context(viewport={"width": width, "height": 800}) as context:
        context.set_default_timeout(SECONDS * 1000)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(place.console)
        expect(page.get_by_text("Nobody is signed in")).to_be_visible()
        page.get_by_label("ui_locales").fill("en")
        page.get_by_role("checkbox", name="login").check()
        sign_in(page, place)

        checks = page.locator("#id-token")
        expect(checks.get_by_text("✓ passed").first).to_be_visible()
        expect(checks.get_by_text("✕ failed")).to_have_count(0)
        ends = page.locator("[data-at]").nth(2)
        expect(ends).to_contain_text(" s")
        expect(ends).not_to_have_text(ends.inner_text())  # It counts down.

        drawn = page.locator("#logins")
        expect(drawn).to_contain_text("Token request")
        expect(drawn.get_by_role("listitem").first).to_contain_text("Sign-in begins")

        expect(act(page, "Renew the tokens")).to_contain_text("The provider gave new tokens")
        expect(act(page, "Ask for userinfo")).to_contain_text("alice@example.com")
        expect(act(page, "Introspect the access token")).to_contain_text("The token is active")
        shown = act(page, "Show the access token").locator("dd").first.inner_text()
        page.get_by_label("Path, with its query").fill("/api/things?x=1")
        called = act(page, "Send")
        expect(called).to_contain_text("200")
        assert shown not in page.content()
        assert page.evaluate("document.documentElement.scrollWidth") == width

        expect(act(page, "Revoke the access token")).to_contain_text("worth nothing any more")
        expect(act(page, "Introspect the access token")).to_contain_text("token_inactive")
        expect(act(page, "Revoke the refresh token")).to_contain_text("worth nothing any more")
        expect(act(page, "Renew the tokens")).to_contain_text("invalid_grant")
        expect(page.get_by_text("Nobody is signed in")).to_be_visible()
        assert [one for one in complaints if "Failed to load resource" not in one] == []  # There is no favicon.


@pytest.mark.parametrize("button", ["Sign out here", "Sign out everywhere"])
def test_signing_out_leads_back(place: Place, button: str) -> None:
    with place.chromium.new_context() as context:
        context.set_default_timeout(SECONDS * 1000)
        page = context.new_page()
        page.goto(place.console)
        sign_in(page, place)
        page.get_by_role("button", name=button).click()
        expect(page.get_by_text("Nobody is signed in")).to_be_visible()
        assert page.url == place.console


def test_a_sign_in_that_was_refused_is_drawn_and_all_reads_without_scripts(place: Place) -> None:
    with place.chromium.new_context(java_script_enabled=False) as context:
        context.set_default_timeout(SECONDS * 1000)
        page = context.new_page()
        page.goto(place.console)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("op_access_denied")).to_be_visible()
        page.goto(place.console)
        drawn = page.locator("#logins")
        expect(drawn.get_by_text("op_access_denied").first).to_be_visible()
        expect(drawn).to_contain_text("Authorization response")


def act(page: Page, button: str) -> Locator:
    page.get_by_role("button", name=button, exact=True).click()
    result = page.locator("#result")
    expect(result).to_be_visible()
    return result


def sign_in(page: Page, place: Place) -> None:
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label("Login").fill("alice")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(place.console)
    expect(page.get_by_text("Signed in as")).to_be_visible()
