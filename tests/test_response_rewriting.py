"""What an upstream says of itself, in the words of the site: addresses and cookies, and nothing that is another's."""

from dataclasses import replace
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import pytest

from gateway.cookies import CookiePolicy
from gateway.headers import header_rules
from gateway.response_rewriting import rewritten
from gateway.route import Route, compile_pattern
from gateway.sealing import KeyRing
from gateway.target import RequestTarget, read_target

COOKIES: Final = CookiePolicy(name="gateway", secure=True, ring=KeyRing.of(["a secret of at least 32 characters"]))
PLAIN: Final = Route(
    path="/**", pattern=compile_pattern("/**"), upstream="up", upstream_url="http://up.internal:3000",
    rewrite_responses=True,
)  # fmt: skip
CUT: Final = replace(PLAIN, path="/api/**", strip_prefix="/api")
MOVED: Final = replace(CUT, add_prefix="/v2", upstream_url="http://up.internal:3000/base")
APP: Final = "https://app.example"


def target(path: str = "/", host: str = "app.example") -> RequestTarget:
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "RAW_URI": path,
        "HTTP_HOST": host,
    }
    return read_target(environ, ())


def place(route: Route, value: str, **asked: Any) -> str:
    rules = header_rules(COOKIES, APP, [route])
    [(name, made)] = rewritten(target(**asked), route, rules, [("Location", value)])
    assert name == "Location"
    return made


@pytest.mark.parametrize(
    ("route", "value", "made"),
    [
        pytest.param(PLAIN, "http://up.internal:3000/a?b=c#d", f"{APP}/a?b=c#d", id="by its own name"),
        pytest.param(PLAIN, "http://UP.internal:3000/a", f"{APP}/a", id="in another case"),
        pytest.param(PLAIN, "http://app.example/a", f"{APP}/a", id="by the host that it was sent, with its own scheme"),
        pytest.param(PLAIN, "//up.internal:3000/a", f"{APP}/a", id="without a scheme"),
        pytest.param(PLAIN, "http://up.internal:3000", f"{APP}/", id="without a path"),
        pytest.param(PLAIN, "/a?b", f"{APP}/a?b", id="a path"),
        pytest.param(PLAIN, "/a?", f"{APP}/a", id="an empty query"),
        pytest.param(PLAIN, "a/b?c", "a/b?c", id="relative"),
        pytest.param(PLAIN, "?c", "?c", id="a query alone"),
        pytest.param(PLAIN, "#f", "#f", id="a fragment alone"),
        pytest.param(PLAIN, "", "", id="nothing"),
        pytest.param(PLAIN, "https://other.example/a", "https://other.example/a", id="another host"),
        pytest.param(PLAIN, "//other.example/a", "//other.example/a", id="another host, without a scheme"),
        pytest.param(PLAIN, "http://up.internal/a", "http://up.internal/a", id="another port"),
        pytest.param(PLAIN, "http://up.internal:3000.evil/a", "http://up.internal:3000.evil/a", id="a longer host"),
        pytest.param(
            PLAIN, "http://up.internal:3000@evil/a", "http://up.internal:3000@evil/a", id="its name as userinfo"
        ),
        pytest.param(PLAIN, "ftp://up.internal:3000/a", "ftp://up.internal:3000/a", id="another scheme"),
        pytest.param(PLAIN, "javascript:alert(1)", "javascript:alert(1)", id="no address"),
        pytest.param(PLAIN, "http://[up/a", "http://[up/a", id="malformed"),
        pytest.param(CUT, "http://up.internal:3000/a", f"{APP}/api/a", id="the prefix that was cut"),
        pytest.param(CUT, "/", f"{APP}/api/", id="the prefix that was cut, the root"),
        pytest.param(CUT, "http://up.internal:3000//evil.example", f"{APP}/api//evil.example", id="two slashes"),
        pytest.param(PLAIN, "http://up.internal:3000//evil.example", f"{APP}//evil.example", id="and nothing cut"),
        pytest.param(MOVED, "/base/v2/a", f"{APP}/api/a", id="a prefix cut and others put before"),
        pytest.param(MOVED, "/base/v2", f"{APP}/api", id="all of those prefixes"),
        pytest.param(MOVED, "/base/v2x/a", "/base/v2x/a", id="only looks like those prefixes"),
        pytest.param(MOVED, "/elsewhere", "/elsewhere", id="where the route does not lead"),
    ],
)  # fmt: skip
def test_addresses(route: Route, value: str, made: str) -> None:
    assert place(route, value) == made


def test_the_host_by_which_the_route_was_chosen_is_the_sites() -> None:
    route = replace(PLAIN, hosts=("*.example",))
    assert place(route, "http://up.internal:3000/a", host="b.example") == "https://b.example/a"
    assert place(route, "http://b.example/a", host="b.example") == "https://b.example/a"
    assert place(route, "http://app.example/a", host="b.example") == "http://app.example/a"


@pytest.mark.parametrize(
    ("route", "value", "made"),
    [
        pytest.param(PLAIN, "a=b; Path=/; HttpOnly", "a=b; Path=/; HttpOnly", id="nothing to do"),
        pytest.param(PLAIN, "a=b; Domain=up.internal; Secure", "a=b; Secure", id="for the upstream's host"),
        pytest.param(PLAIN, "a=b; domain=.UP.internal", "a=b", id="in another case, with a dot"),
        pytest.param(PLAIN, "a=b; Domain=internal", "a=b", id="for all of the upstream's hosts"),
        pytest.param(PLAIN, "a=b; Domain=app.example", "a=b; Domain=app.example", id="for the site"),
        pytest.param(PLAIN, "a=b; Domain=p.internal", "a=b; Domain=p.internal", id="only looks like it"),
        pytest.param(CUT, "a=b; Path=/", "a=b; Path=/api/", id="the prefix that was cut"),
        pytest.param(CUT, "a=b;path=/x", "a=b;path=/api/x", id="without a space"),
        pytest.param(CUT, "a=b", "a=b", id="no path"),
        pytest.param(MOVED, "a=b; Path=/base/v2/x", "a=b; Path=/api/x", id="all prefixes"),
        pytest.param(MOVED, "a=b; Path=/x", "a=b; Path=/x", id="where the route does not lead"),
        pytest.param(CUT, "a=Path=/x; Path=/y", "a=Path=/x; Path=/api/y", id="a value that looks like it"),
    ],
)
def test_cookies(route: Route, value: str, made: str) -> None:
    rules = header_rules(COOKIES, APP, [route])
    given = [("Set-Cookie", value), ("X-Path", "/x"), ("Set-Cookie", "other=1")]
    assert rewritten(target(), route, rules, given) == [
        ("Set-Cookie", made),
        ("X-Path", "/x"),
        ("Set-Cookie", "other=1"),
    ]
