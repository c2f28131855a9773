"""nginx asks the gateway by auth_request, configured as examples/nginx/nginx.conf says."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest
import requests
from peers.servers import LOOPBACK, NGINX_HTTP_PATHS, free_port, run_nginx

from .running import (
    COOKIE,
    NAVIGATION,
    OWN_FORM,
    SECONDS,
    TESTS,
    Answer,
    Connection,
    Face,
    environment,
    origin_at,
    run_echo,
    run_gateway,
    run_provider,
    sign_in,
    sign_out,
)

DOCUMENTED = TESTS.parent / "examples" / "nginx" / "nginx.conf"
DEEP_LINK = "/reports/caf%C3%A9/a%20b?first=1&second=a%26b&rd=%2Fother&url=http://evil.example/?a=b"
USERS = {
    "alice": {"email": "alice@op.example", "email_verified": True, "groups": ["staff", "café"]},
    "bob": {"email": "bob@op.example", "email_verified": True},
}
ROUTES = [
    {"path": "/public/**", "access": "public"},
    {"path": "/admin/**", "require": {"claims": {"groups": ["staff"]}}},
    {"path": "/api/**", "methods": ["DELETE"], "access": "deny"},
    {"path": "/token/**", "token": "access_token"},
]

pytestmark = pytest.mark.real("nginx")


@pytest.fixture(scope="module")
def site(face: Face, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("nginx")
    port, gateway_port = free_port(), free_port()
    origin = origin_at(port)
    with ExitStack() as stack:
        provider = stack.enter_context(run_provider([origin], USERS))
        settings = {"TRUSTED_PROXIES": LOOPBACK, "FORWARD_AUTH__ENABLED": "true", "ROUTES": json.dumps(ROUTES)}
        environ = environment(origin, provider.issuer, settings)
        stack.enter_context(run_gateway(directory, gateway_port, environ, face=face))
        echo = stack.enter_context(run_echo(directory))
        addresses = {
            "LISTEN_ADDRESS": f"{LOOPBACK}:{port}",
            "GATEWAY_ADDRESS": f"{LOOPBACK}:{gateway_port}",
            "APPLICATION_ADDRESS": echo.removeprefix("http://"),
        }
        stack.enter_context(run_nginx(rendered(addresses), directory))
        yield origin


@pytest.fixture(scope="module")
def alice(site: str) -> str:
    return sign_in_through_nginx(site, "alice")


@pytest.fixture(scope="module")
def bob(site: str) -> str:
    return sign_in_through_nginx(site, "bob")


def test_a_page_leads_to_the_sign_in_and_back_to_the_very_address(site: str) -> None:
    with requests.Session() as browser:
        browser.trust_env = False
        answer = browser.get(f"{site}{DEEP_LINK}", headers=dict(NAVIGATION), timeout=SECONDS)
    assert [hop.status_code for hop in answer.history] == [303, 303, 303]
    assert (answer.status_code, answer.url) == (200, f"{site}{DEEP_LINK}")
    assert "x-auth-request-user" in answer.text


def test_a_script_gets_401_with_the_address_of_the_sign_in(site: str) -> None:
    answer = get(site, DEEP_LINK)
    assert answer.status == 401
    assert answer.shown["login_url"] == f"{site}/oauth2/start"


def test_a_public_route_names_nobody(site: str, alice: str) -> None:
    answer = get(site, "/public/page", alice)
    assert answer.status == 200
    assert identity(answer) == {}


def test_the_application_is_told_who_it_is(site: str, alice: str) -> None:
    answer = get(site, DEEP_LINK, alice)
    assert answer.status == 200
    assert answer.shown["target"] == DEEP_LINK
    assert identity(answer) == {
        "x-auth-request-user": "alice",
        "x-auth-request-email": "alice@op.example",
        "x-auth-request-groups": "staff,caf%C3%A9",
    }


def test_the_application_receives_the_token_where_the_route_says_so(site: str, alice: str) -> None:
    assert get(site, "/token/", alice).token
    assert "authorization" not in get(site, "/", alice).shown["fields"]


@pytest.mark.parametrize(
    ("cookies", "rest"),
    [
        pytest.param("{own}", None, id="alone"),
        pytest.param("{own}; a=1", "a=1", id="first"),
        pytest.param("a=1; {own}; b=2", "a=1; b=2", id="between"),
        pytest.param("a=1; {own}", "a=1;", id="last"),
        pytest.param("gateway_theme=dark; {own}", "gateway_theme=dark;", id="beside-a-similar-name"),
        pytest.param("{own}; gateway=x", None, id="another-of-that-name-was-planted"),
        pytest.param("{own}; __Host-gateway=x", None, id="another-with-the-prefix"),
        pytest.param("a=1; {own}; {own}; {own}", None, id="three-times"),
    ],
)
def test_the_application_does_not_receive_the_session(site: str, alice: str, cookies: str, rest: str | None) -> None:
    answer = get(site, "/", headers={"Cookie": cookies.format(own=f"{COOKIE}={alice}")})
    assert answer.status == 200
    assert answer.shown["fields"].get("cookie") == rest


@pytest.mark.parametrize(
    "spoofed",
    [
        pytest.param({"X-Auth-Request-User": "root"}, id="user"),
        pytest.param({"X-Auth-Request-Preferred-Username": "root"}, id="absent-claim"),
        pytest.param({"X_Auth_Request_User": "root"}, id="underscores"),
        pytest.param({"X-Auth-Request-Issuer": "https://root.example"}, id="issuer"),
        pytest.param({"X-Forwarded-User": "root", "X-Forwarded-Groups": "root"}, id="another-name-for-it"),
        pytest.param({"X-Forwarded-Issuer": "root", "X-Original-URL": "/root", "DPoP": "root"}, id="and-more-of-them"),
        pytest.param({"X-Auth-Request-Access-Token": "root", "X-Forwarded-Access-Token": "root"}, id="other-tokens"),
        pytest.param({"X-Gateway-Identity": "root", "Remote-User": "root", "X-Remote-User": "root"}, id="cgi"),
        pytest.param({"X-Script-Name": "/root"}, id="where-the-application-is"),
        pytest.param({"Authorization": "Bearer root"}, id="token"),
        pytest.param({"Connection": "X-Auth-Request-User", "X-Auth-Request-User": "root"}, id="connection"),
    ],
)
def test_what_the_client_says_of_itself_is_not_passed_on(site: str, bob: str, spoofed: Mapping[str, str]) -> None:
    answer = get(site, "/", bob, spoofed)
    assert identity(answer) == {"x-auth-request-user": "bob", "x-auth-request-email": "bob@op.example"}
    assert "root" not in json.dumps(answer.shown["fields"])


@pytest.mark.parametrize(
    ("user", "status"), [pytest.param("alice", 200, id="in-the-group"), pytest.param("bob", 403, id="not-in-the-group")]
)
def test_a_route_may_ask_for_a_group(site: str, alice: str, bob: str, user: str, status: int) -> None:
    assert get(site, "/admin/", {"alice": alice, "bob": bob}[user]).status == status


@pytest.mark.parametrize(
    ("method", "target", "fields", "status"),
    [
        pytest.param("GET", "/admin/", {"X-Forwarded-Uri": "/public/"}, 403, id="target"),
        pytest.param("DELETE", "/api/1", {**OWN_FORM, "X-Forwarded-Method": "GET"}, 403, id="method"),
        pytest.param("POST", "/", {"Sec-Fetch-Site": "cross-site"}, 403, id="cross-site"),
        pytest.param(
            "GET",
            "/",
            {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-Fetch-Site": "same-site"},
            403,
            id="websocket-of-a-sibling",
        ),
        pytest.param("GET", "/public%2F..%2Fadmin/", {}, 403, id="encoded-slashes"),
    ],
)
def test_the_gateway_decides_on_what_nginx_received(
    site: str, bob: str, method: str, target: str, fields: Mapping[str, str], status: int
) -> None:
    with Connection(site) as connection:
        connection.send(method, target, cookie=bob, headers=fields)
        assert connection.receive().status == status


def test_nobody_but_nginx_gets_to_ask(site: str, alice: str) -> None:
    assert get(site, "/oauth2/auth", alice).status == 404


def test_after_the_sign_out_the_cookie_is_worthless(site: str) -> None:
    cookie = sign_in_through_nginx(site, "bob")
    assert get(site, "/", cookie).status == 200
    assert sign_out(site, cookie).status == 303
    assert get(site, "/", cookie).status == 401


def rendered(addresses: Mapping[str, str]) -> str:
    """Put the documented file, with these addresses, into a whole configuration."""
    text = DOCUMENTED.read_text(encoding="utf-8")
    comments, settings = text.partition("\nmap ")[0], "map " + text.partition("\nmap ")[2]
    for name, address in addresses.items():
        assert name in comments
        settings = settings.replace(name, address)
    return f"events {{}}\nhttp {{{NGINX_HTTP_PATHS}\n{settings}\n}}\n"


def sign_in_through_nginx(site: str, user: str) -> str:
    return sign_in(site, user, landing="/public/")


def get(site: str, target: str, cookie: str = "", headers: Mapping[str, str] | None = None) -> Answer:
    with Connection(site) as connection:
        return connection.get(target, cookie=cookie, headers=headers)


def identity(answer: Answer) -> dict[str, str]:
    fields: Mapping[str, str] = answer.shown["fields"]
    assert fields.get("x-auth-request-issuer", "http://127.0.0.1:").startswith("http://127.0.0.1:")
    shown = {name: value for name, value in fields.items() if name.startswith("x-auth-request-")}
    return {name: value for name, value in shown.items() if name != "x-auth-request-issuer"}
