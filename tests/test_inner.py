"""The environ of the inner app (DESIGN 3.10, PEP 3333): the canonical target, who is signed in, and no way back."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from samples import SESSION as SAMPLE
from samples import passage

from gateway.cookies import CookiePolicy
from gateway.headers import Headers, header_rules
from gateway.inner import SESSION_KEY, Admitted, inner_environ, upstream_url
from gateway.route import Route, Token, compile_pattern
from gateway.sealing import KeyRing
from gateway.session import Session
from gateway.target import read_target

COOKIES: Final = CookiePolicy(name="gateway", secure=True, ring=KeyRing.of(["a secret of at least 32 characters"]))
WRAPPED: Final = Route(path="/**", pattern=compile_pattern("/**"))
UPSTREAM: Final = replace(
    WRAPPED, upstream="up", upstream_url="http://up.example:3000", token=Token.ACCESS_TOKEN, identity_headers=True
)
SESSION: Final = replace(SAMPLE, claims={"email": "a@op.example"})


BEARER: Final[Headers] = [("authorization", "Bearer the-access-token")]


def request(raw: str = "/", members: Mapping[str, Any] | None = None) -> dict[str, Any]:
    path, _, query = raw.partition("?")
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": raw,
        "REMOTE_ADDR": "203.0.113.9",
        "HTTP_HOST": "app.example",
        "wsgi.url_scheme": "http",
        **(members or {}),
    }


def inner(environ: Mapping[str, Any], route: Route = WRAPPED, session: Session | None = SESSION) -> dict[str, Any]:
    rules = header_rules(COOKIES, "https://app.example", [route])
    authorization = BEARER if route.token is Token.ACCESS_TOKEN else []
    return inner_environ(environ, read_target(environ, ()), route, session, rules, authorization)


@pytest.mark.parametrize(
    ("raw", "strip_prefix", "path_info", "raw_uri"),
    [
        pytest.param("/", "", "/", "/", id="root"),
        pytest.param("/%61?b=%63", "", "/a", "/a?b=%63", id="canonical path, query as it came"),
        pytest.param("/caf%c3%a9", "", "/caf\xc3\xa9", "/caf%C3%A9", id="decoded once, as latin-1 (PEP 3333)"),
        pytest.param("/a%252fb", "", "/a%2fb", "/a%252fb", id="encoded twice, decoded once"),
        pytest.param("/api/x?y", "/api", "/x", "/x?y", id="a prefix is cut"),
        pytest.param("/api", "/api", "/", "/", id="all is cut"),
        pytest.param("/api/api/x", "/api", "/api/x", "/api/x", id="cut once"),
    ],
)
def test_the_form_that_is_matched_is_the_form_that_is_forwarded(
    raw: str, strip_prefix: str, path_info: str, raw_uri: str
) -> None:
    environ = inner(request(raw), replace(WRAPPED, strip_prefix=strip_prefix))
    assert (environ["PATH_INFO"], environ["RAW_URI"], environ["REQUEST_URI"]) == (path_info, raw_uri, raw_uri)
    assert environ["QUERY_STRING"] == raw_uri.partition("?")[2]


def test_a_mounted_gateway_keeps_its_script_name() -> None:
    members = {"SCRIPT_NAME": "/mount", "PATH_INFO": "/a", "RAW_URI": "/mount/a"}
    environ = inner(request("/mount/a", members))
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/mount", "/a")


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        pytest.param(SESSION, {"REMOTE_USER": "u1", "AUTH_TYPE": "OpenIDConnect", SESSION_KEY: SESSION}, id="somebody"),
        pytest.param(None, {SESSION_KEY: None}, id="nobody"),
    ],
)
def test_who_is_signed_in(session: Session | None, expected: Mapping[str, object]) -> None:
    spoofed = {"REMOTE_USER": "admin", "AUTH_TYPE": "Basic", SESSION_KEY: "spoofed", "HTTP_REMOTE_USER": "admin"}
    environ = inner(request("/", spoofed), session=session)
    assert {key: environ[key] for key in ("REMOTE_USER", "AUTH_TYPE", SESSION_KEY) if key in environ} == expected
    assert "HTTP_REMOTE_USER" not in environ


@pytest.mark.parametrize(
    ("route", "identity"),
    [
        pytest.param(WRAPPED, {}, id="a wrapped app is told in the environ alone"),
        pytest.param(
            UPSTREAM,
            {
                "HTTP_AUTHORIZATION": "Bearer the-access-token",
                "HTTP_X_FORWARDED_USER": "u1",
                "HTTP_X_FORWARDED_EMAIL": "a@op.example",
            },
            id="an upstream is told in headers",
        ),
    ],
)
def test_identity_headers(route: Route, identity: Mapping[str, str]) -> None:
    spoofed = {
        "HTTP_AUTHORIZATION": "Bearer spoofed",
        "HTTP_X_FORWARDED_USER": "admin",
        "HTTP_X_FORWARDED_EMAIL": "admin@op.example",
        "HTTP_CONNECTION": "x-forwarded-user, authorization",
    }
    environ = inner(request("/", spoofed), route)
    assert {key: environ[key] for key in spoofed if key in environ and key != "HTTP_CONNECTION"} == identity


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({"HTTP_COOKIE": "a=1; __Host-gateway=x"}, {"HTTP_COOKIE": "a=1"}, id="our cookies are cut out"),
        pytest.param({"HTTP_COOKIE": "__Host-gateway=x"}, {"HTTP_COOKIE": None}, id="no cookie is left"),
        pytest.param({"HTTP_ACCEPT": "*/*"}, {"HTTP_ACCEPT": "*/*"}, id="other headers pass"),
        pytest.param({"HTTP_PROXY": "http://evil"}, {"HTTP_PROXY": None}, id="HTTP_PROXY (httpoxy)"),
        pytest.param({"CONTENT_TYPE": "a/b", "CONTENT_LENGTH": "3"}, {"CONTENT_TYPE": "a/b", "CONTENT_LENGTH": "3"},
                     id="the body's type and length"),
        pytest.param({"wsgi.input": "stream"}, {"wsgi.input": "stream"}, id="the body itself"),
        pytest.param({}, {"wsgi.url_scheme": "https"}, id="the scheme that the browser sees"),
        pytest.param({}, {"REMOTE_ADDR": "203.0.113.9"}, id="the client's address"),
        pytest.param({"REMOTE_ADDR": ""}, {"REMOTE_ADDR": ""}, id="a Unix socket"),
        pytest.param({"HTTP_X_FORWARDED_FOR": "1.1.1.1"}, {"HTTP_X_FORWARDED_FOR": "203.0.113.9"}, id="our own chain"),
    ],
)  # fmt: skip
def test_what_passes(members: Mapping[str, str], expected: Mapping[str, str | None]) -> None:
    environ = inner(request("/", members))
    assert {key: environ.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("route", "host"),
    [
        pytest.param(WRAPPED, "app.example", id="wrapped"),
        pytest.param(UPSTREAM, "app.example", id="an upstream sees the browser's"),
        pytest.param(replace(UPSTREAM, preserve_host=False), "up.example:3000", id="or its own"),
        pytest.param(replace(WRAPPED, preserve_host=False), "app.example", id="a wrapped app has no other"),
    ],
)
def test_the_host(route: Route, host: str) -> None:
    assert inner(request(), route)["HTTP_HOST"] == host


def test_the_environ_of_the_server_stays_as_it_was() -> None:
    environ = request("/a", {"HTTP_COOKIE": "__Host-gateway=x", "REMOTE_USER": "admin"})
    before = dict(environ)
    inner(environ)
    assert environ == before


def test_the_inner_app_is_called_with_a_copy_and_cannot_set_our_cookies() -> None:
    given = request()
    before = dict(given)
    sent: list[tuple[str, list[tuple[str, str]], Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["REMOTE_USER"] = "changed"
        start_response("200 OK", [("Set-Cookie", "__Host-gateway=evil"), ("Set-Cookie", "a=1")])
        return [b"body"]

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Callable[[bytes], None]:
        sent.append((status, headers, exc_info))
        return lambda _: None

    admitted = Admitted(inner=app, passage=passage(given), cookies=COOKIES, personal=True)
    assert list(admitted(start_response)) == [b"body"]
    assert sent == [("200 OK", [("Set-Cookie", "a=1"), ("Cache-Control", "private")], None)]
    assert given == before


def test_an_admitted_request_does_not_show_its_environ() -> None:
    shown = repr(
        Admitted(
            inner=_never,
            passage=passage(request("/", {"HTTP_COOKIE": "the-cookie"}), UPSTREAM, authorization="the-access-token"),
            cookies=COOKIES,
            personal=True,
        )
    )
    assert "Admitted" in shown
    assert "the-access-token" not in shown
    assert "the-cookie" not in shown


def _never(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    raise AssertionError("not to be called")


@pytest.mark.parametrize(
    ("strip_prefix", "path", "inner_path"),
    [
        pytest.param("", "/x", "/v2/x", id="nothing is cut"),
        pytest.param("/api", "/api/x", "/v2/x", id="another is cut"),
        pytest.param("/api", "/api", "/v2", id="all is cut"),
        pytest.param("/api", "/api/", "/v2/", id="all but the slash"),
        pytest.param("/api", "/api/v2/x", "/v2/v2/x", id="the same is there already"),
    ],
)
def test_a_prefix_is_put_before_the_path(strip_prefix: str, path: str, inner_path: str) -> None:
    made = inner(request(path), replace(UPSTREAM, strip_prefix=strip_prefix, add_prefix="/v2"))
    assert (made["RAW_URI"], made["PATH_INFO"]) == (inner_path, inner_path)


@pytest.mark.parametrize(
    ("members", "raw", "url"),
    [
        pytest.param({}, "/a?b=c", "https://app.example/a", id="the host that is kept, without the query"),
        pytest.param({"preserve_host": False}, "/a", "http://up.example:3000/a", id="its own host"),
        pytest.param({"strip_prefix": "/api"}, "/api/x", "https://app.example/x", id="a prefix is cut"),
        pytest.param({"strip_prefix": "/api"}, "/api", "https://app.example/", id="all is cut"),
        pytest.param(
            {"upstream_url": "http://up.example/base", "preserve_host": False},
            "/a",
            "http://up.example/base/a",
            id="base",
        ),
        pytest.param({}, "/%61%2a", "https://app.example/a%2A", id="canonical"),
        pytest.param({"upstream": ""}, "/a", "", id="a wrapped app"),
    ],
)
def test_the_address_by_which_an_upstream_knows_a_request(members: dict[str, Any], raw: str, url: str) -> None:
    """RFC 9449 4.3: what a proof names is compared with it."""
    route = replace(UPSTREAM, **members)
    rules = header_rules(COOKIES, "https://app.example", [route])
    assert upstream_url(route, read_target(request(raw), ()), rules) == url


@pytest.mark.parametrize(
    ("hosts", "preserve_host", "host", "upstream_sees", "forwarded"),
    [
        pytest.param((), True, "other.example", "app.example", "app.example", id="of no host: that of public_url"),
        pytest.param(("*.example",), True, "other.example:1", "other.example:1", "other.example:1", id="of a host"),
        pytest.param(("*.example",), False, "other.example", "up.example:3000", "other.example", id="not preserved"),
    ],
)
def test_which_host_the_upstream_sees(
    hosts: tuple[str, ...], preserve_host: bool, host: str, upstream_sees: str, forwarded: str
) -> None:
    route = replace(UPSTREAM, hosts=hosts, preserve_host=preserve_host)
    environ = request(members={"HTTP_HOST": host})
    made = inner(environ, route)
    assert (made["HTTP_HOST"], made["HTTP_X_FORWARDED_HOST"]) == (upstream_sees, forwarded)
    rules = header_rules(COOKIES, "https://app.example", [route])
    assert urlsplit(upstream_url(route, read_target(environ, ()), rules)).netloc == upstream_sees
