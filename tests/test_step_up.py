"""Step-up (RFC 9470): a rule wants a stronger or fresher login; asked for once, checked, and never in a circle."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from harness import ISSUER, ORIGIN, Site, changed, error_code, held_session, is_signed_in, run_site

from gateway.testing import Faults

HIGH = "urn:example:high"
HIGHER = "urn:example:higher"
RULES: dict[str, Any] = {
    "routes": [
        {"path": "/strong/**", "require": {"acr": [HIGH, HIGHER]}},
        {"path": "/fresh/**", "require": {"max_age": "5m"}},
        {"path": "/both/**", "require": {"acr": [HIGH], "max_age": "5m"}},
        {"path": "/api/**", "require": {"acr": [HIGH]}, "login": "never"},
    ]
}


@pytest.fixture
def site() -> Iterator[Site]:
    """Give a site where alice is signed in, but weakly, and had her last word with the provider an hour ago."""
    with run_site({**RULES, "session": {"idle_timeout": "3h"}}) as running:
        running.provider.acrs_supported = ["urn:example:low", HIGH]
        running.provider.access_token_lifetime = 7200
        running.sign_in()
        running.clock.advance(3600)
        yield running


def logins(site: Site) -> int:
    return site.provider.calls["authorize"]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        pytest.param("/strong/page?a=b", {"acr_values": f"{HIGH} {HIGHER}"}, id="acr"),
        pytest.param("/fresh/page", {"max_age": "300"}, id="max_age"),
        pytest.param("/both/page", {"acr_values": HIGH, "max_age": "300"}, id="both"),
    ],
)
def test_a_navigation_is_sent_for_a_stronger_login_once_and_comes_back(
    site: Site, path: str, asked: dict[str, str]
) -> None:
    weak = held_session(site)

    page = site.browser.navigate(ORIGIN + path)

    assert (page.status, page.url) == (200, ORIGIN + path)
    parameters = site.provider.requests[-1]
    assert {name: parameters.get(name) for name in ("acr_values", "max_age") if name in parameters} == asked
    strong = held_session(site)
    assert "acr_values" not in asked or strong.claims["acr"] == HIGH
    assert "max_age" not in asked or strong.claims["auth_time"] == site.provider.now
    assert strong.id != weak.id
    assert logins(site) == 2

    assert site.browser.navigate(ORIGIN + path).status == 200
    assert logins(site) == 2


def test_the_weak_session_is_gone_after_the_stronger_login(site: Site) -> None:
    """Who had a copy of the old cookie does not get the strength of the new login (session fixation)."""
    stolen = site.browser.cookies.header(f"{ORIGIN}/")
    site.browser.navigate(f"{ORIGIN}/strong/page")
    thief = site.new_browser()
    for path in ("/strong/page", "/home"):
        assert thief.get(ORIGIN + path, headers={"Cookie": stolen}).status == 401


def test_a_login_grows_old(site: Site) -> None:
    site.browser.navigate(f"{ORIGIN}/fresh/page")
    site.clock.advance(300)
    assert site.browser.fetch(f"{ORIGIN}/fresh/data").status == 200
    site.clock.advance(1)
    assert site.browser.fetch(f"{ORIGIN}/fresh/data").status == 401
    assert site.browser.navigate(f"{ORIGIN}/fresh/page").status == 200
    assert logins(site) == 3


def refuse_acr(site: Site) -> None:
    unmet = {"error": "unmet_authentication_requirements"}
    site.provider.faults = Faults(authorization_response=lambda sent: {"state": sent["state"], "iss": ISSUER, **unmet})


def ignore_acr(site: Site) -> None:
    site.provider.faults = Faults(id_token_claims=changed(acr="urn:example:low"))


def lie_about_acr(site: Site) -> None:
    site.provider.faults = Faults(id_token_claims=changed(acr=[HIGH]))


def ignore_max_age(site: Site) -> None:
    site.provider.faults = Faults(id_token_claims=changed(auth_time=site.provider.now - 3600))


def omit_auth_time(site: Site) -> None:
    site.provider.faults = Faults(id_token_claims=lambda claims: {**claims, "auth_time": None})


def promise_the_future(site: Site) -> None:
    site.provider.faults = Faults(id_token_claims=changed(auth_time=site.provider.now + 3600))


@pytest.mark.parametrize(
    ("misbehave", "path", "code"),
    [
        pytest.param(refuse_acr, "/strong/page", "op_authentication_unmet", id="acr-refused"),
        pytest.param(ignore_acr, "/strong/page", "id_token_acr_mismatch", id="acr-ignored"),
        pytest.param(lie_about_acr, "/strong/page", "id_token_acr_mismatch", id="acr-array"),
        pytest.param(ignore_max_age, "/fresh/page", "id_token_auth_time_invalid", id="max_age-ignored"),
        pytest.param(omit_auth_time, "/fresh/page", "id_token_claim_invalid", id="auth_time-null"),
        pytest.param(promise_the_future, "/fresh/page", "id_token_auth_time_invalid", id="auth_time-in-future"),
    ],
)
def test_a_provider_that_does_not_do_as_asked_ends_on_a_page_and_in_no_circle(
    site: Site, misbehave: Any, path: str, code: str
) -> None:
    misbehave(site)
    reached = len(site.received)

    page = site.browser.navigate(ORIGIN + path)

    assert (page.status, error_code(page)) == (403, code)
    assert logins(site) == 2
    assert len(site.received) == reached
    assert is_signed_in(site.browser)


def test_a_login_that_passes_by_the_leeway_and_is_too_old_for_the_rule_is_not_asked_for_again(site: Site) -> None:
    site.provider.faults = Faults(id_token_claims=changed(auth_time=site.provider.now - 330))
    page = site.browser.navigate(f"{ORIGIN}/fresh/page")
    assert (page.status, error_code(page)) == (403, "step_up_failed")
    assert logins(site) == 2
    assert is_signed_in(site.browser)


def test_a_stronger_login_that_the_user_left_may_be_asked_for_again(site: Site) -> None:
    for _ in range(3):
        page = site.browser.navigate(f"{ORIGIN}/strong/page", follow=False)
        assert (page.status, urlsplit(page.headers["Location"]).path) == (303, "/authorize")
    assert site.browser.navigate(f"{ORIGIN}/strong/page").status == 200


def test_two_tabs_ask_for_the_stronger_login_at_once(site: Site) -> None:
    redirects = [site.browser.navigate(f"{ORIGIN}/strong/{tab}", follow=False) for tab in ("a", "b")]
    pages = [site.browser.navigate(redirect.headers["Location"]) for redirect in redirects]
    assert [(page.status, page.url) for page in pages] == [(200, f"{ORIGIN}/strong/{tab}") for tab in ("a", "b")]


@pytest.mark.parametrize(
    ("path", "challenge"),
    [
        pytest.param("/strong/data", f'acr_values="{HIGH} {HIGHER}"', id="acr"),
        pytest.param("/fresh/data", 'max_age="300"', id="max_age"),
        pytest.param("/both/data", f'acr_values="{HIGH}", max_age="300"', id="both"),
        pytest.param("/api/data", f'acr_values="{HIGH}"', id="login-never"),
    ],
)
def test_a_script_is_told_what_is_missing_and_where_to_go(site: Site, path: str, challenge: str) -> None:
    reached = len(site.received)

    answer = site.browser.fetch(ORIGIN + path)

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == f'Bearer error="insufficient_user_authentication", {challenge}'
    assert answer.json()["error"] == "step_up_required"
    assert (len(site.received), logins(site)) == (reached, 1)

    page = site.browser.open_link(answer.json()["login_url"] + f"&rd={path}")

    assert (page.status, page.url) == (200, ORIGIN + path)
    assert site.browser.fetch(ORIGIN + path).status == 200
    assert logins(site) == 2


@pytest.mark.parametrize(
    "query",
    ["acr_values=urn:example:low", f"acr_values={HIGH}+urn:example:low", "max_age=1", "max_age=0", "acr_values=%00"],
)
def test_a_link_may_ask_for_what_a_rule_wants_and_for_nothing_else(site: Site, query: str) -> None:
    page = site.browser.navigate(f"{ORIGIN}/oauth2/start?rd=/home&{query}")
    assert page.status == 200
    assert not {"acr_values", "max_age"} & set(site.provider.requests[-1])


def test_a_navigation_on_a_route_that_never_redirects_is_told_the_same(site: Site) -> None:
    page = site.browser.navigate(f"{ORIGIN}/api/page")
    assert (page.status, page.json()["error"]) == (401, "step_up_required")
    assert logins(site) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_what_changes_something_is_not_redirected(site: Site, method: str) -> None:
    site.browser.navigate(f"{ORIGIN}/home")
    reached = len(site.received)
    answer = site.browser.fetch(f"{ORIGIN}/strong/form", method=method, body=b"a=b")
    assert (answer.status, answer.json()["error"]) == (401, "step_up_required")
    assert (len(site.received), logins(site)) == (reached, 1)


@pytest.mark.parametrize("named", ["/strong/page", "/fresh/page", "/STRONG/page"])
def test_forward_auth_says_no_to_a_login_that_is_too_weak(named: str) -> None:
    """A 401 would have the proxy begin the same weak login, for ever."""
    forward = {"forward_auth": {"enabled": True}, "trusted_proxies": ["127.0.0.1"]}
    with run_site({**RULES, **forward, "session": {"idle_timeout": "3h"}}) as site:
        site.provider.access_token_lifetime = 7200
        site.provider.acrs_supported = ["urn:example:low", HIGH]
        site.sign_in()
        site.clock.advance(3600)
        headers = {"X-Forwarded-Uri": named, "X-Forwarded-Method": "GET"}
        answer = site.browser.get(f"{ORIGIN}/oauth2/auth", headers=headers)
        assert (answer.status, answer.json()["error"]) == (403, "access_denied")
        site.browser.navigate(ORIGIN + named.lower())
        allowed = site.browser.get(f"{ORIGIN}/oauth2/auth", headers=headers)
        assert allowed.status == 202


def test_whoever_has_no_session_signs_in_as_strongly_as_the_rule_wants() -> None:
    with run_site(RULES) as site:
        site.provider.acrs_supported = ["urn:example:low", HIGH]
        page = site.browser.navigate(f"{ORIGIN}/strong/page")
        assert (page.status, held_session(site).claims["acr"]) == (200, HIGH)


def test_a_refresh_does_not_make_a_login_fresh(site: Site) -> None:
    """OIDC Core 12.2: its `auth_time` is that of the login, and one that says otherwise ends the session."""
    site.clock.advance(3600)
    assert site.browser.fetch(f"{ORIGIN}/home").status == 200
    assert site.provider.calls["token.refresh_token"] == 1
    assert site.browser.fetch(f"{ORIGIN}/fresh/data").status == 401
    site.provider.faults = Faults(refreshed_id_token_claims=changed(auth_time=site.provider.now))
    site.clock.advance(7200)
    assert site.browser.fetch(f"{ORIGIN}/home").status == 401
