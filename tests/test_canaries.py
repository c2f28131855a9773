"""No secret gets out: the search for them finds what is planted, and nothing in what failures tell and log."""

import base64
import html
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

import pytest
from canaries import FIELDS, PARAMETERS, TOKENS, Canaries
from harness import (
    ALICE,
    CALLBACK,
    CLIENT_SECRET,
    ORIGIN,
    SECRET,
    SESSION_COOKIE,
    SIGN_OUT,
    TRANSACTION_PREFIX,
    Members,
    Site,
    pending_callback,
    run_site,
    suffixed,
)
from raw_origin import origin
from werkzeug.wrappers import Response

from gateway.backends.memory import MemoryBackend
from gateway.errors import STORE_DOWN, StoreUnavailable
from gateway.oidc.messages import Call, Reply, Transport
from gateway.testing import FakeProvider, Faults
from gateway.testing.grants import hostile_text

PLANTED: Final = "canary/Zq7Vx2Lm9Rt4&Kp8Wd3+Hn6Bs=<'\"\\ é>"
WORD: Final = "canaryZq7Vx2Lm9Rt4Kp8Wd3Hn6Bs"
JWT: Final = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjYW5hcnkgb2YgdGhlIHBheWxvYWQifQ.Y2FuYXJ5IG9mIHRoZSBzaWduYXR1cmU"


def in_base64(encode: Callable[[bytes], bytes], before: str) -> Callable[[str], str]:
    return lambda secret: encode(f"{before}{secret}".encode()).decode("ascii")


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(str, id="as it is"),
        pytest.param(lambda secret: secret[:30], id="cut short"),
        pytest.param(lambda secret: secret[7:], id="without its beginning"),
        pytest.param(quote, id="percent-encoded"),
        pytest.param(
            lambda secret: re.sub("%..", lambda found: found[0].lower(), quote(secret)),
            id="percent-encoded in small letters",
        ),
        pytest.param(quote_plus, id="in a form"),
        pytest.param(html.escape, id="in HTML"),
        pytest.param(json.dumps, id="in JSON"),
        pytest.param(lambda secret: json.dumps(secret, ensure_ascii=False), id="in JSON with other letters"),
        pytest.param(repr, id="in Python"),
        pytest.param(lambda secret: repr(secret.encode("utf-8")), id="in Python as bytes"),
        pytest.param(lambda secret: secret.encode("utf-8").hex(), id="in hexadecimal"),
        *(
            pytest.param(in_base64(encode, before), id=f"in {name} behind {len(before)}")
            for before in ("", "u", "u:", "user:")
            for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode))
        ),
        pytest.param(
            lambda secret: quote(base64.b64encode(secret.encode()).decode(), safe=""), id="in base64, percent-encoded"
        ),
    ],
)
def test_a_secret_is_found_however_it_is_written(written: Callable[[str], str]) -> None:
    canaries = Canaries()
    canaries.add("planted", PLANTED)
    assert canaries.find("log", b"nothing to see here") == []
    found = canaries.find("log", f"2026 WARNING it was {written(PLANTED)} then".encode())
    assert found
    assert not any(PLANTED[:8] in one or PLANTED[-20:] in one for one in found)


@pytest.mark.parametrize("part", [pytest.param(1, id="payload"), pytest.param(2, id="signature")])
def test_a_token_is_found_by_each_part_but_its_header(part: int) -> None:
    canaries = Canaries()
    canaries.add("token", JWT)
    assert canaries.find("log", JWT.split(".")[0].encode()) == []
    assert canaries.find("log", JWT.split(".")[part].encode()) != []


def test_the_octets_of_a_cookie_are_found_too() -> None:
    octets = bytes(range(100, 164))
    canaries = Canaries()
    canaries.add("cookie", base64.urlsafe_b64encode(octets).decode().rstrip("="))
    assert canaries.find("store", b"*3\r\n$3\r\nSET\r\n" + octets[:40], text=False) != []
    assert canaries.find("store", bytes(reversed(octets))) == []


def test_what_has_no_secret_in_it_is_let_alone() -> None:
    canaries = Canaries()
    for secret in ("", "short", *(hostile_text() for _ in range(100))):
        canaries.add("token", secret)
    assert len(canaries) == 100
    others = " ".join(quote(hostile_text()) for _ in range(100))
    for output in (others.encode(), b"<p>&lt;code&gt; is \\u0041</p>", b""):
        assert canaries.find("page", output) == []


def tapped(canaries: Canaries) -> Callable[[FakeProvider], Transport]:
    """Make a transport that notes every secret which is sent and received."""

    def transport(provider: FakeProvider) -> Transport:
        def send(call: Call) -> Reply:
            canaries.add_all(FIELDS, dict(parse_qsl((call.body or b"").decode("ascii"))))
            canaries.add("Authorization", call.headers.get("Authorization", "").partition(" ")[2])
            reply = provider.transport(call)
            try:
                members = json.loads(reply.body)
            except ValueError:
                return reply
            canaries.add_all(TOKENS, members)
            return reply

        return send

    return transport


@contextmanager
def watched(
    config: Mapping[str, object], caplog: pytest.LogCaptureFixture, backend: MemoryBackend | None = None, **more: Any
) -> Iterator[tuple[Site, Canaries]]:
    """Run a gateway, and look in the end for every secret in what it logged and told of failures."""
    caplog.set_level(logging.DEBUG)
    canaries = Canaries()
    for kind, secret in {"client secret": CLIENT_SECRET, "session secret": SECRET, "planted": PLANTED}.items():
        canaries.add(kind, secret)
    canaries.add("planted", WORD)
    canaries.add("claim", str(ALICE["email"]))
    canaries.add("claim", str(ALICE["phone_number"]))
    with run_site(config, transport=tapped(canaries), backend=backend, **more) as site:
        yield site, canaries
        told = b"".join(collected(site, canaries))
    assert canaries.find("log", caplog.text.encode("utf-8", "backslashreplace")) == []
    assert canaries.find("answers", told) == []


def collected(site: Site, canaries: Canaries) -> Iterator[bytes]:
    """Give what browsers were told of failures, after noting the secrets that passed through them."""
    pages = site.browser.history
    for page in pages:
        for name, value in page.headers.items():
            if name == "Set-Cookie":
                canaries.add("cookie", value.partition("=")[2].partition(";")[0])
            if name == "Location":
                canaries.add_all(PARAMETERS, dict(parse_qsl(urlsplit(value).query)))
    for page in pages:
        if page.url.startswith(ORIGIN) and page.status >= 400:
            fields = [f"{name}: {value}\n" for name, value in page.headers.items() if name != "Set-Cookie"]
            yield "".join(fields).encode("latin-1") + page.body


def signs_in(site: Site) -> None:
    site.browser.navigate(f"{ORIGIN}/home")


def renews(site: Site) -> None:
    faults = site.provider.faults
    site.provider.faults = Faults()
    site.sign_in()
    site.provider.faults = faults
    site.clock.advance(301)
    site.browser.fetch(f"{ORIGIN}/home")


def with_token(name: str, error: str = "invalid_grant") -> Faults:
    """Answer with an error that quotes a token."""

    def refuse(_: int, members: Members) -> tuple[int, Members]:
        quoted = members.get("access_token") or members.get("error_description")
        return 400, {"error": error, "error_description": WORD, **members, name: quoted}

    return Faults(token_response=refuse)


def replaced(endpoint: str, status: int, body: str, media_type: str = "text/html") -> Faults:
    """Answer with something else, the honest answer within."""

    def replace(name: str, response: Response) -> Response:
        if name != endpoint:
            return response
        return Response(body.replace("HERE", response.get_data(as_text=True)), status=status, mimetype=media_type)

    return Faults(response=replace)


def refusing(**members: str) -> Faults:
    return Faults(authorization_response=lambda given: {**given, **members, "code": ""})


@pytest.mark.parametrize(
    ("faults", "acts", "code"),
    [
        pytest.param(
            refusing(error="access_denied", error_description=WORD, error_uri=f"https://x.example/{WORD}"),
            signs_in,
            "op_access_denied",
            id="description",
        ),
        pytest.param(refusing(error=WORD), signs_in, "op_refused", id="error"),
        pytest.param(
            Faults(authorization_response=lambda given: {**given, "error": given["code"]}), signs_in, "op_refused",
            id="code-as-error",
        ),
        pytest.param(with_token("error_description"), signs_in, "token_grant_invalid", id="token-in-description"),
        pytest.param(with_token("error"), signs_in, "token_refused", id="token-as-error"),
        pytest.param(with_token("error", "server_error"), renews, "session_token_expired", id="token-as-renewal-error"),
        pytest.param(with_token("x", "invalid_client"), renews, "session_token_expired", id="token-beside-refusal"),
        pytest.param(with_token("x", "invalid_scope"), renews, "login_required", id="token-beside-final-refusal"),
        pytest.param(
            Faults(token_response=lambda status, given: (status, {**given, "token_type": given["access_token"]})),
            signs_in, "token_type_unsupported", id="token-as-type",
        ),
        pytest.param(
            Faults(token_response=lambda status, given: (status, {**given, "expires_in": given["access_token"]})),
            signs_in, "token_answer_invalid", id="token-as-lifetime",
        ),
        pytest.param(
            Faults(token_response=lambda status, given: (status, {**given, "access_token": f"{WORD} é"})),
            signs_in, "token_answer_invalid", id="token-unprintable",
        ),
        pytest.param(replaced("token.authorization_code", 200, "<p>HERE"), signs_in, "provider_answer_invalid",
                     id="tokens-in-a-page"),
        pytest.param(replaced("token.authorization_code", 200, "HERE}", "application/json"), signs_in,
                     "provider_answer_invalid", id="tokens-in-broken-JSON"),
        pytest.param(replaced("token.authorization_code", 502, "<p>HERE"), signs_in, "provider_unreachable",
                     id="tokens-in-an-outage"),
        pytest.param(replaced("token.refresh_token", 500, "HERE", "application/json"), renews,
                     "session_token_expired", id="tokens-in-an-outage-renewing"),
        pytest.param(Faults(id_token=lambda compact: compact[:-6]), signs_in, "jwt_signature_invalid",
                     id="id-token-cut"),
        pytest.param(Faults(id_token=lambda compact: f"{compact}.{compact}"), signs_in, "jwt_malformed",
                     id="id-token-twice"),
        pytest.param(Faults(id_token_header=lambda header: {**header, "kid": "x"}), signs_in, "jwt_key_unknown",
                     id="id-token-key"),
        pytest.param(Faults(id_token_claims=suffixed("nonce")), signs_in, "id_token_nonce_mismatch", id="nonce"),
        pytest.param(Faults(id_token_claims=suffixed("at_hash")), signs_in, "id_token_at_hash_mismatch", id="at-hash"),
        pytest.param(Faults(refreshed_id_token_claims=suffixed("sub")), renews, "login_required", id="another-user"),
        pytest.param(Faults(refreshed_id_token=lambda compact: compact[:-6]), renews, "login_required",
                     id="id-token-cut-renewing"),
        pytest.param(Faults(userinfo=suffixed("sub")), signs_in, "userinfo_sub_mismatch", id="userinfo-sub"),
        pytest.param(Faults(userinfo=lambda given: {**given, "sub": {WORD: WORD}}), signs_in, "userinfo_sub_mismatch",
                     id="userinfo-sub-no-text"),
        pytest.param(replaced("userinfo", 200, "<p>HERE"), signs_in, "provider_answer_invalid", id="userinfo-a-page"),
        pytest.param(replaced("userinfo", 403, f"HERE {WORD}"), signs_in, "userinfo_invalid", id="userinfo-refused"),
        pytest.param(replaced("discovery", 200, f'{{"issuer": ["{WORD}"', "application/json"), signs_in,
                     "provider_answer_invalid", id="discovery"),
        pytest.param(replaced("jwks", 200, f'{{"keys": "{WORD}"}}', "application/json"), signs_in,
                     "provider_answer_invalid", id="keys"),
    ],
)  # fmt: skip
def test_what_a_provider_does_wrong(
    faults: Faults, acts: Callable[[Site], None], code: str, caplog: pytest.LogCaptureFixture
) -> None:
    with watched({}, caplog) as (site, _):
        site.provider.faults = faults
        acts(site)
        assert code in caplog.text + "".join(page.text for page in site.browser.history)


def quoting(name: str) -> Callable[[Members], Members]:
    """Name a member of an answer after its token."""
    return lambda members: {**members, name: members["access_token"]}


@pytest.mark.parametrize(
    ("path", "faults", "code"),
    [
        pytest.param("/exchanged", with_token("error"), "exchange_invalid", id="error"),
        pytest.param("/exchanged", with_token("error_description"), "exchange_refused", id="description"),
        pytest.param("/exchanged", Faults(token_exchange=quoting("issued_token_type")), "exchange_invalid", id="type"),
        pytest.param("/exchanged", Faults(token_exchange=quoting("token_type")), "exchange_invalid", id="scheme"),
        pytest.param("/exchanged", Faults(token_exchange=quoting("expires_in")), "exchange_invalid", id="lifetime"),
        pytest.param("/introspected", replaced("introspect", 200, f"<p>HERE {WORD}"), "introspection_invalid",
                     id="introspected-in-a-page"),
        pytest.param("/introspected", replaced("introspect", 400, f"HERE {WORD}"), "introspection_invalid",
                     id="introspection-refused"),
    ],
)  # fmt: skip
def test_what_a_provider_does_wrong_for_an_upstream(
    path: str, faults: Faults, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    routes = [
        {"path": "/exchanged", "token": {"exchange": {"audience": ["inventory"]}}},
        {"path": "/introspected", "token": "introspected"},
    ]
    with watched({"routes": routes}, caplog) as (site, _):
        site.provider.exchange_audiences = ["inventory"]
        site.sign_in()
        site.provider.faults = faults
        page = site.browser.fetch(ORIGIN + path)
        assert code in caplog.text + page.text


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"error": WORD, "error_description": PLANTED}, id="error"),
        pytest.param({"error": "invalid_client", "error_description": WORD}, id="description"),
        pytest.param({"error": "invalid_request", "request_uri": f"urn:{WORD}"}, id="request-uri"),
    ],
)
def test_what_a_provider_says_of_a_pushed_request(members: Members, caplog: pytest.LogCaptureFixture) -> None:
    config = {"provider": {"authorization": {"via": "pushed"}}}
    with watched(config, caplog) as (site, _):
        site.provider.faults = Faults(pushed_response=lambda _, __: (400, members))
        page = site.browser.navigate(f"{ORIGIN}/home")
        assert page.status in (403, 503)


def begun(site: Site) -> str:
    """Begin a login, and return what the provider sends the browser back with."""
    return urlsplit(pending_callback(site.browser)).query


@pytest.mark.parametrize(
    ("acts", "code"),
    [
        pytest.param(lambda _: f"{CALLBACK}?code={WORD}&state={WORD}", "", id="foreign"),
        pytest.param(lambda site: f"{CALLBACK}?{begun(site)}&code={WORD}", "response_parameter_repeated", id="twice"),
        pytest.param(lambda site: f"{CALLBACK}?{begun(site)}x", "response_iss_mismatch", id="another-iss"),
        pytest.param(
            lambda site: f"{CALLBACK}?{begun(site).replace('iss=', 'x=')}", "response_iss_missing", id="without-iss"
        ),
        pytest.param(lambda _: f"{CALLBACK}?error={WORD}", "op_refused", id="error-without-state"),
        pytest.param(lambda _: f"{SIGN_OUT}?rd=https://{WORD}.example/", "return_url_refused", id="return-url"),
        pytest.param(
            lambda _: f"{ORIGIN}/oauth2/start?login_hint={WORD}%00", "parameter_refused", id="start-parameter"
        ),
        pytest.param(lambda _: f"{ORIGIN}/home?token={WORD}&x=%ff/../%2e", "", id="query-of-the-app"),
    ],
)
def test_what_a_browser_asks_for(acts: Callable[[Site], str], code: str, caplog: pytest.LogCaptureFixture) -> None:
    with watched({}, caplog) as (site, _):
        site.browser.navigate(acts(site), follow=False)
        assert code in caplog.text + "".join(page.text for page in site.browser.history)


def spoilt(name: str, change: Callable[[str], str]) -> Callable[[Site], Mapping[str, str]]:
    """Send a cookie of ours, changed."""

    def cookie(site: Site) -> Mapping[str, str]:
        cookies = site.browser.cookies.of(ORIGIN)
        found = next(each for each in cookies if each.startswith(name))
        return {"Cookie": f"{found}={change(cookies[found])}"}

    return cookie


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(spoilt(SESSION_COOKIE, lambda value: value[:-1]), id="session-cut"),
        pytest.param(spoilt(SESSION_COOKIE, lambda value: f"{value}; {SESSION_COOKIE}={value}"), id="session-twice"),
        pytest.param(spoilt(SESSION_COOKIE, lambda value: f'"{value}\\'), id="session-quoted"),
        pytest.param(spoilt(SESSION_COOKIE, lambda value: value * 300), id="session-long"),
        pytest.param(spoilt(TRANSACTION_PREFIX, lambda value: value[1:]), id="transaction"),
        pytest.param(lambda _: {"Authorization": f"Bearer {WORD}"}, id="bearer"),
        pytest.param(lambda _: {"Authorization": f"Bearer {JWT}"}, id="bearer-jwt"),
        pytest.param(lambda _: {"Authorization": f"Bearer {WORD} {WORD}"}, id="bearer-malformed"),
        pytest.param(lambda _: {"Authorization": f"{WORD}"}, id="authorization"),
        pytest.param(lambda _: {"Origin": f"https://{WORD}", "Cookie": f"a={WORD}"}, id="other-cookie"),
        pytest.param(lambda _: {"X-Api-Key": PLANTED.encode().decode("latin-1") * 999}, id="too-large"),
    ],
)
@pytest.mark.parametrize("path", ["/home", "/api/x", "/oauth2/admin/sessions", "/oauth2/auth", "/oauth2/refresh"])
def test_what_a_client_brings(
    path: str, fields: Callable[[Site], Mapping[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    routes = [{"path": "/api/**", "bearer": ["jwt", "introspection"], "max_headers": "8k"}]
    config = {
        "routes": routes, "bearer": {"audience": ["x"]}, "admin_token": [f"{WORD} of an administrator"],
        "trusted_proxies": ["127.0.0.1"], "forward_auth": {"enabled": True},
    }  # fmt: skip
    with watched(config, caplog) as (site, canaries):
        canaries.add("token", JWT)
        site.sign_in()
        pending_callback(site.browser, "/oauth2/start?prompt=login")
        brought = {"X-Forwarded-Uri": "/api/x", "X-Forwarded-Method": "GET", **fields(site)}
        for method in ("GET", "POST"):
            site.new_browser()
            site.browser.fetch(ORIGIN + path, method=method, headers=brought)


@pytest.mark.parametrize(
    ("token", "code"),
    [
        pytest.param(WORD, "jwt_malformed", id="no-jwt"),
        pytest.param(JWT, "jwt_", id="foreign"),
    ],
)
def test_logout_tokens(token: str, code: str, caplog: pytest.LogCaptureFixture) -> None:
    with watched({}, caplog) as (site, canaries):
        canaries.add("token", JWT)
        page = site.browser.post(f"{ORIGIN}/oauth2/backchannel-logout", data={"logout_token": token})
        assert page.status == 400
        assert code in caplog.text + page.text


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(f"HTTP/1.1 {WORD} OK\r\n\r\n", id="status"),
        pytest.param(f"{WORD}\r\n\r\n", id="no-HTTP"),
        pytest.param(f"HTTP/1.1 200 OK\r\nAuthorization Bearer {WORD}\r\n\r\n", id="line-without-colon"),
        pytest.param(f"HTTP/1.1 200 OK\r\nContent-Length: {WORD}\r\n\r\n", id="length"),
        pytest.param(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {WORD}\r\n\r\n", id="coding"),
        pytest.param(f"HTTP/1.1 200 OK\r\nX: \0{WORD}\r\n\r\n", id="nul"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_an_upstream_answers(answer: str, caplog: pytest.LogCaptureFixture) -> None:
    script = [[answer.encode("ascii")]] * 3
    with origin(*script, hang_up=True) as raw:
        routes = [{"path": "/api/**", "upstream": raw.url, "request_headers": {"X-Api-Key": WORD}}]
        with watched({"routes": routes}, caplog) as (site, _):
            site.sign_in()
            page = site.browser.fetch(f"{ORIGIN}/api/x")
            assert page.status == 502


class Failing(MemoryBackend):
    """A store that fails with whatever it was asked for, and with what it was told."""

    error: type[Exception] | None = None

    def get(self, key: str) -> bytes | None:
        self._fail(key)
        return super().get(key)

    def get_many(self, keys: Any) -> list[bytes | None]:
        self._fail(str(keys))
        return super().get_many(keys)

    def _fail(self, key: str) -> None:
        if self.error is StoreUnavailable:
            raise StoreUnavailable(STORE_DOWN, "no connection")
        if self.error is not None:
            raise self.error(f"{WORD} {PLANTED}") from ValueError(f"{key} {WORD}")


@pytest.mark.parametrize("error", [RuntimeError, KeyError, UnicodeError, StoreUnavailable])
@pytest.mark.parametrize("path", ["/home", "/oauth2/userinfo", "/oauth2/auth", "/oauth2/callback?code=x&state=y"])
def test_what_fails_within(error: type[Exception], path: str, caplog: pytest.LogCaptureFixture) -> None:
    backend = Failing()
    config = {"trusted_proxies": ["127.0.0.1"], "forward_auth": {"enabled": True}}
    with watched(config, caplog, backend) as (site, _):
        site.sign_in()
        backend.error = error
        asked = {"X-Forwarded-Uri": "/api/x", "X-Forwarded-Method": "GET"}
        page = site.browser.fetch(ORIGIN + path, headers=asked)
        assert page.status >= 400
