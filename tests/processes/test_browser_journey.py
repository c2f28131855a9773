"""A real browser and an independent provider: sign in, work, sign out; the gateway alone, and in a user's own code."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from peers.listener import Answer, Received, run_listener
from peers.node_provider import NodeProvider, run_node_provider
from peers.relying_party import PASSWORD
from peers.servers import free_port
from playwright.sync_api import Browser, BrowserContext, Page, expect

from .running import (
    CLIENT_ID,
    CLIENT_SECRET,
    COOKIE,
    SECONDS,
    WRAPPED,
    Connection,
    environment,
    origin_at,
    run_echo,
    run_gateway,
)

DEEP_LINK = "/reports/caf%C3%A9/a%20b;v=1/~x(1)?q=a+b%26c&empty=&y[]=%E2%9C%93&z={a|b}`^&rd=%2Fother&url=http://evil.example/?a=b"
ACCOUNTS = {"alice": {"password": PASSWORD, "claims": {"email": "alice@example.com", "email_verified": True}}}
KINDS = ("alone", "wrapped", "fragment")

pytestmark = pytest.mark.real("chromium", "node")


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """A provider at localhost, another site there too, and gateways at 127.0.0.1: for a browser that is cross-site."""

    provider: NodeProvider
    elsewhere: str
    origins: Mapping[str, str]

    def accepts(self, access_token: str) -> bool:
        """Tell whether the provider takes an access token for one of its own."""
        with Connection(self.provider.issuer) as connection:
            answer = connection.get("/me", headers={"Authorization": f"Bearer {access_token}"})
        assert answer.status in (200, 401)
        return answer.status == 200 and answer.shown["sub"] == "alice"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("journey")
    ports = {kind: free_port() for kind in KINDS}
    origins = {kind: origin_at(port) for kind, port in ports.items()}
    with ExitStack() as stack:
        provider = stack.enter_context(
            run_node_provider(port=free_port(), host="localhost", clients=[registration(origins)], accounts=ACCOUNTS)
        )
        upstream = stack.enter_context(run_echo(directory))
        for kind, settings in {
            "alone": {"UPSTREAM": upstream},
            "wrapped": {},
            "fragment": {"UPSTREAM": upstream, "KEEP_FRAGMENT": "true"},
        }.items():
            environ = environment(origins[kind], provider.issuer, settings)
            app = WRAPPED if kind == "wrapped" else ""
            stack.enter_context(run_gateway(directory, ports[kind], environ, app=app))
        listener = stack.enter_context(run_listener(lambda received: links(received, origins)))
        yield World(provider=provider, elsewhere=origin_at(listener.server_port, "localhost"), origins=origins)


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    with chromium.new_context() as context:
        context.set_default_timeout(SECONDS * 1000)
        yield context


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.mark.parametrize("kind", ["alone", "wrapped"])
def test_sign_in_lands_on_the_deep_link_and_sign_out_ends_it_everywhere(world: World, page: Page, kind: str) -> None:
    origin = world.origins[kind]
    page.goto(origin + DEEP_LINK)
    fill_in(page)
    page.wait_for_url(f"{origin}/**")
    assert page.url == origin + DEEP_LINK
    assert shown(page)["target"] == DEEP_LINK
    assert COOKIE not in shown(page)["fields"].get("cookie", "")
    token = bearer(page)
    assert world.accepts(token)

    page.get_by_role("link", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    assert page.url.startswith(f"{origin}/oauth2/signed_out")
    assert not world.accepts(token)

    page.goto(origin + DEEP_LINK)
    expect(page.get_by_label("Password")).to_be_visible()


def test_a_tab_begun_before_the_first_was_finished_ends_where_it_began(world: World, context: BrowserContext) -> None:
    origin = world.origins["alone"]
    first, second = context.new_page(), context.new_page()
    first.goto(f"{origin}/first?a=1")
    second.goto(f"{origin}/second?b=2")
    for tab, target in ((first, "/first?a=1"), (second, "/second?b=2")):
        fill_in(tab)
        tab.wait_for_url(f"{origin}{target}")
        assert shown(tab)["target"] == target
        assert world.accepts(bearer(tab))
    first.reload()
    assert world.accepts(bearer(first))


def test_the_fragment_survives_the_sign_in(world: World, page: Page) -> None:
    origin = world.origins["fragment"]
    page.goto(f"{origin}{DEEP_LINK}#section-2/a=b&c")
    fill_in(page)
    page.wait_for_url(f"{origin}/reports/**")
    assert page.url == f"{origin}{DEEP_LINK}#section-2/a=b&c"
    assert shown(page)["target"] == DEEP_LINK


def test_who_cancels_is_told_so_and_can_try_again(world: World, page: Page) -> None:
    origin = world.origins["alone"]
    page.goto(origin + DEEP_LINK)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("op_access_denied")).to_be_visible()
    assert COOKIE not in {cookie.get("name") for cookie in page.context.cookies(origin)}
    page.get_by_role("link", name="Sign in again").click()
    fill_in(page)
    page.wait_for_url(f"{origin}/reports/**")
    assert page.url == origin + DEEP_LINK


def test_another_sites_link_signs_nobody_out_until_the_user_says_so(world: World, page: Page) -> None:
    origin = world.origins["alone"]
    page.goto(f"{origin}/")
    fill_in(page)
    page.wait_for_url(f"{origin}/")
    token = bearer(page)

    page.goto(world.elsewhere)
    page.get_by_role("link", name="alone").click()
    expect(page.get_by_role("heading", name="Do you want to sign out?")).to_be_visible()
    expect(page.get_by_text("alice@example.com")).to_be_visible()
    assert world.accepts(token)

    # The form's answer leads to the provider, which the page's form-action has to allow.
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    assert not world.accepts(token)
    page.get_by_role("link", name="Sign in again").click()
    expect(page.get_by_label("Password")).to_be_visible()


def registration(origins: Mapping[str, str]) -> dict[str, object]:
    return {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uris": [f"{origin}/oauth2/callback" for origin in origins.values()],
        "post_logout_redirect_uris": [f"{origin}/oauth2/signed_out" for origin in origins.values()],
        "grant_types": ["authorization_code", "refresh_token"],
    }


def links(_: Received, origins: Mapping[str, str]) -> Answer:
    """Show another site's page with links that sign out of the gateways."""
    anchors = [f'<a href="{origin}/oauth2/sign_out">{kind}</a>' for kind, origin in origins.items()]
    return Answer(body=f"<!DOCTYPE html><title>Elsewhere</title>{' '.join(anchors)}")


def fill_in(page: Page) -> None:
    page.get_by_label("Login").fill("alice")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def shown(page: Page) -> Any:
    """Read the request that the sample application shows."""
    return json.loads(page.locator("pre").inner_text())


def bearer(page: Page) -> str:
    scheme, _, token = str(shown(page)["fields"].get("authorization", "")).partition(" ")
    assert scheme == "Bearer"
    return token
