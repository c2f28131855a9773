"""What an attacker without context found as a provider, each as a case of its own."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from threading import Event, Lock

import pytest
from harness import NOW, ORIGIN, Site, error_code, held_session, is_signed_in, run_site
from multi import EVIL, run_two
from oidc.keys import json_reply

from gateway.back_channel import CALLS_OF_ONE_AMONG_SEVERAL, BackChannel
from gateway.backoff import MAX_SESSIONS, Backoff
from gateway.errors import PROVIDER_UNREACHABLE, ConnectionLost, ProviderUnavailable, TooManyRequests
from gateway.kept import BACKOFF_SECONDS
from gateway.oidc.dpop import new_dpop_key
from gateway.oidc.introspection import process_phantom
from gateway.oidc.messages import Call, Reply
from gateway.oidc.metadata import may_be_this_machine, process_discovery
from gateway.testing import Faults

Members = dict[str, object]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param('"' + "\\\\" * 400_000, id="escapes-without-end"),
        pytest.param('"' * 400_000, id="quotes"),
        pytest.param("max-age=60," * 100_000, id="many"),
        pytest.param('private="' + "x" * 8000, id="open-quote"),
    ],
)
def test_no_field_of_an_answer_holds_a_worker(value: str) -> None:
    """It took a quadratic time, with the interpreter's lock held."""
    token = "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjE4MDAwMDAxMDB9.c2ln"
    headers = {"content-type": "application/jwt", "cache-control": value}
    reply = Reply(status=200, headers=headers, body=token.encode("ascii"))
    assert process_phantom(reply, NOW).reusable_until == NOW


@pytest.mark.parametrize(
    ("host", "here"),
    [
        pytest.param("op.example", False, id="name"),
        pytest.param("203.0.113.9", False, id="address"),
        pytest.param("2001:db8::1", False, id="v6"),
        pytest.param("1password.example", False, id="digits-in-a-name"),
        *[
            pytest.param(host, True, id=host)
            for host in (
                "localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1",
                "0x7f000001", "0.0.0.0", "0", "::", "::1", "::ffff:127.0.0.1", "ip6-localhost", "169.254.169.254",
            )
        ],
    ],
)  # fmt: skip
def test_the_spellings_of_this_machine(host: str, here: bool) -> None:
    assert may_be_this_machine(host) is here


def test_an_endpoint_that_was_written_by_hand_counts_with_a_certificate_too() -> None:
    issuer, base = "https://op.example", "https://op.example"
    members: Members = {
        "issuer": issuer,
        **{name: f"{base}/{name}" for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")},
        "mtls_endpoint_aliases": {"token_endpoint": "https://alias.example/t", "userinfo_endpoint": f"{base}/mtls/u"},
    }
    metadata = process_discovery(json_reply(members), issuer, {"token_endpoint": "https://mine.example/t"})
    assert metadata.with_certificate().token_endpoint == "https://mine.example/t"
    assert metadata.with_certificate().userinfo_endpoint == f"{base}/mtls/u"


@pytest.mark.parametrize(
    ("status", "members"),
    [
        pytest.param(429, {"error": "slow_down"}, id="too-many-requests"),
        pytest.param(400, {"error": "an_error_that_nobody_knows"}, id="unknown-error"),
    ],
)
def test_a_refusal_of_one_user_stops_nobody_elses_renewal(status: int, members: Members) -> None:
    with run_site() as site:
        site.provider.rotate_refresh_tokens = False  # What was refused is not used up.
        site.sign_in()
        alice, alices = site.browser, held_session(site).access_token
        site.restarted().provider.sign_in_as = "bob"
        site.sign_in()
        bob = site.browser
        site.clock.advance(400)

        site.provider.faults = Faults(token_response=lambda _, __: (status, members))
        assert bob.fetch(f"{ORIGIN}/data").status == 503
        calls = site.provider.calls["token.refresh_token"]
        assert bob.fetch(f"{ORIGIN}/data").status == 503
        assert site.provider.calls["token.refresh_token"] == calls  # He is left alone for a while.

        site.provider.faults = Faults()
        assert alice.fetch(f"{ORIGIN}/data").status == 200
        site.browser = alice
        assert held_session(site).access_token != alices
        site.clock.advance(BACKOFF_SECONDS)
        assert bob.fetch(f"{ORIGIN}/data").status == 200


def test_sessions_that_are_left_alone_are_remembered_within_bounds() -> None:
    backoff = Backoff(lambda: 0.0)
    for number in range(MAX_SESSIONS + 1):
        backoff.note(TooManyRequests(PROVIDER_UNREACHABLE), str(number))
    backoff.check("0")
    with pytest.raises(ProviderUnavailable):
        backoff.check("1")


def test_a_slow_provider_of_several_does_not_hold_all_threads() -> None:
    release, lock, waiting = Event(), Lock(), [0]

    def slow(_: Call) -> Reply:
        with lock:
            waiting[0] += 1
        release.wait(10)
        return Reply(status=200)

    channel = BackChannel(transport=slow, clock=lambda: NOW, entropy=bytes, max_calls=CALLS_OF_ONE_AMONG_SEVERAL)
    call = Call(method="GET", url="https://op.example/")
    refused = 32 - CALLS_OF_ONE_AMONG_SEVERAL
    with ThreadPoolExecutor(32) as pool:
        sent = [pool.submit(channel.send, "userinfo", lambda _: call) for _ in range(32)]
        early = list(islice(as_completed(sent, timeout=10), refused))
        assert waiting[0] == CALLS_OF_ONE_AMONG_SEVERAL
        release.set()
    assert all(isinstance(future.exception(), ProviderUnavailable) for future in early)
    assert sum(future.exception() is None for future in sent) == CALLS_OF_ONE_AMONG_SEVERAL
    assert channel.send("userinfo", lambda _: call).status == 200  # The places are free again.


def test_a_proof_that_was_lost_on_the_way_is_followed_by_another() -> None:
    sent: list[str] = []

    def losing(call: Call) -> Reply:
        sent.append(call.headers["DPoP"])
        if len(sent) == 1:
            raise ConnectionLost(PROVIDER_UNREACHABLE, "hung up")
        return Reply(status=200)

    counter = iter(range(1, 1000))
    channel = BackChannel(transport=losing, clock=lambda: NOW, entropy=lambda size: bytes([next(counter)]) * size)
    call = Call(method="GET", url="https://op.example/userinfo")
    assert (
        channel.send("userinfo", lambda _: call, new_dpop_key(channel.moment().entropy), access_token="t").status == 200
    )
    assert len(set(sent)) == 2


GROUPS = {"path": "/ops/**", "require": {"claims": {"groups": ["ops"]}}}


@pytest.mark.parametrize(
    ("later", "status"),
    [
        pytest.param(lambda one: one, 200, id="control"),
        pytest.param(lambda one: {**one, "groups": ["guests"]}, 403, id="others"),
        pytest.param(lambda one: {**one, "groups": []}, 403, id="empty"),
        pytest.param(lambda one: {name: one[name] for name in one if name != "groups"}, 403, id="left-out"),
        pytest.param(
            lambda one: {name: one[name] for name in ("iss", "sub", "aud", "exp", "iat")}, 200, id="nothing-of-the-user"
        ),
    ],
)
def test_a_group_that_a_renewed_id_token_leaves_out_is_withdrawn(
    later: Callable[[Members], Members], status: int
) -> None:
    with run_site({"routes": [GROUPS], "provider": {"userinfo": False}}) as site:
        site.provider.id_token_user_claims = True
        site.sign_in("/ops/x")
        site.provider.faults = Faults(refreshed_id_token_claims=later)
        renew(site)
        assert site.browser.fetch(f"{ORIGIN}/ops/x").status == status
        renew(site)
        assert site.browser.fetch(f"{ORIGIN}/ops/x").status == status


def renew(site: Site) -> None:
    before = site.provider.calls["token.refresh_token"]
    site.clock.advance(site.provider.access_token_lifetime)
    assert site.browser.fetch(f"{ORIGIN}/data").status == 200
    assert site.provider.calls["token.refresh_token"] == before + 1


def test_what_only_userinfo_said_stays_at_a_renewal() -> None:
    with run_site({"routes": [GROUPS]}) as site:
        site.sign_in("/ops/x")
        renew(site)
        assert site.browser.fetch(f"{ORIGIN}/ops/x").status == 200


def test_a_session_cannot_weigh_a_megabyte() -> None:
    with run_site() as site:
        site.sign_in()
        heavy: Mapping[str, object] = {f"c{number}": number for number in range(20_000)}
        site.restarted().provider.faults = Faults(userinfo=lambda one: {**one, **heavy})
        page = site.browser.navigate(f"{ORIGIN}/home")
        assert (page.status, error_code(page)) == (403, "session_too_large")
        assert not is_signed_in(site.browser)


@pytest.mark.parametrize("site_of_link", ["cross-site", "same-site"])
def test_another_sites_link_does_not_put_another_providers_user_in_the_place_of_ours(site_of_link: str) -> None:
    with run_two() as two:
        two.sign_in("/honest/page")
        headers = {"Sec-Fetch-Site": site_of_link}
        asked = two.browser.navigate(f"{ORIGIN}/oauth2/start?iss={EVIL}", headers=headers)
        assert (asked.status, "How do you want to sign in?" in asked.text) == (200, True)
        session = two.session()
        assert session is not None
        assert session.issuer == two.honest.issuer


def test_the_user_may_change_the_provider() -> None:
    with run_two() as two:
        two.sign_in("/honest/page")
        page = two.browser.navigate(f"{ORIGIN}/oauth2/start?provider=evil&rd=/evil/page")
        assert (page.status, page.url) == (200, f"{ORIGIN}/evil/page")
