"""A token for one upstream alone, in exchange for the user's own (RFC 8693); and never the original in its place."""

import threading
from typing import Any, Final

import pytest
from answering import assert_not_reached, bearer, hello, run_before
from harness import ORIGIN, Members, Site, held_session

from gateway.testing import Faults

EXCHANGED: Final[dict[str, Any]] = {
    "routes": [
        {"path": "/inventory/**", "token": {"exchange": {"audience": ["inventory"]}}},
        {"path": "/narrow/**", "token": {"exchange": {"audience": ["inventory"], "scope": "email"}}},
        {"path": "/api/**", "token": {"exchange": {"resource": ["https://api.example/"]}}},
        {"path": "/unknown/**", "token": {"exchange": {"audience": ["nobody"]}}},
        {"path": "/home", "token": "none"},
    ],
}
EXCHANGE: Final = "token.urn:ietf:params:oauth:grant-type:token-exchange"


def exchanging(site: Site) -> None:
    site.provider.exchange_audiences = ["inventory", "https://api.example/"]


def test_each_route_has_a_token_of_its_own() -> None:
    with run_before(hello, EXCHANGED) as site:
        exchanging(site)
        site.sign_in()
        got = {}
        for path in ("/inventory/x", "/narrow/x", "/api/x", "/inventory/y", "/narrow/y", "/api/y"):
            assert site.browser.fetch(ORIGIN + path).status == 200
            access = site.provider.grants.access(bearer(site), site.clock())
            assert access is not None
            got[path] = (access.audience, access.scope == "email", bearer(site))
        assert [got[path][:2] for path in ("/inventory/x", "/narrow/x", "/api/x")] == [
            (("inventory",), False),
            (("inventory",), True),
            (("https://api.example/",), False),
        ]
        assert [got[f"/{name}/x"] for name in ("inventory", "narrow", "api")] == [
            got[f"/{name}/y"] for name in ("inventory", "narrow", "api")
        ]
        assert site.provider.calls[EXCHANGE] == 3
        assert held_session(site).access_token not in {token for *_, token in got.values()}


def test_each_user_has_a_token_of_his_own() -> None:
    with run_before(hello, EXCHANGED) as site:
        exchanging(site)
        site.sign_in()
        site.browser.fetch(f"{ORIGIN}/inventory/x")
        assert site.provider.subject_of(bearer(site)) == "alice"
        site.restarted()
        site.provider.sign_in_as = "bob"
        site.sign_in()
        site.browser.fetch(f"{ORIGIN}/inventory/x")
        assert site.provider.subject_of(bearer(site)) == "bob"


def refusing(error: str, status: int = 400) -> Faults:
    members: Members = {"error": error}
    return Faults(token_response=lambda *_: (status, members))


def exchanged(**members: object) -> Faults:
    return Faults(token_exchange=lambda given: {**given, **members})


@pytest.mark.parametrize(
    ("faults", "status", "code"),
    [
        pytest.param(refusing("invalid_target"), 403, "exchange_refused", id="invalid_target"),
        pytest.param(refusing("invalid_request"), 403, "exchange_refused", id="invalid_request"),
        pytest.param(refusing("invalid_grant"), 403, "exchange_refused", id="invalid_grant"),
        pytest.param(refusing("unsupported_grant_type"), 403, "exchange_refused", id="unsupported"),
        pytest.param(refusing("invalid_client", 401), 503, "token_client_invalid", id="invalid_client"),
        pytest.param(refusing("server_error"), 503, "provider_unreachable", id="server_error"),
        pytest.param(refusing("anything", 503), 503, "provider_unreachable", id="503"),
        pytest.param(refusing("what", 400), 502, "exchange_invalid", id="unknown"),
        pytest.param(exchanged(issued_token_type=None), 502, "exchange_invalid", id="no-type"),
        pytest.param(exchanged(issued_token_type="urn:x:saml2"), 502, "exchange_invalid", id="other-type"),
        pytest.param(exchanged(token_type="N_A"), 502, "exchange_invalid", id="N_A"),
        pytest.param(exchanged(token_type="DPoP"), 502, "exchange_invalid", id="DPoP-unasked"),
        pytest.param(exchanged(access_token=""), 502, "exchange_invalid", id="empty"),
        pytest.param(exchanged(access_token="a\r\nX-Evil: 1"), 502, "exchange_invalid", id="line-break"),
        pytest.param(exchanged(access_token=["a"]), 502, "exchange_invalid", id="array"),
        pytest.param(exchanged(expires_in=-1), 502, "exchange_invalid", id="negative"),
    ],
)
def test_without_an_exchanged_token_the_original_is_not_sent(faults: Faults, status: int, code: str) -> None:
    with run_before(hello, EXCHANGED) as site:
        exchanging(site)
        site.sign_in()
        site.provider.faults = faults
        assert_not_reached(site, "/inventory/x", status, code)
        site.provider.faults = Faults()
        assert site.browser.fetch(f"{ORIGIN}/inventory/x").status == 200


def test_an_audience_that_the_provider_does_not_know_is_refused_and_the_others_are_not() -> None:
    with run_before(hello, EXCHANGED) as site:
        exchanging(site)
        site.sign_in()
        assert_not_reached(site, "/unknown/x", 403, "exchange_refused")
        assert site.browser.fetch(f"{ORIGIN}/inventory/x").status == 200


@pytest.mark.parametrize(
    ("members", "advance", "asked"),
    [
        pytest.param({"expires_in": 60}, 29, 1, id="fresh"),
        pytest.param({"expires_in": 60}, 30, 2, id="half-way"),
        pytest.param({"expires_in": 0}, 0, 2, id="at-once"),
        pytest.param({"expires_in": "60"}, 30, 2, id="text"),
        pytest.param({"expires_in": None}, 29, 1, id="unsaid"),
        pytest.param({"expires_in": None}, 30, 2, id="unsaid-old"),
        pytest.param({"expires_in": 86400}, 269, 1, id="longer-than-the-original"),
        pytest.param({"expires_in": 86400}, 270, 2, id="no-longer-than-the-original"),
    ],
)
def test_an_exchanged_token_is_kept_until_shortly_before_its_end(members: Members, advance: int, asked: int) -> None:
    with run_before(hello, {**EXCHANGED, "session": {"refresh_leeway": 0}}) as site:
        exchanging(site)
        site.sign_in()
        site.provider.faults = exchanged(**members)
        site.browser.fetch(f"{ORIGIN}/inventory/x")
        site.clock.advance(advance)
        assert site.browser.fetch(f"{ORIGIN}/inventory/x").status == 200
        assert site.provider.calls[EXCHANGE] == asked


def test_a_new_access_token_is_exchanged_anew() -> None:
    with run_before(hello, EXCHANGED) as site:
        exchanging(site)
        site.sign_in()
        site.browser.fetch(f"{ORIGIN}/inventory/x")
        site.clock.advance(250)
        site.browser.fetch(f"{ORIGIN}/inventory/x")
        assert (site.provider.calls["token.refresh_token"], site.provider.calls[EXCHANGE]) == (1, 2)


def test_many_requests_at_once_make_one_exchange() -> None:
    with run_before(hello, EXCHANGED) as site:
        exchanging(site)
        site.sign_in()
        cookie = {"Cookie": site.browser.cookies.header(f"{ORIGIN}/")}
        begun, go_on = threading.Event(), threading.Event()

        def wait(name: str) -> None:
            if name == EXCHANGE:
                begun.set()
                assert go_on.wait(10)

        site.provider.faults = Faults(before=wait)
        statuses: list[int] = []

        def ask() -> None:
            statuses.append(site.new_browser().get(f"{ORIGIN}/inventory/x", headers=cookie).status)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert begun.wait(10)
        threads[-1].join(0.1)
        go_on.set()
        for thread in threads:
            thread.join(10)

        assert statuses == [200] * 8
        assert site.provider.calls[EXCHANGE] == 1
        tokens = {received.headers["authorization"] for received in site.received if received.path != "/home"}
        assert len(tokens) == 1
