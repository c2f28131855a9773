"""The gateway's pages in Chromium: whole under their policy, readable on a phone, and true to their data."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl

import pytest
from playwright.sync_api import Browser

from gateway.errors import TRANSACTION_MISSING
from gateway.languages import languages
from gateway.page_templates import PageTemplates

from .listener import Answer, Listener, Received, run_listener

NONCE = "bm9uY2Ugb2YgdGhlIHRlc3Q"
POLICY = (
    f"default-src 'none'; style-src 'nonce-{NONCE}'; script-src 'nonce-{NONCE}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HOSTILE = "\"'><script>document.title='owned'</script>" + "x" * 200
TARGET = '/list?a=1&b="<ü>"'

ERROR = {
    "title": HOSTILE, "advice": HOSTILE, "code": "code_" * 20, "reference": "f" * 64, "status": 403, "home": "/",
}  # fmt: skip
GERMAN = languages({}).choose("de")
FAILURE = {"title": GERMAN.plain(TRANSACTION_MISSING.title), "advice": GERMAN.plain(TRANSACTION_MISSING.advice)}
CHOICES = [{"title": "Personal", "url": "/oauth2/start?provider=staff"}, {"title": HOSTILE, "url": "/oauth2/start"}]
PAGES: Mapping[str, Mapping[str, object]] = {
    "chooser": {"choices": CHOICES},
    "error": ERROR,
    "error-again": {**ERROR, "again": "/oauth2/start"},
    "error-german": {**ERROR, **FAILURE, "code": TRANSACTION_MISSING.code, "again": "/oauth2/start"},
    "sign_out": {"action": "/oauth2/sign_out", "fields": {"rd": "/bye?a=1&b=2"}, "user": HOSTILE},
    "signed_out": {"home": "/"},
    "end_session": {"wanted": {"url": "/end", "fields": {"id_token_hint": "a.b.c", "state": TARGET}}},
    "form_kept": {"sign_in": "/oauth2/start?rd=/oauth2/form"},
    "form_again": {"target": TARGET, "fields": [("a", HOSTILE), (HOSTILE, ""), ("text", "two\r\nlines")]},
    "fragment": {"start": "/oauth2/start", "target": TARGET},
}
STILL_PAGES = [pytest.param(name, id=name) for name in PAGES if name not in ("fragment", "end_session")]

pytestmark = pytest.mark.real("chromium")


@pytest.fixture
def listener() -> Iterator[Listener]:
    with run_listener(answer_page) as listener:
        yield listener


def answer_page(received: Received) -> Answer:
    name = received.path.removeprefix("/")
    if name not in PAGES:
        return Answer()
    known = languages({})
    catalogue = known.choose(received.headers.get("accept-language", ""))
    text = PageTemplates({}, known).render(name.partition("-")[0], catalogue, {"nonce": NONCE, **PAGES[name]})
    return Answer(headers={"Content-Security-Policy": POLICY, "Content-Type": "text/html; charset=utf-8"}, body=text)


@pytest.mark.parametrize("name", STILL_PAGES)
def test_a_page_is_whole_under_its_policy(chromium: Browser, listener: Listener, name: str) -> None:
    complaints: list[str] = []
    with chromium.new_context() as context:
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(f"{listener.origin}/{name}")
        assert page.title() != "owned"
        assert page.locator("main").evaluate("main => getComputedStyle(main).borderRadius") != "0px"
    assert complaints == []
    assert {received.path for received in listener.received} <= {f"/{name}", "/favicon.ico"}


@pytest.mark.parametrize("name", STILL_PAGES)
@pytest.mark.parametrize("width", [pytest.param(320, id="small-phone"), pytest.param(1280, id="desktop")])
def test_long_words_wrap(chromium: Browser, listener: Listener, name: str, width: int) -> None:
    with chromium.new_context(viewport={"width": width, "height": 640}) as context:
        page = context.new_page()
        page.goto(f"{listener.origin}/{name}")
        assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("name", STILL_PAGES)
def test_german_fits_a_phone(chromium: Browser, listener: Listener, name: str, tmp_path: Path) -> None:
    with chromium.new_context(locale="de-AT", viewport={"width": 360, "height": 640}) as context:
        page = context.new_page()
        page.goto(f"{listener.origin}/{name}")
        page.screenshot(path=tmp_path / f"{name}-de.png", full_page=True)
        assert page.evaluate("[document.documentElement.lang, document.documentElement.dir]") == ["de", "ltr"]
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert (
            page.locator(".button").evaluate_all("all => all.filter(one => one.scrollWidth > one.clientWidth).length")
            == 0
        )


def test_the_fragment_survives_the_way_to_the_login(chromium: Browser, listener: Listener) -> None:
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"{listener.origin}/fragment#part?c=1&d", wait_until="commit")
        page.wait_for_url("**/oauth2/start?**")
    (start,) = listener.received_at("/oauth2/start")
    assert parse_qs(start.query, strict_parsing=True) == {"rd": [f"{TARGET}#part?c=1&d"]}


def test_without_scripts_a_link_leads_to_the_login(chromium: Browser, listener: Listener) -> None:
    with chromium.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{listener.origin}/fragment")
        page.get_by_role("link", name="Sign in").click()
        page.wait_for_url("**/oauth2/start?**")
    (start,) = listener.received_at("/oauth2/start")
    assert parse_qs(start.query, strict_parsing=True) == {"rd": [TARGET]}


def test_the_sign_out_form_is_posted_with_its_origin(chromium: Browser, listener: Listener) -> None:
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"{listener.origin}/sign_out")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/oauth2/sign_out")
    (post,) = listener.received_at("/oauth2/sign_out")
    assert (post.method, post.headers["origin"]) == ("POST", listener.origin)
    assert parse_qs(post.body.decode("ascii")) == {"rd": ["/bye?a=1&b=2"]}


def test_the_sign_out_goes_on_to_the_provider_by_itself(chromium: Browser, listener: Listener) -> None:
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"{listener.origin}/end_session")
        page.wait_for_url("**/end")
    (post,) = listener.received_at("/end")
    assert (post.method, post.query) == ("POST", "")
    assert dict(parse_qsl(post.body.decode())) == {"id_token_hint": "a.b.c", "state": TARGET}


def test_without_scripts_the_user_sends_it_on(chromium: Browser, listener: Listener, tmp_path: Path) -> None:
    for width in (320, 1280):
        with chromium.new_context(java_script_enabled=False, viewport={"width": width, "height": 640}) as context:
            page = context.new_page()
            page.goto(f"{listener.origin}/end_session")
            page.screenshot(path=tmp_path / f"end_session-{width}.png")
            page.get_by_role("button", name="Sign out there").click()
            page.wait_for_url("**/end")
    assert len(listener.received_at("/end")) == 2
