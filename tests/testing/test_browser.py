"""The browser in process: cookies as a real one keeps them, redirects, forms, and an environ like gunicorn's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from wsgiref.types import WSGIApplication

import pytest
from werkzeug.wrappers import Request, Response

from gateway.testing import Browser, FakeProvider, NavigationFailed, Page

APP = "https://app.example"
OTHER = "https://other.example"
PLAIN = "http://app.example"
NOW = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


ECHOED = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "RAW_URI", "REMOTE_ADDR", "wsgi.url_scheme")


@Request.application
def echo(request: Request) -> Response:
    """Tell what was received; `set` in the query names cookies to set, `to` and `status` a redirect."""
    known = {name: value for name, value in request.environ.items() if name.startswith("HTTP_") or name in ECHOED}
    response = Response(json.dumps({**known, "body": request.get_data(as_text=True)}), mimetype="application/json")
    for header in request.args.getlist("set"):
        response.headers.add("Set-Cookie", header)
    if "to" in request.args:
        response.status_code = int(request.args.get("status", "303"))
        response.headers["Location"] = request.args["to"]
    return response


def browser(clock: Clock | None = None) -> Browser:
    return Browser({APP: echo, OTHER: echo, PLAIN: echo}, clock=clock or Clock())


def cookie_sent(page: Page) -> str:
    return str(page.json().get("HTTP_COOKIE", ""))


def set_cookie(agent: Browser, header: str, origin: str = APP, path: str = "/") -> None:
    agent.request("GET", f"{origin}{path}?set={header.replace(';', '%3B').replace(' ', '%20').replace('+', '%2B')}")


COOKIES = [
    pytest.param("a=1", APP, "/x", "a=1", id="plain"),
    pytest.param("a=1; Secure", PLAIN, "/", "", id="Secure-kept-from-http"),
    pytest.param("a=1; Path=/x", APP, "/x/y", "a=1", id="Path-below"),
    pytest.param("a=1; Path=/x", APP, "/xy", "", id="Path-beside"),
    pytest.param("a=1; Path=/x", APP, "/", "", id="Path-above"),
    pytest.param("a=1", OTHER, "/", "", id="other-origin"),
    pytest.param("a=1; Max-Age=60", APP, "/", "a=1", id="Max-Age"),
    pytest.param("a=1; Max-Age=0", APP, "/", "", id="Max-Age-zero"),
    pytest.param("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", APP, "/", "", id="Expires-past"),
    pytest.param("__Host-a=1; Secure; Path=/", APP, "/", "__Host-a=1", id="__Host-"),
    pytest.param("__Host-a=1; Path=/", APP, "/", "", id="__Host-without-Secure"),
    pytest.param("__Host-a=1; Secure; Path=/x", APP, "/x", "", id="__Host-with-Path"),
    pytest.param("__Host-a=1; Secure", APP, "/", "__Host-a=1", id="__Host-by-default-Path"),
    pytest.param("__Host-a=1; Secure; Path=/; Domain=app.example", APP, "/", "", id="__Host-with-Domain"),
    pytest.param("__Secure-a=1", APP, "/", "", id="__Secure-without-Secure"),
    pytest.param("a=1; SameSite=None", APP, "/", "", id="SameSite-None-without-Secure"),
    pytest.param("a=1; Domain=evil.example", APP, "/", "", id="Domain-of-others"),
    pytest.param("a=b=c==", APP, "/", "a=b=c==", id="value-with-equals"),
    pytest.param('a="q"', APP, "/", 'a="q"', id="value-raw"),
    pytest.param("=1", APP, "/", "", id="no-name"),
]


@pytest.mark.parametrize(("header", "origin", "path", "sent"), COOKIES)
def test_a_cookie_is_kept_and_sent_as_a_browser_does(header: str, origin: str, path: str, sent: str) -> None:
    agent = browser()
    set_cookie(agent, header)
    assert cookie_sent(agent.get(f"{origin}{path}")) == sent


def test_a_secure_cookie_is_not_taken_over_http() -> None:
    agent = browser()
    set_cookie(agent, "a=1; Secure", origin=PLAIN)
    assert agent.cookies.of(PLAIN) == {}


def test_a_cookie_expires_with_the_clock() -> None:
    clock = Clock()
    agent = browser(clock)
    set_cookie(agent, "a=1; Max-Age=60")
    clock.now += 60
    assert cookie_sent(agent.get(f"{APP}/")) == ""
    assert agent.cookies.of(APP) == {}


def test_a_cookie_is_deleted_by_identical_attributes_only() -> None:
    agent = browser()
    set_cookie(agent, "a=1; Path=/")
    set_cookie(agent, "a=; Path=/x; Max-Age=0")
    assert agent.cookies.of(APP) == {"a": "1"}
    set_cookie(agent, "a=; Path=/; Max-Age=0")
    assert agent.cookies.of(APP) == {}


def test_the_longest_path_comes_first() -> None:
    agent = browser()
    set_cookie(agent, "a=short; Path=/")
    set_cookie(agent, "a=long; Path=/x")
    assert cookie_sent(agent.get(f"{APP}/x")) == "a=long; a=short"


def test_a_cookie_can_be_stolen_and_planted() -> None:
    agent, thief = browser(), browser()
    set_cookie(agent, "__Host-a=1; Secure; Path=/")
    thief.cookies.set(APP, "__Host-a", agent.cookies.of(APP)["__Host-a"])
    assert cookie_sent(thief.get("/")) == "__Host-a=1"
    thief.cookies.delete(APP)
    assert cookie_sent(thief.get("/")) == ""


REDIRECTS = [
    pytest.param("POST", 301, "GET", "", id="301"),
    pytest.param("POST", 302, "GET", "", id="302"),
    pytest.param("POST", 303, "GET", "", id="303"),
    pytest.param("PUT", 303, "GET", "", id="303-PUT"),
    pytest.param("PUT", 302, "PUT", "b", id="302-PUT"),
    pytest.param("POST", 307, "POST", "b", id="307"),
    pytest.param("POST", 308, "POST", "b", id="308"),
    pytest.param("HEAD", 303, "HEAD", "", id="303-HEAD"),
]


@pytest.mark.parametrize(("method", "status", "then", "body"), REDIRECTS)
def test_a_redirect_keeps_or_changes_the_method(method: str, status: int, then: str, body: str) -> None:
    received: list[tuple[str, str]] = []

    @Request.application
    def target(request: Request) -> Response:
        received.append((request.method, request.get_data(as_text=True)))
        return Response()

    agent = Browser({APP: echo, OTHER: target})
    agent.request(method, f"{APP}/?to={OTHER}/y&status={status}", body=b"" if method == "HEAD" else b"b")
    assert received == [(then, body)]
    assert [page.status for page in agent.history] == [status, 200]


def test_a_redirect_is_not_followed_on_request() -> None:
    page = browser().get(f"{APP}/?to=/y", follow=False)
    assert (page.status, page.headers["Location"]) == (303, "/y")


@pytest.mark.parametrize(
    "to", [pytest.param(f"{APP}/?to=/loop", id="loop"), pytest.param("https://nobody.example/", id="unknown-origin")]
)
def test_a_redirect_to_nowhere_fails(to: str) -> None:
    @Request.application
    def looping(_: Request) -> Response:
        return Response(status=303, headers={"Location": to})

    agent = Browser({APP: looping})
    with pytest.raises(NavigationFailed):
        agent.get("/")
    assert len(agent.history) <= 21


def test_a_path_is_looked_up_where_the_browser_is() -> None:
    agent = browser()
    assert agent.get("/x").url == f"{APP}/x"
    agent.get(f"{OTHER}/a/b")
    assert agent.get("c").url == f"{OTHER}/a/c"


METADATA: list[object] = [
    pytest.param(lambda agent: agent.navigate("/"), ("navigate", "document", "none"), id="navigate"),
    pytest.param(lambda agent: agent.fetch("/"), ("cors", "empty", "same-origin"), id="fetch"),
    pytest.param(lambda agent: agent.fetch(f"{OTHER}/"), ("cors", "empty", "cross-site"), id="fetch-cross-site"),
    pytest.param(
        lambda agent: agent.fetch(f"/?to={OTHER}/"), ("cors", "empty", "cross-site"), id="fetch-redirected-cross-site"
    ),
    pytest.param(
        lambda agent: agent.navigate(f"/?to={OTHER}/"), ("navigate", "document", "none"), id="navigate-redirected"
    ),
    pytest.param(lambda agent: agent.get("/"), (None, None, None), id="get"),
]


@pytest.mark.parametrize(("act", "metadata"), METADATA)
def test_fetch_metadata(act: Callable[[Browser], Page], metadata: tuple[str | None, ...]) -> None:
    received = act(browser()).json()
    assert tuple(received.get(f"HTTP_SEC_FETCH_{name}") for name in ("MODE", "DEST", "SITE")) == metadata
    assert ("text/html" in received.get("HTTP_ACCEPT", "")) == (metadata[0] == "navigate")


@pytest.mark.parametrize(
    ("method", "url", "origin"),
    [
        pytest.param("GET", f"{APP}/", None, id="same-origin-GET"),
        pytest.param("POST", f"{APP}/", APP, id="same-origin-POST"),
        pytest.param("GET", f"{OTHER}/", APP, id="cross-site-GET"),
    ],
)
def test_a_script_names_its_origin(method: str, url: str, origin: str | None) -> None:
    assert browser().fetch(url, method=method).json().get("HTTP_ORIGIN") == origin


def test_the_environ_is_like_that_of_gunicorn() -> None:
    received = browser().get(f"{APP}/a%2Fb/%C3%A9;v=1?q=%2F&q=2#fragment", headers={"X-One": "1"}).json()
    assert received["RAW_URI"] == "/a%2Fb/%C3%A9;v=1?q=%2F&q=2"
    assert received["PATH_INFO"] == "/a/b/Ã©;v=1"
    assert received["QUERY_STRING"] == "q=%2F&q=2"
    assert received["REMOTE_ADDR"] == "127.0.0.1"
    assert received["HTTP_HOST"] == "app.example"
    assert received["HTTP_X_ONE"] == "1"
    assert received["wsgi.url_scheme"] == "https"


def test_a_form_is_posted_with_its_content_type() -> None:
    page = browser().post("/", {"a": "1 &", "b": "é"})
    assert page.json()["body"] == "a=1+%26&b=%C3%A9"


FORM = """
<form action="/first" method="post"><input name="a" value="1 &amp; 2"><input type="hidden" name="h" value="x">
<button name="go" value="yes">Yes</button></form>
<form action="/second"><input name="q" value="find"><input type="submit" name="go" value="no"></form>
"""


@pytest.mark.parametrize(
    ("button", "data", "target", "body"),
    [
        pytest.param(None, {}, "/first", "a=1+%26+2&h=x", id="first-form"),
        pytest.param("yes", {"a": "b"}, "/first", "a=b&h=x&go=yes", id="data-and-button"),
        pytest.param("no", {}, "/second?q=find&go=no", "", id="get-form"),
    ],
)
def test_a_form_of_the_page_is_submitted(button: str | None, data: Mapping[str, str], target: str, body: str) -> None:
    agent = browser_with_form()
    page = agent.submit(button, data=data)
    assert (page.json()["RAW_URI"], page.json()["body"]) == (target, body)
    assert page.json()["HTTP_SEC_FETCH_SITE"] == "same-origin"


def test_a_form_that_is_not_there_is_not_submitted() -> None:
    with pytest.raises(NavigationFailed):
        browser_with_form().submit("maybe")


def browser_with_form() -> Browser:
    @Request.application
    def app(request: Request) -> Response:
        return Response(FORM, mimetype="text/html") if request.path == "/form" else echo_response(request)

    agent = Browser({APP: app})
    agent.navigate("/form")
    return agent


def echo_response(request: Request) -> Response:
    return Response.from_app(echo, request.environ)


def test_an_exception_of_the_app_reaches_the_test() -> None:
    @Request.application
    def broken(_: Request) -> Response:
        raise LookupError("broken")

    with pytest.raises(LookupError):
        Browser({APP: broken}).get("/")


def test_the_fixtures_give_a_provider_and_browsers(
    fake_provider: FakeProvider, browser_for: Callable[[WSGIApplication], Browser]
) -> None:
    one, another = browser_for(echo), browser_for(echo)
    set_cookie(one, "a=1")
    assert cookie_sent(one.get("/")) == "a=1"
    assert cookie_sent(another.get("/")) == ""
    metadata = another.get(f"{fake_provider.issuer}/.well-known/openid-configuration").json()
    assert metadata["issuer"] == fake_provider.issuer
