"""Signing in: from a protected page to the provider and back, in every combination of app and store."""

import re
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from harness import (
    CALLBACK,
    EVERYWHERE,
    ORIGIN,
    SESSION,
    SESSION_COOKIE,
    TRANSACTION_PREFIX,
    Site,
    error_code,
    is_signed_in,
    run_site,
    set_cookie_names,
)


@EVERYWHERE
def test_a_navigation_signs_in_and_arrives_where_it_was_going(site: Site) -> None:
    page = site.browser.navigate(f"{ORIGIN}/reports/2026?page=2&q=a%2Fb%20c")

    assert (page.status, page.url) == (200, f"{ORIGIN}/reports/2026?page=2&q=a%2Fb%20c")
    assert page.text.startswith("hello")
    assert [(one.method, one.path, one.query) for one in site.received] == [
        ("GET", "/reports/2026", "page=2&q=a%2Fb%20c")
    ]
    assert site.provider.calls == {
        "discovery": 1, "authorize": 1, "token.authorization_code": 1, "jwks": 1, "userinfo": 1,
    }  # fmt: skip
    assert site.provider.unknown_paths == []


@EVERYWHERE
def test_the_browser_keeps_one_opaque_cookie_for_long_and_the_app_sees_none_of_ours(site: Site) -> None:
    site.browser.cookies.set(ORIGIN, "flavour", "dark")
    page = site.sign_in()

    assert set(site.browser.cookies.of(ORIGIN)) - {"flavour"} == {SESSION_COOKIE, f"{SESSION_COOKIE}-landing"}
    site.clock.advance(60)
    assert set(site.browser.cookies.of(ORIGIN)) - {"flavour"} == {SESSION_COOKIE}
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", site.browser.cookies.of(ORIGIN)[SESSION_COOKIE])
    assert SESSION_COOKIE not in set_cookie_names(page)
    assert site.received[-1].headers["cookie"] == "flavour=dark"


@EVERYWHERE
def test_one_session_serves_many_requests_without_asking_the_provider_again(site: Site) -> None:
    site.sign_in()
    asked = site.provider.calls.total()

    pages = [site.browser.fetch(f"{ORIGIN}/data/{number}") for number in range(3)]
    posted = site.browser.fetch(f"{ORIGIN}/data", method="POST", body=b"x=1")

    assert [page.status for page in (*pages, posted)] == [200] * 4
    assert (site.received[-1].method, site.received[-1].body) == ("POST", b"x=1")
    assert site.provider.calls.total() == asked


@EVERYWHERE
def test_another_browser_is_nobody_and_reaches_nothing(site: Site) -> None:
    site.sign_in()
    reached = len(site.received)

    page = site.new_browser().fetch(f"{ORIGIN}/home")

    assert (page.status, error_code(page)) == (401, "login_required")
    assert len(site.received) == reached


@EVERYWHERE
def test_each_login_gives_a_new_handle_and_ends_the_session_before_it(site: Site) -> None:
    site.sign_in()
    fixed = site.browser.cookies.of(ORIGIN)[SESSION_COOKIE]

    site.browser.navigate(f"{ORIGIN}/oauth2/start?rd=/again")

    assert site.browser.cookies.of(ORIGIN)[SESSION_COOKIE] != fixed
    attacker = site.new_browser()
    attacker.cookies.set(ORIGIN, SESSION_COOKIE, fixed)
    assert not is_signed_in(attacker)
    assert is_signed_in(site.browser)


def test_a_handle_planted_before_the_login_is_not_the_one_after_it(site: Site) -> None:
    planted = "A" * 43
    site.browser.cookies.set(ORIGIN, SESSION_COOKIE, planted)
    site.sign_in()

    assert site.browser.cookies.of(ORIGIN)[SESSION_COOKIE] != planted
    thief = site.new_browser()
    thief.cookies.set(ORIGIN, SESSION_COOKIE, planted)
    assert not is_signed_in(thief)


def test_the_authorization_request_asks_for_what_protects_the_flow(site: Site) -> None:
    redirect = site.browser.navigate(f"{ORIGIN}/home", follow=False)
    asked = parse_qs(urlsplit(redirect.headers["Location"]).query)

    assert redirect.status == 303
    assert redirect.headers["Cache-Control"] == "no-store"
    assert {name: asked[name] for name in ("response_type", "client_id", "redirect_uri", "code_challenge_method")} == {
        "response_type": ["code"],
        "client_id": ["app %&+"],
        "redirect_uri": [CALLBACK],
        "code_challenge_method": ["S256"],
    }
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", asked[name][0]) for name in ("state", "nonce", "code_challenge"))


def test_every_login_has_secrets_of_its_own(site: Site) -> None:
    requests = [
        parse_qs(urlsplit(site.browser.navigate(f"{ORIGIN}/home", follow=False).headers["Location"]).query)
        for _ in range(3)
    ]

    assert all(len({asked[name][0] for asked in requests}) == 3 for name in ("state", "nonce", "code_challenge"))


def test_our_cookies_are_for_this_host_and_for_https_alone(site: Site) -> None:
    site.sign_in()
    lines = [line for page in site.browser.history for line in page.headers.getlist("Set-Cookie")]
    ours = [line for line in lines if line.startswith("__Host-")]

    assert len(ours) == 4  # The transaction, its deletion, the session, and for a minute that it was made.
    assert all(line.endswith("; Path=/; HttpOnly; SameSite=Lax; Secure") for line in ours)
    assert not any("Domain" in line for line in ours)


_FETCH = {"Accept": "*/*", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
_NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        pytest.param("GET", _FETCH, id="fetch"),
        pytest.param("GET", {"Accept": "text/html", "X-Requested-With": "XMLHttpRequest"}, id="xhr"),
        pytest.param("GET", {"Accept": "application/json"}, id="api-client"),
        pytest.param("GET", {}, id="no-headers"),
        pytest.param("POST", {**_NAVIGATION, "Sec-Fetch-Site": "same-origin"}, id="form"),
        pytest.param("POST", {"Accept": "text/html"}, id="form-of-an-old-browser"),
        pytest.param("HEAD", {"Accept": "text/html"}, id="head"),
        pytest.param("OPTIONS", {"Accept": "*/*"}, id="preflight"),
        pytest.param(
            "GET",
            {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Fetch-Mode": "websocket"},
            id="websocket",
        ),
        pytest.param("GET", {**_NAVIGATION, "Sec-Purpose": "prefetch;prerender"}, id="prefetch"),
        pytest.param("GET", {**_NAVIGATION, "Sec-Fetch-Dest": "iframe"}, id="iframe"),
        pytest.param("GET", {"Accept": "image/*", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, id="image"),
    ],
)
def test_what_is_no_navigation_gets_401_and_no_cookie(site: Site, method: str, headers: dict[str, str]) -> None:
    page = site.browser.request(method, f"{ORIGIN}/home", headers=headers, follow=False)

    assert page.status == 401
    assert page.headers["WWW-Authenticate"] == 'Cookie realm="gateway"'
    assert page.headers["Cache-Control"] == "no-store"
    assert set_cookie_names(page) == []
    assert site.received == []
    assert site.provider.calls == {}
    if method != "HEAD":
        assert page.json() == {
            "error": "login_required", "message": "Please sign in", "login_url": f"{ORIGIN}/oauth2/start",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("rd", "lands_on"),
    [
        pytest.param("/deep/path?x=1&y=%2F", "/deep/path?x=1&y=%2F", id="path-and-query"),
        pytest.param("/page#section-2", "/page#section-2", id="fragment"),
        pytest.param(f"{ORIGIN}/absolute?a=b", "/absolute?a=b", id="own-origin"),
        pytest.param("", "/", id="empty"),
        pytest.param(None, "/", id="absent"),
        pytest.param("/oauth2/sign_out", "/", id="own-sign-out"),
        pytest.param("/oauth2/callback?code=1&state=2", "/", id="own-callback"),
        pytest.param("/%6fauth2/start", "/", id="own-start-encoded"),
        pytest.param("/oauth2extra", "/oauth2extra", id="only-looks-like-ours"),
        pytest.param("/long?" + "x" * 1900, "/long?" + "x" * 1900, id="long"),
        pytest.param("/long?" + "x" * 3000, "/long", id="too-long-a-query-is-cut"),
        pytest.param("/" + "x" * 3000, "/", id="too-long-a-path-is-home"),
    ],
)
def test_a_login_lands_where_rd_says(site: Site, rd: str | None, lands_on: str) -> None:
    query = "" if rd is None else f"?rd={quote(rd, safe='')}"
    page = site.browser.navigate(f"{ORIGIN}/oauth2/start{query}")

    assert (page.status, page.url) == (200, ORIGIN + lands_on)


@pytest.mark.parametrize(
    "rd",
    [
        pytest.param("https://evil.example/", id="other-site"),
        pytest.param("//evil.example/", id="no-scheme"),
        pytest.param("///evil.example/", id="three-slashes"),
        pytest.param("/\\evil.example/", id="backslash"),
        pytest.param("https:evil.example", id="scheme-without-host"),
        pytest.param("javascript:alert(1)", id="javascript"),
        pytest.param("https://app.example@evil.example/", id="userinfo"),
        pytest.param("https://app.example.evil.example/", id="suffix"),
        pytest.param("http://app.example/", id="http"),
        pytest.param("https://app.example:8443/", id="other-port"),
        pytest.param("/a/../../b", id="dot-segments"),
        pytest.param("/%2e%2e/b", id="encoded-dot-segments"),
        pytest.param("/a\r\nSet-Cookie: x=1", id="line-break"),
        pytest.param("/a\tb", id="tab"),
        pytest.param("/pfad/ü", id="not-ascii"),
        pytest.param("relative", id="relative"),
    ],
)
def test_an_rd_of_another_site_is_refused(site: Site, rd: str) -> None:
    page = site.browser.navigate(f"{ORIGIN}/oauth2/start?rd={quote(rd, safe='')}")

    assert (page.status, error_code(page)) == (400, "return_url_refused")
    assert set_cookie_names(page) == []
    assert site.provider.calls == {}


def test_the_page_that_keeps_the_fragment_leads_into_a_login_that_keeps_it() -> None:
    with run_site({"keep_fragment": True}) as site:
        page = site.browser.navigate(f"{ORIGIN}/app?tab=1")
        assert (page.status, set_cookie_names(page), site.received) == (200, [], [])
        assert 'data-start="/oauth2/start" data-target="/app?tab=1"' in page.text
        nonce = re.search(r'<script nonce="([^"]+)"', page.text)
        assert nonce is not None
        assert f"script-src 'nonce-{nonce[1]}'" in page.headers["Content-Security-Policy"]

        landed = site.browser.navigate(f"{ORIGIN}/oauth2/start?rd={quote('/app?tab=1#part', safe='')}")
        assert (landed.status, landed.url) == (200, f"{ORIGIN}/app?tab=1#part")


def test_the_page_that_keeps_the_fragment_quotes_a_hostile_address() -> None:
    with run_site({"keep_fragment": True}) as site:
        page = site.browser.navigate(f"{ORIGIN}/app?x='\"><script>alert(1)</script>")

        assert "<script>alert" not in page.text


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        pytest.param("login_hint=bob&ui_locales=de", {"login_hint": "bob", "ui_locales": "de"}, id="allowed"),
        pytest.param("prompt=none&acr_values=high", {}, id="not-allowed-by-default"),
        pytest.param("redirect_uri=https://evil.example/&state=x&nonce=y&scope=openid", {}, id="protects-the-flow"),
    ],
)
def test_a_link_sets_only_the_parameters_that_it_may(site: Site, query: str, asked: dict[str, str]) -> None:
    redirect = site.browser.navigate(f"{ORIGIN}/oauth2/start?{query}", follow=False)
    sent = dict(parse_qs(urlsplit(redirect.headers["Location"]).query))

    assert {name: sent[name] for name in ("login_hint", "ui_locales", "prompt", "acr_values") if name in sent} == {
        name: [value] for name, value in asked.items()
    }
    assert sent["redirect_uri"] == [CALLBACK]
    assert "offline_access" in sent["scope"][0]


def test_whom_the_login_hint_names_is_who_the_page_sees(site: Site) -> None:
    site.browser.navigate(f"{ORIGIN}/oauth2/start?login_hint=bob")

    assert site.browser.fetch(SESSION).json()["claims"]["email"] == "bob@op.example"


def test_at_most_five_logins_wait_and_the_oldest_gives_way(site: Site) -> None:
    names: list[str] = []
    for number in range(6):
        site.clock.advance(1)
        redirect = site.browser.navigate(f"{ORIGIN}/tab/{number}", follow=False)
        names += [name for name in set_cookie_names(redirect) if name not in names]

    waiting = {name for name in site.browser.cookies.of(ORIGIN) if name.startswith(TRANSACTION_PREFIX)}
    assert waiting == set(names[1:])
