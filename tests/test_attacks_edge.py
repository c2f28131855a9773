"""What an attacker found at the edges: rules about addresses, and proxies that ask and pass requests on themselves."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from harness import ORIGIN, Site, error_code, run_site

from gateway.config import parse_settings
from gateway.config_sources import ConfigurationError
from gateway.headers import KNOWN_IDENTITY_FIELDS

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
AUTH = f"{ORIGIN}/oauth2/auth"
ASKING = {"trusted_proxies": ["127.0.0.1"], "forward_auth": {"enabled": True, "ext_authz": True}}
OFFICE: dict[str, Any] = {"networks": ["192.0.2.0/24"]}
HOME: dict[str, Any] = {"networks": ["198.51.100.0/24"]}
OPS: dict[str, Any] = {"claims": {"groups": ["ops"]}}
INSIDE, OUTSIDE = "192.0.2.7", "203.0.113.9"


@pytest.mark.parametrize("access", ["public", "optional", "required"])
@pytest.mark.parametrize(
    ("require", "inside", "outside"),
    [
        pytest.param({}, True, True, id="nothing"),
        pytest.param(OFFICE, True, False, id="a network"),
        pytest.param({"any_of": [HOME, OFFICE]}, True, False, id="one of two"),
        pytest.param({"all_of": [OFFICE]}, True, False, id="all of one"),
        pytest.param({"not": [OFFICE]}, False, True, id="not"),
        pytest.param({"not": [{"not": [OFFICE]}]}, True, False, id="not not"),
        pytest.param({"not": [{"any_of": [HOME, OFFICE]}]}, False, True, id="not one of two"),
    ],
)
def test_where_somebody_must_be_holds_without_a_session(
    access: str, require: Mapping[str, object], inside: bool, outside: bool
) -> None:
    """Of a rule that needs no session, only the networks that stood at its top were looked at."""
    with run_site({"routes": [{"path": "/x", "access": access, "require": require}], **ASKING}) as site:
        welcome = 401 if access == "required" else 200
        assert status_from(site, INSIDE) == (welcome if inside else 403)
        assert status_from(site, OUTSIDE) == (welcome if outside else 403)


@pytest.mark.parametrize(
    "require",
    [
        pytest.param({"any_of": [OFFICE, OPS]}, id="an alternative that somebody from anywhere may have"),
        pytest.param({"not": [{**OFFICE, **OPS}]}, id="what not everybody from there is"),
    ],
)
def test_who_may_still_be_welcome_is_asked_to_sign_in(require: Mapping[str, object]) -> None:
    with run_site({"routes": [{"path": "/x", "require": require}], **ASKING}) as site:
        assert [status_from(site, client) for client in (INSIDE, OUTSIDE)] == [401, 401]


def status_from(site: Site, client: str) -> int:
    return site.browser.fetch(f"{ORIGIN}/x", headers={"X-Forwarded-For": client}).status


@pytest.mark.parametrize(
    "require",
    [
        pytest.param(OPS, id="a claim"),
        pytest.param({"scope": ["admin"]}, id="a scope"),
        pytest.param({"not": [{"any_of": [OFFICE, {"email_domains": ["corp.example"]}]}]}, id="deep down"),
        pytest.param({"acr": ["urn:mfa"]}, id="a strong login"),
        pytest.param({"max_age": "1h"}, id="a fresh login"),
        pytest.param({"check": "rules:may_pass"}, id="a function"),
    ],
)
def test_a_public_rule_that_asks_who_it_is_is_an_error(require: Mapping[str, object]) -> None:
    """It let everybody pass, without a word."""
    document = {
        "public_url": ORIGIN,
        "provider": {"issuer": "https://op.example", "client_id": "app", "client_secret": "s"},
        "session": {"secret": "s" * 32},
    }
    for access, asked in (("public", OFFICE), ("optional", require), ("required", require)):
        assert parse_settings({**document, "routes": [{"path": "/x", "access": access, "require": asked}]}, {}).routes
    with pytest.raises(ConfigurationError) as error:
        parse_settings({**document, "routes": [{"path": "/x", "access": "public", "require": require}]}, {})
    assert [problem.partition(":")[0] for problem in error.value.problems] == ["routes.0"]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        pytest.param({"email": "a@corp.example", "email_verified": True}, 200, id="honest"),
        pytest.param({"email": "a@corp.example", "email_verified": False}, 403, id="not verified"),
        pytest.param({"email": "a@evil.example", "email_verified": True}, 403, id="another"),
    ],
)
def test_an_address_that_was_not_verified_is_no_exception_to_what_must_not_be(
    address: Mapping[str, object], status: int
) -> None:
    """Whoever is a contractor must have an address of ours: inside a `not`, a `not` asks for something again."""
    barred = {"claims": {"groups": ["contractors"]}, "not": [{"email_domains": ["corp.example"]}]}
    with run_site({"routes": [{"path": "/x", "require": {"not": [barred]}}]}) as site:
        site.provider.users = {"alice": {"groups": ["contractors"], **address}}
        site.sign_in()
        assert site.browser.fetch(f"{ORIGIN}/x").status == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param({"Origin": ORIGIN}, 202, id="honest"),
        pytest.param({"Origin": "https://evil.example"}, 403, id="another site"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, 403, id="a sibling"),
        pytest.param({}, 403, id="no proof"),
    ],
)
def test_a_websocket_is_one_without_upgrade_too(fields: Mapping[str, str], status: int) -> None:
    """nginx and Traefik keep `Upgrade` to themselves when they ask, and a page elsewhere had a WebSocket."""
    handshake = {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    with run_site(ASKING) as site:
        site.sign_in()
        named = {"X-Forwarded-Uri": "/socket", "X-Forwarded-Method": "GET"}
        assert site.browser.get(AUTH, headers={**named, **handshake, **fields}).status == status


APART: list[dict[str, Any]] = [
    {"path": "/admin/**"},
    {"path": "/pr%C3%BCfung/x%20y"},
    {"path": "/**", "access": "public", "allow_encoded_slash": True},
]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/files/a%2Fb%20c", 200, id="honest"),
        pytest.param("/a%2FADMIN", 200, id="honest, and another path in every reading"),
        pytest.param("/admin%2Fx", 400, id="decoded"),
        pytest.param("/ADMIN%2Fx", 401, id="decoded, in another case"),
        pytest.param("/admin.%2Fx", 401, id="decoded, a dot at the end of a segment"),
        pytest.param("/%2FAdmin", 401, id="decoded, two slashes"),
        pytest.param("/ADMIN;a%2Fx", 401, id="decoded, then parameters"),
        pytest.param("/...%2FADMIN", 401, id="decoded, a segment of dots"),
        pytest.param("/.../ADMIN", 401, id="a segment of dots"),
        pytest.param("/pr%C3%BCfung/x%20y", 401, id="not ASCII"),
        pytest.param("/pr%25C3%25BCfung/x%2520y", 401, id="not ASCII, encoded twice"),
        pytest.param("/pr%C3%BCfung/x%20y%253Ba", 401, id="parameters encoded twice"),
        pytest.param("/PR%C3%BCFUNG%255Cx%20y", 401, id="a backslash encoded twice"),
    ],
)
def test_what_is_lenient_in_one_way_is_so_in_another(path: str, status: int) -> None:
    with run_site({"routes": APART}) as site:
        assert site.browser.fetch(ORIGIN + path).status == status


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/" + "a" * 8000, id="honest"),
        pytest.param("/" + "." * 8000 + "x", id="dots"),
        pytest.param("/" + "%20" * 2600 + "x", id="spaces"),
        pytest.param("/%25%2F" + ".%20" * 1990 + "x", id="both, in every reading"),
    ],
)
def test_a_path_is_read_in_time_that_grows_with_its_length(path: str) -> None:
    """Dots in a row took the square of their number, in each reading: 17 s for one request of nobody."""
    with run_site({"routes": APART}) as site:
        began = time.perf_counter()
        assert site.browser.fetch(ORIGIN + path).status == 200
        assert time.perf_counter() - began < 1


def test_many_rules_are_not_made_anew_for_each_request() -> None:
    """More than 512 of them cost a second, in the readings of one path."""
    many = [{"path": f"/{number}/*/x/**", "access": "public"} for number in range(700)]
    with run_site({"routes": many + APART}) as site:
        assert site.browser.fetch(f"{ORIGIN}/z%25z;a%2Fb").status == 200
        began = time.perf_counter()
        assert site.browser.fetch(f"{ORIGIN}/z%25z;a%2Fb").status == 200
        assert time.perf_counter() - began < 0.4


BY_METHOD = [{"path": "/api/**", "methods": ["GET", "POST"]}, {"path": "/api/**", "access": "deny"}]


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_method_that_the_application_may_take_for_another_is_refused(name: str) -> None:
    """Before an upstream of ours the field is taken out; who only asks would pass it on."""
    own = {"X-Forwarded-Uri": "/api/1", "X-Forwarded-Method": "POST", "Sec-Fetch-Site": "same-origin"}
    with run_site({"routes": BY_METHOD, **ASKING}) as site:
        site.sign_in()
        assert site.browser.get(AUTH, headers=own).status == 202
        page = site.browser.get(AUTH, headers={**own, name: "DELETE"})
        assert (page.status, error_code(page)) == (403, "access_denied")
        page = site.browser.fetch(f"{ORIGIN}/oauth2/ext_authz/api/1")
        assert name.lower() in page.headers["X-Envoy-Auth-Headers-To-Remove"].split(",")
    with run_site(ASKING) as site:
        site.sign_in()
        assert site.browser.get(AUTH, headers={**own, name: "DELETE"}).status == 202


def test_a_field_that_a_rule_sets_is_said_to_be_empty_by_the_others() -> None:
    routes = [{"path": "/public", "access": "public"}, {"path": "/**", "request_headers": {"X-Name": "{name}"}}]
    with run_site({"routes": routes, **ASKING}) as site:
        site.sign_in()
        for path, name in (("/home", "Alice Example"), ("/public", "")):
            page = site.browser.get(AUTH, headers={"X-Forwarded-Uri": path, "X-Forwarded-Method": "GET"})
            assert page.headers.getlist("X-Name") == [name]


def test_no_client_tells_an_app_where_it_is_mounted() -> None:
    """Common middleware cuts X-Script-Name from the path: the rules read /public/admin, the app /admin."""
    with run_site({"routes": [{"path": "/public/**", "access": "public"}]}, mode="upstream") as site:
        for name in ("X-Request-Id", "X-Script-Name"):
            site.browser.fetch(f"{ORIGIN}/public/admin", headers={name: "/public"})
        assert "x-request-id" in site.received[0].headers
        assert "x-script-name" not in site.received[1].headers


@pytest.mark.parametrize("file", ["nginx/nginx.conf", "caddy/Caddyfile", "traefik/dynamic.yaml"])
def test_the_examples_leave_no_name_of_a_user_to_the_client(file: str) -> None:
    text = (
        (EXAMPLES / file).read_text(encoding="utf-8").lower().replace("x-auth-request-*", "x-auth-request-access-token")
    )
    # Traefik names the target itself, under that name.
    given = {"x-forwarded-uri"} if "traefik" in file else set()
    assert {name for name in KNOWN_IDENTITY_FIELDS if name not in text} <= given


def test_the_clients_token_does_not_stay_where_caddy_copies_nothing() -> None:
    """GHSA-7r4p-vjf4-gxv4: Caddy 2.10 copies no empty field, and left the client's own on a page without a token."""
    text = (EXAMPLES / "caddy" / "Caddyfile").read_text(encoding="utf-8")
    copied = next(line for line in text.splitlines() if "copy_headers" in line).split()[1:]
    assert {name.rpartition(">")[2].lower().startswith("x-auth-request-") for name in copied} == {True}
    assert "request_header -X-Auth-Request-*" in text
    assert "header_up Authorization {http.request.header.X-Auth-Request-Authorization}" in text
