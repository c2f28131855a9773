"""Every page of the gateway in each state that people see, as a gateway in process answers it; shown to a browser."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from console_place import CONSOLE, GUARDED, LOCAL, OWN_PAGE, STAFF, act, run_open_console, sign_in
from harness import ORIGIN, SESSION_COOKIE, SIGN_OUT, SIGNED_OUT, Clock, Site, run_site
from multi import run_two

from gateway.oidc.messages import Call, Reply, Transport
from gateway.testing import FakeProvider, Faults, Page
from gateway.testing.faults import refusing_login
from gateway.testing.sample import sample_app

from .listener import Answer, Received, run_listener

FROM_ANOTHER_SITE: Final[Mapping[str, str]] = {"Sec-Fetch-Site": "cross-site"}
ADMINS: Final = {"path": "/admin/**", "require": {"claims": {"groups": ["admins"]}}}
ACTIONS: Final = ("refresh", "userinfo", "introspect", "revoke_access_token")
LEAVING: Final = ("end_session", "fragment")
"""Pages whose script leads away at once: they are shown as to those who run none, by one more policy."""

CLIENT_ID: Final = "dashboard"
CALL_SECONDS: Final = 0.018
KEPT_HEADERS: Final = ("Content-Type", "Content-Security-Policy")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gallery:
    """The pages by their names, and where a browser sees them."""

    origin: str
    pages: Mapping[str, Page]


@contextmanager
def run_gallery() -> Iterator[Gallery]:
    """Serve the pages under their names, with their own policies."""
    pages = record_pages()

    def answer(received: Received) -> Answer:
        name = received.path.removeprefix("/")
        page = pages.get(name)
        if page is None:
            return Answer()
        headers = {header: page.headers[header] for header in KEPT_HEADERS if header in page.headers}
        if name in LEAVING:
            headers["Content-Security-Policy"] += ", script-src 'none'"
        return Answer(status=page.status, headers=headers, body=page.text)

    with run_listener(answer) as listener:
        yield Gallery(origin=listener.origin, pages=pages)


def record_pages() -> dict[str, Page]:
    """Walk through every page; each is named after its template, and behind a hyphen after its state."""
    parts = (_choosing, _keeping_forms, _signing_out, _failing, _console, _failed_in_console, _in_the_demonstration)
    return {name: page for part in parts for name, page in part().items()}


def _choosing() -> dict[str, Page]:
    with run_two({"console": STAFF}, honest={"title": "Example staff"}, evil={"title": "Partners and guests"}) as two:
        chooser = two.browser.navigate(f"{ORIGIN}/reports")
        two.sign_in()
        return {"chooser": chooser, "console-two-providers": two.browser.navigate(GUARDED)}


def _keeping_forms() -> dict[str, Page]:
    routes = [{"path": "/expenses/**", "keep_forms": True}]
    with run_site({"routes": routes, "keep_fragment": True}) as site:
        fragment = site.browser.navigate(f"{ORIGIN}/reports")
        kept = site.browser.post(f"{ORIGIN}/expenses/new", {"amount": "12.50"}, headers=OWN_PAGE)
        again = site.browser.navigate(f"{ORIGIN}/oauth2/start?rd=/oauth2/form")
    return {"fragment": fragment, "form_kept": kept, "form_again": again}


def _signing_out() -> dict[str, Page]:
    with run_site({"provider": {"logout": "form_post"}}) as site:
        site.sign_in()
        asked = site.browser.navigate(SIGN_OUT, headers=FROM_ANOTHER_SITE)
        german = site.browser.navigate(SIGN_OUT, headers={**FROM_ANOTHER_SITE, "Accept-Language": "de"})
        local = site.browser.navigate(f"{SIGN_OUT}?local=true", headers=FROM_ANOTHER_SITE)
        leaving = site.browser.navigate(SIGN_OUT)
        out = site.browser.navigate(SIGNED_OUT)
    return {
        "sign_out": asked,
        "sign_out-german": german,
        "sign_out-local": local,
        "end_session": leaving,
        "signed_out": out,
    }


def _failing() -> dict[str, Page]:
    with run_site({"routes": [ADMINS]}) as site:
        site.provider.faults = Faults(authorization_response=refusing_login("access_denied"))
        cancelled = site.browser.navigate(f"{ORIGIN}/reports")
        site.provider.faults = Faults(id_token_claims=lambda claims: {**claims, "nonce": "x"})
        unverified = site.browser.navigate(f"{ORIGIN}/reports")
        site.provider.faults = Faults()
        site.sign_in()
        denied = site.browser.navigate(f"{ORIGIN}/admin/users")
        malformed = site.browser.navigate(f"{ORIGIN}/a/%2e%2e/b")
    return {
        "error-cancelled": cancelled,
        "error-unverified": unverified,
        "error-denied": denied,
        "error-malformed": malformed,
        "error-down": _unreachable(),
    }


@contextmanager
def _run_console() -> Iterator[Site]:
    """Run a console whose provider takes its time, and knows the gateway by an ordinary name."""
    with run_open_console({"provider": {"client_id": CLIENT_ID}}, transport=_unhurried) as site:
        site.provider.clients = [replace(site.provider.clients[0], client_id=CLIENT_ID)]
        yield site


def _unhurried(provider: FakeProvider) -> Transport:
    clock = provider.clock
    assert isinstance(clock, Clock)

    def transport(call: Call) -> Reply:
        clock.advance(CALL_SECONDS)
        return provider.transport(call)

    return transport


def _console() -> dict[str, Page]:
    with _run_console() as site:
        pages = {"console-signed-out": site.browser.navigate(CONSOLE)}
        refused = {"action": "sign_in", "provider": "default", "claims": "{", "max_age": "soon", "prompt.login": "yes"}
        pages["console-refused"] = site.browser.post(CONSOLE, refused, headers=OWN_PAGE)
        pages["console"] = sign_in(site)
        pages["console-token"] = act(site, "show", token="access_token")
        pages["console-upstream"] = act(site, "call", method="GET", path="/api/things?x=1")
        return {**pages, **{f"console-{action}": act(site, action) for action in ACTIONS}}


def _failed_in_console() -> dict[str, Page]:
    with _run_console() as site:
        site.browser.navigate(CONSOLE)
        for faults in (Faults(), Faults(id_token_claims=lambda claims: {**claims, "nonce": "x"})):
            site.provider.faults = faults
            act(site, "sign_in", provider="default")
            site.browser.cookies.delete(LOCAL, SESSION_COOKIE)
        return {"console-failed": site.browser.navigate(CONSOLE)}


def _unreachable() -> Page:
    with run_site() as site:
        site.provider.down = True
        return site.browser.navigate(f"{ORIGIN}/reports")


def _in_the_demonstration() -> dict[str, Page]:
    with run_site(app=sample_app) as site:
        sample = site.sign_in()
        site.restarted().provider.sign_in_as = None
        return {"provider": site.browser.navigate(f"{ORIGIN}/reports"), "sample": sample}
