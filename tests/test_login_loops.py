"""Sign-ins that do not last: the gateway stops, and names the cause that it can prove; honest haste is no loop."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIApplication

import pytest
from harness import (
    ISSUER,
    NOW,
    ORIGIN,
    SECRET,
    SESSION_COOKIE,
    SIGN_OUT,
    Clock,
    Config,
    base_config,
    error_code,
    is_signed_in,
    logged_codes,
    merged,
    new_provider,
    pending_callback,
    recording_app,
    run_site,
)

from gateway import Gateway
from gateway.administration import Administration, Wanted
from gateway.assembly import Outside
from gateway.backends.base import Backend
from gateway.backends.memory import MemoryBackend
from gateway.cookies import CookiePolicy
from gateway.endpoints.login_loop import MAX_LANDINGS
from gateway.landing import Landing, find_landing, landing_cookie
from gateway.revocation import mark_names
from gateway.sealing import KeyRing
from gateway.testing import Browser, FakeProvider, Faults, Page

MAX_HOPS: Final = 16
"""After so many redirects the least patient of browsers gives up, and shows a page of its own."""

LANDING_COOKIE: Final = f"{SESSION_COOKIE}-landing"
CALLBACK_PATH: Final = "/oauth2/callback"
PLAIN: Final = "http://app.example"
OTHER: Final = "https://intranet.example"
PAGE: Final = {"Accept": "text/html"}
"""What a browser says that tells nothing of whence it comes, as it is on a page without TLS."""

Environ = dict[str, Any]
Answers = Callable[[Environ, StartResponse], Iterable[bytes]]


class World:
    """One provider, a browser's clock, and as many gateways of one configuration as a set-up wants."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.provider: FakeProvider = new_provider(self.clock)
        self.shared: Backend = MemoryBackend()
        self.number = 0

    def gateway(
        self,
        config: Config | None = None,
        *,
        backend: Backend | None = None,
        ahead: float = 0,
        process: str = "",
    ) -> Gateway:
        """Make a gateway of another process, whose clock may be ahead of the others'."""
        self.number += 1
        name = process or f"host/{self.number}"
        outside = Outside(
            transport=self.provider.transport,
            backend=backend or self.shared,
            clock=lambda: self.clock() + ahead,
            process=lambda: name,
        )
        document = merged(base_config({"type": "file", "path": "unused"}), config or {})
        return Gateway.from_config(document, outside=outside)(recording_app([]))

    def browser(self, app: WSGIApplication, *others: str) -> Browser:
        """Open a browser that reaches the app at our origin, and at others."""
        places: dict[str, WSGIApplication] = dict.fromkeys((ORIGIN, *others), app)
        return Browser({**places, ISSUER: self.provider}, clock=self.clock)


def by_path(callback: WSGIApplication, rest: WSGIApplication) -> Answers:
    """Send callbacks to one gateway and everything else to another, as a load balancer may."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        chosen = callback if environ["PATH_INFO"].startswith(CALLBACK_PATH) else rest
        return chosen(environ, start_response)

    return app


def changing_cookies(app: WSGIApplication, change: Callable[[str], str | None]) -> Answers:
    """Be a proxy that alters or drops `Set-Cookie` lines."""

    def proxy(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            lines = [(name, change(value) if name == "Set-Cookie" else value) for name, value in headers]
            return start_response(status, [(name, value) for name, value in lines if value is not None], *rest)

        return app(environ, start)

    return proxy


def sending_on(app: WSGIApplication, origin: str) -> Answers:
    """Be a proxy, or an application, that answers pages of our origin with a redirect to the same at another."""

    def proxy(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        here = f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}"
        if here != ORIGIN or environ["PATH_INFO"].startswith("/oauth2/"):
            return app(environ, start_response)
        start_response("302 Found", [("Location", origin + environ["PATH_INFO"])])
        return []

    return proxy


def after_callbacks(app: WSGIApplication, act: Callable[[], None]) -> Answers:
    """Have something happen behind each callback."""

    def watched(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        answer = app(environ, start_response)
        if environ["PATH_INFO"].startswith(CALLBACK_PATH):
            act()
        return answer

    return watched


class Altering(MemoryBackend):
    """A store that makes something else of sessions, or nothing."""

    def __init__(self, alter: Callable[[bytes], bytes | None]) -> None:
        super().__init__()
        self._alter = alter

    def set(self, key: str, value: bytes, seconds: int) -> None:
        kept = self._alter(value) if key.startswith("session:") else value
        if kept is not None:
            super().set(key, kept, seconds)


def _drop_session(line: str) -> str | None:
    return None if line.startswith(f"{SESSION_COOKIE}=") else line


def _replace_session(line: str) -> str:
    return f"{SESSION_COOKIE}={'A' * 43}; Path=/; Secure" if line.startswith(f"{SESSION_COOKIE}=") else line


def cookie_lost(world: World) -> Browser:
    return world.browser(changing_cookies(world.gateway(), _drop_session))


def cookie_replaced(world: World) -> Browser:
    return world.browser(changing_cookies(world.gateway(), _replace_session))


def insecure(world: World) -> Browser:
    return world.browser(sending_on(world.gateway(), PLAIN), PLAIN)


def other_host(world: World) -> Browser:
    return world.browser(sending_on(world.gateway(), OTHER), OTHER)


def clocks(world: World) -> Browser:
    lifetimes: Config = {"session": {"idle_timeout": "1h"}}
    return world.browser(by_path(world.gateway(lifetimes), world.gateway(lifetimes, ahead=2 * 3600)))


def short_sessions(world: World) -> Browser:
    world.provider.faults = Faults(
        token_response=lambda status, members: (status, {**members, "refresh_expires_in": 20})
    )
    return world.browser(after_callbacks(world.gateway(), lambda: world.clock.advance(25)))


def refused_renewal(world: World) -> Browser:
    asked: list[str] = []

    def answer(status: int, members: dict[str, object]) -> tuple[int, dict[str, object]]:
        if asked[-1] == "token.refresh_token":
            return 400, {"error": "invalid_grant"}
        return status, {**members, "expires_in": 2}

    world.provider.faults = Faults(before=asked.append, token_response=answer)
    return world.browser(after_callbacks(world.gateway(), lambda: world.clock.advance(3)))


def revoked(world: World) -> Browser:
    gateway = world.gateway()

    def revoke() -> None:
        world.clock.advance(1)
        gateway.store.mark(mark_names(gateway.store.realm, ISSUER, "alice", None).subject)
        world.clock.advance(1)

    return world.browser(after_callbacks(gateway, revoke))


def revoked_by_the_operator(world: World) -> Browser:
    gateway = world.gateway()
    operator = Administration(store=gateway.store, issuers=[ISSUER])

    def revoke() -> None:
        for card in operator.sessions(Wanted(everyone=True)):
            operator.revoke(Wanted(id=card.id))

    return world.browser(after_callbacks(gateway, revoke))


def unreadable(world: World) -> Browser:
    return world.browser(world.gateway(backend=Altering(lambda entry: entry[:-1] + bytes([entry[-1] ^ 1]))))


def store_split(world: World) -> Browser:
    return world.browser(by_path(world.gateway(backend=MemoryBackend()), world.gateway(backend=MemoryBackend())))


def shared_store_forgets(world: World) -> Browser:
    forgetful = Altering(lambda _: None)
    return world.browser(by_path(world.gateway(backend=forgetful), world.gateway(backend=forgetful)))


def store_forgets(world: World) -> Browser:
    return world.browser(world.gateway(backend=Altering(lambda _: None)))


@pytest.mark.parametrize(
    ("set_up", "code"),
    [
        pytest.param(cookie_lost, "login_loop_cookie_lost", id="a-proxy-drops-the-cookie-of-the-session"),
        pytest.param(cookie_replaced, "login_loop_cookie_replaced", id="another-application-uses-the-name"),
        pytest.param(insecure, "login_loop_insecure", id="a-proxy-leads-back-to-http"),
        pytest.param(other_host, "login_loop_host", id="the-application-leads-to-another-host"),
        pytest.param(clocks, "login_loop_clock", id="one-machine-is-two-hours-ahead"),
        pytest.param(short_sessions, "login_loop_lifetime", id="sessions-end-in-seconds"),
        pytest.param(refused_renewal, "login_loop_refresh", id="the-provider-refuses-its-own-refresh-token"),
        pytest.param(revoked, "login_loop_revoked", id="the-provider-signs-out-at-once"),
        pytest.param(revoked_by_the_operator, "login_loop_revoked", id="the-operator-ends-each-session"),
        pytest.param(unreadable, "login_loop_unreadable", id="the-store-garbles"),
        pytest.param(store_split, "login_loop_store_split", id="each-process-has-a-store-of-its-own"),
        pytest.param(shared_store_forgets, "login_loop_store_forgets", id="the-store-of-two-processes-loses-it"),
        pytest.param(store_forgets, "login_loop_store_forgets", id="the-store-loses-what-it-is-given"),
    ],
)
def test_a_loop_ends_after_three_logins_with_its_cause(
    set_up: Callable[[World], Browser], code: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    browser = set_up(world)

    page = browser.get(f"{ORIGIN}/home", headers=PAGE)

    assert (page.status, error_code(page)) == (403, code)
    assert 1 <= world.provider.calls["token.authorization_code"] <= MAX_LANDINGS
    assert len(browser.history) <= MAX_HOPS
    assert logged_codes(caplog)[-1] == code


def test_whoever_tries_again_begins_from_none() -> None:
    world = World()
    gateway, broken = world.gateway(), True
    browser = world.browser(changing_cookies(gateway, lambda line: _drop_session(line) if broken else line))
    page = browser.navigate(f"{ORIGIN}/home")
    assert error_code(page) == "login_loop_cookie_lost"
    assert LANDING_COOKIE not in browser.cookies.of(ORIGIN)

    broken = False
    page = browser.open_link(f"{ORIGIN}/oauth2/start?rd=/home")

    assert "/oauth2/start?rd=/home" in browser.history[-5].text
    assert (page.status, page.url) == (200, f"{ORIGIN}/home")


def test_a_script_is_told_what_it_is_always_told() -> None:
    world = World()
    browser = cookie_lost(world)
    browser.navigate(f"{ORIGIN}/home")
    assert error_code(browser.fetch(f"{ORIGIN}/data")) == "login_required"


def tabs(browser: Browser, clock: Clock) -> None:
    for url in [pending_callback(browser, f"/tab/{number}") for number in range(5)]:
        assert browser.navigate(url).status == 200


def signs_out_and_in(browser: Browser, clock: Clock) -> None:
    for _ in range(6):
        assert browser.navigate(f"{ORIGIN}/home").status == 200
        browser.fetch(SIGN_OUT, method="POST")


def signs_in_anew(browser: Browser, clock: Clock) -> None:
    for _ in range(6):
        assert browser.navigate(f"{ORIGIN}/oauth2/start?rd=/home").url == f"{ORIGIN}/home"


def loses_its_cookie_now_and_then(browser: Browser, clock: Clock) -> None:
    for _ in range(6):
        assert browser.navigate(f"{ORIGIN}/home").status == 200
        browser.cookies.set(ORIGIN, SESSION_COOKIE, "")
        clock.advance(61)


@pytest.mark.parametrize("acts", [tabs, signs_out_and_in, signs_in_anew, loses_its_cookie_now_and_then])
def test_honest_haste_is_no_loop(acts: Callable[[Browser, Clock], None]) -> None:
    with run_site() as site:
        acts(site.browser, site.clock)
        site.browser.navigate(f"{ORIGIN}/home")
        assert is_signed_in(site.browser)


def test_a_lost_session_or_two_are_no_loop() -> None:
    with run_site() as site:
        for _ in range(MAX_LANDINGS):
            assert site.sign_in().status == 200
            site.browser.cookies.set(ORIGIN, SESSION_COOKIE, "")
        assert error_code(site.browser.navigate(f"{ORIGIN}/home")) == "login_loop_cookie_lost"


def _planted(value: str) -> Page:
    with run_site() as site:
        site.browser.cookies.set(ORIGIN, LANDING_COOKIE, value)
        return site.browser.navigate(f"{ORIGIN}/home")


def policy(secret: str) -> CookiePolicy:
    return CookiePolicy(name="gateway", secure=True, ring=KeyRing.of([secret]))


ENDLESS: Final = Landing(count=1000, session="0" * 32, process="host/1", at=NOW, ends_at=NOW + 60)


def _note(secret: str) -> str:
    return landing_cookie(policy(secret), ENDLESS, bytes).partition("=")[2].partition(";")[0]


def test_a_note_of_ours_counts() -> None:
    assert error_code(_planted(_note(SECRET))) == "login_loop_cookie_lost"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param("1000", id="a-number"),
        pytest.param(_note("another secret, and not that of the gateway"), id="of-another-key"),
        pytest.param(_note(SECRET)[:-4], id="cut"),
        pytest.param("A" * 3900, id="long"),
    ],
)
def test_a_note_that_is_not_ours_counts_for_nothing(value: str) -> None:
    assert _planted(value).status == 200


def test_a_note_says_who_made_the_session_and_until_when() -> None:
    with run_site() as site:
        site.sign_in()
        header = site.browser.cookies.header(f"{ORIGIN}/")
        landing = find_landing(site.gateway.settings.cookies, header)
    assert landing is not None
    assert (landing.count, landing.at, landing.ends_at > NOW, "/" in landing.process) == (1, NOW, True, True)


def test_a_login_whose_cookie_another_key_sealed_says_so(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    other = world.gateway({"session": {"secret": "another secret, of another instance of this gateway"}})
    browser = world.browser(by_path(world.gateway(), other))

    page = browser.navigate(f"{ORIGIN}/home")

    assert (page.status, error_code(page)) == (403, "transaction_unreadable")
    assert len(browser.history) <= MAX_HOPS
    assert logged_codes(caplog) == ["transaction_unreadable"]


def test_no_cookies_at_all_are_told_as_ever() -> None:
    world = World()
    browser = world.browser(changing_cookies(world.gateway(), lambda _: None))
    page = browser.navigate(f"{ORIGIN}/home")
    assert (page.status, error_code(page)) == (400, "transaction_missing")


def _states(browser: Browser) -> Sequence[str]:
    places = [page.headers.get("Location", "") for page in browser.history]
    asked = [urlsplit(place).query for place in places if place.startswith(f"{ISSUER}/authorize")]
    return [part.removeprefix("state=") for query in asked for part in query.split("&") if part.startswith("state=")]


def test_a_state_is_as_short_as_ever_where_there_is_nothing_to_say() -> None:
    world = World()
    honest, stale = world.browser(world.gateway()), other_host(world)
    honest.navigate(f"{ORIGIN}/home")
    stale.navigate(f"{ORIGIN}/home")
    assert [len(state) for state in _states(honest)] == [43]
    assert all(OTHER.removeprefix("https://") not in state for state in _states(stale))
    assert all(len(state) < 200 for state in _states(stale))
