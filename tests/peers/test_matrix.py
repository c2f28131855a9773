"""Signing in at npm's oidc-provider over real HTTP: each client authentication x each request x each response."""

from urllib.parse import parse_qs, urlsplit

import pytest
from harness import ORIGIN

from .matrix_browser import visit
from .matrix_clients import EMAIL
from .matrix_gateway import AUTH_METHODS, Matrix, MatrixSite, run_matrix_site

pytestmark = pytest.mark.real("node")

REQUESTS = {
    "query": {"client_id", "response_type", "code_challenge", "state", "redirect_uri", "nonce"},
    "pushed": {"client_id", "request_uri"},
    "signed": {"client_id", "response_type", "scope", "request"},
    "signed_pushed": {"client_id", "request_uri"},
}
"""What travels through the browser, at least where nothing is hidden and exactly where it is."""

RESPONSES = {
    "query": ("GET", {"code", "state", "iss"}),
    "form_post": ("POST", {"code", "state", "iss"}),
    "query.jwt": ("GET", {"response"}),
    "form_post.jwt": ("POST", {"response"}),
}


def matrix_cells() -> list[object]:
    """Every method with the three requests and responses, and the rest of the ways with one method."""
    full = [
        (method, via, mode)
        for method in AUTH_METHODS
        for via in ("query", "pushed", "signed")
        for mode in ("query", "form_post", "query.jwt")
    ]
    rest = [("private_key_jwt", via, "form_post.jwt") for via in REQUESTS]
    rest += [("private_key_jwt", "signed_pushed", mode) for mode in ("query", "form_post", "query.jwt")]
    return [pytest.param(*cell, id="-".join(cell)) for cell in (*full, *rest)]


@pytest.mark.parametrize(("method", "via", "mode"), matrix_cells())
def test_a_user_signs_in(matrix: Matrix, method: str, via: str, mode: str) -> None:
    provider = {**matrix.credentials(method), "authorization": {"via": via, "response_mode": mode}}
    with run_matrix_site(matrix, method, provider) as site:
        page = site.sign_in()
        assert page.text == "hello alice"
        assert claims_of(site)["email"] == EMAIL
        assert_asked_for(site, via)
        assert site.answered() == RESPONSES[mode]
        pushes = {"pushed_authorization_request": 1} if "pushed" in via else {}
        assert site.counts() == {**calls_of_a_login(), **pushes}


def test_code_id_token_comes_without_iss(matrix: Matrix) -> None:
    credentials = matrix.credentials("client_secret_post")
    provider = {**credentials, "authorization": {"response_type": "code id_token"}}
    with run_matrix_site(matrix, "hybrid", provider) as site:
        assert site.sign_in().text == "hello alice"
        assert site.answered() == ("POST", {"code", "id_token", "state"})
        assert site.counts() == calls_of_a_login()


def test_the_method_is_chosen_from_the_metadata(matrix: Matrix) -> None:
    with run_matrix_site(matrix, "private_key_jwt", {}) as site:
        assert site.sign_in().text == "hello alice"
        assert site.counts() == calls_of_a_login()


def test_a_refused_login_is_an_error_of_the_provider(matrix: Matrix) -> None:
    with run_matrix_site(matrix, "client_secret_post", matrix.credentials("client_secret_post")) as site:
        site.browser.navigate(f"{ORIGIN}/home")
        page = site.browser.submit("cancel")
        assert (page.status, site.browser.fetch(f"{ORIGIN}/home").status) == (403, 401)
        assert "token" not in site.counts()


@pytest.mark.parametrize("mode", ["query", "form_post", "query.jwt"])
def test_a_pushed_request_that_is_used_again_leads_home(matrix: Matrix, mode: str) -> None:
    # The user goes back to the provider's address: the provider has forgotten the state with the request.
    provider = {**matrix.credentials("private_key_jwt"), "authorization": {"via": "pushed", "response_mode": mode}}
    with run_matrix_site(matrix, "private_key_jwt", provider) as site:
        site.sign_in()
        used = site.authorization_url()
        again = site.browser.navigate(used)
        assert (again.status, again.url) == (200, f"{ORIGIN}/")
        site.browser.cookies.delete(ORIGIN)  # Without a session it leads to a page, and from there to a login.
        page = visit(site.browser, used)
        assert (page.status, 'href="/oauth2/start?rd=/"' in page.text) == (403, True)
        assert visit(site.browser, f"{ORIGIN}/oauth2/start?rd=/").text == "hello alice"


def calls_of_a_login() -> dict[str, int]:
    return {"authorization": 1, "token": 1, "token.authorization_code": 1, "jwks": 1, "userinfo": 1}


def claims_of(site: MatrixSite) -> dict[str, object]:
    state = site.browser.fetch(f"{ORIGIN}/oauth2/session").json()
    assert state["authenticated"] is True
    return dict(state["claims"])


def assert_asked_for(site: MatrixSite, via: str) -> None:
    names = parse_qs(urlsplit(site.authorization_url()).query).keys()
    assert names >= REQUESTS["query"] if via == "query" else names == REQUESTS[via]
