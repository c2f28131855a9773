"""What a provider is asked about opaque tokens of clients: nothing while it fails, nothing twice, never too much."""

import ipaddress
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pytest
from harness import ISSUER, NOW, ORIGIN, Clock, Site, error_code, held_session, run_site
from werkzeug.wrappers import Response

from gateway.client_address import Network
from gateway.errors import (
    ACCESS_TOKEN_AUD_MISMATCH,
    TOKEN_INACTIVE,
    GatewayError,
    ProviderUnavailable,
)
from gateway.kept import BACKOFF_SECONDS
from gateway.testing import Faults, Page
from gateway.token_cache import TokenCache
from gateway.token_questions import MAX_CLIENTS, MAX_REFUSED, MAX_REFUSED_OF_ONE, REFUSED_SECONDS, Refusals

CLIENT: Final = "app %&+"
CONFIG: Final[dict[str, Any]] = {
    "bearer": {"audience": [CLIENT]},
    "routes": [{"path": "/api/**", "bearer": ["jwt", "introspection"]}],
}
BEHIND_A_PROXY: Final[dict[str, Any]] = {**CONFIG, "trusted_proxies": ["127.0.0.1"]}


def ask(site: Site, token: str, address: str = "") -> Page:
    forwarded = {"X-Forwarded-For": address} if address else {}
    return site.browser.fetch(f"{ORIGIN}/api/x", headers={"Authorization": f"Bearer {token}", **forwarded})


def good_token(site: Site) -> str:
    site.sign_in()
    token = held_session(site).access_token
    site.restarted()
    return token


def asked(site: Site) -> int:
    return site.provider.calls["introspect"]


def answering(status: int) -> Callable[[Site], None]:
    def fail(site: Site) -> None:
        site.provider.faults = Faults(
            response=lambda name, response: Response(status=status) if name == "introspect" else response
        )

    return fail


def down(site: Site) -> None:
    site.provider.faults = Faults(down=True)


@pytest.mark.parametrize(
    "fail",
    [
        pytest.param(answering(503), id="503"),
        pytest.param(answering(500), id="500"),
        pytest.param(answering(429), id="it has had enough of us"),
        pytest.param(down, id="not there"),
    ],
)
def test_a_provider_that_fails_is_left_alone(fail: Callable[[Site], None], caplog: pytest.LogCaptureFixture) -> None:
    with run_site(CONFIG) as site:
        token = good_token(site)
        assert ask(site, token).status == 200
        fail(site)
        for pause, retry_after in ((BACKOFF_SECONDS, "5"), (2 * BACKOFF_SECONDS, "5")):
            page = ask(site, "first")
            assert (page.status, error_code(page), page.headers["Retry-After"]) == (
                503, "provider_unreachable", retry_after,
            )  # fmt: skip
            before = asked(site)
            page = ask(site, "second")
            assert (page.status, page.headers["Retry-After"]) == (503, str(pause))
            assert asked(site) == before
            assert ask(site, token).status == 200  # It is believed for a while as ever.
            site.clock.advance(pause - 1)
            assert ask(site, "third").status == 503
            assert asked(site) == before
            site.clock.advance(1)
        site.provider.faults = Faults()
        assert ask(site, "first").status == 401
        assert ask(site, token).status == 200
        told = [record.getMessage() for record in caplog.records if "introspected" in record.getMessage()]
        assert [("cannot" in line, "again" in line) for line in told] == [(True, False), (False, True)]


def test_jwts_need_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    with run_site(CONFIG) as site:
        claims = {"iss": ISSUER, "sub": "robot", "aud": CLIENT, "client_id": "c", "iat": NOW, "exp": NOW + 300}
        raw = site.provider.sign(claims, client_id=CLIENT, alter_header=lambda header: {**header, "typ": "at+jwt"})
        assert ask(site, raw).status == 200
        answering(503)(site)
        assert [ask(site, "opaque").status, ask(site, raw).status] == [503, 200]


def test_an_answer_that_is_wrong_for_one_token_stops_no_other() -> None:
    with run_site(CONFIG) as site:
        token = good_token(site)
        answering(404)(site)
        page = ask(site, "first")
        assert (page.status, error_code(page)) == (502, "introspection_invalid")
        site.provider.faults = Faults()
        assert ask(site, token).status == 200


def test_made_up_tokens_take_no_place_of_good_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.bearer.TokenCache", partial(TokenCache, max_entries=2))
    with run_site(CONFIG) as site:
        token = good_token(site)
        assert ask(site, token).status == 200
        assert {ask(site, f"made-up-{number}").status for number in range(5)} == {401}
        before = asked(site)
        assert ask(site, token).status == 200
        assert asked(site) == before


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"active": False}, id="not active"),
        pytest.param({"aud": "other"}, id="for another"),
        pytest.param({"cnf": {"jkt": "x"}}, id="bound to a key"),
        pytest.param({"typ": "Refresh"}, id="a refresh token"),
    ],
)
def test_what_was_refused_is_not_asked_about_again_for_a_while(said: dict[str, object]) -> None:
    with run_site(CONFIG) as site:
        token = good_token(site)
        assert ask(site, token).status == 200
        site.clock.advance(30)
        site.provider.faults = Faults(introspection=lambda code, members: (code, {**members, **said}))
        before = asked(site)
        for _ in range(3):
            page = ask(site, token)
            assert (page.status, error_code(page)) == (401, "invalid_token")
        site.clock.advance(REFUSED_SECONDS - 1)
        assert ask(site, token).status == 401
        assert asked(site) == before + 1
        site.provider.faults = Faults()
        site.clock.advance(1)
        assert ask(site, token).status == 200


def test_who_makes_tokens_up_is_not_asked_for_and_others_are() -> None:
    with run_site(BEHIND_A_PROXY) as site:
        known, new = good_token(site), good_token(site)
        assert ask(site, known, "203.0.113.9").status == 200
        site.clock.advance(30)  # Nobody's word about it is believed any more.
        for number in range(MAX_REFUSED_OF_ONE):
            assert ask(site, f"made-up-{number}", "203.0.113.9").status == 401
        before = asked(site)
        for token in ("made-up", new):
            page = ask(site, token, "203.0.113.9")
            assert (page.status, error_code(page)) == (503, "provider_unreachable")
            assert page.headers["Retry-After"] == str(REFUSED_SECONDS)
        assert asked(site) == before
        assert ask(site, known, "203.0.113.9").status == 200  # Whoever else is at that address.
        assert ask(site, "made-up", "203.0.113.10").status == 401
        assert ask(site, new, "203.0.113.10").status == 200
        site.clock.advance(REFUSED_SECONDS)
        assert ask(site, "made-up-again", "203.0.113.9").status == 401


@pytest.mark.parametrize(
    ("config", "address"),
    [
        pytest.param(CONFIG, "", id="an address that may be a proxy's"),
        pytest.param(BEHIND_A_PROXY, "", id="a proxy that names nobody"),
        pytest.param({**CONFIG, "trusted_hops": 2}, "203.0.113.9", id="who came by another way"),
    ],
)
def test_nobody_is_held_for_an_address_that_many_may_have(config: dict[str, Any], address: str) -> None:
    with run_site(config) as site:
        token = good_token(site)
        statuses = {ask(site, f"made-up-{number}", address).status for number in range(MAX_REFUSED_OF_ONE + 2)}
        assert statuses == {401}
        assert ask(site, token, address).status == 200


@pytest.fixture
def refusals(clock: Clock) -> Refusals:
    return Refusals(clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def is_held(refusals: Refusals, address: str) -> bool:
    try:
        refusals.check_client(address)
    except ProviderUnavailable:
        return True
    return False


@pytest.mark.parametrize(
    ("of", "other", "held"),
    [
        pytest.param("203.0.113.9", "203.0.113.9", True, id="the same"),
        pytest.param("203.0.113.9", "203.0.113.8", False, id="another"),
        pytest.param("2001:db8::1", "2001:db8::ffff:1", True, id="the same network"),
        pytest.param("2001:db8::1", "2001:db8:0:1::1", False, id="another network"),
        pytest.param("fe80::1%eth0", "fe80::1%eth0", True, id="on one link"),
        pytest.param("", "", False, id="nobody knows who"),
    ],
)
def test_whose_tokens_are_counted_together(refusals: Refusals, of: str, other: str, held: bool) -> None:
    for number in range(MAX_REFUSED_OF_ONE):
        assert not is_held(refusals, other)
        refusals.note(number, of, GatewayError(TOKEN_INACTIVE))
    assert is_held(refusals, other) is held


def test_few_at_a_time_hold_nobody(refusals: Refusals, clock: Clock) -> None:
    for number in range(3 * MAX_REFUSED_OF_ONE):
        refusals.note(number, "203.0.113.9", GatewayError(TOKEN_INACTIVE))
        assert not is_held(refusals, "203.0.113.9")
        clock.advance(1)


def test_a_refusal_is_repeated_in_the_same_words(refusals: Refusals) -> None:
    refusals.check("a")
    refusals.note("a", "", GatewayError(ACCESS_TOKEN_AUD_MISMATCH, "aud"))
    with pytest.raises(GatewayError, match=r"^access_token_aud_mismatch: aud$"):
        refusals.check("a")
    refusals.check("b")


def test_what_is_remembered_is_bounded(refusals: Refusals) -> None:
    refusals.note("first", "203.0.113.9", GatewayError(TOKEN_INACTIVE))
    for number in range(MAX_REFUSED):
        refusals.note(number, "203.0.113.9", GatewayError(TOKEN_INACTIVE))
    refusals.check("first")
    with pytest.raises(GatewayError):
        refusals.check(0)
    assert is_held(refusals, "203.0.113.9")
    for number in range(MAX_CLIENTS):
        refusals.note(0, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", GatewayError(TOKEN_INACTIVE))
    assert not is_held(refusals, "203.0.113.9")


def test_shared_addresses_are_not_counted(clock: Clock) -> None:
    def after_many(shared: tuple[Network, ...]) -> bool:
        refusals = Refusals(clock, shared=shared)
        for number in range(MAX_REFUSED_OF_ONE):
            refusals.note(number, "10.0.0.1", GatewayError(TOKEN_INACTIVE))
        return is_held(refusals, "10.0.0.1")

    assert after_many(())
    assert not after_many((ipaddress.ip_network("10.0.0.0/8"),))
