"""The developer's console: whom it lets in, what it shows of a session, and that it shows no secret."""

from collections.abc import Mapping
from html import unescape
from typing import Any

import pytest
from console_place import (
    CONSOLE,
    GUARDED,
    LOCAL,
    OWN_PAGE,
    act,
    part,
    run_guarded_console,
    run_open_console,
    session_of,
    sign_in,
)
from harness import ORIGIN, SECRET, base_config, error_code, merged, run_site, set_cookie_names
from markupsafe import escape

from gateway.config import parse_settings
from gateway.config_sources import ConfigurationError
from gateway.testing import Faults

ACTIONS = (
    "refresh", "userinfo", "introspect", "revoke_access_token", "revoke_refresh_token", "show", "call", "unknown",
)  # fmt: skip
XSS = "\"'><script>alert(1)</script>"


def settings_of(public_url: str, console: Mapping[str, object]) -> object:
    document = merged(base_config({"type": "memory"}), {"public_url": public_url, "console": console})
    return parse_settings(document, {"GATEWAY_SESSION__SECRET": SECRET})


@pytest.mark.parametrize(
    ("public_url", "console"),
    [
        pytest.param("https://localhost", {"enabled": True}, id="localhost"),
        pytest.param("http://127.0.0.1:8000", {"enabled": True}, id="loopback"),
        pytest.param("https://[::1]:8000", {"enabled": True}, id="loopback of IPv6"),
        pytest.param(ORIGIN, {"enabled": False}, id="off"),
        pytest.param(ORIGIN, {"enabled": True, "require": {"claims": {"groups": ["staff"]}}}, id="claims"),
        pytest.param(ORIGIN, {"enabled": True, "require": {"email_domains": ["example.com"]}}, id="domains"),
        pytest.param(ORIGIN, {"enabled": True, "require": {"networks": ["10.0.0.0/8"]}}, id="networks"),
        pytest.param(ORIGIN, {"enabled": True, "require": {"any_of": [{"scope": ["dev"]}]}}, id="alternatives"),
    ],
)
def test_where_the_console_may_be(public_url: str, console: Mapping[str, object]) -> None:
    settings_of(public_url, console)


@pytest.mark.parametrize(
    ("console", "told"),
    [
        pytest.param({"enabled": True}, "console.require must say whom", id="no rule"),
        pytest.param({"enabled": True, "require": {}}, "console.require must say whom", id="an empty rule"),
        pytest.param({"enabled": True, "require": {"acr": ["2"]}}, "console.require must say whom", id="how, not who"),
        pytest.param(
            {"enabled": True, "require": {"max_age": "1h"}}, "console.require must say whom", id="when, not who"
        ),
        pytest.param({"require": {"claim": {}}}, "console.require.claim", id="an unknown key"),
        pytest.param({"parameters": ["response_type"]}, "console.parameters.0", id="what is fixed"),
        pytest.param({"parameters": ["redirect_uri"]}, "console.parameters.0", id="where to"),
    ],
)
def test_a_public_console_without_a_rule_does_not_start(console: Mapping[str, object], told: str) -> None:
    settings_of(ORIGIN, {"enabled": True, "require": {"scope": ["dev"]}})
    with pytest.raises(ConfigurationError) as caught:
        settings_of(ORIGIN, console)
    assert told in str(caught.value)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
def test_by_default_there_is_nothing(method: str) -> None:
    with run_site() as site:
        site.sign_in()
        page = site.browser.request(method, GUARDED, headers=OWN_PAGE)
        assert page.status == 404
        assert set_cookie_names(page) == []


def test_on_localhost_anybody_sees_the_form_and_nothing_else() -> None:
    with run_open_console() as site:
        page = site.browser.navigate(CONSOLE)
        assert (page.status, page.headers["Cache-Control"]) == (200, "no-store")
        assert "script-src 'nonce-" in page.headers["Content-Security-Policy"]
        assert "Nobody is signed in" in page.text
        assert 'value="sign_in"' in page.text
        assert 'id="tokens"' not in page.text


@pytest.mark.parametrize("action", ACTIONS)
def test_without_a_session_nothing_is_done(action: str) -> None:
    with run_open_console() as site:
        page = act(site, action, token="access_token", method="GET", path="/")
        assert (page.status, error_code(page)) == (401, "login_required")
        assert site.provider.calls == {}
        assert site.received == []


def test_where_there_is_a_rule_the_ordinary_login_comes_first() -> None:
    with run_guarded_console() as site:
        redirect = site.browser.navigate(GUARDED, follow=False)
        assert redirect.status == 303
        assert site.browser.navigate(GUARDED).url == GUARDED
        assert "Signed in as" in site.browser.history[-1].text
        script = site.new_browser().fetch(GUARDED)
        assert (script.status, error_code(script)) == (401, "login_required")


@pytest.mark.parametrize("action", ["", "sign_in", *ACTIONS])
def test_where_there_is_a_rule_nobody_else_gets_in(action: str) -> None:
    with run_guarded_console() as site:
        site.browser.navigate(GUARDED)
        assert site.browser.history[-1].status == 200
        site.restarted()
        page = act(site, action, GUARDED)
        assert (page.status, error_code(page)) == (401, "login_required")
        site.provider.sign_in_as = "bob"
        site.sign_in()
        asked = site.provider.calls.total()
        pages = [site.browser.navigate(GUARDED), act(site, action, GUARDED)]
        assert [(page.status, error_code(page)) for page in pages] == [(403, "access_denied")] * 2
        assert site.provider.calls.total() == asked


def test_a_rule_about_the_login_asks_for_a_stronger_one() -> None:
    rule = {"enabled": True, "require": {"claims": {"groups": ["staff"]}, "max_age": "5m"}}
    with run_site({"console": rule}) as site:
        assert site.browser.navigate(GUARDED).status == 200
        site.clock.advance(400)
        assert (error_code(act(site, "refresh", GUARDED)), site.provider.calls["token.refresh_token"]) == (
            "step_up_required", 0,
        )  # fmt: skip
        redirect = site.browser.navigate(GUARDED, follow=False)
        assert (redirect.status, "max_age=300" in redirect.headers["Location"]) == (303, True)


@pytest.mark.parametrize("action", ["sign_in", *ACTIONS])
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, id="cross-site"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, id="same-site"),
        pytest.param({"Sec-Fetch-Site": "none"}, id="no page"),
        pytest.param({"Origin": "https://evil.example"}, id="origin"),
        pytest.param({"Origin": "null"}, id="null"),
        pytest.param({}, id="no proof"),
    ],
)
def test_another_sites_form_does_nothing(action: str, headers: Mapping[str, str]) -> None:
    with run_open_console({"cors": {"origins": ["https://trusted.example"]}}) as site:
        sign_in(site)
        asked = site.provider.calls.total()
        form = {"action": action, "token": "access_token", "method": "GET", "path": "/"}
        for sent in (headers, {"Origin": "https://trusted.example"}):
            page = site.browser.post(CONSOLE, form, headers={"Accept": "text/html", **sent})
            assert (page.status, error_code(page)) == (403, "cross_site_refused")
        assert (site.provider.calls.total(), site.received) == (asked, [])


@pytest.mark.parametrize("action", ACTIONS)
def test_a_get_does_nothing_but_show(action: str) -> None:
    with run_open_console() as site:
        sign_in(site)
        asked = site.provider.calls.total()
        page = site.browser.navigate(f"{CONSOLE}?action={action}&token=access_token&path=/")
        assert (page.status, 'id="result"' in page.text) == (200, False)
        assert (site.provider.calls.total(), site.received) == (asked, [])


def test_what_is_shown_of_a_session() -> None:
    with run_open_console() as site:
        page = sign_in(site)
        assert "Signed in as <strong>alice@op.example</strong>" in page.text
        checks = part(page, "id-token")
        assert checks.count("✓ passed") >= 8
        assert "✕ failed" not in checks
        assert "<dt>sub</dt><dd>alice</dd>" in checks
        assert "in 5 min" in part(page, "times")
        assert "<li>openid</li>" in part(page, "session")


@pytest.mark.parametrize(
    ("seconds", "name", "code"),
    [
        pytest.param(30, "exp", "", id="fresh"),
        pytest.param(900, "exp", "id_token_expired", id="its end has passed"),
    ],
)
def test_the_checks_are_those_of_this_moment(seconds: int, name: str, code: str) -> None:
    with run_open_console() as site:
        sign_in(site)
        site.clock.advance(seconds)
        page = site.browser.navigate(CONSOLE)
        row = part(page, "id-token").partition(f"<code>{name}</code>")[2].partition("</tr>")[0]
        assert (f"<code>{code}</code>" in row) if code else ("✓ passed" in row)


def test_an_access_token_that_was_renewed_without_an_id_token_is_told_of() -> None:
    def forget(status: int, members: dict[str, object]) -> tuple[int, dict[str, object]]:
        return status, {name: value for name, value in members.items() if name != "id_token"}

    with run_open_console() as site:
        sign_in(site)
        site.provider.faults = Faults(token_response=forget)
        site.clock.advance(10)
        page = act(site, "refresh")
        row = part(page, "id-token").partition("<code>at_hash</code>")[2].partition("</tr>")[0]
        assert "no new ID token came with it" in row


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(Faults(userinfo=lambda claims: {**claims, XSS: XSS, "name": XSS, "email": XSS}), id="userinfo"),
        pytest.param(Faults(id_token_claims=lambda claims: {**claims, XSS: [XSS], "sid": "s<i>"}), id="ID token"),
        pytest.param(Faults(id_token_header=lambda header: {**header, "typ": XSS}), id="header"),
        pytest.param(
            Faults(token_response=lambda status, members: (status, {**members, "scope": f"openid {XSS}"})), id="scope"
        ),
        pytest.param(
            Faults(introspection=lambda status, members: (status, {**members, XSS: XSS, "username": "\ud800"})),
            id="introspection",
        ),
    ],
)
def test_what_the_provider_says_is_never_markup(faults: Faults) -> None:
    with run_open_console() as site:
        site.browser.navigate(CONSOLE)
        site.provider.faults = faults
        sign_in(site)
        pages = [
            site.browser.navigate(CONSOLE),
            *(act(site, action) for action in ("userinfo", "introspect", "refresh")),
        ]
        for page in pages:
            assert page.status == 200
            assert "<script>alert" not in page.text
            assert "<i>" not in page.text


def test_no_page_holds_a_secret_but_the_one_that_was_asked_for() -> None:
    issued: dict[str, str] = {}
    count = iter(range(99))

    def note(status: int, members: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        names = [name for name in ("access_token", "refresh_token", "id_token") if name in members]
        issued.update({f"{name} {next(count)}": str(members[name]) for name in names})
        return status, members

    def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Echo", environ["HTTP_AUTHORIZATION"])])
        return [repr(environ).encode()]

    routes = [{"path": "/**", "token": "access_token", "request_headers": {"X-Key": "planted-configured-key"}}]
    with run_open_console({"routes": routes}, app=echo) as site:
        site.browser.cookies.set(LOCAL, "other", "planted-cookie-value")
        site.provider.faults = Faults(token_response=note)
        pages = [sign_in(site)]
        pages += [act(site, action) for action in ("userinfo", "introspect", "refresh")]
        pages.append(act(site, "call", method="POST", path="/echo?token=1"))
        pages += [
            act(site, action) for action in ("revoke_access_token", "introspect", "revoke_refresh_token", "refresh")
        ]
        pages += [site.browser.navigate(CONSOLE), act(site, "sign_in", provider="default", claims="{")]
        (callback,) = [page.url for page in site.browser.history if "/callback?" in page.url][:1]
        code = callback.partition("code=")[2].partition("&")[0]
        cookies = {name: value for name, value in site.browser.cookies.of(LOCAL).items() if len(value) > 20}
        state = callback.partition("state=")[2].partition("&")[0]
        planted = {"key": "planted-configured-key", "other": "planted-cookie-value", "ring": SECRET}
        ours = {"code": code, "state": state, "client secret": "thirty-two bytes and more"}
        secrets = {**issued, **cookies, **planted, **ours}
        assert len(issued) >= 6
        found = [(name, page.url) for page in pages for name, value in secrets.items() if value in unescape(page.text)]
        assert found == []


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        pytest.param("access_token", lambda session: session.access_token, id="access-token"),
        pytest.param("refresh_token", lambda session: session.refresh_token, id="refresh-token"),
        pytest.param("id_token", lambda session: session.id_token, id="ID-token"),
    ],
)
def test_a_token_is_shown_to_whoever_asks_for_it(name: str, holds: Any) -> None:
    with run_open_console() as site:
        sign_in(site)
        token = holds(session_of(site))
        page = act(site, "show", token=name)
        assert f"<dd>{escape(token)}</dd>" in part(page, "result")
        assert page.headers["Cache-Control"] == "no-store"
        assert token not in unescape(site.browser.navigate(CONSOLE).text)


def test_a_token_that_there_is_none_of() -> None:
    with run_open_console() as site:
        site.provider.include_refresh_token = False
        sign_in(site)
        assert "There is none" in part(act(site, "show", token="refresh_token"), "result")
        assert error_code(act(site, "show", token="dpop_key")) == "parameter_refused"


def test_signing_out_here_and_everywhere() -> None:
    for form, asked in (({"local": "true"}, 0), ({}, 1)):
        with run_open_console() as site:
            sign_in(site)
            page = site.browser.post(f"{LOCAL}/oauth2/sign_out", {"rd": "/oauth2/console", **form}, headers=OWN_PAGE)
            assert (page.status, page.url) == (200, CONSOLE)
            assert "Nobody is signed in" in page.text
            assert site.provider.calls["end_session"] == asked
