"""An error without state: a provider that has forgotten a pushed request can only say so (RFC 9126 4)."""

import pytest
from harness import CALLBACK, ORIGIN, Site, error_code

FORGOTTEN = f"{CALLBACK}?error=invalid_request_uri&iss=https%3A%2F%2Fop.example"


def test_with_a_session_it_leads_home(site: Site) -> None:
    site.sign_in()
    page = site.browser.navigate(FORGOTTEN)
    assert (page.status, page.url) == (200, f"{ORIGIN}/")


def test_without_a_session_it_ends_at_a_page_from_which_one_can_sign_in(site: Site) -> None:
    page = site.browser.navigate(FORGOTTEN)
    assert (page.status, error_code(page)) == (403, "op_request_refused")
    assert 'href="/oauth2/start?rd=/"' in page.text
    assert site.provider.calls["authorize"] == 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        pytest.param("error=x&state=", "response_state_missing", id="empty-state"),
        pytest.param("error=x&error=y", "response_parameter_repeated", id="twice"),
        pytest.param("code=x", "response_state_missing", id="a-code"),
    ],
)
def test_nothing_else_without_state_counts(site: Site, query: str, code: str) -> None:
    site.sign_in()
    assert error_code(site.browser.navigate(f"{CALLBACK}?{query}", follow=False)) == code
