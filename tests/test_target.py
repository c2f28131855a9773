"""What is asked for, read once (DESIGN 3.1; RFC 3986, RFC 9110, RFC 9112): odd targets, hosts, proxies, navigations."""

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import corpora
import pytest

from gateway.errors import GatewayError
from gateway.request_context import MAX_HOST_LENGTH
from gateway.target import MAX_TARGET_LENGTH, RequestTarget, canonical_path, read_target

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


def request(raw: str = "/", members: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Make the environ of an honest server for a raw target; `members` come on top."""
    path, _, query = raw.partition("?")
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": raw,
        "REMOTE_ADDR": "203.0.113.9",
        "HTTP_HOST": "app.example",
        "wsgi.url_scheme": "https",
        **(members or {}),
    }


def without(environ: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in environ.items() if name not in names}


def decoded(path_info: str, script_name: str = "") -> dict[str, Any]:
    """Make the environ of a server that keeps no raw target."""
    members = {"PATH_INFO": path_info, "SCRIPT_NAME": script_name}
    return without(request("/", members), "RAW_URI")


def read(environ: Mapping[str, Any]) -> RequestTarget:
    return read_target(environ, PROXIES)


def refusal(environ: Mapping[str, Any]) -> str:
    with pytest.raises(GatewayError) as error:
        read(environ)
    return error.value.code


@pytest.mark.parametrize(("raw", "path"), corpora.pairs("paths", "path", refused=False))
def test_a_path_has_one_form(raw: str, path: str) -> None:
    assert read(request(raw)).path == path
    assert canonical_path(path) == path


@pytest.mark.parametrize(("raw", "code"), corpora.pairs("paths", "path", refused=True))
def test_a_path_that_is_none_or_can_be_read_in_two_ways_is_refused(raw: str, code: str) -> None:
    assert read(request("/a/b")).path == "/a/b"
    assert refusal(request(raw)) == code


@pytest.mark.parametrize(
    ("raw", "encoded"),
    [
        pytest.param("/a%2fb", True, id="encoded slash"),
        pytest.param("/a/b", False, id="slash"),
        pytest.param("/a%252fb", False, id="slash encoded twice"),
    ],
)
def test_an_encoded_slash_is_marked_for_the_route_to_judge(raw: str, encoded: bool) -> None:
    assert read(request(raw)).encoded_slash is encoded


@pytest.mark.parametrize(
    ("raw", "readings"),
    [
        pytest.param("/a/b", (), id="one reading"),
        pytest.param("/api;x=1/admin", ("/api;x=1/admin", "/api/admin", "/api/admin"), id="parameters cut"),
        pytest.param("/%40me", ("/@me", "/%40me", "/@me"), id="octets decoded"),
        pytest.param("/a%3Bx/b", ("/a;x/b", "/a%3Bx/b", "/a/b"), id="parameters decoded, then cut"),
        pytest.param("/a%2fb", ("/a%2Fb", "/a%2Fb", "/a%2Fb"), id="encoded slash stays"),
    ],
)
def test_other_readings_of_a_path(raw: str, readings: tuple[str, ...]) -> None:
    assert read(request(raw)).other_readings == readings


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        pytest.param(decoded("/a/b"), "/a/b", id="plain"),
        pytest.param(decoded(""), "/", id="empty"),
        pytest.param(decoded("/caf\xc3\xa9"), "/caf%C3%A9", id="UTF-8 as latin-1 (PEP 3333)"),
        pytest.param(decoded("/a?b#c"), "/a%3Fb%23c", id="delimiters that were encoded"),
        pytest.param(decoded("/a", "/app"), "/app/a", id="mounted"),
    ],
)
def test_a_server_without_a_raw_target(environ: dict[str, Any], path: str) -> None:
    assert read(environ).path == path


@pytest.mark.parametrize(
    "path_info",
    [
        pytest.param("/a/../b", id="dot segments"),
        pytest.param("/%2e%2e/b", id="dot segments encoded twice"),
        pytest.param("/a%2fb", id="slash encoded twice"),
        pytest.param("/100%", id="percent sign"),
        pytest.param("//evil.example", id="two slashes"),
        pytest.param("/a\\b", id="backslash"),
        pytest.param("/a\x00b", id="NUL"),
        pytest.param("/\xc0\xae\xc0\xae/b", id="overlong UTF-8"),
        pytest.param("/..;/b", id="dot segment with a parameter"),
    ],
)
def test_a_decoded_path_alone_is_held_to_the_same_rules(path_info: str) -> None:
    assert read(decoded("/a/b")).path == "/a/b"
    assert refusal(decoded(path_info)) == "target_ambiguous"


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param(request("/public", {"PATH_INFO": "/admin"}), id="another path"),
        pytest.param(request("/admin%2f", {"PATH_INFO": "/admin%2f"}), id="not decoded"),
        pytest.param(request("/a", {"SCRIPT_NAME": "/app"}), id="another mount"),
        pytest.param(request("/a?x=1", {"QUERY_STRING": "x=2"}), id="another query"),
        pytest.param(request("/a", {"QUERY_STRING": "x=2"}), id="query from nowhere"),
        pytest.param(
            without(request("/a", {"REQUEST_URI": "/public", "PATH_INFO": "/admin"}), "RAW_URI"),
            id="REQUEST_URI of another path",
        ),
    ],
)
def test_a_path_info_that_disagrees_with_the_target_is_refused(environ: dict[str, Any]) -> None:
    assert read(request("/app/public?x=1", {"SCRIPT_NAME": "/app", "PATH_INFO": "/public"})).path == "/app/public"
    assert refusal(environ) == "target_ambiguous"


def test_the_query_goes_on_byte_for_byte() -> None:
    target = read(request("/a?x=%2e%2E/../&x=1&&y;z=?//"))
    assert target.query == "x=%2e%2E/../&x=1&&y;z=?//"
    assert target.raw == "/a?x=%2e%2E/../&x=1&&y;z=?//"


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("a b", id="space"),
        pytest.param("a\r\nb", id="CR LF"),
        pytest.param("a\x00", id="NUL"),
        pytest.param("a\x7f", id="DEL"),
        pytest.param("a#b", id="fragment"),
        pytest.param("\u00e9", id="not ASCII"),
    ],
)
def test_what_is_no_query_is_refused(query: str) -> None:
    assert read(request("/a?a=b")).query == "a=b"
    assert refusal(request(f"/a?{query}")) == "target_malformed"


def test_a_target_has_a_greatest_length() -> None:
    longest = "/" + "a" * (MAX_TARGET_LENGTH - 1)
    assert read(request(longest)).path == longest
    assert refusal(request(longest + "a")) == "target_malformed"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PROPFIND", "M-SEARCH"])
def test_methods_are_read_as_they_are(method: str) -> None:
    assert read(request("/", {"REQUEST_METHOD": method})).method == method


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("CONNECT", id="CONNECT"),
        pytest.param("TRACE", id="TRACE"),
        pytest.param("TRACK", id="TRACK"),
        pytest.param("get", id="lower case"),
        pytest.param("", id="empty"),
        pytest.param("GET ", id="trailing space"),
        pytest.param("GET\r\nX: y", id="CR LF"),
        pytest.param("G\u00c9T", id="not ASCII"),
        pytest.param("A" * 33, id="too long"),
    ],
)
def test_methods_that_are_refused(method: str) -> None:
    assert read(request("/", {"REQUEST_METHOD": "GET"})).method == "GET"
    assert refusal(request("/", {"REQUEST_METHOD": method})) == "method_refused"


@pytest.mark.parametrize(
    ("host", "read_as"),
    [
        pytest.param("app.example", "app.example", id="name"),
        pytest.param("App.EXAMPLE:8443", "app.example:8443", id="upper case and a port"),
        pytest.param("localhost:5443", "localhost:5443", id="localhost"),
        pytest.param("127.0.0.1:80", "127.0.0.1:80", id="IPv4"),
        pytest.param("[2001:DB8::1]:8080", "[2001:db8::1]:8080", id="IPv6"),
        pytest.param("my_service", "my_service", id="underscore, as in containers"),
    ],
)
def test_hosts(host: str, read_as: str) -> None:
    assert read(request("/", {"HTTP_HOST": host})).host == read_as


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("", id="empty"),
        pytest.param("app.example,evil.example", id="two headers joined"),
        pytest.param("app.example, app.example", id="the same header twice"),
        pytest.param("app.example evil.example", id="space"),
        pytest.param(" app.example", id="leading space"),
        pytest.param("user@app.example", id="userinfo"),
        pytest.param("app.example/path", id="path"),
        pytest.param("app.example#", id="fragment"),
        pytest.param("app.example\\", id="backslash"),
        pytest.param("app.example\r\nX: y", id="CR LF"),
        pytest.param("app.example\n", id="LF at the end"),
        pytest.param("app.example:port", id="port that is a word"),
        pytest.param("app.example:123456", id="port that is too long"),
        pytest.param("[::1", id="open bracket"),
        pytest.param("-app.example", id="leading hyphen"),
        pytest.param("\u0430pp.example", id="not ASCII"),
        pytest.param("a" * (MAX_HOST_LENGTH + 1), id="too long"),
    ],
)
def test_hosts_that_are_refused(host: str) -> None:
    assert read(request("/", {"HTTP_HOST": "app.example"})).host == "app.example"
    assert refusal(request("/", {"HTTP_HOST": host})) == "host_invalid"


def test_a_missing_host_is_refused_whatever_the_server_is_called() -> None:
    environ = request("/", {"SERVER_NAME": "app.example"})
    assert read(environ).host == "app.example"
    assert refusal(without(environ, "HTTP_HOST")) == "host_invalid"


FORWARDED = {"HTTP_X_FORWARDED_PROTO": "http", "HTTP_X_FORWARDED_HOST": "WWW.example", "HTTP_HOST": "inner:8000"}


@pytest.mark.parametrize(
    ("peer", "read_as"),
    [
        pytest.param("10.1.2.3", ("http", "www.example", True), id="trusted peer"),
        pytest.param("fd00::1", ("http", "www.example", True), id="trusted peer over IPv6"),
        pytest.param("203.0.113.9", ("https", "inner:8000", False), id="untrusted peer"),
        pytest.param("110.0.0.1", ("https", "inner:8000", False), id="address that looks alike"),
        pytest.param("", ("https", "inner:8000", False), id="peer without an address"),
        pytest.param("10.0.0.1, 10.0.0.2", ("https", "inner:8000", False), id="what is no address"),
    ],
)
def test_forwarded_headers_count_from_trusted_peers_alone(peer: str, read_as: tuple[str, str, bool]) -> None:
    target = read(request("/", {**FORWARDED, "REMOTE_ADDR": peer}))
    assert (target.scheme, target.host, target.peer_trusted) == read_as


def test_nobody_is_trusted_by_default() -> None:
    target = read_target(request("/", {**FORWARDED, "REMOTE_ADDR": "127.0.0.1"}), ())
    assert (target.scheme, target.host, target.peer_trusted) == ("https", "inner:8000", False)


@pytest.mark.parametrize("scheme", ["", "javascript", "https, http", "wss", "https://"])
def test_a_forwarded_scheme_is_http_or_https(scheme: str) -> None:
    members = {"REMOTE_ADDR": "10.0.0.1", "wsgi.url_scheme": "http"}
    assert read(request("/", {**members, "HTTP_X_FORWARDED_PROTO": " HTTPS "})).scheme == "https"
    assert read(request("/", {**members, "HTTP_X_FORWARDED_PROTO": scheme})).scheme == "http"


@pytest.mark.parametrize("host", ["www.example, evil.example", "user@evil.example", "evil.example/", "a\nb"])
def test_a_forwarded_host_is_held_to_the_same_rules(host: str) -> None:
    members = {"REMOTE_ADDR": "10.0.0.1"}
    assert read(request("/", {**members, "HTTP_X_FORWARDED_HOST": "www.example"})).host == "www.example"
    assert refusal(request("/", {**members, "HTTP_X_FORWARDED_HOST": host})) == "host_invalid"


@pytest.mark.parametrize(
    ("peer", "chain", "client"),
    [
        pytest.param("203.0.113.9", "", "203.0.113.9", id="no proxy"),
        pytest.param("203.0.113.9", "1.1.1.1", "203.0.113.9", id="untrusted peer, header ignored"),
        pytest.param("10.0.0.1", "203.0.113.9", "203.0.113.9", id="one proxy"),
        pytest.param("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9", id="the client's own word before it"),
        pytest.param("10.0.0.1", "10.0.0.5,203.0.113.9", "203.0.113.9", id="the client calls itself a proxy"),
        pytest.param("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9", id="two proxies"),
        pytest.param("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3", id="all of them trusted"),
        pytest.param("10.0.0.1", " , 203.0.113.9 ,", "203.0.113.9", id="empty members"),
        pytest.param("fd00::1", "2001:DB8::9", "2001:db8::9", id="IPv6 in its one form"),
        pytest.param("10.0.0.1", "1.1.1.1, unknown", "", id="what is no address ends the chain"),
        pytest.param("10.0.0.1", "203.0.113.9:5000", "", id="address with a port"),
        pytest.param("", "203.0.113.9", "", id="peer without an address"),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_no_proxy_of_ours(peer: str, chain: str, client: str) -> None:
    assert read(request("/", {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": chain})).client == client


@pytest.mark.parametrize(
    ("hops", "chain", "client"),
    [
        pytest.param(1, "203.0.113.9", "203.0.113.9", id="one proxy"),
        pytest.param(1, "1.1.1.1, 203.0.113.9", "203.0.113.9", id="one proxy, and the client's own word"),
        pytest.param(2, "203.0.113.9, 198.51.100.1", "203.0.113.9", id="two proxies"),
        pytest.param(2, "1.1.1.1, 203.0.113.9, 198.51.100.1", "203.0.113.9", id="two, and the client's own word"),
        pytest.param(2, "203.0.113.9", "", id="two, and somebody who passed one"),
        pytest.param(1, "", "", id="one, and somebody who passed none"),
        pytest.param(1, "1.1.1.1, ", "", id="nothing at the end"),
        pytest.param(1, "1.1.1.1, unknown", "", id="no address at the end"),
        pytest.param(3, "a, b, 1.1.1.1", "", id="no address where it should be"),
    ],
)
def test_proxies_that_are_counted(hops: int, chain: str, client: str) -> None:
    members = {"REMOTE_ADDR": "198.51.100.7", "HTTP_X_FORWARDED_FOR": chain, "HTTP_X_FORWARDED_PROTO": "http"}
    found = read_target(request("/", members), (), hops)
    assert (found.client, found.scheme, found.peer_trusted) == (client, "http", False)


@pytest.mark.parametrize(
    ("peer", "chain", "forwarded_for"),
    [
        pytest.param("10.0.0.1", "203.0.113.9", "203.0.113.9, 10.0.0.1", id="trusted peer is appended"),
        pytest.param("203.0.113.9", "1.1.1.1", "203.0.113.9", id="untrusted peer begins the chain"),
        pytest.param("203.0.113.9", "", "203.0.113.9", id="no chain"),
    ],
)
def test_the_chain_of_addresses_that_the_upstream_is_told(peer: str, chain: str, forwarded_for: str) -> None:
    environ = request("/", {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": chain})
    assert read(environ).forwarded_for == forwarded_for


NAVIGATE = {"HTTP_SEC_FETCH_MODE": "navigate", "HTTP_SEC_FETCH_DEST": "document", "HTTP_ACCEPT": BROWSER}


@pytest.mark.parametrize(
    "members",
    [
        pytest.param(NAVIGATE, id="Fetch Metadata"),
        pytest.param({"HTTP_SEC_FETCH_MODE": "navigate"}, id="Fetch Metadata without a destination"),
        pytest.param({"HTTP_ACCEPT": BROWSER}, id="a browser without Fetch Metadata"),
        pytest.param({**NAVIGATE, "HTTP_UPGRADE_INSECURE_REQUESTS": "1"}, id="Upgrade-Insecure-Requests"),
    ],
)
def test_navigations(members: dict[str, str]) -> None:
    assert read(request("/", members)).navigation


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({}, id="no header at all"),
        pytest.param({"HTTP_ACCEPT": "*/*"}, id="curl"),
        pytest.param({"HTTP_ACCEPT": "application/json"}, id="JSON"),
        pytest.param({**NAVIGATE, "HTTP_SEC_FETCH_MODE": "cors"}, id="fetch"),
        pytest.param({**NAVIGATE, "HTTP_SEC_FETCH_MODE": "no-cors"}, id="sub-resource"),
        pytest.param({**NAVIGATE, "HTTP_SEC_FETCH_MODE": "websocket"}, id="WebSocket"),
        pytest.param({**NAVIGATE, "HTTP_SEC_FETCH_DEST": "iframe"}, id="frame"),
        pytest.param({**NAVIGATE, "HTTP_SEC_FETCH_DEST": "empty"}, id="no destination"),
        pytest.param({**NAVIGATE, "HTTP_X_REQUESTED_WITH": "XMLHttpRequest"}, id="XHR"),
        pytest.param({**NAVIGATE, "HTTP_UPGRADE": "websocket"}, id="Upgrade"),
        pytest.param({**NAVIGATE, "HTTP_SEC_PURPOSE": "prefetch"}, id="prefetch"),
        pytest.param({**NAVIGATE, "HTTP_SEC_PURPOSE": "prefetch;prerender"}, id="prerender"),
        pytest.param({**NAVIGATE, "REQUEST_METHOD": "POST"}, id="POST"),
        pytest.param({**NAVIGATE, "REQUEST_METHOD": "HEAD"}, id="HEAD"),
    ],
)
def test_what_is_no_navigation(members: dict[str, str]) -> None:
    assert read(request("/", NAVIGATE)).navigation
    assert not read(request("/", members)).navigation


def test_fetch_site_and_origin_are_passed_on() -> None:
    target = read(request("/", {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": "https://evil.example"}))
    assert (target.fetch_site, target.origin) == ("cross-site", "https://evil.example")
