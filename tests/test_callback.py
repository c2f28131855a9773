"""The callback: bound to the browser that began, good once, and harmless when it is stale, repeated or stolen."""

import threading
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from harness import (
    CALLBACK,
    EVERYWHERE,
    ORIGIN,
    RETRY_COOKIE,
    SESSION_COOKIE,
    TRANSACTION_PREFIX,
    Site,
    error_code,
    is_signed_in,
    logged_codes,
    pending_callback,
    set_cookie_names,
)

from gateway.testing import Browser, Faults, Page


def transactions(browser: Browser) -> dict[str, str]:
    cookies = browser.cookies.of(ORIGIN)
    return {name: value for name, value in cookies.items() if name.startswith(TRANSACTION_PREFIX)}


def assert_begins_anew(site: Site, page: Page, browser: Browser) -> None:
    """See that an answer is one fresh login and nothing else: nobody is signed in, no code was redeemed."""
    assert page.status == 303
    assert page.headers["Location"].startswith("https://op.example/authorize?")
    assert SESSION_COOKIE not in set_cookie_names(page)
    assert RETRY_COOKIE in set_cookie_names(page)
    assert site.provider.calls["token.authorization_code"] == 0
    assert not is_signed_in(browser)


@EVERYWHERE
def test_a_callback_of_another_browser_signs_nobody_in(site: Site) -> None:
    url = pending_callback(site.browser)
    victim = site.new_browser()

    assert_begins_anew(site, victim.navigate(url, follow=False), victim)
    assert site.browser.navigate(url).status == 200  # It was good in the browser that began it.


@EVERYWHERE
def test_a_callback_is_good_once(site: Site) -> None:
    url = pending_callback(site.browser)
    stolen = transactions(site.browser)
    assert site.browser.navigate(url).status == 200
    thief = site.new_browser()
    for name, value in stolen.items():
        thief.cookies.set(ORIGIN, name, value)

    page = thief.navigate(url, follow=False)

    assert page.headers["Location"].startswith("https://op.example/authorize?")
    assert SESSION_COOKIE not in set_cookie_names(page)
    assert site.provider.calls["token.authorization_code"] == 1
    assert not is_signed_in(thief)
    assert is_signed_in(site.browser)


@EVERYWHERE
def test_two_requests_with_one_callback_redeem_its_code_once(site: Site) -> None:
    url = pending_callback(site.browser)
    cookie = site.browser.cookies.header(url)
    headers = {"Cookie": cookie, "Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
    barrier, pages = threading.Barrier(8), list[Page]()

    def visit(browser: Browser) -> None:
        barrier.wait(10)
        pages.append(browser.get(url, headers=headers, follow=False))

    threads = [threading.Thread(target=visit, args=(site.new_browser(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(pages) == 8
    assert [page.status for page in pages] == [303] * 8
    assert sum(SESSION_COOKIE in set_cookie_names(page) for page in pages) == 1
    assert site.provider.calls["token.authorization_code"] == 1


def test_parallel_tabs_each_complete_and_the_last_one_is_the_session(site: Site) -> None:
    tabs = []
    for number in range(5):
        site.clock.advance(1)
        tabs.append(pending_callback(site.browser, f"/tab/{number}"))

    for number, url in reversed(list(enumerate(tabs))):
        page = site.browser.navigate(url)
        assert (page.status, page.url) == (200, f"{ORIGIN}/tab/{number}")

    assert transactions(site.browser) == {}
    assert is_signed_in(site.browser)


def test_the_tab_that_gave_way_to_a_sixth_one_still_ends_signed_in(site: Site) -> None:
    tabs = []
    for number in range(6):
        site.clock.advance(1)
        tabs.append(pending_callback(site.browser, f"/tab/{number}"))

    page = site.browser.navigate(tabs[0])

    assert (page.status, page.url) == (200, f"{ORIGIN}/")


def test_a_state_belongs_to_its_own_tab(site: Site) -> None:
    one, other = pending_callback(site.browser, "/one"), pending_callback(site.browser, "/other")
    mixed = {**_query(one), "state": _query(other)["state"]}
    page = site.browser.navigate(f"{CALLBACK}?{urlencode(mixed)}")

    # The provider holds the code against the verifier of the tab that it was made for (RFC 7636).
    assert (page.status, error_code(page)) == (403, "token_grant_invalid")
    assert not is_signed_in(site.browser)


def test_a_stolen_transaction_cookie_is_worthless_without_its_state(site: Site) -> None:
    url = pending_callback(site.browser)
    thief = site.new_browser()
    for name, value in transactions(site.browser).items():
        thief.cookies.set(ORIGIN, name, value)
    guess = {**_query(url), "state": "A" * 43}

    assert_begins_anew(site, thief.navigate(f"{CALLBACK}?{urlencode(guess)}", follow=False), thief)


def test_a_transaction_cookie_under_the_name_of_another_state_is_none(site: Site) -> None:
    mine, other = pending_callback(site.browser), pending_callback(site.browser)
    (first, first_value), (second, _) = transactions(site.browser).items()
    site.browser.cookies.set(ORIGIN, second, first_value)
    assert first != second

    assert_begins_anew(site, site.browser.navigate(other, follow=False), site.browser)
    assert site.browser.navigate(mine).status == 200


@pytest.mark.parametrize(
    "after",
    [pytest.param(901, id="just-expired"), pytest.param(86400, id="a-day-later")],
)
def test_a_late_callback_begins_one_fresh_login_and_keeps_the_target(site: Site, after: int) -> None:
    url = pending_callback(site.browser, "/late")
    kept = transactions(site.browser)
    site.clock.advance(after)
    for name, value in kept.items():  # A browser that ignores Max-Age.
        site.browser.cookies.set(ORIGIN, name, value)

    assert_begins_anew(site, site.browser.navigate(url, follow=False), site.browser)


def test_a_late_callback_lands_where_the_user_was_going(site: Site) -> None:
    url = pending_callback(site.browser, "/late")
    kept = transactions(site.browser)
    site.clock.advance(901)
    for name, value in kept.items():
        site.browser.cookies.set(ORIGIN, name, value)

    page = site.browser.navigate(url)

    assert (page.status, page.url) == (200, f"{ORIGIN}/late")


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("code=1&state=unknown", id="unknown"),
        pytest.param("error=access_denied&state=unknown", id="error"),
    ],
)
def test_a_stray_callback_goes_home_while_a_session_lives(site: Site, query: str) -> None:
    site.sign_in()
    page = site.browser.navigate(f"{CALLBACK}?{query}")

    assert (page.status, page.url) == (200, f"{ORIGIN}/")
    assert site.provider.calls["authorize"] == 1


def test_a_repeated_callback_goes_home_while_a_session_lives(site: Site) -> None:
    url = pending_callback(site.browser)
    site.browser.navigate(url)
    page = site.browser.navigate(url)

    assert (page.status, page.url) == (200, f"{ORIGIN}/")
    assert site.provider.calls["token.authorization_code"] == 1


def test_a_bookmarked_callback_signs_in_anew_once_and_lands_at_home(site: Site) -> None:
    page = site.browser.navigate(f"{CALLBACK}?code=old&state=old")

    assert (page.status, page.url) == (200, f"{ORIGIN}/")
    assert site.provider.calls["authorize"] == 1
    assert RETRY_COOKIE not in site.browser.cookies.of(ORIGIN)


@pytest.mark.parametrize(
    ("lost", "stale"),
    [
        pytest.param((), True, id="the-state-tells-nothing-but-the-note-does"),
        pytest.param((RETRY_COOKIE,), False, id="no-cookie-is-kept-but-the-state-tells"),
    ],
)
def test_a_browser_that_keeps_no_transaction_ends_at_a_page_and_not_in_a_loop(
    site: Site, caplog: pytest.LogCaptureFixture, lost: tuple[str, ...], stale: bool
) -> None:
    anew = site.browser.navigate(f"{CALLBACK}?code=old&state=old", follow=False)
    for name in list(site.browser.cookies.of(ORIGIN)):
        if name in (*transactions(site.browser), *lost):
            site.browser.cookies.delete(ORIGIN, name)
    page = site.browser.navigate(f"{CALLBACK}?code=old&state=old" if stale else anew.headers["Location"])

    assert (page.status, error_code(page)) == (400, "transaction_missing")
    assert 'href="/oauth2/start?rd=/"' in page.text
    assert logged_codes(caplog) == ["transaction_missing"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        pytest.param("", 400, "response_state_missing", id="nothing"),
        pytest.param("code=1", 400, "response_state_missing", id="no-state"),
        pytest.param("code=1&state=", 400, "response_state_missing", id="empty-state"),
        pytest.param("code=1&state=a&state=b", 400, "response_parameter_repeated", id="state-twice"),
        pytest.param("code=1&code=2&state=a", 400, "response_parameter_repeated", id="code-twice"),
        pytest.param("&".join(f"a{n}=1" for n in range(70)), 400, "response_parameter_repeated", id="too-many"),
        pytest.param("state=%ff", 400, "response_parameter_repeated", id="not-utf-8"),
    ],
)
def test_a_malformed_callback_is_refused(site: Site, query: str, status: int, code: str) -> None:
    page = site.browser.navigate(f"{CALLBACK}?{query}")

    assert (page.status, error_code(page)) == (status, code)
    assert set_cookie_names(page) == []
    assert site.provider.calls == {}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        pytest.param("access_denied", 403, "op_access_denied", id="cancelled"),
        pytest.param("login_required", 403, "op_interaction_required", id="prompt-none"),
        pytest.param("server_error", 503, "op_temporarily_unavailable", id="server-error"),
        pytest.param("temporarily_unavailable", 503, "op_temporarily_unavailable", id="busy"),
        pytest.param("invalid_scope", 403, "op_request_refused", id="our-request"),
        pytest.param("unmet_authentication_requirements", 403, "op_authentication_unmet", id="too-weak"),
        pytest.param("invented_error", 403, "op_refused", id="unregistered"),
        pytest.param("<script>alert(1)</script>", 403, "op_refused", id="hostile"),
    ],
)
def test_an_error_of_the_provider_is_a_page_that_offers_another_try(
    site: Site, error: str, status: int, code: str
) -> None:
    site.sign_in()
    site.restarted().provider.faults = Faults(
        authorization_response=lambda one: {
            "error": error,
            "error_description": "<b>come & see</b>",
            "state": one["state"],
            "iss": one["iss"],
        }
    )
    page = site.browser.navigate(f"{ORIGIN}/wanted?x=1")

    assert (page.status, error_code(page)) == (status, code)
    assert "come" not in page.text
    assert "alert" not in page.text
    assert 'href="/oauth2/start?rd=/wanted%3Fx%3D1"' in page.text
    assert SESSION_COOKIE not in site.browser.cookies.of(ORIGIN)


def _query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
