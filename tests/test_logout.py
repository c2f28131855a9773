"""Signing out: here, at the provider, and nowhere that another site wants."""

from collections.abc import Callable
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from harness import (
    EVERYWHERE,
    ORIGIN,
    SESSION_COOKIE,
    SIGN_OUT,
    SIGNED_OUT,
    Site,
    error_code,
    held_session,
    is_signed_in,
    own_cookies,
    run_site,
    set_cookie_names,
    without,
)
from werkzeug import Response

from gateway.testing import Browser, Faults, Page


def post(site: Site) -> Page:
    return site.browser.fetch(SIGN_OUT, method="POST", headers={"Accept": "text/html"})


def link_on_own_site(site: Site) -> Page:
    return site.browser.navigate(SIGN_OUT, headers={"Sec-Fetch-Site": "same-origin"})


def typed_address(site: Site) -> Page:
    return site.browser.navigate(SIGN_OUT)


def link_on_another_site(site: Site) -> Page:
    page = site.browser.navigate(SIGN_OUT, headers={"Sec-Fetch-Site": "cross-site"})
    assert (page.status, page.url) == (200, SIGN_OUT)
    assert "alice@op.example" in page.text
    assert is_signed_in(site.browser)
    site.browser.navigate(SIGN_OUT, headers={"Sec-Fetch-Site": "cross-site"})
    return site.browser.submit()


@pytest.mark.parametrize(
    "sign_out",
    [
        pytest.param(post, id="form-or-script"),
        pytest.param(link_on_own_site, id="link"),
        pytest.param(typed_address, id="typed"),
        pytest.param(link_on_another_site, id="another-site-then-confirmed"),
    ],
)
@EVERYWHERE
def test_signing_out_ends_everything(site: Site, sign_out: Callable[[Site], Page]) -> None:
    site.sign_in()
    session, handle = held_session(site), site.browser.cookies.of(ORIGIN)[SESSION_COOKIE]

    page = sign_out(site)  # L1

    assert (page.status, urlsplit(page.url)._replace(query="").geturl()) == (200, SIGNED_OUT)
    assert "You are signed out" in page.text
    assert own_cookies(site.browser) == {}
    assert not site.provider.is_active(session.access_token)
    assert not site.provider.is_active(str(session.refresh_token))
    assert (site.provider.calls["revoke"], site.provider.calls["end_session"]) == (2, 1)
    assert site.provider.calls["authorize"] == 1

    thief = site.new_browser()
    thief.cookies.set(ORIGIN, SESSION_COOKIE, handle)
    assert not is_signed_in(thief)


def test_the_provider_asks_who_it_is_after_a_sign_out(site: Site) -> None:
    site.provider.sign_in_as = None
    site.browser.navigate(f"{ORIGIN}/home")
    page = site.browser.submit("alice")
    assert (page.status, page.url) == (200, f"{ORIGIN}/home")

    site.browser.navigate(SIGN_OUT)
    page = site.browser.navigate(f"{ORIGIN}/home")

    assert page.url.startswith("https://op.example/authorize")
    assert site.browser.submit("bob").url == f"{ORIGIN}/home"


def test_another_sites_form_signs_nobody_out(site: Site) -> None:
    site.sign_in()
    for headers in (
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://other.app.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ):
        page = site.browser.post(SIGN_OUT, headers=headers)
        assert (page.status, error_code(page), set_cookie_names(page)) == (403, "cross_site_refused", []), headers

    assert is_signed_in(site.browser)
    assert site.provider.calls["revoke"] == 0


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="old-browser"),
        pytest.param(
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"}, id="image"
        ),
        pytest.param({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, id="script"),
        pytest.param({"Sec-Purpose": "prefetch", "Sec-Fetch-Site": "none"}, id="prefetch"),
        pytest.param(
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"}, id="iframe"
        ),
    ],
)
def test_a_get_that_no_user_wished_for_only_asks(site: Site, headers: dict[str, str]) -> None:
    site.sign_in()
    page = site.browser.get(SIGN_OUT, headers={"Accept": "text/html", **headers})

    assert "Do you want to sign out?" in page.text
    assert page.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert is_signed_in(site.browser)


def test_the_deletion_has_the_attributes_of_the_cookie(site: Site) -> None:
    site.sign_in()
    made = _lines(site.browser, SESSION_COOKIE)
    site.browser.history.clear()
    site.browser.navigate(SIGN_OUT)

    assert [_attributes(line) for line in _lines(site.browser, SESSION_COOKIE)] == [
        ["Max-Age=0", *_attributes(made[0])]
    ]


def _down(site: Site) -> None:
    site.provider.down = True


def _refusing(site: Site) -> None:
    site.provider.faults = Faults(response=lambda name, real: Response(status=500) if name == "revoke" else real)


@pytest.mark.parametrize("fail", [pytest.param(_down, id="down"), pytest.param(_refusing, id="no-revocation")])
def test_a_failing_provider_stops_no_sign_out(site: Site, fail: Callable[[Site], None]) -> None:
    site.sign_in()
    handle = site.browser.cookies.of(ORIGIN)[SESSION_COOKIE]
    fail(site)
    page = site.browser.navigate(SIGN_OUT, follow=False)

    assert page.status == 303
    assert SESSION_COOKIE not in site.browser.cookies.of(ORIGIN)
    thief = site.new_browser()
    thief.cookies.set(ORIGIN, SESSION_COOKIE, handle)
    assert not is_signed_in(thief)


def test_a_provider_without_a_logout_of_its_own(site: Site) -> None:
    site.provider.faults = Faults(discovery=without("end_session_endpoint", "revocation_endpoint"))
    site.sign_in()
    page = site.browser.navigate(f"{SIGN_OUT}?rd=/goodbye", follow=False)

    assert (page.status, page.headers["Location"]) == (303, "/goodbye")
    assert not is_signed_in(site.browser)


def test_what_the_provider_is_told(site: Site) -> None:
    site.sign_in()
    id_token = held_session(site).id_token
    page = site.browser.navigate(SIGN_OUT, follow=False)
    asked = parse_qs(urlsplit(page.headers["Location"]).query)

    assert page.headers["Location"].startswith("https://op.example/end_session?")
    assert asked["id_token_hint"] == [id_token]
    assert asked["post_logout_redirect_uri"] == [SIGNED_OUT]
    assert asked["client_id"] == ["app %&+"]
    assert len(asked["state"][0]) == 43


@pytest.mark.parametrize(
    ("rd", "lands_on"),
    [
        pytest.param("/public/bye?x=1", "/public/bye?x=1", id="path"),
        pytest.param(f"{ORIGIN}/public/bye", "/public/bye", id="own-origin"),
    ],
)
def test_a_sign_out_ends_where_rd_says(rd: str, lands_on: str) -> None:
    with run_site({"routes": [{"path": "/public/**", "access": "public"}]}) as site:
        site.sign_in()
        page = site.browser.navigate(f"{SIGN_OUT}?rd={quote(rd, safe='')}")

        assert (page.status, page.url) == (200, ORIGIN + lands_on)
        assert own_cookies(site.browser) == {}


def test_a_confirmed_sign_out_keeps_its_rd() -> None:
    with run_site({"routes": [{"path": "/public/**", "access": "public"}]}) as site:
        site.sign_in()
        site.browser.navigate(f"{SIGN_OUT}?rd=/public/bye", headers={"Sec-Fetch-Site": "cross-site"})

        assert site.browser.submit().url == f"{ORIGIN}/public/bye"


@pytest.mark.parametrize(
    "rd",
    [
        pytest.param("https://evil.example/", id="other-site"),
        pytest.param("//evil.example/", id="no-scheme"),
        pytest.param("/\\evil.example", id="backslash"),
        pytest.param("javascript:alert(1)", id="javascript"),
    ],
)
@pytest.mark.parametrize("signed_in", [pytest.param(True, id="signed-in"), pytest.param(False, id="signed-out")])
def test_an_rd_of_another_site_is_refused(site: Site, rd: str, signed_in: bool) -> None:
    if signed_in:
        site.sign_in()
    page = site.browser.navigate(f"{SIGN_OUT}?rd={quote(rd, safe='')}")

    assert (page.status, error_code(page)) == (400, "return_url_refused")
    assert is_signed_in(site.browser) is signed_in


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: {"state": "a-random-state"}, id="L2-other-state"),
        pytest.param(lambda _: {}, id="L3-no-state"),
    ],
)
def test_a_return_without_our_state_is_not_followed(change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    with run_site({"routes": [{"path": "/public/**", "access": "public"}]}) as site:
        site.sign_in()
        site.provider.faults = Faults(end_session=change)
        page = site.browser.navigate(f"{SIGN_OUT}?rd=/public/bye")

        assert (page.status, urlsplit(page.url).path) == (200, "/oauth2/signed_out")
        assert not is_signed_in(site.browser)


def test_another_browsers_return_from_the_provider_leads_nowhere() -> None:
    with run_site({"routes": [{"path": "/public/**", "access": "public"}]}) as site:
        site.sign_in()
        to_provider = site.browser.navigate(f"{SIGN_OUT}?rd=/public/bye", follow=False).headers["Location"]
        back = site.browser.navigate(to_provider, follow=False).headers["Location"]
        page = site.new_browser().navigate(back, follow=False)

        assert (page.status, page.headers.get("Location")) == (200, None)


def test_signing_out_twice_or_without_a_session_is_no_error(site: Site) -> None:
    for _ in range(2):
        page = site.browser.navigate(SIGN_OUT)
        assert (page.status, page.url) == (200, SIGNED_OUT)
    assert site.provider.calls == {}


def test_signing_out_ends_this_session_and_no_other_one(site: Site) -> None:
    site.sign_in()
    other = site.new_browser()
    assert other.navigate(f"{ORIGIN}/home").status == 200
    site.browser.navigate(SIGN_OUT)

    assert not is_signed_in(site.browser)
    assert is_signed_in(other)


def _lines(browser: Browser, name: str) -> list[str]:
    lines = [line for page in browser.history for line in page.headers.getlist("Set-Cookie")]
    return [line for line in lines if line.startswith(f"{name}=")]


def _attributes(line: str) -> list[str]:
    return [part.strip() for part in line.split(";")[1:]]


def test_a_local_sign_out_leaves_the_providers_session_alone(site: Site) -> None:
    site.sign_in()
    session = held_session(site)
    page = site.browser.navigate(f"{SIGN_OUT}?local=true")
    assert (page.status, page.url) == (200, SIGNED_OUT)
    assert not is_signed_in(site.browser)
    assert not site.provider.is_active(session.access_token)
    assert site.provider.calls["end_session"] == 0


@pytest.mark.parametrize("local", ["false", "1", "", "True"])
def test_a_local_sign_out_is_asked_for_in_one_word(site: Site, local: str) -> None:
    site.sign_in()
    page = site.browser.navigate(f"{SIGN_OUT}?local={local}")
    assert (page.status, error_code(page)) == (400, "parameter_refused")
    assert is_signed_in(site.browser)


def test_a_confirmed_sign_out_stays_a_local_one(site: Site) -> None:
    site.sign_in()
    page = site.browser.navigate(f"{SIGN_OUT}?local=true", headers={"Sec-Fetch-Site": "cross-site"})
    assert "ends your session here." in page.text
    assert site.browser.submit().url == SIGNED_OUT
    assert (is_signed_in(site.browser), site.provider.calls["end_session"]) == (False, 0)


def test_a_sign_out_can_be_configured_to_be_local() -> None:
    with run_site({"provider": {"logout": "local"}}) as site:
        site.sign_in()
        assert site.browser.navigate(SIGN_OUT).url == SIGNED_OUT
        assert (is_signed_in(site.browser), site.provider.calls["end_session"]) == (False, 0)


def test_a_form_takes_the_id_token_to_the_provider_and_no_address_does() -> None:
    with run_site({"provider": {"logout": "form_post"}}) as site:
        site.sign_in()
        hint = str(held_session(site).id_token)
        page = site.browser.navigate(SIGN_OUT)
        assert (page.status, page.url) == (200, SIGN_OUT)
        assert not is_signed_in(site.browser)
        assert "form-action 'self' https:;" in page.headers["Content-Security-Policy"]
        site.browser.navigate(SIGN_OUT)
        site.restarted().sign_in()
        site.browser.navigate(SIGN_OUT)
        landed = site.browser.submit()
        assert (landed.status, landed.url.partition("?")[0]) == (200, SIGNED_OUT)
        assert site.provider.calls["end_session"] == 1
        assert not any(hint in seen.url for seen in site.browser.history)
