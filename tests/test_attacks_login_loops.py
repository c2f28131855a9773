"""Attacks on the diagnosis of sign-ins that do not last: nobody is kept out by it, and nothing is learned from it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote
from wsgiref.types import StartResponse

import pytest
from console_place import run_open_console
from console_place import sign_in as sign_in_at_the_console
from harness import (
    CALLBACK,
    ISSUER,
    NOW,
    ORIGIN,
    RETRY_COOKIE,
    SECRET,
    SESSION_COOKIE,
    Site,
    error_code,
    is_signed_in,
    run_site,
    set_cookie_names,
)
from multi import run_two

from gateway.cookies import CookiePolicy, sealed_members
from gateway.endpoints.login_loop import MAX_LANDINGS
from gateway.landing import Beginning, Landing, landing_cookie, to_mark
from gateway.sealing import KeyRing
from gateway.testing import Browser, Page
from gateway.testing.pages import form_post_page

LANDING_COOKIE: Final = f"{SESSION_COOKIE}-landing"
EVIL: Final = "https://evil.example"
STATE: Final = "s" * 43
DAY: Final = 24 * 3600
POLICY: Final = CookiePolicy(name="gateway", secure=True, ring=KeyRing.of([SECRET]))
OTHERS: Final = CookiePolicy(name="gateway", secure=True, ring=KeyRing.of(["the secret of another gateway, not ours"]))
LOST: Final = Landing(count=MAX_LANDINGS, session="0" * 32, process="host/1", at=NOW, ends_at=NOW + 60)


def bare(line: str) -> str:
    """Take the value out of a `Set-Cookie` line."""
    return line.partition("=")[2].partition(";")[0]


def note(landing: Landing = LOST) -> str:
    return bare(landing_cookie(POLICY, landing, bytes))


def lose_the_session(browser: Browser) -> None:
    browser.cookies.set(ORIGIN, SESSION_COOKIE, "")


@contextmanager
def run_beside_evil(page: Callable[[], Any], config: dict[str, Any] | None = None) -> Iterator[Site]:
    """Run a site whose user has a page of another site open, too."""

    def evil(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        answer: Iterable[bytes] = page()(environ, start_response)
        return answer

    with run_site(config) as site:
        site.browser = Browser({ORIGIN: site.face, ISSUER: site.provider, EVIL: evil}, clock=site.clock)
        yield site


def test_a_note_that_is_put_back_stops_nobody_again() -> None:
    with run_site() as site:
        assert error_code(plant(site, note())) == "login_loop_cookie_lost"
        assert LANDING_COOKIE not in site.browser.cookies.of(ORIGIN)
        assert plant(site, note()).status == 200


def plant(site: Site, value: str) -> Page:
    site.browser.cookies.set(ORIGIN, LANDING_COOKIE, value)
    return site.browser.navigate(f"{ORIGIN}/home")


@pytest.mark.parametrize(
    ("at", "status"),
    [
        pytest.param(NOW, 403, id="now"),
        pytest.param(NOW - 2 * 3600, 403, id="by-a-clock-that-is-behind"),
        pytest.param(NOW + 2 * 3600, 403, id="by-a-clock-that-is-ahead"),
        pytest.param(NOW - DAY - 1, 200, id="a-day-old"),
        pytest.param(NOW + DAY + 1, 200, id="a-day-early"),
    ],
)
def test_a_note_that_was_kept_for_long_counts_for_nothing(at: int, status: int) -> None:
    with run_site() as site:
        assert plant(site, note(replace(LOST, at=at))).status == status


def test_a_note_too_large_for_a_browser_counts_for_nothing() -> None:
    with run_site() as site:
        assert plant(site, "A" * 10240).status == 200


@pytest.mark.parametrize(
    "mark",
    [
        pytest.param("", id="empty"),
        pytest.param(".", id="a-dot"),
        pytest.param("a.b.c.d", id="several-dots"),
        pytest.param("again", id="a-word"),
        pytest.param("A" * 7000, id="long"),
        pytest.param("\u00e9", id="not-ascii"),
        pytest.param(to_mark(OTHERS, Beginning(second=True), bytes), id="of-another-gateway"),
        pytest.param(note(), id="a-note-in-its-place"),
        pytest.param(to_mark(POLICY, Beginning(second=True), bytes) + ".x", id="with-something-behind"),
        pytest.param(sealed_members(POLICY, "beginning", {"second": "yes"}, bytes), id="with-a-word-for-yes"),
    ],
)
def test_a_mark_that_is_not_ours_says_nothing(mark: str) -> None:
    with run_site() as site:
        page = call_back(site.browser, f"{STATE}.{mark}")
        assert (page.status, RETRY_COOKIE in set_cookie_names(page)) == (303, True)
        assert page.headers["Location"].startswith(f"{ISSUER}/authorize?")


def test_a_mark_of_ours_ends_a_second_attempt() -> None:
    with run_site() as site:
        page = call_back(site.browser, f"{STATE}.{to_mark(POLICY, Beginning(second=True), bytes)}")
        assert (page.status, error_code(page)) == (400, "transaction_missing")


def call_back(browser: Browser, state: str) -> Page:
    return browser.navigate(f"{CALLBACK}?code=x&state={quote(state)}&iss={quote(ISSUER)}", follow=False)


def test_another_sites_forms_do_not_count_where_answers_are_forms() -> None:
    def post() -> Any:
        return form_post_page(CALLBACK, {"code": "x", "state": STATE, "iss": ISSUER})

    with run_beside_evil(post, {"provider": {"authorization": {"response_mode": "form_post"}}}) as site:
        site.browser.navigate(f"{ORIGIN}/home")
        assert site.browser.submit().status == 200
        for _ in range(MAX_LANDINGS + 1):
            site.browser.navigate(f"{EVIL}/")
            site.browser.submit()  # Another site's form brings the user to the provider,
            assert site.browser.submit().status == 200  # whose form brings the user back.
        assert is_signed_in(site.browser)


def test_another_sites_frames_do_not_count_where_answers_are_forms() -> None:
    with run_beside_evil(
        lambda: form_post_page(CALLBACK, {}), {"provider": {"authorization": {"response_mode": "form_post"}}}
    ) as site:
        site.browser.navigate(f"{ORIGIN}/home")
        assert site.browser.submit().status == 200
        for _ in range(MAX_LANDINGS + 1):
            site.browser.navigate(f"{EVIL}/")
            site.browser.frame(f"{ORIGIN}/oauth2/start?rd=/home")
            assert site.browser.submit().status == 200


def test_a_loop_is_noticed_where_answers_are_forms() -> None:
    with run_site({"provider": {"authorization": {"response_mode": "form_post"}}}) as site:
        for _ in range(MAX_LANDINGS):
            site.browser.navigate(f"{ORIGIN}/home")
            assert site.browser.submit().status == 200
            lose_the_session(site.browser)
        assert error_code(site.browser.navigate(f"{ORIGIN}/home")) == "login_loop_cookie_lost"


def test_a_loop_between_two_names_is_told_where_answers_are_forms() -> None:
    intranet = "https://intranet.example"
    with run_site({"provider": {"authorization": {"response_mode": "form_post"}}}) as site:
        site.browser = Browser({ORIGIN: site.face, ISSUER: site.provider, intranet: site.face}, clock=site.clock)
        site.browser.navigate(f"{ORIGIN}/home")
        assert site.browser.submit().status == 200
        for _ in range(MAX_LANDINGS - 1):
            site.browser.navigate(f"{intranet}/home")
            site.browser.submit()  # Begun there, it is not known here, and begun anew.
            assert site.browser.submit().status == 200
        site.browser.navigate(f"{intranet}/home")
        assert error_code(site.browser.submit()) == "login_loop_host"


def test_another_sites_link_with_a_mark_of_ours_costs_no_session() -> None:
    mark = to_mark(POLICY, Beginning(host="evil.example"), bytes)
    with run_site() as site:
        site.sign_in()
        for _ in range(MAX_LANDINGS + 1):
            site.browser.open_link(f"{CALLBACK}?code=x&state={STATE}.{mark}&iss={quote(ISSUER)}")
        assert site.browser.navigate(f"{ORIGIN}/home").status == 200
        assert site.provider.calls["token.authorization_code"] == 1
        lose_the_session(site.browser)
        assert site.browser.navigate(f"{ORIGIN}/home").status == 200


def test_the_page_tells_nothing_of_what_was_noted() -> None:
    with run_site() as site:
        secrets = [LOST.session, LOST.process, str(LOST.at), note()]
        page = plant(site, note())
        assert error_code(page) == "login_loop_cookie_lost"
        assert not [secret for secret in secrets if secret in page.text]
        assert "host/1" not in str(page.headers)


def test_the_next_user_of_a_browser_begins_from_none() -> None:
    with run_site() as site:
        for _ in range(MAX_LANDINGS - 1):
            site.sign_in()
            lose_the_session(site.browser)
        site.sign_in()
        site.browser.fetch(f"{ORIGIN}/oauth2/sign_out", method="POST")
        assert LANDING_COOKIE not in site.browser.cookies.of(ORIGIN)
        site.provider.sign_in_as = "bob"
        assert site.sign_in().status == 200


def test_signing_in_at_the_console_is_no_loop() -> None:
    with run_open_console() as site:
        for _ in range(MAX_LANDINGS + 1):
            sign_in_at_the_console(site)
            site.browser.cookies.set("https://localhost:5443", SESSION_COOKIE, "")


def test_a_proxy_that_asks_is_told_what_it_is_always_told() -> None:
    trusted = {"trusted_proxies": ["127.0.0.1"], "forward_auth": {"enabled": True}}
    named = {"Accept": "text/html", "X-Forwarded-Uri": "/home", "X-Forwarded-Method": "GET"}
    with run_site(trusted) as site:
        page = site.browser.get(f"{ORIGIN}/oauth2/auth", headers=named)
        site.browser.cookies.set(ORIGIN, LANDING_COOKIE, note())
        again = site.browser.get(f"{ORIGIN}/oauth2/auth", headers=named)
        assert (page.status, error_code(page)) == (again.status, error_code(again)) == (401, "login_required")
        assert error_code(site.browser.navigate(f"{ORIGIN}/home")) == "login_loop_cookie_lost"


def test_a_loop_is_noticed_behind_the_page_that_keeps_the_fragment() -> None:
    with run_site({"keep_fragment": True}) as site:
        for _ in range(MAX_LANDINGS):
            site.browser.navigate(f"{ORIGIN}/home")
            assert site.browser.open_link("/oauth2/start?rd=/home").status == 200
            lose_the_session(site.browser)
        site.browser.navigate(f"{ORIGIN}/home")
        assert error_code(site.browser.open_link("/oauth2/start?rd=/home")) == "login_loop_cookie_lost"


def test_going_between_rules_of_two_providers_is_no_loop() -> None:
    with run_two() as two:
        for _ in range(MAX_LANDINGS + 1):
            two.sign_in("/honest/page")
            two.browser.get(f"{EVIL}/")
            two.sign_in("/evil/page")
