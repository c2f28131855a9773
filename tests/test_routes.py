"""Routes: who may see what, through the whole gateway; and what the app is told about who asks."""

from collections.abc import Callable
from typing import Any

import pytest
from harness import (
    EVERYWHERE,
    ORIGIN,
    SESSION_COOKIE,
    Site,
    error_code,
    logged_codes,
    run_site,
    set_cookie_names,
)
from peers.listener import Answer, Received, run_listener

ROUTES: list[dict[str, Any]] = [
    {"path": "/public/**", "access": "public"},
    {"path": "/maybe/**", "access": "optional", "identity_headers": True},
    {"path": "/internal/**", "access": "deny"},
    {"path": "/api/**", "login": "never"},
    {"path": "/staff/**", "require": {"claims": {"groups": ["staff"]}}},
    {"path": "/guests/**", "require": {"claims": {"groups": ["guests"]}}},
    {"path": "/verified/**", "require": {"claims": {"email_verified": True}}},
    {"path": "/phone/**", "require": {"scope": ["phone", "openid"]}},
    {"path": "/pay/**", "require": {"scope": ["payments"]}},
    {"path": "/read/**", "methods": ["GET"], "access": "public"},
]


@pytest.mark.parametrize(
    ("path", "signed_out", "signed_in"),
    [
        pytest.param("/public/a", 200, 200, id="public"),
        pytest.param("/maybe/a", 200, 200, id="optional"),
        pytest.param("/internal/a", 404, 404, id="deny"),
        pytest.param("/api/a", 401, 200, id="never-redirects"),
        pytest.param("/staff/a", 303, 200, id="has-the-group"),
        pytest.param("/guests/a", 303, 403, id="lacks-the-group"),
        pytest.param("/verified/a", 303, 200, id="boolean-claim"),
        pytest.param("/phone/a", 303, 200, id="has-the-scopes"),
        pytest.param("/pay/a", 303, 403, id="lacks-the-scope"),
        pytest.param("/read/a", 200, 200, id="method"),
        pytest.param("/", 303, 200, id="no-route"),
        pytest.param("/publicity", 303, 200, id="only-looks-public"),
        pytest.param("/%70ublic/a", 200, 200, id="encoded"),
        pytest.param("/public/../staff/a", 400, 400, id="dot-segments"),
        pytest.param("/public/%2e%2e/staff/a", 400, 400, id="encoded-dot-segments"),
        pytest.param("/public/..%2fstaff/a", 400, 400, id="encoded-slash"),
        pytest.param("/public/..;/staff/a", 400, 400, id="path-parameter"),
        pytest.param("//staff/a", 400, 400, id="empty-segment"),
        pytest.param("/public;x=1/a", 400, 400, id="reads-as-another-route"),
    ],
)
def test_who_may_see_what(path: str, signed_out: int, signed_in: int) -> None:
    with run_site({"routes": ROUTES}) as site:
        asked = site.browser.navigate(ORIGIN + path, follow=False)
        assert (asked.status, len(site.received)) == (signed_out, int(signed_out == 200))

        site.sign_in()
        reached = len(site.received)
        asked = site.browser.navigate(ORIGIN + path, follow=False)
        assert (asked.status, len(site.received) - reached) == (signed_in, int(signed_in == 200))


@pytest.mark.parametrize(
    ("path", "code"),
    [
        pytest.param("/guests/a", "access_denied", id="group"),
        pytest.param("/pay/a", "access_denied", id="scope"),
        pytest.param("/internal/a", "not_found", id="deny"),
        pytest.param("/a/../b", "target_ambiguous", id="target"),
    ],
)
def test_a_refusal_says_no_more_than_its_code(path: str, code: str, caplog: pytest.LogCaptureFixture) -> None:
    with run_site({"routes": ROUTES}) as site:
        site.sign_in()
        logged_codes(caplog)
        page = site.browser.navigate(ORIGIN + path, follow=False)

        assert (error_code(page), set_cookie_names(page)) == (code, [])
        assert not any(word in page.text for word in ("payments", "guests", "/internal"))
        assert page.headers["Cache-Control"] == "no-store"
        assert logged_codes(caplog) == [code]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Sec-Fetch-Site": "same-origin"}, 200, id="same-origin"),
        pytest.param({"Origin": ORIGIN}, 200, id="origin-of-an-old-browser"),
        pytest.param({"Sec-Fetch-Site": "same-site", "Origin": "https://other.app.example"}, 403, id="same-site"),
        pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403, id="cross-site"),
        pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN}, 403, id="origin-does-not-outweigh"),
        pytest.param({"Origin": "https://evil.example"}, 403, id="other-origin"),
        pytest.param({"Origin": "null"}, 403, id="opaque-origin"),
        pytest.param({}, 403, id="no-proof"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_an_unsafe_method_needs_proof_that_our_own_page_sent_it(
    site: Site, method: str, headers: dict[str, str], status: int
) -> None:
    site.sign_in()
    page = site.browser.request(method, f"{ORIGIN}/data", headers=headers, body=b"x")

    assert page.status == status
    assert len(site.received) == (2 if status == 200 else 1)
    if status != 200:
        assert error_code(page) == "cross_site_refused"


def test_a_websocket_of_another_sites_page_is_refused(site: Site) -> None:
    site.sign_in()
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Origin": "https://evil.example"}
    page = site.browser.get(f"{ORIGIN}/socket", headers=upgrade)

    assert (page.status, error_code(page), len(site.received)) == (403, "cross_site_refused", 1)


IDENTITY = {
    "x-forwarded-user": "alice",
    "x-forwarded-email": "alice@op.example",
    "x-forwarded-groups": "staff,ops",
}

SPOOFED = {
    "plain": {"X-Forwarded-User": "admin", "X-Forwarded-Email": "admin@x", "X-Forwarded-Groups": "admins"},
    "case": {"x-FORWARDED-user": "admin", "X-forwarded-EMAIL": "admin@x"},
    "underscores": {"X_Forwarded_User": "admin", "X_Forwarded-Groups": "admins"},
    "connection": {"Connection": "X-Forwarded-User, Authorization, Cookie", "X-Forwarded-User": "admin"},
    "oauth2-proxy": {"X-Auth-Request-User": "admin", "X-Auth-Request-Email": "admin@x"},
    "remote-user": {"Remote-User": "admin", "X-Remote-User": "admin", "X-WebAuth-User": "admin"},
    "authorization": {"Authorization": "Bearer stolen", "Proxy-Authorization": "Basic x"},
    "rewriting": {"X-Original-URL": "/admin", "X-Rewrite-URL": "/admin", "X-Real-IP": "10.0.0.1"},
    "forwarded": {"Forwarded": "for=10.0.0.1;host=evil.example", "X-Forwarded-Host": "evil.example"},
}


@pytest.mark.parametrize("spoofed", [pytest.param(headers, id=name) for name, headers in SPOOFED.items()])
@pytest.mark.parametrize("path", ["/home", "/public/page", "/maybe/page"])
def test_no_client_can_say_who_it_is(path: str, spoofed: dict[str, str]) -> None:
    routes = [*ROUTES, {"path": "/**", "identity_headers": True, "token": "access_token"}]
    with run_site({"routes": routes}) as site:
        site.sign_in()
        assert site.browser.get(ORIGIN + path, headers=spoofed).status == 200
        seen = site.received[-1].headers

        expected = {} if path.startswith("/public") else IDENTITY
        assert {name: seen[name] for name in seen if name in IDENTITY} == expected
        values = " ".join(value for name, value in seen.items() if name != "connection")
        assert not any(word in values for word in ("admin", "stolen", "evil", "Basic", "10.0.0.1"))
        assert ("authorization" in seen) is (path == "/home")


def test_a_visitor_of_a_public_page_is_nobody_whatever_he_sends() -> None:
    with run_site({"routes": ROUTES}) as site:
        for path in ("/public/a", "/maybe/a"):
            for spoofed in SPOOFED.values():
                assert site.browser.get(ORIGIN + path, headers=spoofed).text == "hello nobody"
                assert not set(site.received[-1].headers) & {*IDENTITY, "authorization", "remote-user"}


@EVERYWHERE
def test_our_cookies_are_cut_out_and_the_others_kept_to_the_letter(site: Site) -> None:
    site.sign_in()
    handle = site.browser.cookies.of(ORIGIN)[SESSION_COOKIE]
    others = 'a="x y"; b=%41==; c; gatewayish=1'
    header = f"{SESSION_COOKIE}-tx-0123456789abcdef=x; {others}; {SESSION_COOKIE}={handle}; gateway=y"
    page = site.new_browser().get(f"{ORIGIN}/home", headers={"Cookie": header})

    assert page.status == 200
    assert site.received[-1].headers["cookie"] == others


@EVERYWHERE
def test_the_app_cannot_set_a_cookie_of_ours(site: Site) -> None:
    page = site.sign_in()

    assert SESSION_COOKIE not in set_cookie_names(page)


@pytest.mark.parametrize(
    ("claim", "sent"),
    [
        pytest.param("plain", "plain", id="plain"),
        pytest.param("x\r\nX-Admin: 1", "x%0D%0AX-Admin: 1", id="line-break"),
        pytest.param("Jörg Müller", "J%C3%B6rg M%C3%BCller", id="not-ascii"),
        pytest.param("日本", "%E6%97%A5%E6%9C%AC", id="not-latin-1"),
        pytest.param("100%25", "100%2525", id="percent"),
        pytest.param("a\x00b", "a%00b", id="nul"),
        pytest.param(" padded ", "%20padded%20", id="outer-spaces"),
    ],
)
@pytest.mark.parametrize("mode", ["wrapped", "upstream"])
def test_a_hostile_claim_is_one_field_value(mode: Any, claim: str, sent: str) -> None:
    route = {"path": "/**", "identity_headers": True, "request_headers": {"X-Name": "{name}"}}
    with run_site({"routes": [route]}, mode=mode) as site:
        site.provider.users = {"alice": {"email": claim, "name": claim, "groups": [claim, "b,c"]}}
        site.sign_in()
        seen = site.received[-1].headers

        assert seen["x-name"] == seen["x-forwarded-email"] == sent
        assert seen["x-forwarded-groups"] == f"{sent},b%2Cc"
        assert "x-admin" not in seen


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        pytest.param("access_token", "access", id="access-token"),
        pytest.param("id_token", "id", id="id-token"),
        pytest.param("none", "", id="none"),
    ],
)
@pytest.mark.parametrize("mode", ["wrapped", "upstream"])
def test_the_token_that_the_route_names_replaces_what_the_client_sent(mode: Any, token: str, kind: str) -> None:
    with run_site({"routes": [{"path": "/**", "token": token}]}, mode=mode) as site:
        site.sign_in()
        site.browser.fetch(f"{ORIGIN}/data", headers={"Authorization": "Bearer stolen"})
        sent = site.received[-1].headers.get("authorization", "")

        assert sent.startswith("Bearer ") is bool(kind)
        assert "stolen" not in sent
        if kind == "access":
            assert site.provider.subject_of(sent.removeprefix("Bearer ")) == "alice"
        if kind == "id":
            assert sent.count(".") == 2


COMBINED: list[dict[str, Any]] = [
    {"path": "/any", "require": {"any_of": [{"claims": {"groups": "guests"}}, {"email_domains": ["op.example"]}]}},
    {"path": "/all", "require": {"all_of": [{"claims": {"groups": "staff"}}, {"email_domains": ["other.example"]}]}},
    {"path": "/not", "require": {"not": [{"claims": {"groups": "guests"}}]}},
    {"path": "/office", "require": {"networks": ["192.0.2.0/24"]}},
    {"path": "/open", "access": "public", "require": {"networks": ["192.0.2.0/24"]}},
    {"path": "/mine/*", "require": {"check": "rules:may_pass"}},
]


@pytest.mark.parametrize(
    ("path", "alice", "bob", "code"),
    [
        pytest.param("/any", 200, 200, "", id="one of two"),
        pytest.param("/all", 403, 403, "access_denied", id="all of two"),
        pytest.param("/not", 200, 403, "access_denied", id="none of one"),
        pytest.param("/office", 403, 403, "access_denied", id="networks"),
        pytest.param("/open", 403, 403, "access_denied", id="networks of a public route"),
        pytest.param("/mine/alice", 200, 403, "access_denied", id="a check in Python"),
        pytest.param("/mine/none", 403, 403, "access_denied", id="a check that forgets its answer"),
        pytest.param("/mine/one", 403, 403, "access_denied", id="a check that answers 1"),
        pytest.param("/mine/text", 403, 403, "access_denied", id="a check that answers a text"),
        pytest.param("/mine/boom", 500, 500, "internal_error", id="a check that fails"),
    ],
)
def test_requirements_combine(path: str, alice: int, bob: int, code: str) -> None:
    with run_site({"routes": COMBINED}) as site:
        for user, status in (("alice", alice), ("bob", bob)):
            site.provider.sign_in_as = user
            site.restarted().sign_in()
            site.received.clear()
            page = site.browser.navigate(ORIGIN + path, follow=False)
            assert (page.status, len(site.received)) == (status, int(status == 200)), user
            assert status == 200 or error_code(page) == code


def test_who_comes_from_elsewhere_is_not_sent_to_a_login_that_would_not_help() -> None:
    with run_site({"routes": COMBINED}) as site:
        page = site.browser.navigate(f"{ORIGIN}/office", follow=False)
        assert (page.status, error_code(page)) == (403, "access_denied")


def test_who_comes_from_the_network_is_let_in() -> None:
    over = {"routes": COMBINED, "trusted_proxies": ["127.0.0.1"]}
    with run_site(over) as site:
        headers = {"X-Forwarded-For": "192.0.2.7"}
        assert site.browser.fetch(f"{ORIGIN}/open", headers=headers).status == 200
        spoofed = {"X-Forwarded-For": "192.0.2.7, 203.0.113.9"}
        assert site.browser.fetch(f"{ORIGIN}/open", headers=spoofed).status == 403


def test_an_upstream_with_a_name_and_two_origins() -> None:
    with run_listener(_named("one")) as one, run_listener(_named("two")) as two:
        over = {
            "upstreams": {"pair": {"url": [one.origin, two.origin]}},
            "routes": [{"path": "/one/**", "upstream": one.origin}, {"path": "/pair/**", "upstream": "pair"}],
        }
        with run_site(over) as site:
            site.browser.navigate(f"{ORIGIN}/sign-in")
            assert {site.browser.fetch(f"{ORIGIN}/pair/x").text for _ in range(2)} == {"one", "two"}
            assert {site.browser.fetch(f"{ORIGIN}/one/x").text for _ in range(2)} == {"one"}
            assert two.received[-1].headers["authorization"].startswith("Bearer ")
            for upstream in site.gateway.upstreams.values():
                upstream.close()


def test_an_upstream_speaks_of_itself_in_the_words_of_the_site() -> None:
    def answer(received: Received) -> Answer:
        home = f"http://{received.headers['host']}"
        return Answer(status=302, headers={"Location": f"{home}/in", "Set-Cookie": "a=b; Path=/; Domain=127.0.0.1"})

    with run_listener(answer) as listener:
        rule = {"path": "/app/**", "access": "public", "strip_prefix": "/app", "upstream": listener.origin}
        routes = [{**rule, "rewrite_responses": True}, {**rule, "path": "/plain/**", "strip_prefix": "/plain"}]
        with run_site({"routes": routes}) as site:
            page = site.browser.navigate(f"{ORIGIN}/app/x", follow=False)
            assert (page.headers["Location"], page.headers["Set-Cookie"]) == (f"{ORIGIN}/app/in", "a=b; Path=/app/")
            page = site.browser.navigate(f"{ORIGIN}/plain/x", follow=False)
            assert page.headers["Location"] == f"{ORIGIN.replace('https', 'http')}/in"
            for upstream in site.gateway.upstreams.values():
                upstream.close()


def _named(name: str) -> Callable[[Received], Answer]:
    return lambda _: Answer(headers={}, body=name)
