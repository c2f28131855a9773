"""Forward-auth: a trusted proxy names a target, and is told 202, 401 or 403, and who asks."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pytest
from harness import ALICE, ORIGIN, Site, error_code, merged, run_site, set_cookie_names

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
    with run_site({"forward_auth": {"enabled": True}}) as site:
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

    assert not any(name.lower().startswith("x-auth-request") for name in headers.keys())  # noqa: SIM118


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
        assert ("Authorization" in page.headers) is token


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
