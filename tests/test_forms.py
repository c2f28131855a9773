"""A form that meets no session: never redirected, and where a rule asks for it, offered again after the login."""

import html
import re
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

import pytest
from harness import ORIGIN, SESSION_COOKIE, Site, error_code, run_site

from gateway.testing import Page

ROUTES: Final[list[dict[str, Any]]] = [{"path": "/kept/**", "keep_forms": True}]
FORM: Final = {"text": 'two\r\nlines & <b>"bold"</b> é', "empty": "", "n": "1"}
TYPE: Final = "application/x-www-form-urlencoded"
AGAIN: Final = f"{ORIGIN}/oauth2/form"
SUBMITTED: Final = {
    "Content-Type": TYPE, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document",
    "Accept": "text/html",
}  # fmt: skip


def submit(site: Site, *, path: str = "/kept/a?b=c", body: bytes = b"", **headers: str | None) -> Page:
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    fields = {name: value for name, value in {**SUBMITTED, **changed}.items() if value is not None}
    return site.browser.post(ORIGIN + path, body or urlencode(FORM).encode(), headers=fields, follow=False)


def fields_of(page: Page) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.text)
    return {html.unescape(name): html.unescape(value) for name, value in found}


def test_a_form_is_offered_again_after_the_login() -> None:
    with run_site({"routes": ROUTES}) as site:
        page = submit(site)
        assert (page.status, site.received) == (401, [])
        assert page.headers.getlist("WWW-Authenticate") == ['Cookie realm="gateway"']
        assert "Location" not in page.headers
        assert 'href="/oauth2/start?rd=/oauth2/form"' in page.text

        offered = site.browser.navigate(f"{ORIGIN}/oauth2/start?rd=/oauth2/form")
        assert (offered.status, offered.url) == (200, AGAIN)
        assert site.received == []  # Offered, and not sent.
        assert 'method="post" action="/kept/a?b=c"' in offered.text
        assert fields_of(offered) == FORM

        sent = submit(site)
        assert sent.status == 200
        assert [(one.method, one.path, one.query) for one in site.received] == [("POST", "/kept/a", "b=c")]
        assert parse_qs(site.received[0].body.decode(), keep_blank_values=True) == {k: [v] for k, v in FORM.items()}


def test_it_is_offered_once() -> None:
    with run_site({"routes": ROUTES}) as site:
        submit(site)
        assert site.browser.navigate(f"{ORIGIN}/oauth2/start?rd=/oauth2/form").url == AGAIN
        assert site.browser.navigate(AGAIN, follow=False).headers["Location"] == "/"


def test_it_is_kept_for_ten_minutes() -> None:
    with run_site({"routes": ROUTES}) as site:
        submit(site)
        cookie = site.browser.cookies.of(ORIGIN)[f"{SESSION_COOKIE}-form"]
        site.clock.advance(599)
        site.sign_in()
        held = site.browser.cookies.header(f"{ORIGIN}/")
        site.clock.advance(1)
        late = {"Cookie": f"{held}; {SESSION_COOKIE}-form={cookie}"}
        assert site.browser.navigate(AGAIN, headers=late, follow=False).headers["Location"] == "/"


def test_nobody_sees_it_without_a_session() -> None:
    with run_site({"routes": ROUTES}) as site:
        submit(site)
        page = site.browser.navigate(AGAIN, follow=False)
        assert (page.status, page.headers["Location"]) == (303, "/oauth2/start?rd=/oauth2/form")


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        pytest.param("/other", b"", {}, id="where no rule asks for it"),
        pytest.param("/kept/a", b"a=" + b"x" * 2599, {}, id="too large"),
        pytest.param("/kept/" + "a" * 1200, b"a=" + b"x" * 2000, {}, id="too large with its address"),
        pytest.param("/kept/a", b"a=b", {"Content_Type": "multipart/form-data; boundary=x"}, id="of another kind"),
        pytest.param("/kept/a", b"a=b", {"Content_Type": f"{TYPE}; charset=latin-1"}, id="in another encoding"),
        pytest.param("/kept/a", b"a=%FF", {}, id="not UTF-8"),
        pytest.param("/kept/a", b"\xff=b", {}, id="not ASCII"),
        pytest.param("/kept/a", b"a&b", {}, id="not pairs"),
        pytest.param("/kept/a", b"a=b", {"Sec_Fetch_Site": "cross-site"}, id="of another site"),
        pytest.param("/kept/a", b"a=b", {"Sec_Fetch_Site": "same-site"}, id="of a sibling"),
        pytest.param(
            "/kept/a", b"a=b", {"Sec_Fetch_Site": None, "Origin": "https://evil.example"}, id="of another origin"
        ),
        pytest.param("/kept/a", b"a=b", {"Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"}, id="of a script"),
        pytest.param("/kept/a", b"a=b", {"Sec_Fetch_Dest": "iframe"}, id="in a frame"),
        pytest.param("/kept/a", b"a=b", {"X_Requested_With": "XMLHttpRequest"}, id="of an old script"),
    ],
)  # fmt: skip
def test_what_is_not_kept_gets_401_as_ever(path: str, body: bytes, headers: dict[str, str | None]) -> None:
    with run_site({"routes": ROUTES}) as site:
        page = submit(site, path=path, body=body, **headers)
        assert (page.status, error_code(page)) == (401, "login_required")
        assert page.headers.getlist("Set-Cookie") == []
        assert site.received == []


@pytest.mark.parametrize("value", ["", "x", "AAAA", "a" * 3900])
def test_a_cookie_that_was_made_up_offers_nothing(value: str) -> None:
    with run_site({"routes": ROUTES}) as site:
        site.sign_in()
        header = f"{site.browser.cookies.header(f'{ORIGIN}/')}; {SESSION_COOKIE}-form={value}"
        page = site.browser.navigate(AGAIN, headers={"Cookie": header}, follow=False)
        assert (page.status, page.headers["Location"]) == (303, "/")


def test_a_login_sealed_for_another_purpose_offers_nothing() -> None:
    with run_site({"routes": ROUTES}) as site:
        site.browser.navigate(f"{ORIGIN}/home", follow=False)
        cookies = site.browser.cookies.of(ORIGIN)
        [transaction] = [value for name, value in cookies.items() if "-tx-" in name]
        site.sign_in()
        header = f"{site.browser.cookies.header(f'{ORIGIN}/')}; {SESSION_COOKIE}-form={transaction}"
        assert site.browser.navigate(AGAIN, headers={"Cookie": header}, follow=False).headers["Location"] == "/"
