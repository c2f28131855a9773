"""A login that somebody else begins: the provider's own page of apps, or any site's link (OIDC Core 4)."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from harness import ISSUER, ORIGIN, Site, error_code, held_session, run_site
from multi import EVIL, HONEST, run_two

from gateway.testing import Page

START = f"{ORIGIN}/oauth2/start"
DEEP = f"{ORIGIN}/deep/page?x=y"


@pytest.fixture
def site() -> Iterator[Site]:
    with run_site() as running:
        yield running


def start(site: Site, method: str, **parameters: str) -> Page:
    """Begin a login from a page of the provider's, by a link or by a form that it sends."""
    site.browser.navigate(f"{ISSUER}/authorize")
    if method == "GET":
        return site.browser.open_link(f"{START}?{urlencode(parameters)}")
    headers = {"Origin": ISSUER, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
    return site.browser.post(START, parameters, headers=headers)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("parameters", "landed", "user"),
    [
        pytest.param({"iss": ISSUER}, f"{ORIGIN}/", "alice", id="iss-alone"),
        pytest.param({"iss": ISSUER, "target_link_uri": DEEP}, DEEP, "alice", id="target_link_uri"),
        pytest.param({"iss": ISSUER, "login_hint": "bob"}, f"{ORIGIN}/", "bob", id="login_hint"),
        pytest.param({"iss": ISSUER, "login_hint": "bob", "target_link_uri": DEEP}, DEEP, "bob", id="all"),
        pytest.param({"iss": ISSUER, "target_link_uri": "/deep/page?x=y"}, DEEP, "alice", id="relative"),
    ],
)
def test_the_login_is_begun_at_the_provider_and_ends_where_it_said(
    site: Site, method: str, parameters: dict[str, str], landed: str, user: str
) -> None:
    page = start(site, method, **parameters)
    assert (page.status, page.url) == (200, landed)
    assert held_session(site).subject == user
    assert len(site.provider.requests) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "iss",
    [
        pytest.param(f"{ISSUER}/", id="slash"),
        pytest.param(ISSUER.upper(), id="case"),
        pytest.param(ISSUER.replace("https", "http"), id="http"),
        pytest.param(f"{ISSUER}.evil.example", id="longer"),
        pytest.param("https://evil.example", id="other"),
        pytest.param("", id="empty"),
        pytest.param(f" {ISSUER}", id="space"),
        pytest.param("x" * 1000, id="long"),
    ],
)
def test_an_issuer_that_is_not_ours_to_the_letter_begins_nothing(site: Site, method: str, iss: str) -> None:
    page = start(site, method, iss=iss, target_link_uri=DEEP)
    assert (page.status, error_code(page)) == (400, "provider_unknown")
    assert site.provider.requests == []
    assert "evil.example" not in page.text


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "https://app.example@evil.example/",
        "https://app.example.evil.example/",
        "javascript:alert(1)",
        "http://app.example/",
        "https://app.example:8443/",
        "/\tx",
    ],
)
def test_it_does_not_end_on_another_site(site: Site, method: str, target: str) -> None:
    page = start(site, method, iss=ISSUER, target_link_uri=target)
    assert (page.status, error_code(page)) == (400, "return_url_refused")
    assert site.provider.requests == []


def test_whoever_begins_it_chooses_nothing_else(site: Site) -> None:
    """Neither what is asked for nor how it is answered; what is not allowed is passed over."""
    honest = start(site, "GET", iss=ISSUER)
    assert honest.status == 200
    before = site.provider.requests[-1]
    site.restarted()
    start(
        site,
        "GET",
        iss=ISSUER,
        scope="openid admin",
        redirect_uri="https://evil.example/",
        response_mode="fragment",
        response_type="token",
        client_id="other",
        state="s" * 43,
        nonce="n" * 43,
        code_challenge="c" * 43,
        claims="{}",
        request="e30.e30.",
        request_uri="urn:x",
        acr_values="urn:low",
        prompt="none",
        max_age="1",
        dpop_jkt="x",
        resource="https://evil.example/",
    )
    after = site.provider.requests[-1]
    fresh = {"state", "nonce", "code_challenge"}
    assert {name: value for name, value in after.items() if name not in fresh} == {
        name: value for name, value in before.items() if name not in fresh
    }
    assert all(after[name] != before[name] and len(set(after[name])) > 1 for name in fresh)


@pytest.mark.parametrize("hint", ["a" * 600, "a\x00b", "a\r\nb"])
def test_a_hint_that_no_provider_could_take_is_refused(site: Site, hint: str) -> None:
    page = start(site, "GET", iss=ISSUER, login_hint=hint)
    assert (page.status, error_code(page)) == (400, "parameter_refused")


@pytest.mark.parametrize("query", [f"iss={ISSUER}&iss={ISSUER}", f"iss={ISSUER}&iss=https://evil.example"])
def test_an_issuer_named_twice_is_refused(site: Site, query: str) -> None:
    page = site.browser.navigate(f"{START}?{query}")
    assert page.status == 400
    assert site.provider.requests == []


@pytest.mark.parametrize(
    ("query", "provider"),
    [
        pytest.param(f"iss={HONEST}", "honest", id="honest"),
        pytest.param(f"iss={EVIL}", "evil", id="evil"),
        pytest.param(f"iss={HONEST}&provider=evil", "honest", id="iss-wins"),
        pytest.param(f"iss={EVIL}&provider=honest", "evil", id="iss-wins-too"),
    ],
)
def test_of_several_providers_the_one_of_that_issuer_is_asked(query: str, provider: str) -> None:
    with run_two() as two:
        page = two.browser.navigate(f"{START}?{query}&target_link_uri=/any/page")
        session = two.session()
        assert session is not None
        assert (page.status, page.url, session.provider) == (200, f"{ORIGIN}/any/page", provider)


def test_a_route_of_one_provider_is_not_opened_by_a_login_that_another_began() -> None:
    with run_two() as two:
        two.browser.navigate(f"{START}?iss={EVIL}&target_link_uri=/honest/page")
        session = two.session()
        assert session is not None
        assert (session.provider, session.subject) == ("honest", "alice")  # The route has sent it on to its own.
        two.assert_evil_got_nothing()
