"""A gateway with the developer's console: open on localhost, or for those whom a rule names."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from harness import ISSUER, ORIGIN, Site, merged, run_site

from gateway.cookies import session_handles
from gateway.session import Session
from gateway.testing import Browser, FakeProvider, Page

LOCAL: Final = "https://localhost:5443"
CONSOLE: Final = f"{LOCAL}/oauth2/console"
GUARDED: Final = f"{ORIGIN}/oauth2/console"
STAFF: Final[Mapping[str, object]] = {"enabled": True, "require": {"claims": {"groups": ["staff"]}}}
OWN_PAGE: Final[Mapping[str, str]] = {
    "Accept": "text/html",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}


@contextmanager
def run_open_console(over: Mapping[str, object] | None = None, **options: Any) -> Iterator[Site]:
    """Run a gateway on localhost whose console has no rule."""

    def config(provider: FakeProvider) -> Mapping[str, object]:
        callback, signed_out = f"{LOCAL}/oauth2/callback", f"{LOCAL}/oauth2/signed_out"
        client = provider.clients[0]
        provider.clients = [replace(client, redirect_uris=[callback], post_logout_redirect_uris=[signed_out])]
        return merged({"public_url": LOCAL, "console": {"enabled": True}}, over or {})

    with run_site(config, **options) as site:
        site.browser = Browser({LOCAL: site.face, ISSUER: site.provider}, clock=site.clock)
        yield site


@contextmanager
def run_guarded_console(over: Mapping[str, object] | None = None, **options: Any) -> Iterator[Site]:
    """Run a gateway on a public address, whose console is for the staff."""
    with run_site(merged({"console": STAFF}, over or {}), **options) as site:
        yield site


def act(site: Site, action: str, url: str = CONSOLE, **form: str) -> Page:
    """Send one of the console's forms, as its own page does."""
    return site.browser.post(url, {"action": action, **form}, headers=OWN_PAGE)


def sign_in(site: Site, url: str = CONSOLE, **form: str) -> Page:
    """Sign in by the console's form."""
    site.browser.navigate(url)
    page = act(site, "sign_in", url, provider="default", **form)
    assert (page.status, page.url) == (200, url), page.text
    return page


def session_of(site: Site) -> Session:
    """Read the session of the browser out of the store."""
    header = site.browser.cookies.header(f"{LOCAL}/")
    held = site.gateway.store.load(session_handles(site.gateway.settings.cookies, header)[0])
    assert held is not None
    return held.session


def part(page: Page, name: str) -> str:
    """Cut one section out of the page, and the line breaks out of it."""
    _, found, rest = page.text.partition(f'id="{name}"')
    assert found, f"no section {name}"
    return " ".join(rest.partition("</section>")[0].split())
