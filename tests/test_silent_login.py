"""prompt=none (OIDC Core 3.1.2.1): a login without a word, and where that cannot be, one with words, and only one."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from harness import (
    ISSUER,
    ORIGIN,
    TRANSACTION_PREFIX,
    Site,
    error_code,
    held_session,
    is_signed_in,
    own_cookies,
    run_site,
)

from gateway.testing import Faults

SILENT: Final = f"{ORIGIN}/oauth2/start?prompt=none&rd=/page%3Fa=b"
LANDED: Final = f"{ORIGIN}/page?a=b"
HIGH: Final = "urn:example:high"
CONFIG: Final[dict[str, Any]] = {
    "provider": {"start_parameters": ["prompt", "login_hint"]},
    "routes": [{"path": "/strong", "require": {"acr": [HIGH], "max_age": "10m"}}],
}


@pytest.fixture
def site() -> Iterator[Site]:
    """Give a site whose provider asks people who they are."""
    with run_site(CONFIG) as running:
        running.provider.sign_in_as = None
        yield running


def answering(error: str, **more: str) -> Faults:
    """Make the provider answer every authorization request with an error."""
    return Faults(authorization_response=lambda sent: {"state": sent["state"], "iss": ISSUER, "error": error, **more})


def prompts(site: Site) -> list[str | None]:
    return [asked.get("prompt") for asked in site.provider.requests]


def test_whoever_is_signed_in_at_the_provider_is_signed_in_here_without_a_word(site: Site) -> None:
    site.provider.sign_in_as = "alice"
    page = site.browser.navigate(SILENT)
    assert (page.status, page.url) == (200, LANDED)
    assert prompts(site) == ["none"]


def test_whoever_is_not_is_asked_once_and_lands_where_the_link_said(site: Site) -> None:
    page = site.browser.navigate(SILENT)
    assert (page.status, page.url.partition("?")[0]) == (200, f"{ISSUER}/authorize")
    assert prompts(site) == ["none", None]
    assert len([name for name in own_cookies(site.browser) if name.startswith(TRANSACTION_PREFIX)]) == 1

    page = site.browser.submit("alice")

    assert (page.status, page.url) == (200, LANDED)
    assert held_session(site).subject == "alice"
    assert len(prompts(site)) == 2


def test_whoever_cancels_then_is_not_asked_again(site: Site) -> None:
    site.browser.navigate(SILENT)
    page = site.browser.submit(data={"cancel": "cancel"})
    assert (page.status, error_code(page)) == (403, "op_access_denied")
    assert prompts(site) == ["none", None]


@pytest.mark.parametrize(
    "error", ["login_required", "interaction_required", "consent_required", "account_selection_required"]
)
def test_a_provider_that_always_wants_words_ends_on_a_page(site: Site, error: str) -> None:
    site.provider.sign_in_as = "alice"
    site.provider.faults = answering(error)
    page = site.browser.navigate(SILENT)
    assert (page.status, error_code(page)) == (403, "op_interaction_required")
    assert prompts(site) == ["none", None]
    assert not is_signed_in(site.browser)


@pytest.mark.parametrize(
    ("faults", "status", "code"),
    [
        pytest.param(answering("access_denied"), 403, "op_access_denied", id="access_denied"),
        pytest.param(answering("invalid_request"), 403, "op_request_refused", id="invalid_request"),
        pytest.param(answering("temporarily_unavailable"), 503, "op_temporarily_unavailable", id="busy"),
        pytest.param(answering("LOGIN_REQUIRED"), 403, "op_refused", id="case"),
        pytest.param(
            answering("login_required", iss="https://evil.example"), 403, "response_iss_mismatch", id="other-iss"
        ),
        pytest.param(
            Faults(authorization_response=lambda sent: {"state": sent["state"], "error": "login_required"}),
            403,
            "response_iss_missing",
            id="no-iss",
        ),
    ],
)
def test_any_other_answer_ends_on_a_page_at_once(site: Site, faults: Faults, status: int, code: str) -> None:
    site.provider.faults = faults
    page = site.browser.navigate(SILENT)
    assert (page.status, error_code(page)) == (status, code)
    assert prompts(site) == ["none"]


def test_a_login_with_words_that_the_provider_says_needs_words_is_not_begun_anew(site: Site) -> None:
    site.provider.sign_in_as = "alice"
    site.provider.faults = answering("login_required")
    page = site.browser.navigate(f"{ORIGIN}/page")
    assert (page.status, error_code(page)) == (403, "op_interaction_required")
    assert prompts(site) == [None]


def test_what_a_rule_wants_is_wanted_of_the_second_login_too(site: Site) -> None:
    query = f"prompt=none&rd=/strong&acr_values={HIGH}&max_age=600"
    page = site.browser.navigate(f"{ORIGIN}/oauth2/start?{query}")
    assert page.status == 200
    asked = [(one.get("acr_values"), one.get("max_age")) for one in site.provider.requests]
    assert asked == [(HIGH, "600")] * 2
    site.provider.acrs_supported = [HIGH]
    assert site.browser.submit("alice").url == f"{ORIGIN}/strong"


def test_the_second_login_asks_with_the_words_that_are_configured() -> None:
    config = {"provider": {"start_parameters": ["prompt"], "authorization": {"prompt": "login consent"}}}
    with run_site(config) as site:
        site.provider.sign_in_as = None
        site.browser.navigate(SILENT)
        assert prompts(site) == ["none", "login consent"]


def test_the_answer_cannot_be_used_twice(site: Site) -> None:
    """A repeated answer meets a transaction that is gone: one fresh login, and then a page."""
    redirect = site.browser.navigate(SILENT, follow=False)
    callback = site.browser.navigate(redirect.headers["Location"], follow=False).headers["Location"]
    first = site.browser.navigate(callback, follow=False)
    assert (first.status, "prompt" in first.headers["Location"]) == (303, False)
    again = site.browser.navigate(callback, follow=False)
    assert (again.status, "prompt" in again.headers["Location"]) == (303, False)
    page = site.browser.navigate(callback)
    assert (page.status, error_code(page)) == (400, "transaction_missing")


@pytest.mark.parametrize("prompt", ["none login", "login none", "none none none consent", "nonsense", "None"])
def test_a_prompt_that_no_provider_could_take_is_refused(site: Site, prompt: str) -> None:
    page = site.browser.navigate(f"{ORIGIN}/oauth2/start?rd=/page&prompt={prompt.replace(' ', '+')}")
    assert (page.status, error_code(page)) == (400, "parameter_refused")
    assert site.provider.requests == []


def test_a_link_may_not_ask_for_silence_where_that_is_not_allowed() -> None:
    with run_site() as site:
        site.browser.navigate(SILENT)
        assert prompts(site) == [None]
