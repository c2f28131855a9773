"""Without a mouse, before an independent provider: choose, sign in, confirm a sign-out, and work with the console."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest
from peers.browser import run_browser
from peers.listener import Answer, run_listener
from peers.node_provider import run_node_provider
from peers.relying_party import PASSWORD
from peers.servers import free_port
from playwright.sync_api import Browser, Page, expect

from .running import CLIENT_ID, CLIENT_SECRET, SECONDS, environment, origin_at, run_echo, run_gateway

ACCOUNTS: Final = {"alice": {"password": PASSWORD, "claims": {"email": "alice@example.com", "email_verified": True}}}
MOST_STEPS: Final = 60
FOCUSED: Final = """() => {
  const one = document.activeElement;
  return (one.ariaLabel || one.labels?.[0]?.innerText || one.innerText || "").trim().split("\\n")[0].trim();
}"""

pytestmark = pytest.mark.real("chromium", "node")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the gateway is, and another site that links to its sign-out."""

    origin: str
    elsewhere: str
    chromium: Browser


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory, port = tmp_path_factory.mktemp("keyboard"), free_port()
    origin = origin_at(port)
    client = {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uris": [f"{origin}/oauth2/callback/staff"],
        "post_logout_redirect_uris": [f"{origin}/oauth2/signed_out"],
    }
    link = Answer(body=f'<!DOCTYPE html><title>Elsewhere</title><a href="{origin}/oauth2/sign_out">Sign out there</a>')
    with (
        run_node_provider(port=free_port(), host="localhost", clients=[client], accounts=ACCOUNTS) as provider,
        run_echo(directory) as upstream,
        run_listener(lambda _: link) as listener,
        run_gateway(directory, port, two_providers(origin, provider.issuer, upstream)),
        run_browser() as chromium,
    ):
        yield Place(origin=origin, elsewhere=origin_at(listener.server_port, "localhost"), chromium=chromium)


def two_providers(origin: str, issuer: str, upstream: str) -> dict[str, str]:
    """Make the environment of a gateway whose users choose between the provider and one that nobody asks."""
    chosen = {"ISSUER": issuer, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET, "TITLE": "Staff"}
    other = {**chosen, "ISSUER": "https://partners.example", "TITLE": "Partners"}
    settings = {
        "UPSTREAM": upstream,
        "CONSOLE__ENABLED": "true",
        **{f"PROVIDERS__PARTNERS__{name}": value for name, value in other.items()},
        **{f"PROVIDERS__STAFF__{name}": value for name, value in chosen.items()},
    }
    environ = environment(origin, issuer, settings)
    return {name: value for name, value in environ.items() if not name.startswith("GATEWAY_PROVIDER__")}


@pytest.fixture
def page(place: Place) -> Iterator[Page]:
    with place.chromium.new_context() as context:
        context.set_default_timeout(SECONDS * 1000)
        yield context.new_page()


def go_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on what has that name."""
    seen = []
    for _ in range(MOST_STEPS):
        page.keyboard.press("Tab")
        seen.append(str(page.evaluate(FOCUSED)))
        if seen[-1] == name:
            return
    pytest.fail(f"the focus went to {seen}, never to {name!r}")


def press(page: Page, name: str, key: str) -> None:
    go_to(page, name)
    page.keyboard.press(key)


def fill_in(page: Page) -> None:
    expect(page.get_by_label("Login")).to_be_focused()
    page.keyboard.type("alice")
    go_to(page, "Password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")


def test_choose_sign_in_and_confirm_the_sign_out(place: Place, page: Page) -> None:
    page.goto(f"{place.origin}/reports")
    press(page, "Staff", "Enter")
    fill_in(page)
    page.wait_for_url(f"{place.origin}/reports")

    page.goto(place.elsewhere)
    press(page, "Sign out there", "Enter")
    expect(page.get_by_role("heading", name="Do you want to sign out?")).to_be_visible()
    press(page, "Sign out", "Space")
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    press(page, "Sign in again", "Enter")
    expect(page.get_by_role("heading", name="How do you want to sign in?")).to_be_visible()


def test_the_console_from_sign_in_to_sign_out(place: Place, page: Page) -> None:
    console = f"{place.origin}/oauth2/console"
    page.goto(console)
    press(page, "Provider", "ArrowDown")  # An option of a list, closed, and no menu that Escape would have to leave.
    expect(page.get_by_label("Provider")).to_have_value("staff")
    press(page, "login", "Space")
    expect(page.get_by_role("checkbox", name="login")).to_be_checked()
    press(page, "Sign in", "Enter")
    fill_in(page)
    page.wait_for_url(console)

    press(page, "Last sign-in", "Enter")
    assert page.url == f"{console}#logins"
    details = page.locator("#logins details").first
    press(page, details.locator("summary").inner_text().split("\n")[0], "Enter")
    expect(details).to_have_attribute("open", "")

    press(page, "Ask for userinfo", "Enter")
    expect(page.locator("#result")).to_contain_text("alice@example.com")
    press(page, "What was answered", "End")  # It has the focus, so that its own scrolling is in reach.
    press(page, "Path, with its query", "ControlOrMeta+A")
    page.keyboard.type("/api/things")
    page.keyboard.press("Enter")
    expect(page.locator("#result")).to_contain_text("/api/things")

    press(page, "Sign out here", "Space")
    expect(page.get_by_text("Nobody is signed in")).to_be_visible()
