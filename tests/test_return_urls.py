"""Return URLs (DESIGN 5 rule 6, RFC 9700 4.11.1): a path on this site, rebuilt from its parts, or a refusal."""

import pytest

from gateway.errors import GatewayError
from gateway.target import MAX_TARGET_LENGTH, safe_return_to

PUBLIC_URL = "https://app.example"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        pytest.param("", "/", id="empty means home"),
        pytest.param("/", "/", id="root"),
        pytest.param("/a/b?x=1&y=%2F", "/a/b?x=1&y=%2F", id="path and query"),
        pytest.param("/a#section", "/a#section", id="fragment is kept"),
        pytest.param("/a?x=1#s=2?3", "/a?x=1#s=2?3", id="query and fragment"),
        pytest.param("?x=1", "/?x=1", id="query alone"),
        pytest.param("/%61", "/a", id="path in its one form"),
        pytest.param("/%2f%2fevil.example", "/%2F%2Fevil.example", id="encoded slashes stay encoded"),
        pytest.param("/a?next=//evil.example", "/a?next=//evil.example", id="URL in the query"),
        pytest.param("/a@evil.example", "/a@evil.example", id="at sign in the path"),
        pytest.param("https://app.example", "/", id="own origin"),
        pytest.param("https://app.example/a?b#c", "/a?b#c", id="own origin with all parts"),
        pytest.param("HTTPS://APP.example/a", "/a", id="own origin in upper case"),
        pytest.param("https://app.example?x=1", "/?x=1", id="own origin and a query"),
    ],
)
def test_return_urls(url: str, path: str) -> None:
    assert safe_return_to(url, PUBLIC_URL) == path


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("//evil.example", id="two slashes"),
        pytest.param("///evil.example", id="three slashes"),
        pytest.param("////evil.example", id="four slashes"),
        pytest.param("//app.example/a", id="own host without a scheme"),
        pytest.param("/\\evil.example", id="slash and backslash"),
        pytest.param("\\\\evil.example", id="two backslashes"),
        pytest.param("\\/evil.example", id="backslash and slash"),
        pytest.param("/%5cevil.example", id="encoded backslash"),
        pytest.param("/a/..//evil.example", id="dot segment before two slashes"),
        pytest.param("/a/../b", id="dot segments"),
        pytest.param("/%2e%2e/b", id="encoded dot segments"),
        pytest.param("/;/evil.example", id="segment of parameters alone"),
        pytest.param("/\t/evil.example", id="tab between slashes"),
        pytest.param("\t//evil.example", id="leading tab"),
        pytest.param("/\n/evil.example", id="LF between slashes"),
        pytest.param("/a\r\nSet-Cookie: x=y", id="CR LF"),
        pytest.param("/%0d%0aSet-Cookie:x=y", id="encoded CR LF"),
        pytest.param("/a\x00", id="NUL"),
        pytest.param("/%00", id="encoded NUL"),
        pytest.param(" //evil.example", id="leading space"),
        pytest.param("/a b", id="space"),
        pytest.param("\x01/a", id="leading control character"),
        pytest.param("/a\u2028b", id="line separator"),
        pytest.param("https:evil.example", id="scheme without slashes"),
        pytest.param("https:/evil.example", id="scheme and one slash"),
        pytest.param("https:///evil.example", id="scheme and three slashes"),
        pytest.param("https:/a", id="own scheme and one slash"),
        pytest.param("https://evil.example/a", id="another host"),
        pytest.param("https://app.example.evil.example/", id="own host as a prefix"),
        pytest.param("https://evilapp.example/", id="own host as a suffix"),
        pytest.param("https://sub.app.example/", id="subdomain"),
        pytest.param("https://app.example@evil.example/", id="own host as userinfo"),
        pytest.param("https://app.example:x@evil.example/", id="own host as userinfo with a password"),
        pytest.param("https://user@app.example/", id="userinfo before the own host"),
        pytest.param("https://app.example%2f@evil.example/", id="encoded slash in userinfo"),
        pytest.param("https://evil.example#@app.example/", id="own host in the fragment"),
        pytest.param("https://evil.example?@app.example/", id="own host in the query"),
        pytest.param("https://app.example:80/", id="port 80"),
        pytest.param("https://app.example:8443/", id="another port"),
        pytest.param("https://app.example:/", id="empty port"),
        pytest.param("https://app.example./", id="trailing dot"),
        pytest.param("http://app.example/", id="http"),
        pytest.param("http://app.example:443/", id="http on port 443"),
        pytest.param("wss://app.example/", id="another scheme"),
        pytest.param("javascript:alert(1)", id="javascript"),
        pytest.param("JavaScript://app.example/%0aalert(1)", id="javascript with the own host"),
        pytest.param("data:text/html,x", id="data"),
        pytest.param("/javascript:alert(1)//x", id="two slashes inside"),
        pytest.param("https://\u0430pp.example/", id="a host that looks alike"),
        pytest.param("https://xn--pp-7kc.example/", id="the same as an A-label"),
        pytest.param("/caf\u00e9", id="not ASCII"),
        pytest.param("//\u3002evil", id="ideographic full stop"),
        pytest.param("https://[::1", id="open bracket"),
        pytest.param("/https://evil.example", id="URL in the path"),
        pytest.param("a/b", id="relative path"),
        pytest.param("evil.example", id="host alone"),
        pytest.param(".", id="dot"),
        pytest.param("/" + "a" * MAX_TARGET_LENGTH, id="too long"),
    ],
)
def test_return_urls_that_are_refused(url: str) -> None:
    assert safe_return_to("/a", PUBLIC_URL) == "/a"
    with pytest.raises(GatewayError) as error:
        safe_return_to(url, PUBLIC_URL)
    assert error.value.code == "return_url_refused"


@pytest.mark.parametrize(
    ("public_url", "url"),
    [
        pytest.param("https://localhost:5443", "https://localhost:5443/a", id="port"),
        pytest.param("http://localhost:8000", "http://LOCALHOST:8000/a", id="http"),
        pytest.param("https://App.example/", "https://app.example/a", id="public URL in upper case, with a slash"),
    ],
)
def test_the_own_origin_is_that_of_the_public_url(public_url: str, url: str) -> None:
    assert safe_return_to(url, public_url) == "/a"
    with pytest.raises(GatewayError) as error:
        safe_return_to("https://localhost/a", public_url)
    assert error.value.code == "return_url_refused"
