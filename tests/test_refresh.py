"""Refreshing: in time, and what happens when the provider is away or says no."""

from collections.abc import Callable
from pathlib import Path

import pytest
from harness import (
    EVERYWHERE,
    ORIGIN,
    SESSION_COOKIE,
    Site,
    error_code,
    held_session,
    is_signed_in,
    run_site,
    suffixed,
    without,
)
from werkzeug import Response

from gateway.testing import Faults, Page

REFRESH = "token.refresh_token"
TO_APP = {"routes": [{"path": "/**", "token": "access_token"}]}


def ask(site: Site) -> Page:
    return site.browser.fetch(f"{ORIGIN}/data")


@pytest.mark.parametrize(
    ("lifetime", "after", "refreshed"),
    [
        pytest.param(300, 239, 0, id="not-yet"),
        pytest.param(300, 240, 1, id="a-minute-before-the-end"),
        pytest.param(300, 301, 1, id="after-the-end"),
        pytest.param(60, 29, 0, id="short-lived-first-half"),
        pytest.param(60, 30, 1, id="short-lived-second-half"),
        pytest.param(1, 1, 1, id="one-second"),
    ],
)
def test_a_token_is_renewed_before_its_end(site: Site, lifetime: int, after: int, refreshed: int) -> None:
    site.provider.access_token_lifetime = lifetime
    site.sign_in()
    site.clock.advance(after)

    assert ask(site).status == 200
    assert site.provider.calls[REFRESH] == refreshed


@EVERYWHERE
def test_the_app_gets_the_new_token_and_the_rotated_refresh_token_is_kept(site: Site) -> None:
    site.sign_in()  # R1
    first = held_session(site)
    for number in range(1, 4):
        site.clock.advance(250)
        assert ask(site).status == 200
        assert site.provider.calls[REFRESH] == number

    assert held_session(site).access_token != first.access_token
    assert held_session(site).refresh_token != first.refresh_token
    assert site.provider.is_active(held_session(site).access_token)
    if site.gateway.settings.upstreams:
        assert site.received[-1].headers["authorization"] == f"Bearer {held_session(site).access_token}"


def test_a_refresh_token_that_is_not_replaced_is_used_again(site: Site) -> None:
    site.provider.rotate_refresh_tokens = False
    site.sign_in()
    kept = held_session(site).refresh_token
    for _ in range(2):
        site.clock.advance(250)
        assert ask(site).status == 200

    assert held_session(site).refresh_token == kept
    assert site.provider.calls[REFRESH] == 2


def test_without_a_refresh_token_the_session_lives_its_own_life(site: Site) -> None:
    site.provider.include_refresh_token = False
    site.sign_in()
    site.clock.advance(400)

    assert ask(site).status == 200
    assert site.provider.calls[REFRESH] == 0


def test_a_refresh_keeps_the_claims_and_the_scope_of_the_login(site: Site) -> None:
    site.sign_in()
    before = held_session(site)
    site.provider.faults = Faults(token_response=lambda status, one: (status, without("scope", "id_token")(one)))
    site.clock.advance(250)
    assert ask(site).status == 200

    after = held_session(site)
    assert (after.scope, after.claims, after.id_token) == (before.scope, before.claims, before.id_token)
    assert after.access_token != before.access_token


def _down(site: Site) -> None:
    site.provider.down = True


def _answering(answer: Callable[[], Response]) -> Callable[[Site], None]:
    def break_it(site: Site) -> None:
        site.provider.faults = Faults(response=lambda name, real: answer() if name == REFRESH else real)

    return break_it


def _html(status: int) -> Callable[[], Response]:
    return lambda: Response("<h1>Maintenance</h1>", status=status, mimetype="text/html")


OUTAGES = [
    pytest.param(_down, id="unreachable"),
    pytest.param(_answering(_html(502)), id="502"),
    pytest.param(_answering(_html(429)), id="429"),
    pytest.param(_answering(_html(200)), id="maintenance-page"),
    pytest.param(_answering(_html(404)), id="404-page"),
    pytest.param(_answering(lambda: Response("{}", mimetype="application/json")), id="an-object-without-tokens"),
    pytest.param(
        _answering(lambda: Response('{"error":"invalid_client"}', status=401, mimetype="application/json")),
        id="our-secret-was-changed",
    ),
]


@pytest.mark.parametrize("break_it", OUTAGES)
def test_an_outage_ends_no_session(site: Site, break_it: Callable[[Site], None]) -> None:
    site.provider.rotate_refresh_tokens = False  # What stands in for the provider took the call before it did.
    site.sign_in()
    break_it(site)

    site.clock.advance(250)
    assert ask(site).status == 200  # The token is still good.

    site.clock.advance(100)
    reached = len(site.received)
    page = ask(site)
    assert (page.status, error_code(page)) == (503, "session_token_expired")
    assert int(page.headers["Retry-After"]) > 0
    assert "Set-Cookie" not in page.headers
    assert len(site.received) == reached

    site.provider.faults = Faults()
    site.clock.advance(6)
    assert ask(site).status == 200
    assert site.provider.is_active(held_session(site).access_token)


def test_no_rotated_token_is_lost_for_want_of_keys(tmp_path: Path) -> None:
    store = {"type": "file", "path": str(tmp_path / "sessions")}
    with run_site(store=store) as one, run_site(store=store, transport=lambda _: one.provider.transport) as other:
        one.sign_in()
        other.browser.cookies.set(ORIGIN, SESSION_COOKIE, one.browser.cookies.of(ORIGIN)[SESSION_COOKIE])
        other.clock.advance(301)
        one.provider.faults = Faults(response=lambda name, real: Response(status=502) if name == "jwks" else real)
        assert ask(other).status == 503  # A worker that has never seen the keys.
        assert one.provider.calls[REFRESH] == 0

        one.provider.faults = Faults()
        other.clock.advance(6)
        assert ask(other).status == 200


def test_a_provider_that_is_down_is_left_alone_for_a_while(site: Site) -> None:
    site.sign_in()
    site.provider.faults = Faults(response=lambda name, real: Response(status=502) if name == REFRESH else real)
    site.clock.advance(350)

    assert [ask(site).status for _ in range(5)] == [503] * 5
    assert site.provider.calls[REFRESH] == 1


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(Faults(token_response=lambda _, __: (400, {"error": "invalid_grant"})), id="invalid-grant"),
        pytest.param(Faults(refreshed_id_token_claims=suffixed("iss")), id="R2-iss"),
        pytest.param(Faults(refreshed_id_token_claims=suffixed("sub")), id="R3-sub"),
        pytest.param(Faults(refreshed_id_token_claims=suffixed("aud")), id="aud"),
        pytest.param(Faults(refreshed_id_token_claims=lambda one: {**one, "auth_time": 1}), id="auth-time"),
        pytest.param(Faults(refreshed_id_token_claims=lambda one: {**one, "nonce": "x"}), id="nonce"),
        pytest.param(Faults(refreshed_id_token=lambda one: one[:-6] + "AAAAAA"), id="signature"),
        pytest.param(Faults(token_response=lambda status, one: (status, {**one, "token_type": "mac"})), id="type"),
    ],
)
def test_a_refused_or_a_wrong_refresh_ends_the_session(faults: Faults) -> None:
    with run_site(TO_APP) as site:
        site.sign_in()
        site.clock.advance(250)
        assert ask(site).status == 200
        site.provider.faults = faults
        site.clock.advance(250)
        reached = len(site.received)

        assert (ask(site).status, len(site.received)) == (401, reached)
        site.provider.faults = Faults()
        assert not is_signed_in(site.browser)
