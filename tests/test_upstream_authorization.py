"""What `UpstreamTokens` makes of a session (RFC 6750 2.1, RFC 8693, RFC 9449 7): the right token and proof, or none."""

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest
from samples import SESSION

from gateway.back_channel import BackChannel
from gateway.config import parse_settings
from gateway.errors import GatewayError
from gateway.headers import Headers
from gateway.oidc.dpop import new_dpop_key
from gateway.oidc.exchange import ACCESS_TOKEN_TYPE, ExchangeWanted
from gateway.oidc.messages import Call, Reply
from gateway.provider import Provider
from gateway.route import Route, Token, compile_pattern
from gateway.session import Session
from gateway.upstream_tokens import LEEWAY_SECONDS, UNKNOWN_LIFETIME_SECONDS, UpstreamTokens

NOW: Final = 1_800_000_000
ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri", "introspection_endpoint")
ROUTE: Final = Route(path="/**", pattern=compile_pattern("/**"), upstream="http://up.example")
URL: Final = "http://up.example/a"
ALICE: Final = replace(SESSION, refresh_token="the-refresh-token", id_token="the-id-token")
BOUND: Final = replace(ALICE, token_scheme="DPoP", dpop_key=new_dpop_key(secrets.token_bytes).to_text())
ACCESS: Final = replace(ROUTE, token=Token.ACCESS_TOKEN)
EXCHANGED: Final = replace(ROUTE, token=Token.EXCHANGED, exchange=ExchangeWanted(audience=("api",)))
INTROSPECTED: Final = replace(ROUTE, token=Token.INTROSPECTED)


class Site:
    """The tokens of a gateway, over a provider that answers what a test says and counts how often it is asked."""

    def __init__(self, **members: Any) -> None:
        self.now = float(NOW)
        self.calls: list[Call] = []
        self.answer: Callable[[], Reply] = lambda: granted({})
        document = {
            "public_url": "https://app.example",
            "provider": {
                "issuer": "https://op.example",
                "client_id": "app",
                "client_secret": "a secret of thirty-two bytes and more",
                "metadata": {name: f"https://op.example/{name}" for name in ENDPOINTS},
                **members,
            },
            "session": {"secret": "a secret of at least 32 characters"},
        }
        settings = parse_settings(document, {}).providers["default"]
        channel = BackChannel(transport=self.transport, clock=self.clock, entropy=secrets.token_bytes)
        provider = Provider(settings=settings, channel=channel, clock=self.clock)
        self.tokens = UpstreamTokens(providers={"default": provider}, clock=self.clock, entropy=secrets.token_bytes)

    def clock(self) -> float:
        return self.now

    def transport(self, call: Call) -> Reply:
        self.calls.append(call)
        return self.answer()

    def headers(self, route: Route, session: Session | None = ALICE, url: str = URL) -> Headers:
        return self.tokens.headers(route, session, method="GET", url=lambda: url)

    def bearer(self, route: Route, session: Session = ALICE) -> str:
        return dict(self.headers(route, session))["authorization"]


def replying(status: int, members: dict[str, object]) -> Reply:
    return Reply(status=status, headers={"content-type": "application/json"}, body=json.dumps(members).encode())


def granted(members: dict[str, object]) -> Reply:
    token = {"access_token": secrets.token_hex(8), "issued_token_type": ACCESS_TOKEN_TYPE}
    return replying(200, {**token, "token_type": "Bearer", "expires_in": 300, **members})


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        pytest.param(Token.ACCESS_TOKEN, [("authorization", "Bearer the-access-token")], id="access token"),
        pytest.param(Token.ID_TOKEN, [("authorization", "Bearer the-id-token")], id="id token"),
        pytest.param(Token.NONE, [], id="none"),
    ],
)
def test_the_token_that_an_upstream_receives(site: Site, token: Token, expected: Headers) -> None:
    assert site.headers(replace(ROUTE, token=token)) == expected
    assert site.headers(replace(ROUTE, token=token), None) == []
    assert site.calls == []


@pytest.mark.parametrize("route", [pytest.param(EXCHANGED, id="exchanged"), pytest.param(INTROSPECTED, id="looked up")])
def test_nobody_is_sent_no_token_and_asked_about_none(site: Site, route: Route) -> None:
    assert site.headers(route, None) == []
    assert site.calls == []


def test_a_session_without_an_id_token_gives_none(site: Site) -> None:
    assert site.headers(replace(ROUTE, token=Token.ID_TOKEN), replace(ALICE, id_token=None)) == []


def test_an_exchanged_token_goes_out_and_is_used_again(site: Site) -> None:
    first = site.bearer(EXCHANGED)
    assert "the-access-token" not in first
    assert site.bearer(EXCHANGED) == first
    (call,) = site.calls
    assert call.url == "https://op.example/token_endpoint"
    assert b"subject_token=the-access-token" in call.body


@pytest.mark.parametrize(
    ("route", "session"),
    [
        pytest.param(EXCHANGED, replace(ALICE, id="s2"), id="another session"),
        pytest.param(EXCHANGED, replace(ALICE, access_token="renewed"), id="a renewed access token"),
        pytest.param(replace(EXCHANGED, exchange=ExchangeWanted(audience=("other",))), ALICE, id="another audience"),
        pytest.param(replace(EXCHANGED, exchange=ExchangeWanted(resource=("urn:a",))), ALICE, id="a resource"),
        pytest.param(
            replace(EXCHANGED, exchange=ExchangeWanted(audience=("api",), scope=("read",))), ALICE, id="another scope"
        ),
    ],
)
def test_nobody_receives_a_token_that_was_for_something_else(site: Site, route: Route, session: Session) -> None:
    first = site.bearer(EXCHANGED)
    assert site.bearer(route, session) != first
    assert site.bearer(EXCHANGED) == first


@pytest.mark.parametrize(
    ("expires_in", "access_expires_at", "lifetime"),
    [
        pytest.param(300, None, 300 - LEEWAY_SECONDS, id="the leeway before its end"),
        pytest.param(20, None, 10, id="half of a short life"),
        pytest.param(300, NOW + 100, 100 - LEEWAY_SECONDS, id="not longer than the user's own"),
        pytest.param(None, None, UNKNOWN_LIFETIME_SECONDS // 2, id="nobody knows how long"),
        pytest.param(None, NOW + 3600, UNKNOWN_LIFETIME_SECONDS // 2, id="nobody knows, whatever the user's own"),
        pytest.param(None, NOW + 20, 10, id="nobody knows, and the user's own ends sooner"),
    ],
)
def test_how_long_an_exchanged_token_is_used(
    site: Site, expires_in: int | None, access_expires_at: int | None, lifetime: int
) -> None:
    site.answer = lambda: granted({"expires_in": expires_in})
    session = replace(ALICE, access_expires_at=access_expires_at)
    first = site.bearer(EXCHANGED, session)
    site.now = NOW + lifetime - 1
    assert site.bearer(EXCHANGED, session) == first
    site.now = NOW + lifetime
    assert site.bearer(EXCHANGED, session) != first


@pytest.mark.parametrize(
    ("route", "reply", "code"),
    [
        pytest.param(EXCHANGED, replying(400, {"error": "invalid_target"}), "exchange_refused", id="RFC 8693 2.2.2"),
        pytest.param(EXCHANGED, replying(400, {"error": "invalid_grant"}), "exchange_refused", id="a spent token"),
        pytest.param(EXCHANGED, replying(200, {}), "exchange_invalid", id="an answer without a token"),
        pytest.param(EXCHANGED, Reply(status=502), "provider_unreachable", id="an outage"),
        pytest.param(INTROSPECTED, Reply(status=204), "token_inactive", id="a token that is not active"),
        pytest.param(INTROSPECTED, Reply(status=502), "provider_unreachable", id="an outage of introspection"),
        pytest.param(INTROSPECTED, replying(200, {"active": True}), "introspection_invalid", id="no JWT"),
    ],
)
def test_where_there_is_no_token_no_other_is_sent(site: Site, route: Route, reply: Reply, code: str) -> None:
    honest = site.bearer(EXCHANGED, replace(ALICE, id="s0"))
    site.answer = lambda: reply
    for _ in range(2):  # A failure is not kept either.
        with pytest.raises(GatewayError) as error:
            site.headers(route)
        assert error.value.code == code
    assert len(site.calls) == 3
    assert site.bearer(EXCHANGED, replace(ALICE, id="s0")) == honest


def proof_of(headers: Headers) -> dict[str, Any]:
    payload = dict(headers)["dpop"].split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def test_rfc_9449_7_each_request_carries_a_proof_of_its_own(site: Site) -> None:
    first, second = site.headers(ACCESS, BOUND), site.headers(ACCESS, BOUND)
    assert [name for name, _ in first] == ["authorization", "dpop"]
    assert dict(first)["authorization"] == "DPoP the-access-token"
    claims = proof_of(first)
    assert (claims["htm"], claims["htu"], claims["iat"]) == ("GET", URL, NOW)
    assert claims["ath"]
    assert claims["jti"] != proof_of(second)["jti"]


def test_a_nonce_is_for_the_server_that_named_it(site: Site) -> None:
    assert "nonce" not in proof_of(site.headers(ACCESS, BOUND))
    site.tokens.remember_nonce(ACCESS.upstream, "n1")
    assert proof_of(site.headers(ACCESS, BOUND, f"{URL}/b"))["nonce"] == "n1"
    for upstream in ("https://up.example", "http://up.example:81", "http://other.example"):
        assert "nonce" not in proof_of(site.headers(replace(ACCESS, upstream=upstream), BOUND))


@pytest.mark.parametrize(
    ("route", "session", "url"),
    [
        pytest.param(ACCESS, BOUND, "", id="only somebody else knows the address"),
        pytest.param(ACCESS, ALICE, URL, id="a bearer token"),
        pytest.param(replace(ROUTE, token=Token.ID_TOKEN), BOUND, URL, id="an ID token is bound to nothing"),
        pytest.param(replace(ROUTE, token=Token.NONE), BOUND, URL, id="no token"),
    ],
)
def test_what_needs_no_proof_has_none(site: Site, route: Route, session: Session, url: str) -> None:
    assert "dpop" in dict(site.headers(ACCESS, BOUND))
    assert "dpop" not in dict(site.headers(route, session, url))


def test_an_exchanged_token_that_is_bound_is_proven_too() -> None:
    site = Site(sender_constraint="dpop")
    site.answer = lambda: granted({"token_type": "DPoP"})
    headers = site.headers(EXCHANGED, BOUND)
    assert dict(headers)["authorization"].startswith("DPoP ")
    assert proof_of(headers)["htu"] == URL
    (call,) = site.calls
    assert "DPoP" in call.headers
