"""How a case is judged: by what the provider is asked, by what reaches the app, by the page and by the log."""

import pytest
from harness import ISSUER, ORIGIN, SESSION_COOKIE, Site, error_code, is_signed_in, logged_codes, set_cookie_names

from conformance.cases import Refused
from conformance.set_ups import PLAIN, SetUp
from gateway.testing import Page

HOME = f"{ORIGIN}/home"
MAX_FORMS = 3


def arrive(site: Site, url: str = HOME) -> Page:
    """Go somewhere, and send on whatever forms the provider carries its answer in."""
    page = site.browser.navigate(url)
    for _ in range(MAX_FORMS):
        if page.status != 200 or not page.url.startswith(ISSUER):
            break
        page = site.browser.submit()
    return page


def sign_in(site: Site) -> None:
    """Sign in honestly; the app answers, userinfo was asked, and the provider has nothing to complain about."""
    asked = site.provider.calls["userinfo"]
    page = arrive(site)
    assert (page.status, page.url) == (200, HOME), page
    assert site.provider.calls["userinfo"] - asked in (1, 2)  # Twice where a nonce was asked for.
    assert_proper(site)


def assert_proper(site: Site) -> None:
    """Hold a run against what every module looks at: no probing, and nothing in a request that is not right."""
    assert site.provider.unknown_paths == []
    assert site.provider.warnings == []
    for asked in site.provider.requests:
        assert not (asked.get("prompt") == "none" and asked.get("max_age") == "0")


def assert_refused(site: Site, caplog: pytest.LogCaptureFixture, case: Refused, set_up: SetUp = PLAIN) -> None:
    """Sign in honestly, then fail to in a fresh browser, for the one reason that the case names."""
    sign_in(site)
    site.restarted().provider.faults = case.faults
    assert_ends_in_a_page(site, caplog, case, case.asked(pushed=set_up.pushed))


def assert_ends_in_a_page(site: Site, caplog: pytest.LogCaptureFixture, case: Refused, asked: set[str]) -> None:
    """Fail to sign in: nothing reaches the app, there is no session, and the provider is asked for `asked` alone."""
    before, reached = dict(site.provider.calls), len(site.received)
    logged_codes(caplog)

    page = arrive(site)

    assert (page.status, error_code(page)) == (case.status, case.code)
    assert 400 <= page.status < 500
    assert "Traceback" not in page.text
    assert all(SESSION_COOKIE not in set_cookie_names(each) for each in site.browser.history)
    assert len(site.received) == reached
    assert {name for name, count in site.provider.calls.items() if count > before.get(name, 0)} == asked
    assert case.about in caplog.text
    assert logged_codes(caplog) == [case.code]
    assert not is_signed_in(site.browser)
    assert len(site.received) == reached
    assert_proper(site)
