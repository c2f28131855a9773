"""Our own endpoints: what pages and monitors are told, and what no endpoint does."""

import pytest
from harness import ALICE, ISSUER, ORIGIN, SESSION, SIGN_OUT, Site, error_code, is_signed_in, run_site, set_cookie_names

from gateway.testing import Faults

USERINFO = f"{ORIGIN}/oauth2/userinfo"
REFRESH = f"{ORIGIN}/oauth2/refresh"


def test_userinfo_tells_who_is_signed_in(site: Site) -> None:
    site.sign_in()

    assert site.browser.fetch(USERINFO).json() == {
        "user": "alice", "email": ALICE["email"], "groups": ALICE["groups"], "name": ALICE["name"],
    }  # fmt: skip


def test_the_session_endpoint_tells_how_the_session_stands(site: Site) -> None:
    assert site.browser.fetch(SESSION).json() == {"authenticated": False}
    site.sign_in()
    site.clock.advance(30)
    answer = site.browser.fetch(SESSION).json()

    assert (answer["authenticated"], answer["expires_in"], answer["logout_url"]) == (True, 1770, SIGN_OUT)
    assert (answer["claims"]["sub"], answer["claims"]["iss"]) == ("alice", ISSUER)
    assert not {"nonce", "at_hash", "sid"} & set(answer["claims"])


def test_no_endpoint_ever_shows_a_token(site: Site) -> None:
    issued: list[str] = []

    def note(status: int, members: dict[str, object]) -> tuple[int, dict[str, object]]:
        issued.extend(str(members[name]) for name in ("access_token", "refresh_token", "id_token"))
        return status, members

    site.provider.faults = Faults(token_response=note)
    site.sign_in()
    pages = [site.browser.fetch(url) for url in (SESSION, USERINFO)]
    pages.append(site.browser.fetch(REFRESH, method="POST"))

    assert [page.status for page in pages] == [200] * 3
    assert len(issued) == 6
    assert not any(token in page.text for token in issued for page in pages)


def test_refreshing_now(site: Site) -> None:
    site.sign_in()
    page = site.browser.fetch(REFRESH, method="POST")

    assert (page.status, page.json()["authenticated"]) == (200, True)
    assert site.provider.calls["token.refresh_token"] == 1


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, id="cross-site"),
        pytest.param({"Origin": "https://evil.example"}, id="origin"),
        pytest.param({}, id="no-proof"),
    ],
)
def test_another_sites_page_cannot_refresh(site: Site, headers: dict[str, str]) -> None:
    site.sign_in()
    page = site.browser.post(REFRESH, headers=headers)

    assert (page.status, error_code(page)) == (403, "cross_site_refused")
    assert site.provider.calls["token.refresh_token"] == 0


def test_a_refresh_that_is_refused_ends_the_session(site: Site) -> None:
    site.sign_in()
    site.provider.faults = Faults(token_response=lambda _, __: (400, {"error": "invalid_grant"}))

    assert site.browser.fetch(REFRESH, method="POST").status == 401
    assert not is_signed_in(site.browser)


@pytest.mark.parametrize("url", [pytest.param(USERINFO, id="userinfo"), pytest.param(REFRESH, id="refresh")])
def test_without_a_session_it_is_401_and_sets_nothing(site: Site, url: str) -> None:
    page = site.browser.fetch(url, method="POST" if url == REFRESH else "GET")

    assert (page.status, error_code(page), set_cookie_names(page)) == (401, "login_required", [])
    assert site.provider.calls == {}


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        pytest.param("PUT", "/oauth2/start", "GET, POST", id="start"),
        pytest.param("PUT", "/oauth2/callback", "GET", id="callback"),
        pytest.param("DELETE", "/oauth2/sign_out", "GET, POST", id="sign-out"),
        pytest.param("POST", "/oauth2/session", "GET, HEAD", id="session"),
        pytest.param("GET", "/oauth2/refresh", "POST", id="refresh"),
        pytest.param("POST", "/oauth2/auth", "GET, HEAD", id="auth"),
        pytest.param("POST", "/ping", "GET, HEAD", id="ping"),
    ],
)
def test_a_method_that_an_endpoint_does_not_answer(site: Site, method: str, path: str, allow: str) -> None:
    page = site.browser.fetch(ORIGIN + path, method=method)

    assert (page.status, error_code(page), page.headers["Allow"]) == (405, "method_refused", allow)
    assert site.received == []


@pytest.mark.parametrize(
    "method", ["TRACE", "CONNECT", pytest.param("TRACK", marks=pytest.mark.threads_only("llhttp knows no such method"))]
)
def test_methods_that_nobody_answers(site: Site, method: str) -> None:
    site.sign_in()
    page = site.browser.fetch(f"{ORIGIN}/home", method=method)

    assert (page.status, error_code(page), len(site.received)) == (405, "method_refused", 1)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/oauth2", id="prefix"),
        pytest.param("/oauth2/", id="prefix-and-slash"),
        pytest.param("/oauth2/unknown", id="unknown"),
        pytest.param("/oauth2/auth/more", id="below-an-endpoint"),
        pytest.param("/ping/", id="slash-at-the-end"),
    ],
)
def test_endpoints_are_exact_paths_and_what_is_beside_them_is_protected(site: Site, path: str) -> None:
    assert site.browser.fetch(ORIGIN + path).status == 401
    assert site.received == []


def test_an_encoded_endpoint_is_that_endpoint(site: Site) -> None:
    assert site.browser.fetch(f"{ORIGIN}/%70ing").text == "OK"


def test_a_parameter_twice_is_refused(site: Site) -> None:
    for path in ("/oauth2/start?rd=/a&rd=/b", "/oauth2/sign_out?rd=/a&rd=/b"):
        page = site.browser.navigate(ORIGIN + path)
        assert (page.status, error_code(page)) == (400, "parameter_refused"), path


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        pytest.param(b'{"rd":"/"}', "application/json", id="json"),
        pytest.param(b"rd=/&rd=/a", "application/x-www-form-urlencoded", id="twice"),
        pytest.param(b"rd=" + b"x" * 70_000, "application/x-www-form-urlencoded", id="too-large"),
    ],
)
def test_a_form_that_is_none_signs_nobody_out(site: Site, body: bytes, media_type: str) -> None:
    site.sign_in()
    page = site.browser.fetch(SIGN_OUT, method="POST", body=body, headers={"Content-Type": media_type})

    assert (page.status, error_code(page)) == (400, "parameter_refused")
    assert is_signed_in(site.browser)


@pytest.mark.parametrize(
    "path", ["/oauth2/session", "/oauth2/userinfo", "/ping", "/oauth2/signed_out", "/oauth2/start?rd=x", "/home"]
)
def test_every_answer_of_ours_is_private_and_unframed(site: Site, path: str) -> None:
    page = site.browser.navigate(ORIGIN + path, follow=False)

    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["X-Frame-Options"] == "DENY"


def test_the_landing_page_after_a_sign_out_signs_nobody_in(site: Site) -> None:
    page = site.browser.navigate(f"{ORIGIN}/oauth2/signed_out")

    assert (page.status, set_cookie_names(page)) == (200, [])
    assert 'href="/oauth2/start?rd=/"' in page.text
    assert site.provider.calls == {}


def test_endpoints_move_with_their_prefix() -> None:
    with run_site({"prefix": "/auth"}) as site:
        assert site.browser.fetch(f"{ORIGIN}/auth/session").json() == {"authenticated": False}
        assert site.browser.fetch(SESSION).status == 401
