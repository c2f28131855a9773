"""Forward-auth: a trusted proxy names a target, and is told 202, 401 or 403, and who asks."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

import pytest
from harness import ALICE, ORIGIN, SESSION_COOKIE, Site, error_code, held_session, merged, run_site, set_cookie_names

from gateway.config_sources import ConfigurationError
from gateway.testing import Page

AUTH = f"{ORIGIN}/oauth2/auth"
ROUTES: list[dict[str, Any]] = [
    {"path": "/public/**", "access": "public"},
    {"path": "/maybe/**", "access": "optional"},
    {"path": "/internal/**", "access": "deny"},
    {"path": "/guests/**", "require": {"claims": {"groups": ["guests"]}}},
    {"path": "/read/**", "methods": ["GET"], "access": "public"},
    {"path": "/api/**", "token": "access_token", "request_headers": {"X-Name": "{name}"}},
]
TRUSTED: Mapping[str, object] = {"trusted_proxies": ["127.0.0.1"], "forward_auth": {"enabled": True}, "routes": ROUTES}


@pytest.fixture
def proxied() -> Iterator[Site]:
    with run_site(TRUSTED) as site:
        yield site


def ask(site: Site, uri: str | None, *, query: str = "", **headers: str) -> Any:
    named = {} if uri is None else {"X-Forwarded-Uri": uri, "X-Forwarded-Method": "GET"}
    others = {name.replace("_", "-"): value for name, value in headers.items()}
    return site.browser.get(AUTH + query, headers={"Accept": "text/html", **named, **others})


@pytest.mark.parametrize(
    ("uri", "signed_out", "signed_in"),
    [
        pytest.param("/home?x=1", 401, 202, id="protected"),
        pytest.param("/public/a", 202, 202, id="public"),
        pytest.param("/maybe/a", 202, 202, id="optional"),
        pytest.param("/internal/a", 403, 403, id="deny"),
        pytest.param("/guests/a", 401, 403, id="lacks-the-group"),
        pytest.param(None, 403, 403, id="not-named"),
        pytest.param("/public/../guests/a", 403, 403, id="dot-segments"),
        pytest.param("/public/..%2fguests/a", 403, 403, id="encoded-slash"),
        pytest.param("https://app.example/public/a", 403, 403, id="absolute"),
        pytest.param("", 403, 403, id="empty"),
    ],
)
def test_the_decision_is_that_of_the_named_target(
    proxied: Site, uri: str | None, signed_out: int, signed_in: int
) -> None:
    assert ask(proxied, uri).status == signed_out
    proxied.sign_in()
    page = ask(proxied, uri)

    assert page.status == signed_in
    assert set_cookie_names(page) == []
    assert len(proxied.received) == 1


@pytest.mark.parametrize("signed_in", [pytest.param(True, id="signed-in"), pytest.param(False, id="signed-out")])
def test_a_peer_that_is_not_trusted_may_not_ask(signed_in: bool) -> None:
    with run_site({"forward_auth": {"enabled": True}, "trusted_proxies": ["192.0.2.1"]}) as site:
        if signed_in:
            site.sign_in()
        page = ask(site, "/home", X_Forwarded_For="127.0.0.1")

        assert (page.status, error_code(page)) == (403, "untrusted_peer")
        assert not any(name.lower().startswith("x-auth-request") for name in page.headers.keys())  # noqa: SIM118


def test_who_trusts_a_proxy_has_not_enabled_forward_auth() -> None:
    with run_site({"trusted_proxies": ["127.0.0.1"]}) as site:
        site.sign_in()
        page = ask(site, "/home")

        assert (page.status, error_code(page)) == (404, "not_found")
        assert "Authorization" not in page.headers


def test_a_peer_is_not_trusted_for_what_it_forwards() -> None:
    with run_site(merged(dict(TRUSTED), {"trusted_proxies": ["10.0.0.0/8"]})) as site:
        assert error_code(ask(site, "/public/a", X_Forwarded_For="10.0.0.1")) == "untrusted_peer"


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        pytest.param("GET", {}, 202, id="get"),
        pytest.param("POST", {}, 403, id="post-without-proof"),
        pytest.param("POST", {"Sec_Fetch_Site": "same-origin"}, 202, id="post-of-our-own-page"),
        pytest.param("POST", {"Origin": "https://evil.example"}, 403, id="post-of-another-site"),
        pytest.param("TRACE", {}, 403, id="trace"),
    ],
)
def test_the_method_is_the_named_one(proxied: Site, method: str, headers: dict[str, str], status: int) -> None:
    proxied.sign_in()

    assert ask(proxied, "/home", X_Forwarded_Method=method, **headers).status == status


def test_a_route_for_one_method_is_not_for_another(proxied: Site) -> None:
    assert ask(proxied, "/read/a", X_Forwarded_Method="GET").status == 202
    assert ask(proxied, "/read/a", X_Forwarded_Method="POST").status == 401


@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param("allowed_groups=staff", 202, id="group"),
        pytest.param("allowed_groups=admins,ops", 202, id="one-of-several-groups"),
        pytest.param("allowed_groups=admins", 403, id="other-group"),
        pytest.param("allowed_groups=Staff", 403, id="case-of-a-group"),
        pytest.param("allowed_groups=", 403, id="no-group"),
        pytest.param("&".join(f"allowed_groups=g{number}" for number in range(40)), 403, id="too-many"),
        pytest.param("allowed_emails=alice%40op.example", 202, id="email"),
        pytest.param("allowed_emails=bob%40op.example", 403, id="other-email"),
        pytest.param("allowed_email_domains=op.example", 202, id="domain"),
        pytest.param("allowed_email_domains=example", 403, id="parent-without-dot"),
        pytest.param("allowed_email_domains=.example", 202, id="domains-below"),
        pytest.param("allowed_email_domains=.op.example", 403, id="below-is-not-itself"),
        pytest.param("allowed_email_domains=p.example", 403, id="suffix"),
        pytest.param("allowed_groups=staff&allowed_emails=bob%40op.example", 403, id="all-must-fit"),
        pytest.param("allowed_group=staff", 403, id="misspelt"),
    ],
)
def test_a_proxy_may_narrow_who_passes(proxied: Site, query: str, status: int) -> None:
    proxied.sign_in()

    assert ask(proxied, "/home", query=f"?{query}").status == status


@pytest.mark.parametrize("verified", [False, "false", 0, None, "no"])
def test_an_address_that_is_not_verified_proves_nothing(proxied: Site, verified: object) -> None:
    proxied.provider.users = {"alice": {**ALICE, "email_verified": verified}}
    proxied.sign_in()

    assert ask(proxied, "/home", query="?allowed_email_domains=op.example").status == 403


def test_the_answer_names_the_user_and_carries_what_the_route_injects(proxied: Site) -> None:
    proxied.sign_in()
    headers = ask(proxied, "/api/x").headers

    assert {name: headers[name] for name in ("X-Auth-Request-User", "X-Auth-Request-Email", "X-Name")} == {
        "X-Auth-Request-User": "alice",
        "X-Auth-Request-Email": "alice@op.example",
        "X-Name": "Alice Example",
    }
    assert headers["X-Auth-Request-Groups"] == "staff,ops"
    assert proxied.provider.subject_of(headers["Authorization"].removeprefix("Bearer ")) == "alice"


def test_a_public_target_names_nobody(proxied: Site) -> None:
    proxied.sign_in()
    headers = ask(proxied, "/public/a").headers

    said = {name.lower(): value for name, value in headers.items()}
    assert {value for name, value in said.items() if name.startswith("x-auth-request")} == {""}
    assert said["authorization"] == ""  # Said all the same, for proxies that would leave what the client said.


@pytest.mark.parametrize("named", [{}, {"X_Forwarded_Uri": "/a"}, {"X_Forwarded_Method": "GET"}])
def test_target_and_method_must_be_named_even_without_routes(named: dict[str, str]) -> None:
    with run_site({"trusted_proxies": ["127.0.0.1"], "forward_auth": {"enabled": True}}) as site:
        site.sign_in()
        assert ask(site, "/a").status == 202
        assert ask(site, None, **named).status == 403


@pytest.mark.parametrize(("upstream", "token"), [("", True), ("http://127.0.0.1:9", False)])
def test_the_token_is_for_a_proxy_that_forwards_itself(upstream: str, token: bool) -> None:
    """Where we forward, whoever asks here is perhaps a browser behind a proxy that we trust."""
    routes = [{"path": "/**", "token": "access_token", "upstream": upstream}]
    with run_site(merged(dict(TRUSTED), {"routes": routes})) as site:
        site.browser.navigate(f"{ORIGIN}/home")
        page = ask(site, "/a")

        assert page.status == 202
        assert bool(page.headers["Authorization"]) is token


def test_a_hostile_claim_is_one_field_value(proxied: Site) -> None:
    proxied.provider.users = {"alice": {**ALICE, "name": "x\r\nX-Admin: 1"}}
    proxied.sign_in()
    headers = ask(proxied, "/api/x").headers

    assert headers["X-Name"] == quote("x\r\nX-Admin: 1", safe=" :")
    assert "X-Admin" not in headers


def test_where_the_target_is_named_can_be_configured() -> None:
    with run_site(merged(dict(TRUSTED), {"forward_auth": {"enabled": True, "uri_header": "X-Original-Uri"}})) as site:
        page = ask(site, "/public/a", X_Original_Uri="/home")

        assert page.status == 401


@pytest.mark.parametrize("narrowing", ["allowed_groups=staff", "allowed_emails=alice%40op.example"])
def test_a_narrowed_target_lets_no_stranger_pass(proxied: Site, narrowing: str) -> None:
    assert ask(proxied, "/home", query=f"?{narrowing}").status == 401


@pytest.mark.parametrize("target", ["/public/a", "/maybe/a"])
def test_narrowing_asks_who_it_is_on_open_routes_too(proxied: Site, target: str) -> None:
    assert ask(proxied, target).status == 202
    assert ask(proxied, target, query="?allowed_groups=staff").status == 401
    proxied.sign_in()
    assert ask(proxied, target, query="?allowed_groups=staff").status == 202
    assert ask(proxied, target, query="?allowed_groups=admins").status == 403


@pytest.mark.parametrize(
    ("over", "words"),
    [
        pytest.param({"forward_auth": {"enabled": True}}, "trusted_proxies must name", id="nobody may ask"),
        pytest.param(
            {**TRUSTED, "forward_auth": {"enabled": True, "method_header": ""}},
            "a rule is about methods",
            id="no method",
        ),
    ],
)
def test_what_is_refused_at_the_start(over: Mapping[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words), run_site(over):
        pass


REDIRECTING: Mapping[str, object] = merged(dict(TRUSTED), {"forward_auth": {"login": "redirect"}})
NAVIGATION: Mapping[str, str] = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document", "Sec_Fetch_Site": "none"}


def test_a_navigation_is_sent_to_the_login_and_comes_back_to_what_was_named() -> None:
    with run_site(REDIRECTING) as site:
        page = site.browser.get(
            AUTH, headers={"X-Forwarded-Uri": "/home?a=b%26c", "X-Forwarded-Method": "GET", "Accept": "text/html"},
            follow=False,
        )  # fmt: skip
        assert page.status == 303
        assert page.headers["Location"].startswith("https://op.example/")
        done = site.browser.navigate(page.headers["Location"])
        assert done.url == f"{ORIGIN}/home?a=b%26c"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"}, 401, id="a script"),
        pytest.param({"X_Forwarded_Method": "POST", **NAVIGATION}, 401, id="a form"),
        pytest.param({"Upgrade": "websocket"}, 401, id="a WebSocket"),
        pytest.param({"X_Forwarded_Host": "other.example", **NAVIGATION}, 401, id="another host, where no login ends"),
    ],
)
def test_what_is_no_navigation_is_not_sent_anywhere(headers: dict[str, str], status: int) -> None:
    with run_site(REDIRECTING) as site:
        page = ask(site, "/home", **headers)
        assert (page.status, "Location" in page.headers, set_cookie_names(page)) == (status, False, [])


def test_who_is_refused_is_not_sent_to_the_login_either() -> None:
    with run_site(REDIRECTING) as site:
        site.sign_in()
        assert ask(site, "/guests/a", **NAVIGATION).status == 403


def test_a_weak_login_is_asked_for_a_stronger_one_where_it_can_be() -> None:
    routes = [{"path": "/gold/**", "require": {"acr": ["gold"]}}]
    for login, status in (("status", 403), ("redirect", 303)):
        over = merged(dict(TRUSTED), {"forward_auth": {"login": login}, "routes": routes})
        with run_site(over) as site:
            site.sign_in()
            page = site.browser.get(
                AUTH, follow=False,
                headers={"X-Forwarded-Uri": "/gold/a", "X-Forwarded-Method": "GET", "Accept": "text/html"},
            )  # fmt: skip
            assert page.status == status


def test_rules_by_host_are_about_the_host_that_the_proxy_names() -> None:
    routes = [{"path": "/**", "hosts": ["open.example"], "access": "public"}, {"path": "/**", "access": "deny"}]
    with run_site(merged(dict(TRUSTED), {"routes": routes})) as site:
        assert ask(site, "/a", X_Forwarded_Host="open.example").status == 202
        assert ask(site, "/a", X_Forwarded_Host="other.example").status == 403
        assert ask(site, "/a").status == 403


def test_a_proxy_that_names_no_method() -> None:
    over = {"trusted_proxies": ["127.0.0.1"], "forward_auth": {"enabled": True, "method_header": ""}}
    with run_site(over) as site:
        site.sign_in()
        for headers in ({}, {"X-Forwarded-Method": "DELETE"}):
            page = site.browser.get(AUTH, headers={"X-Forwarded-Uri": "/a", **headers})
            assert page.status == 202


def test_an_answer_may_be_used_again_where_that_is_asked_for() -> None:
    with run_site(merged(dict(TRUSTED), {"forward_auth": {"cache": "10s"}})) as site:
        assert ask(site, "/home").headers["Cache-Control"] == "no-store"
        site.sign_in()
        page = ask(site, "/home")
        assert page.headers["Cache-Control"] == "private, max-age=10"
        decides = {"Authorization", "Cookie", "Origin", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Host"}
        assert decides <= set(page.headers["Vary"].split(", "))
        assert ask(site, "/guests/a").headers["Cache-Control"] == "no-store"


def test_the_access_token_where_it_is_asked_for(proxied: Site) -> None:
    proxied.sign_in()
    assert "X-Auth-Request-Access-Token" not in ask(proxied, "/home").headers
    with run_site(merged(dict(TRUSTED), {"forward_auth": {"access_token": True}})) as site:
        assert "X-Auth-Request-Access-Token" not in ask(site, "/public/a").headers
        site.sign_in()
        token = ask(site, "/home").headers["X-Auth-Request-Access-Token"]
        assert site.provider.subject_of(token) == "alice"


@pytest.mark.parametrize(
    ("field", "status"),
    [
        pytest.param("Bearer unknown", 401, id="unknown"),
        pytest.param("Bearer a b", 403, id="malformed"),
        pytest.param("Basic x", 401, id="another scheme"),
    ],
)
def test_a_client_with_a_bad_token(field: str, status: int) -> None:
    routes = [{"path": "/api/**", "bearer": ["introspection"]}]
    with run_site(merged(dict(TRUSTED), {"routes": routes, "bearer": {"audience": ["app %&+"]}})) as site:
        assert ask(site, "/api/x", Authorization=field).status == status


def test_a_client_with_a_token_needs_no_proof_of_origin() -> None:
    routes = [{"path": "/api/**", "bearer": ["introspection"]}]
    with run_site(merged(dict(TRUSTED), {"routes": routes, "bearer": {"audience": ["app %&+"]}})) as site:
        site.sign_in()
        token = held_session(site).access_token
        page = ask(site.restarted(), "/api/x", Authorization=f"Bearer {token}", X_Forwarded_Method="POST")
        assert (page.status, page.headers["X-Auth-Request-User"]) == (202, "alice")


ENVOY: Mapping[str, object] = merged(dict(TRUSTED), {"forward_auth": {"ext_authz": True, "login": "redirect"}})


@pytest.mark.parametrize(
    ("method", "rest", "headers", "signed_out", "signed_in"),
    [
        pytest.param("GET", "/home?x=1", {}, 401, 200, id="protected"),
        pytest.param("GET", "/home", {"Accept": "text/html"}, 303, 200, id="a navigation"),
        pytest.param("GET", "/public/a", {}, 200, 200, id="public"),
        pytest.param("POST", "/read/a", {"Sec-Fetch-Site": "cross-site"}, 401, 403, id="the method is its own"),
        pytest.param("PROPFIND", "/home", {"Sec-Fetch-Site": "same-origin"}, 401, 200, id="any method"),
        pytest.param("GET", "/internal/a", {}, 403, 403, id="deny"),
        pytest.param("GET", "/guests/a", {}, 401, 403, id="lacks the group"),
        pytest.param("GET", "/public/a", {"X-Forwarded-Uri": "/internal/a"}, 200, 200, id="fields name nothing"),
        pytest.param("GET", "/home", {"X-Forwarded-Method": "TRACE"}, 401, 200, id="nor a method"),
        pytest.param("GET", "/public/../internal/a", {}, 400, 400, id="dot segments"),
        pytest.param("GET", "/public/..%2finternal/a", {}, 400, 400, id="an encoded slash"),
        pytest.param("GET", "//internal/a", {}, 400, 400, id="two slashes"),
        pytest.param("GET", "/oauth2/auth", {}, 401, 200, id="our own paths are paths like others"),
        pytest.param("TRACE", "/public/a", {}, 405, 405, id="trace"),
    ],
)
def test_envoy_asks_by_the_path(
    method: str, rest: str, headers: dict[str, str], signed_out: int, signed_in: int
) -> None:
    with run_site(ENVOY) as site:
        url = f"{ORIGIN}/oauth2/ext_authz{rest}"
        assert site.browser.request(method, url, headers=headers, follow=False).status == signed_out
        site.sign_in()
        page = site.browser.request(method, url, headers=headers, follow=False)
        assert page.status == signed_in
        if signed_in == 200 and not rest.startswith("/public"):
            assert page.headers["X-Auth-Request-User"] == "alice"


@pytest.mark.parametrize("path", ["/oauth2/%65xt_authz/public/a", "/oauth2/ext%5Fauthz/public/a"])
def test_our_part_of_envoys_path_must_be_written_plainly(path: str) -> None:
    with run_site(ENVOY) as site:
        assert site.browser.fetch(ORIGIN + path).status == 403


def test_envoy_is_not_answered_unless_that_is_enabled_nor_strangers() -> None:
    with run_site(TRUSTED) as site:
        assert site.browser.fetch(f"{ORIGIN}/oauth2/ext_authz/public/a").status == 401  # A path like any other.
    with run_site(merged(dict(ENVOY), {"trusted_proxies": ["192.0.2.1"]})) as site:
        page = site.browser.fetch(f"{ORIGIN}/oauth2/ext_authz/public/a")
        assert (page.status, error_code(page)) == (403, "untrusted_peer")


@pytest.mark.parametrize(
    ("query", "header", "rd"),
    [
        pytest.param("", {}, "/", id="nothing is named"),
        pytest.param("?rd=/a%3Fb", {}, "/a%3Fb", id="by the parameter"),
        pytest.param("", {"X-Auth-Request-Redirect": "/a?b=c"}, "/a%3Fb%3Dc", id="by oauth2-proxy's field"),
        pytest.param(f"?rd={ORIGIN}/a", {}, "/a", id="with our origin"),
    ],
)
def test_a_page_to_sign_in_from(query: str, header: dict[str, str], rd: str) -> None:
    with run_site() as site:
        page = site.browser.navigate(f"{ORIGIN}/oauth2/sign_in{query}", headers=header)
        assert page.status == 200
        assert f'href="/oauth2/start?rd={quote(unquote(rd), safe="")}&amp;provider=default"' in page.text


@pytest.mark.parametrize("rd", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_a_page_to_sign_in_from_leads_nowhere_else(rd: str) -> None:
    with run_site() as site:
        for page in (
            site.browser.navigate(f"{ORIGIN}/oauth2/sign_in?rd={quote(rd, safe='')}"),
            site.browser.navigate(f"{ORIGIN}/oauth2/sign_in", headers={"X-Auth-Request-Redirect": rd}),
        ):
            assert (page.status, error_code(page)) == (400, "return_url_refused")


@pytest.mark.parametrize("path", ["/oauth2/%61uth", "/oauth2/a%75th"])
def test_our_path_must_be_written_plainly(path: str) -> None:
    with run_site(TRUSTED) as site:
        named = {"X-Forwarded-Uri": "/public/a", "X-Forwarded-Method": "GET"}
        assert site.browser.fetch(AUTH, headers=named).status == 202
        assert site.browser.fetch(ORIGIN + path, headers=named).status == 403


def test_envoy_is_told_what_to_remove_and_gets_the_other_cookies() -> None:
    def removed(page: Page) -> set[str]:
        return set(page.headers["X-Envoy-Auth-Headers-To-Remove"].split(","))

    with run_site(ENVOY) as site:
        site.sign_in()
        url, own = (
            f"{ORIGIN}/oauth2/ext_authz/api/x",
            f"{SESSION_COOKIE}={site.browser.cookies.of(ORIGIN)[SESSION_COOKIE]}",
        )
        page = site.browser.fetch(url, headers={"Cookie": own})
        assert {"cookie", "x-forwarded-user", "x-auth-request-preferred-username", "dpop"} <= removed(page)
        assert not {"x-auth-request-user", "authorization", "x-name"} & removed(page)
        page = site.browser.fetch(url, headers={"Cookie": f"a=1; {own}; b=2"})
        assert page.headers["Cookie"] == "a=1; b=2"
        assert "cookie" not in removed(page)
        page = site.browser.fetch(f"{ORIGIN}/oauth2/ext_authz/public/a")
        assert {"x-auth-request-user", "authorization", "x-name"} <= removed(page)
