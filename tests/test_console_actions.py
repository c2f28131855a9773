"""What is done on the console: with tokens, towards upstreams, a login with options; each tells what came of it."""

from collections.abc import Mapping
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from console_place import CONSOLE, LOCAL, act, part, run_open_console, session_of, sign_in
from harness import error_code

from gateway.console.redaction import Redaction
from gateway.testing import Faults
from gateway.testing.faults import refusing


def inactive(_: int, __: dict[str, object]) -> tuple[int, dict[str, object]]:
    return 200, {"active": False}


@pytest.mark.parametrize(
    ("action", "call", "told"),
    [
        pytest.param("refresh", "token.refresh_token", "The provider gave new tokens", id="refresh"),
        pytest.param("userinfo", "userinfo", '"phone_number": "+1 555 0100"', id="userinfo"),
        pytest.param("introspect", "introspect", "The token is active", id="introspection"),
        pytest.param("revoke_access_token", "revoke", "The access token is worth nothing", id="access-token"),
        pytest.param("revoke_refresh_token", "revoke", "The refresh token is worth nothing", id="refresh-token"),
    ],
)
def test_an_action_asks_the_provider_once_and_tells_what_it_said(action: str, call: str, told: str) -> None:
    with run_open_console() as site:
        sign_in(site)
        before = site.provider.calls[call]
        result = unescape(part(act(site, action), "result"))
        assert told in result
        assert 'class="tag failed"' not in result
        assert site.provider.calls[call] == before + 1


@pytest.mark.parametrize(
    ("action", "faults", "code", "lives"),
    [
        pytest.param("refresh", Faults(token_response=refusing("invalid_grant")), "invalid_grant", False, id="refused"),
        pytest.param(
            "refresh", Faults(token_response=refusing("server_error", 503)), "server_error", True, id="unavailable"
        ),
        pytest.param("refresh", Faults(down=True), "provider_unreachable", True, id="refresh-down"),
        pytest.param("userinfo", Faults(down=True), "provider_unreachable", True, id="userinfo-down"),
        pytest.param(
            "userinfo",
            Faults(userinfo=lambda claims: {**claims, "sub": "bob"}),
            "userinfo_sub_mismatch",
            True,
            id="bob",
        ),
        pytest.param(
            "introspect",
            Faults(introspection=inactive),
            "token_inactive",
            True,
            id="inactive",
        ),
        pytest.param(
            "introspect",
            Faults(introspection=refusing("invalid_client", 401)),
            "introspection_invalid",
            True,
            id="client",
        ),
        pytest.param("revoke_access_token", Faults(down=True), "provider_unreachable", True, id="revocation-down"),
    ],
)
def test_an_action_that_fails_tells_its_code(action: str, faults: Faults, code: str, lives: bool) -> None:
    with run_open_console() as site:
        sign_in(site)
        site.provider.faults = faults
        page = act(site, action)
        assert page.status == 200
        assert f'<span class="tag failed">{code}</span>' in part(page, "result")
        assert ("Signed in as" in site.browser.navigate(CONSOLE).text) == lives


def test_a_call_goes_by_the_rules_to_the_app() -> None:
    routes = [{"path": "/admin/**", "require": {"claims": {"groups": ["admins"]}}}, {"path": "/no", "access": "deny"}]
    with run_open_console({"routes": routes}) as site:
        sign_in(site)
        result = part(act(site, "call", method="DELETE", path="/things/1?x=2"), "result")
        assert "hello alice" in result
        assert [(one.method, one.path, one.query) for one in site.received] == [("DELETE", "/things/1", "x=2")]
        for path, code in {"/admin/x": "access_denied", "/no": "not_found", "/a/../b": "target_ambiguous"}.items():
            assert f'<span class="tag failed">{code}</span>' in part(
                act(site, "call", method="GET", path=path), "result"
            )
        assert len(site.received) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "http://169.254.169.254/latest", id="an address"),
        pytest.param("GET", "//evil.example/", id="a host"),
        pytest.param("GET", "", id="nothing"),
        pytest.param("GET", "/oauth2/console", id="the console"),
        pytest.param("GET", "/%6Fauth2/console", id="the console, encoded"),
        pytest.param("POST", "/oauth2/sign_out", id="another endpoint"),
        pytest.param("GET", "/oauth2/callback?code=1", id="the redirect URI"),
        pytest.param("GET", "/ready", id="ready"),
        pytest.param("CONNECT", "/", id="another method"),
        pytest.param("GET /x HTTP/1.1\r\nX: y\r\n\r\nGET", "/", id="two requests"),
        pytest.param("GET", "/a\r\nX: y", id="a line break"),
        pytest.param("GET", "/a?b\r\nX: y", id="a line break in the query"),
    ],
)
def test_a_call_leads_nowhere_else(method: str, path: str) -> None:
    with run_open_console(mode="upstream") as site:
        sign_in(site)
        assert "hello" in part(act(site, "call", method="GET", path="/honest"), "result")
        page = act(site, "call", method=method, path=path)
        assert (page.status, 'class="tag failed"' in part(page, "result")) == (200, True)
        assert [one.path for one in site.received] == ["/honest"]
        assert "Signed in as" in site.browser.navigate(CONSOLE).text


@pytest.mark.parametrize("before", [0, 16_000, 16_380, 32_700])
def test_no_part_of_a_token_is_shown_where_the_answer_is_cut(before: int) -> None:
    def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        token = environ["HTTP_AUTHORIZATION"].partition(" ")[2]
        return [b"x" * before, token.encode() * 3000]

    with run_open_console({"routes": [{"path": "/**", "token": "access_token"}]}, app=echo) as site:
        sign_in(site)
        page = act(site, "call", method="GET", path="/")
        assert session_of(site).access_token[:10] not in page.text
        assert "The answer goes on" in part(page, "result")


@pytest.mark.parametrize(
    ("form", "sent"),
    [
        pytest.param({"scope": "openid email"}, {"scope": "openid email"}, id="scope"),
        pytest.param({"prompt.login": "yes", "prompt.consent": "yes"}, {"prompt": "consent login"}, id="prompt"),
        pytest.param({"max_age": "60"}, {"max_age": "60"}, id="max_age"),
        pytest.param({"ui_locales": "sv en"}, {"ui_locales": "sv en"}, id="ui_locales"),
        pytest.param({"login_hint": "alice"}, {"login_hint": "alice"}, id="login_hint"),
        pytest.param({"acr_values": "2"}, {"acr_values": "2"}, id="acr_values"),
        pytest.param(
            {"claims": '{"id_token":\r\n {"email": null}}'}, {"claims": '{"id_token":{"email":null}}'}, id="claims"
        ),
        pytest.param({"resource": "https://api.example"}, {"resource": "https://api.example"}, id="resource"),
        pytest.param({"response_type": "token", "state": "s"}, {"response_type": "code"}, id="what is fixed"),
    ],
)
def test_a_login_asks_for_what_was_chosen(form: Mapping[str, str], sent: Mapping[str, str]) -> None:
    with run_open_console() as site:
        sign_in(site, **form)
        begun = next(page for page in site.browser.history if "/authorize?" in page.url)
        asked = {name: values[0] for name, values in parse_qs(urlsplit(begun.url).query).items()}
        assert {name: asked.get(name) for name in sent} == dict(sent)
        assert asked["code_challenge_method"] == "S256"
        assert "Renew" in part(act(site, "refresh"), "result")
        assert site.provider.calls["token.refresh_token"] == 1


@pytest.mark.parametrize("name", ["scope", "claims", "resource", "acr_values", "prompt", "max_age"])
def test_a_link_gains_nothing_by_the_console(name: str) -> None:
    values = {"claims": '{"a":null}', "resource": "https://x.example", "prompt": "consent", "max_age": "1"}
    with run_open_console() as site:
        link = f"{LOCAL}/oauth2/start?{name}={values.get(name, 'openid')}"
        asked = parse_qs(urlsplit(site.browser.navigate(link, follow=False).headers["Location"]).query)
        assert asked.get(name) == (["openid profile email address phone offline_access"] if name == "scope" else None)


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"scope": "email"}, id="no openid"),
        pytest.param({"claims": "{"}, id="no JSON"),
        pytest.param({"claims": "[]"}, id="no object"),
        pytest.param({"claims": "[" * 2000}, id="deep"),
        pytest.param({"max_age": "soon"}, id="no number"),
        pytest.param({"resource": "api"}, id="no URI"),
        pytest.param({"resource": "https://x.example/#a"}, id="a fragment"),
        pytest.param({"login_hint": "x" * 600}, id="too long"),
    ],
)
def test_a_login_that_nobody_could_begin(form: Mapping[str, str]) -> None:
    with run_open_console() as site:
        page = act(site, "sign_in", provider="default", **form)
        assert '<span class="tag failed">parameter_refused</span>' in part(page, "result")
        assert site.provider.calls["authorize"] == 0


def test_a_form_that_is_too_large() -> None:
    with run_open_console() as site:
        sign_in(site)
        page = act(site, "call", method="GET", path="/" + "x" * 9000)
        assert (page.status, error_code(page)) == (400, "parameter_refused")


def test_a_console_with_fewer_parameters() -> None:
    with run_open_console({"console": {"enabled": True, "parameters": ["login_hint"]}}) as site:
        page = site.browser.navigate(CONSOLE)
        assert ('name="login_hint"' in page.text, 'name="scope"' in page.text, 'name="claims"' in page.text) == (
            True, False, False,
        )  # fmt: skip
        sign_in(site, scope="openid")
        assert "offline_access" in session_of(site).scope


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a secret-value b", id="as it is"),
        pytest.param("a secret%2Dvalue b eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", id="a JWT"),
        pytest.param('{"a": "q\\"uote-secret"}', id="JSON"),
        pytest.param("p%2Fath%2Bsecret", id="an address"),
    ],
)
def test_secrets_are_hidden_however_they_are_written(text: str) -> None:
    redaction = Redaction([("secret-value", "one"), ('q"uote-secret', "two"), ("p/ath+secret", "three")])
    shown = redaction.text(text)
    assert "⟨" in shown
    assert not any(part in shown for part in ("secret-value", "uote-secret", "ath%2Bsecret", "eyJ"))
