"""The browser sends and keeps cookies across sites as `SameSite` has it (RFC 6265bis 5.2, 5.7), and says who asked."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from werkzeug.wrappers import Request, Response

from gateway.testing import Browser, Page
from gateway.testing.cookies import site_of

APP = "https://app.example"
SIBLING = "https://login.app.example"
OTHER = "https://other.example"
PLAIN = "http://app.example"
ALL = {"none", "lax", "strict", "unset"}


@Request.application
def app(request: Request) -> Response:
    """Tell what was received; below `/form` a form to `to`, with `to` elsewhere a redirect of that `status`."""
    to = request.args.get("to", "")
    if request.path == "/form":
        form = f'<form method="{request.args.get("method", "post")}" action="{to}"><input name="a" value="1"></form>'
        return Response(form, mimetype="text/html", headers={"Referrer-Policy": request.args.get("policy", "origin")})
    if to:
        return Response(status=int(request.args.get("status", "303")), headers={"Location": to})
    response = Response(json.dumps({**dict(request.headers), "method": request.method}), mimetype="application/json")
    if request.path == "/set":
        set_all(response)
    return response


def set_all(response: Response) -> None:
    for name in ("none", "lax", "strict"):
        response.headers.add("Set-Cookie", f"{name}=1; Secure; Path=/; SameSite={name.title()}")
    response.headers.add("Set-Cookie", "unset=1; Secure; Path=/")


def browser(start: str = APP) -> Browser:
    """Open a browser that has the cookies of the app, at a page of some origin."""
    agent = Browser(dict.fromkeys((APP, SIBLING, OTHER, PLAIN), app))
    agent.navigate(f"{APP}/set")
    agent.navigate(f"{start}/")
    return agent


def cookies(page: Page) -> set[str]:
    return {pair.partition("=")[0] for pair in page.json().get("Cookie", "").split("; ") if pair}


def by_form(agent: Browser, method: str, to: str) -> Page:
    agent.navigate(f"{agent.url.rstrip('/')}/form?method={method}&to={to.replace('&', '%26')}")
    return agent.submit()


SENT = [
    pytest.param(lambda one: one.navigate(f"{APP}/"), ALL, id="address-bar"),
    pytest.param(lambda one: one.get(f"{APP}/"), ALL, id="simple-client"),
    pytest.param(lambda one: one.open_link(f"{APP}/"), {"none", "lax", "unset"}, id="link"),
    pytest.param(lambda one: by_form(one, "get", f"{APP}/"), {"none", "lax", "unset"}, id="form-GET"),
    pytest.param(lambda one: by_form(one, "post", f"{APP}/"), {"none"}, id="F1-form-POST"),
    pytest.param(lambda one: one.fetch(f"{APP}/"), {"none"}, id="script"),
    pytest.param(lambda one: one.fetch(f"{APP}/", method="POST"), {"none"}, id="script-POST"),
    pytest.param(lambda one: one.frame(f"{APP}/"), {"none"}, id="L4-frame"),
    pytest.param(lambda one: one.navigate(f"{OTHER}/?to={APP}/"), ALL, id="address-bar-redirected"),
    pytest.param(lambda one: one.open_link(f"{APP}/?to={APP}/x"), {"none", "lax", "unset"}, id="link-redirected"),
    pytest.param(lambda one: by_form(one, "post", f"{APP}/?to={APP}/x"), {"none", "lax", "unset"}, id="POST-then-GET"),
    pytest.param(lambda one: by_form(one, "post", f"{APP}/?to={APP}/x&status=307"), {"none"}, id="POST-then-POST"),
    pytest.param(lambda one: by_form(one, "post", f"{OTHER}/?to={APP}/x"), {"none", "lax", "unset"}, id="POST-here"),
    pytest.param(lambda one: one.fetch(f"{OTHER}/?to={APP}/"), {"none"}, id="script-redirected"),
]


@pytest.mark.parametrize(("act", "sent"), SENT)
def test_a_request_of_another_site_carries_what_may_cross(act: Callable[[Browser], Page], sent: set[str]) -> None:
    assert cookies(act(browser(OTHER))) == sent


@pytest.mark.parametrize("act", [param.values[0] for param in SENT], ids=[str(param.id) for param in SENT])
@pytest.mark.parametrize("start", [APP, SIBLING], ids=["same-origin", "same-site"])
def test_a_request_of_the_same_site_carries_everything(start: str, act: Callable[[Browser], Page]) -> None:
    assert cookies(act(browser(start))) == ALL


def test_plain_http_is_another_site() -> None:
    assert cookies(browser(PLAIN).fetch(f"{APP}/")) == {"none"}


@pytest.mark.parametrize(
    ("act", "kept"),
    [
        pytest.param(lambda one: one.fetch(f"{APP}/set"), {"none"}, id="script"),
        pytest.param(lambda one: one.frame(f"{APP}/set"), {"none"}, id="frame"),
        pytest.param(lambda one: one.open_link(f"{APP}/set"), ALL, id="link"),
        pytest.param(lambda one: by_form(one, "post", f"{APP}/set"), ALL, id="form-POST"),
    ],
)
def test_a_part_of_another_page_keeps_what_may_cross(act: Callable[[Browser], Page], kept: set[str]) -> None:
    agent = browser(OTHER)
    agent.cookies.delete(APP)
    act(agent)
    assert set(agent.cookies.of(APP)) == kept


METADATA = [
    pytest.param(OTHER, lambda one: one.open_link(f"{APP}/"), "cross-site", "document", None, id="link"),
    pytest.param(OTHER, lambda one: one.frame(f"{APP}/"), "cross-site", "iframe", None, id="frame"),
    pytest.param(
        OTHER, lambda one: by_form(one, "post", f"{APP}/"), "cross-site", "document", OTHER, id="F1-form-POST"
    ),
    pytest.param(OTHER, lambda one: by_form(one, "get", f"{APP}/"), "cross-site", "document", None, id="form-GET"),
    pytest.param(SIBLING, lambda one: one.open_link(f"{APP}/"), "same-site", "document", None, id="sibling"),
    pytest.param(SIBLING, lambda one: one.fetch(f"{APP}/", method="POST"), "same-site", "empty", SIBLING, id="script"),
    pytest.param(APP, lambda one: one.open_link("/?to=/x"), "same-origin", "document", None, id="redirected-here"),
    pytest.param(
        APP, lambda one: one.open_link(f"/?to={SIBLING}/"), "same-site", "document", None, id="redirected-to-sibling"
    ),
    pytest.param(
        APP, lambda one: one.open_link(f"/?to={OTHER}/"), "cross-site", "document", None, id="redirected-elsewhere"
    ),
    pytest.param(
        OTHER,
        lambda one: by_form(one, "post", f"{SIBLING}/?to={APP}/&status=307"),
        "cross-site",
        "document",
        "null",
        id="origin-lost-on-the-way",
    ),
]


@pytest.mark.parametrize(("start", "act", "site", "destination", "origin"), METADATA)
def test_a_request_says_where_it_comes_from(
    start: str, act: Callable[[Browser], Page], site: str, destination: str, origin: str | None
) -> None:
    received = act(browser(start)).json()
    assert (received["Sec-Fetch-Site"], received["Sec-Fetch-Dest"]) == (site, destination)
    assert received.get("Origin") == origin


def test_a_page_without_referrer_does_not_tell_its_origin() -> None:
    """Fetch 3.2: such a form sends `Origin: null`, to its own origin too."""
    agent = browser()
    agent.navigate(f"{APP}/form?to=/&policy=no-referrer")
    assert agent.submit().json()["Origin"] == "null"


@pytest.mark.parametrize(
    ("url", "site"),
    [
        pytest.param("https://a.app.example:8443/x", "https://app.example", id="name"),
        pytest.param("https://localhost/", "https://localhost", id="one-label"),
        pytest.param("http://127.0.0.1:8080/", "http://127.0.0.1", id="address"),
        pytest.param("http://[::1]:8080/", "http://::1", id="address-6"),
    ],
)
def test_a_site_is_scheme_and_registrable_domain(url: str, site: str) -> None:
    assert site_of(url) == site
