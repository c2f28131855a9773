"""Single-page apps: pages of named origins, fields that no form can send, and sign-out by a script."""

from collections.abc import Mapping
from typing import Any, Final

import pytest
from harness import CALLBACK, ISSUER, ORIGIN, SESSION, SIGN_OUT, Site, error_code, is_signed_in, merged, run_site
from peers.listener import Answer, Received, run_listener

from gateway.testing import Page

SPA: Final = "https://spa.example"
CONFIG: Final[Mapping[str, Any]] = {"cors": {"origins": [SPA]}}
OF_THE_SPA: Final = {"Origin": SPA, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
PREFLIGHT: Final = {"Origin": SPA, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-a, x-b"}


def allowed(page: Page) -> tuple[str | None, str | None]:
    return page.headers.get("Access-Control-Allow-Origin"), page.headers.get("Access-Control-Allow-Credentials")


@pytest.mark.parametrize(
    ("path", "signed_in", "status"),
    [
        pytest.param("/api/x", True, 200, id="the app's answer"),
        pytest.param("/api/x", False, 401, id="401"),
        pytest.param("/a/../b", True, 400, id="400"),
        pytest.param("/oauth2/session", True, 200, id="our own endpoint"),
        pytest.param("/oauth2/callback", True, 400, id="an error of our own endpoint"),
        pytest.param("/oauth2/nowhere", False, 401, id="no endpoint"),
    ],
)
def test_a_named_origin_may_read_every_answer(path: str, signed_in: bool, status: int) -> None:
    with run_site(CONFIG) as site:
        if signed_in:
            site.sign_in()
        page = site.browser.fetch(ORIGIN + path, headers=OF_THE_SPA)
        assert (page.status, allowed(page)) == (status, (SPA, "true"))
        assert "Origin" in page.headers.getlist("Vary")


@pytest.mark.parametrize(
    "origin",
    [
        None, "null", "*", "https://evil.example", "https://spa.example.evil.example", "https://evilspa.example",
        "http://spa.example", "https://spa.example:8443", "https://SPA.example", "https://spa.example/",
        "https://spa.example,https://evil.example", "https://spa.example https://evil.example",
    ],
)  # fmt: skip
def test_no_other_origin_may(origin: str | None) -> None:
    with run_site(CONFIG) as site:
        site.sign_in()
        headers = {} if origin is None else {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
        page = site.browser.fetch(f"{ORIGIN}/api/x", headers=headers)
        assert (page.status, allowed(page)) == (200, (None, None))
        assert "Origin" in page.headers.getlist("Vary")  # A cache must not give this answer to the named one.


def test_without_cors_nothing_is_said() -> None:
    with run_site() as site:
        site.sign_in()
        page = site.browser.fetch(f"{ORIGIN}/api/x", headers=OF_THE_SPA)
        assert allowed(page) == (None, None)
        assert "Origin" not in page.headers.getlist("Vary")


def test_the_question_before_is_answered_without_credentials_and_by_us() -> None:
    with run_site(CONFIG) as site:
        page = site.browser.fetch(f"{ORIGIN}/api/x", method="OPTIONS", headers=PREFLIGHT)
        assert (page.status, allowed(page), site.received) == (204, (SPA, "true"), [])
        assert page.headers["Access-Control-Allow-Methods"] == "PUT"
        assert page.headers["Access-Control-Allow-Headers"] == "x-a, x-b"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        pytest.param({"Origin": "https://evil.example"}, 401, id="another origin"),
        pytest.param({"Access-Control-Request-Method": None}, 401, id="no question"),
    ],
)
def test_what_is_no_such_question_is_a_request_like_others(changes: Mapping[str, str | None], status: int) -> None:
    with run_site(CONFIG) as site:
        headers = {name: value for name, value in {**PREFLIGHT, **changes}.items() if value is not None}
        page = site.browser.fetch(f"{ORIGIN}/api/x", method="OPTIONS", headers=headers)
        assert (page.status, page.headers.get("Access-Control-Allow-Methods")) == (status, None)


@pytest.mark.threads_only("llhttp refuses a control character")
def test_odd_names_are_not_echoed() -> None:
    with run_site(CONFIG) as site:
        odd = {"Access-Control-Request-Method": "P UT", "Access-Control-Request-Headers": "x-a, x b, \x7f, ,x-c"}
        page = site.browser.fetch(f"{ORIGIN}/", method="OPTIONS", headers={**PREFLIGHT, **odd})
        assert "Access-Control-Allow-Methods" not in page.headers
        assert page.headers["Access-Control-Allow-Headers"] == "x-a, x-c"


def test_what_the_app_says_of_origins_does_not_double_ours() -> None:
    def answer(_: Received) -> Answer:
        return Answer(headers={"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "false"})

    with run_listener(answer) as listener:
        routes = [{"path": "/up/**", "upstream": listener.origin, "access": "public"}]
        with run_site({**CONFIG, "routes": routes}) as site:
            page = site.browser.fetch(f"{ORIGIN}/up/x", headers=OF_THE_SPA)
            assert page.headers.getlist("Access-Control-Allow-Origin") == [SPA]
            assert page.headers.getlist("Access-Control-Allow-Credentials") == ["true"]
            for upstream in site.gateway.upstreams.values():
                upstream.close()


@pytest.mark.parametrize(
    ("origin", "status"),
    [pytest.param(SPA, 200, id="named"), pytest.param("https://evil.example", 403, id="not named")],
)
def test_pages_of_a_named_origin_may_do_what_our_own_may(origin: str, status: int) -> None:
    with run_site(CONFIG) as site:
        site.sign_in()
        headers = {**OF_THE_SPA, "Origin": origin}
        assert site.browser.fetch(f"{ORIGIN}/api/x", method="POST", headers=headers).status == status
        assert site.browser.fetch(f"{ORIGIN}/oauth2/refresh", method="POST", headers=headers).status == status
        page = site.browser.fetch(SIGN_OUT, method="POST", headers={**headers, "Accept": "application/json"})
        assert page.status == status
        assert is_signed_in(site.browser) is (status != 200)


@pytest.mark.parametrize(
    ("method", "headers", "status", "code"),
    [
        pytest.param("GET", {"X-App": "1"}, 200, "", id="there"),
        pytest.param("GET", {"X-App": ""}, 200, "", id="there, and empty"),
        pytest.param("GET", {"X_App": "1"}, 200, "", id="as the server tells it"),
        pytest.param("GET", {}, 403, "csrf_header_missing", id="missing from a safe request, too"),
        pytest.param("POST", {"Sec-Fetch-Site": "same-origin"}, 403, "csrf_header_missing", id="of our own page"),
        pytest.param("POST", {"X-App": "1", "Sec-Fetch-Site": "same-origin"}, 200, "", id="both"),
        pytest.param(
            "POST", {"X-App": "1", "Sec-Fetch-Site": "cross-site"}, 403, "cross_site_refused", id="of another"
        ),
    ],
)
def test_a_field_that_no_form_can_send(method: str, headers: dict[str, str], status: int, code: str) -> None:
    over = {"routes": [{"path": "/api/**", "csrf_header": "X-App"}, {"path": "/open/**", "access": "public"}]}
    with run_site(over) as site:
        assert site.browser.fetch(f"{ORIGIN}/api/x").status == 401
        site.sign_in()
        page = site.browser.fetch(f"{ORIGIN}/api/x", method=method, headers=headers)
        assert (page.status, "" if status == 200 else error_code(page)) == (status, code)
        assert site.browser.fetch(f"{ORIGIN}/other").status == 200


def test_401_says_by_what_it_was_decided() -> None:
    with run_site() as site:
        page = site.browser.fetch(f"{ORIGIN}/api/x")
        assert page.json()["login_url"] == f"{ORIGIN}/oauth2/start"
        assert {"Accept", "Cookie", "Sec-Fetch-Mode"} <= {name.strip() for name in page.headers["Vary"].split(",")}


def sign_out(site: Site, accept: str = "application/json") -> Page:
    headers = {"Sec-Fetch-Site": "same-origin", "Accept": accept}
    return site.browser.request("POST", SIGN_OUT, headers=headers, follow=False)


def test_a_script_signs_out_and_is_told_where_to_send_the_browser() -> None:
    with run_site() as site:
        site.sign_in()
        page = sign_out(site)
        assert page.status == 200
        assert page.json()["logout_url"].startswith(f"{ISSUER}/")
        assert not is_signed_in(site.browser)
        landed = site.browser.navigate(page.json()["logout_url"])
        assert landed.url.startswith(f"{ORIGIN}/oauth2/signed_out")
        assert site.browser.fetch(SESSION).json() == {"authenticated": False}


def test_who_is_not_signed_in_is_sent_nowhere() -> None:
    with run_site() as site:
        assert sign_out(site).json() == {"logout_url": None}


def test_where_the_provider_takes_a_form_its_fields_are_told() -> None:
    with run_site({"provider": {"logout": "form_post"}}) as site:
        site.sign_in()
        told = sign_out(site).json()
        assert "id_token_hint" in told["fields"]
        assert "id_token_hint" not in told["logout_url"]


def test_a_page_is_redirected_as_ever() -> None:
    with run_site() as site:
        site.sign_in()
        assert sign_out(site, "text/html,application/json;q=0.9").status == 303


def test_a_sign_out_takes_a_form_along_that_waited_for_a_login() -> None:
    with run_site({"routes": [{"path": "/kept", "keep_forms": True}]}) as site:
        form = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        kept = site.browser.post(f"{ORIGIN}/kept", {"a": "b"}, headers={**form, "Accept": "text/html"}, follow=False)
        assert kept.status == 401
        site.sign_in()
        assert any(name.endswith("-form") for name in site.browser.cookies.of(ORIGIN))
        sign_out(site)
        assert not any(name.endswith("-form") for name in site.browser.cookies.of(ORIGIN))


def test_origins_are_written_in_one_way() -> None:
    with run_site(merged({"cors": {"origins": ["https://SPA.example:443/"]}}, {})) as site:
        assert allowed(site.browser.fetch(CALLBACK, headers=OF_THE_SPA)) == (SPA, "true")
