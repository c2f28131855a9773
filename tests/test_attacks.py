"""What an attacker tried against the whole gateway and what it found, one test for each finding."""

import io
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import ALICE, ORIGIN, Site, run_site

from gateway.app import Gateway
from gateway.backends.file import FileBackend
from gateway.config import parse_settings
from gateway.config_sources import ConfigurationError
from gateway.cookies import CookiePolicy, read_cookies, session_cookie, session_handles, without_own
from gateway.headers import response_headers
from gateway.sealing import KeyRing
from gateway.testing.sample import sample_app

COOKIES = CookiePolicy(name="gateway", secure=True, ring=KeyRing.of(["k" * 32]))
HANDLE = bytes(range(32))
PAIR = session_cookie(COOKIES, HANDLE).partition(";")[0]

ROUTES: list[dict[str, Any]] = [
    {"path": "/admin/**", "require": {"claims": {"groups": ["admins"]}}},
    {"path": "/exact", "access": "deny"},
    {"path": "/docs/", "access": "deny"},
    {"path": "/**", "access": "public"},
]


@pytest.fixture
def open_site() -> Iterator[Site]:
    with run_site({"routes": ROUTES}) as site:
        yield site


@pytest.mark.parametrize("space", ["\xa0", "\x85", "\x1c", "\x0b", "\x0c"])
def test_a_name_after_an_odd_space_is_another_name(space: str) -> None:
    """A sibling host may set such a name for the whole domain: browsers see no `__Host-` in it."""
    assert session_handles(COOKIES, f"a=b; {PAIR}") == [HANDLE]
    assert session_handles(COOKIES, f"a=b; {space}{PAIR}") == []
    assert read_cookies(f"{space}a=b")[0][0] == f"{space}a"
    assert without_own(COOKIES, f"a=b; {space}{PAIR}") == "a=b"


def test_cookie_fields_that_a_server_joined_by_a_comma_give_nothing_away() -> None:
    assert without_own(COOKIES, f"a=b,{PAIR}; c=d") == "c=d"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/other", 200, id="honest"),
        pytest.param("/ADMIN/x", 401, id="upper case"),
        pytest.param("/Admin", 401, id="mixed case"),
        pytest.param("/admin./x", 401, id="dot at the end of a segment"),
        pytest.param("/admin%20/x", 401, id="space at the end of a segment"),
        pytest.param("/admin%20./x", 401, id="both"),
        pytest.param("/%2561dmin/x", 401, id="encoded twice"),
        pytest.param("/other/..%252fadmin/x", 401, id="dot segment encoded twice"),
        pytest.param("/exact", 404, id="denied"),
        pytest.param("/exact/", 404, id="slash at the end"),
        pytest.param("/EXACT", 404, id="denied in another case"),
        pytest.param("/docs", 404, id="without its slash"),
    ],
)
def test_what_a_lenient_upstream_takes_for_another_path_obeys_that_rule_too(
    open_site: Site, path: str, status: int
) -> None:
    assert open_site.browser.fetch(ORIGIN + path).status == status


@pytest.mark.parametrize("pattern", ["/files/*-*.pdf", "/a*", "/*b/**"])
def test_a_star_is_a_whole_segment(pattern: str) -> None:
    """Several of them in one segment took cubic time to refuse a long path."""
    document = {
        "public_url": ORIGIN,
        "provider": {"issuer": "https://op.example", "client_id": "app", "client_secret": "s"},
        "session": {"secret": "s" * 32},
    }
    assert parse_settings({**document, "routes": [{"path": "/users/*/edit"}]}, {}).routes
    with pytest.raises(ConfigurationError) as error:
        parse_settings({**document, "routes": [{"path": pattern}]}, {})
    assert error.value.problems == ["routes.0.path: * stands for a whole segment: /users/*/edit"]


class _NeverRead(io.BytesIO):
    def read(self, *_: Any) -> bytes:
        raise AssertionError("the body was read")


def test_a_body_is_not_read_from_someone_without_a_session(site: Site) -> None:
    """Whoever sends it slowly holds a thread, and eighty of them held all."""
    answered: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/oauth2/sign_out",
        "RAW_URI": "/oauth2/sign_out",
        "HTTP_HOST": "app.example",
        "HTTP_ORIGIN": ORIGIN,
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": "1000",
        "wsgi.input": _NeverRead(),
        "wsgi.url_scheme": "https",
    }

    def start_response(status: str, _headers: object, _exc_info: object = None, /) -> Any:
        answered.append(status)

    list(site.gateway(environ, start_response))
    assert answered == ["303 SEE OTHER"]


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        pytest.param("public, max-age=3600", "max-age=3600, private", id="public"),
        pytest.param("s-maxage=60, max-age=5", "max-age=5, private", id="s-maxage"),
        pytest.param("Public", "private", id="alone"),
        pytest.param("no-store", "no-store", id="no-store"),
        pytest.param("private, max-age=5", "private, max-age=5", id="private"),
    ],
)
def test_what_a_session_was_needed_for_is_not_for_shared_caches(sent: str, received: str) -> None:
    assert response_headers([("Cache-Control", sent)], COOKIES, personal=True) == [("Cache-Control", received)]
    assert response_headers([("Cache-Control", sent)], COOKIES, personal=False) == [("Cache-Control", sent)]


@pytest.mark.parametrize("host", ["evil.example", "app.example:8443", "APP.example"])
def test_the_app_sees_the_public_host_whatever_a_client_says(open_site: Site, host: str) -> None:
    open_site.browser.get(f"{ORIGIN}/other", headers={"Host": host})
    headers = {name.lower(): value for name, value in open_site.received[-1].headers.items()}
    assert headers["host"] == "app.example"
    assert headers["x-forwarded-host"] == "app.example"
    assert 'host="app.example"' in headers["forwarded"]


@pytest.mark.parametrize("name", ["X.Forwarded.User", "X_Forwarded-User", "x-forwarded+user", "OIDC-Claim-sub"])
def test_no_spelling_of_an_identity_header_comes_through(open_site: Site, name: str) -> None:
    open_site.browser.get(f"{ORIGIN}/other", headers={name: "admin", "X-Harmless": "yes"})
    headers = {key.lower(): value for key, value in open_site.received[-1].headers.items()}
    assert headers["x-harmless"] == "yes"
    assert "admin" not in headers.values()


def test_a_session_of_one_client_is_none_at_another_that_shares_store_and_secret(tmp_path: Path) -> None:
    store = {"type": "file", "path": str(tmp_path / "sessions")}
    with run_site(store=store) as one:
        one.sign_in()
        cookie = one.browser.cookies.of(ORIGIN)["__Host-gateway"]
        assert one.browser.fetch(f"{ORIGIN}/home").status == 200
        with run_site({"provider": {"scope": "openid"}}, store=store) as same:
            same.browser.cookies.set(ORIGIN, "__Host-gateway", cookie)
            assert same.browser.fetch(f"{ORIGIN}/home").status == 200
        for change in ({"client_id": "another"}, {"issuer": "https://another.example"}):
            with run_site({"provider": change}, store=store) as other:
                other.browser.cookies.set(ORIGIN, "__Host-gateway", cookie)
                assert other.browser.fetch(f"{ORIGIN}/home").status == 401


def test_claims_alone_set_the_sweep_off(tmp_path: Path) -> None:
    backend = FileBackend(str(tmp_path / "store"))
    ended = tmp_path / "store" / "entries" / "0123abcd"
    ended.write_bytes(struct.pack("I", 1) + b"ended in 1970")
    backend.claim("one", 60)
    for _ in range(500):
        if not ended.exists():
            break
        time.sleep(0.01)
    assert not ended.exists()


def test_half_a_surrogate_pair_in_a_claim_does_not_break_the_sign_out_page(site: Site) -> None:
    site.provider.users = {"alice": {**ALICE, "email": "\ud800@op.example"}}
    site.sign_in()
    page = site.browser.get(
        f"{ORIGIN}/oauth2/sign_out",
        headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"},
    )
    assert page.status == 200
    assert "Do you want to sign out?" in page.text


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        pytest.param({"callback_path": "/ready"}, "config", id="callback on another endpoint"),
        pytest.param({"callback_path": "/oauth2/start"}, "config", id="callback on the start"),
        pytest.param({"callback_path": "/out", "post_logout_path": "/out"}, "config", id="callback and landing"),
        pytest.param(
            {"upstream_connection": {"verify_tls": "/nope.pem"}}, "upstream_connection.verify_tls", id="no CA"
        ),
        pytest.param(
            {"session": {"secret": "s" * 32, "store": {"type": "redis", "url": "redis://:hunter2/abc@host"}}},
            "session.store",
            id="a URL that is none",
        ),
    ],
)
def test_what_would_fail_later_is_said_at_once_and_without_secrets(changes: dict[str, Any], path: str) -> None:
    provider = {"issuer": "https://op.example", "client_id": "app", "client_secret": "s"}
    document = {"public_url": ORIGIN, "provider": provider, "session": {"secret": "s" * 32}}
    assert parse_settings(document, {}).public_url == ORIGIN
    with pytest.raises(ConfigurationError) as error:
        parse_settings({**document, **changes}, {})
    assert [problem.partition(":")[0] for problem in error.value.problems] == [path]
    assert "hunter2" not in str(error.value)


def test_an_app_that_would_never_be_called_is_an_error() -> None:
    config = {
        "public_url": ORIGIN,
        "upstream": "http://127.0.0.1:9",
        "provider": {"issuer": "https://op.example", "client_id": "app", "client_secret": "s"},
        "session": {"secret": "s" * 32, "store": {"type": "memory"}},
    }
    assert list(Gateway.from_config(config)(None).upstreams) == ["http://127.0.0.1:9"]
    with pytest.raises(ConfigurationError, match=r"^upstream: "):
        Gateway.from_config(config)(sample_app)
