"""Logins that a third party begins (OIDC Core 4): the module of that name, and what it leaves open."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from conformance.cases import covers
from conformance.judge import sign_in
from harness import ISSUER, ORIGIN, Site, error_code, is_signed_in, logged_codes

from gateway.testing import Page

INITIATE = f"{ORIGIN}/oauth2/start"


def _begin(site: Site, method: str, follow: bool = True, **parameters: str) -> Page:
    if method == "POST":
        return site.browser.post(INITIATE, parameters, follow=follow)
    return site.browser.navigate(f"{INITIATE}?{urlencode(parameters)}", follow=follow)


METHODS = pytest.mark.parametrize("method", ["GET", "POST"])


@covers("T1", verdict="OK")
@METHODS
def test_a_login_that_the_provider_begins_completes(site: Site, method: str) -> None:
    assert site.provider.calls["authorize"] == 0
    page = _begin(site, method, iss=ISSUER, target_link_uri=f"{ORIGIN}/deep?x=1")

    assert (page.status, page.url, page.text) == (200, f"{ORIGIN}/deep?x=1", "hello alice")
    assert (site.provider.calls["authorize"], site.provider.calls["userinfo"]) == (1, 1)


@METHODS
@pytest.mark.parametrize(
    "issuer",
    [
        pytest.param("https://evil.example", id="unknown"),
        pytest.param(f"{ISSUER}/", id="slash"),
        pytest.param(ISSUER.upper(), id="case"),
        pytest.param(f"{ISSUER}:443", id="port"),
        pytest.param("", id="empty"),
    ],
)
def test_an_issuer_that_is_not_ours_to_the_letter_begins_nothing(
    site: Site, caplog: pytest.LogCaptureFixture, method: str, issuer: str
) -> None:
    sign_in(site)
    asked = dict(site.provider.calls)
    logged_codes(caplog)
    page = _begin(site.restarted(), method, iss=issuer)

    assert page.status == 400
    assert logged_codes(caplog) == ["provider_unknown"]
    assert dict(site.provider.calls) == asked
    assert "Set-Cookie" not in page.headers
    assert not is_signed_in(site.browser)


@METHODS
@pytest.mark.parametrize(
    "target",
    [
        pytest.param("https://evil.example/", id="external"),
        pytest.param("//evil.example/", id="scheme-relative"),
        pytest.param("/\\evil.example/", id="backslash"),
        pytest.param("\\\\evil.example/", id="two-backslashes"),
        pytest.param("javascript:alert(1)", id="javascript"),
        pytest.param("data:text/html,x", id="data"),
        pytest.param(f"{ORIGIN}.evil.example/", id="prefix"),
        pytest.param(f"{ORIGIN}@evil.example/", id="userinfo"),
        pytest.param("https:///evil.example/", id="three-slashes"),
        pytest.param("/a\r\nSet-Cookie: x=y", id="line-break"),
    ],
)
def test_a_target_of_another_site_is_not_followed(
    site: Site, caplog: pytest.LogCaptureFixture, method: str, target: str
) -> None:
    page = _begin(site, method, iss=ISSUER, target_link_uri=target)

    assert page.status == 400
    assert logged_codes(caplog) == ["return_url_refused"]
    assert (site.provider.calls["authorize"], site.received) == (0, [])


@METHODS
def test_the_login_hint_is_passed_on_and_what_is_unknown_is_not(site: Site, method: str) -> None:
    redirect = _begin(
        site,
        method,
        follow=False,
        iss=ISSUER,
        login_hint="bob",
        x_unknown="1",
        scope="admin",
        redirect_uri="https://evil.example/",
        state="fixed",
        nonce="fixed",
        id_token_hint="x",
        request="x",
    )
    if method == "POST":  # Another site's form brings no cookies of ours; the same address by GET does.
        assert redirect.headers["Location"].startswith("/oauth2/start?")
        redirect = site.browser.open_link(ORIGIN + redirect.headers["Location"], follow=False)
    asked = dict(parse_qsl(urlsplit(redirect.headers["Location"]).query))

    assert redirect.status == 303
    assert asked["login_hint"] == "bob"
    assert not {"x_unknown", "request", "id_token_hint", "iss", "target_link_uri"} & set(asked)
    assert "admin" not in asked["scope"]
    assert "evil" not in asked["redirect_uri"]
    assert "fixed" not in (asked["state"], asked["nonce"])


@METHODS
def test_a_parameter_that_is_doubled_begins_nothing(site: Site, method: str) -> None:
    doubled = f"iss={quote(ISSUER, safe='')}&iss=https%3A%2F%2Fevil.example"
    if method == "POST":
        form = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
        page = site.browser.post(INITIATE, doubled.encode(), headers=form)
    else:
        page = site.browser.navigate(f"{INITIATE}?{doubled}")

    assert (page.status, error_code(page)) == (400, "parameter_refused")
    assert site.provider.calls["authorize"] == 0


def test_the_page_for_a_refused_login_cannot_be_framed(site: Site) -> None:
    page = site.browser.navigate(f"{INITIATE}?iss=https%3A%2F%2Fevil.example")

    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Frame-Options"] == "DENY"


def test_a_login_begun_within_a_frame_of_another_site_leaves_no_session(site: Site) -> None:
    site.browser.navigate(f"{ISSUER}/.well-known/openid-configuration")
    page = site.browser.frame(f"{INITIATE}?iss={quote(ISSUER, safe='')}")

    assert page.status in (400, 403)
    assert site.received == []
    assert not is_signed_in(site.browser)
