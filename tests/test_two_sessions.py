"""Two providers, one evil: sessions, refresh and logout stay with the provider that signed the user in."""

from collections.abc import Callable

import pytest
from harness import ORIGIN, Members, changed
from multi import (
    CLIENT_ID,
    EVIL,
    HONEST,
    HONEST_SECRET,
    Two,
    faults,
    run_two,
)

from gateway.oidc.messages import Call


@pytest.mark.parametrize("sub", ["alice", "mallory"])
def test_a_user_of_the_evil_provider_is_never_one_of_the_honest(sub: str) -> None:
    """The same `sub`, address and groups: the session is still the evil provider's, here and on its routes alone."""
    with run_two() as two:
        two.sign_in("/honest/page")
        two.restarted()
        two.evil.sign_in_as = sub
        two.sign_in("/evil/page")

        session = two.session()

        assert session is not None
        assert (session.provider, session.issuer, session.subject) == ("evil", EVIL, sub)
        two.assert_no_session_of_honest()
        two.browser.fetch(f"{ORIGIN}/optional/page")
        assert "authorization" not in two.received[-1].headers
        assert two.browser.history[-1].text == "hello nobody"
        two.assert_evil_got_nothing()


def test_userinfo_cannot_say_who_vouches_for_it() -> None:
    with run_two() as two:
        faults(two, userinfo=changed(iss=HONEST, aud="other", acr="high", auth_time=1, sid="s", azp="other"))
        two.sign_in("/evil/page")
        session = two.session()
        assert session is not None
        assert (session.claims["iss"], session.claims["aud"]) == (EVIL, CLIENT_ID)
        assert session.claims.get("acr") is None
        assert session.claims["auth_time"] == two.evil.now


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        pytest.param(changed(sub="alice"), "id_token_sub_mismatch", id="sub"),
        pytest.param(changed(iss=HONEST), "id_token_iss_mismatch", id="iss"),
        pytest.param(changed(iss=HONEST, sub="alice"), "id_token_iss_mismatch", id="both"),
    ],
)
def test_a_refresh_that_is_about_somebody_else_ends_the_session(
    claims: Callable[[Members], Members], code: str, caplog: pytest.LogCaptureFixture
) -> None:
    with run_two() as two:
        two.sign_in("/evil/page")
        faults(two, refreshed_id_token_claims=claims)
        two.clock.advance(280)

        assert two.browser.fetch(f"{ORIGIN}/evil/page").status == 401
        assert two.session() is None
        assert [record for record in caplog.records if code in record.getMessage()]


def test_a_refresh_that_replays_the_honest_tokens_ends_the_session() -> None:
    with run_two() as two:
        two.sign_in("/honest/page")
        stolen = two.tokens_of_honest()[-1]
        two.restarted()
        two.sign_in("/evil/page")
        faults(two, token_response=lambda status, _: (status, dict(stolen)))
        two.clock.advance(280)

        assert two.browser.fetch(f"{ORIGIN}/evil/page").status == 401
        assert two.session() is None
        two.assert_evil_got_nothing()


def calls_to(two: Two, origin: str, path: str) -> list[Call]:
    return [call for call, _ in two.replies[origin] if call.url == origin + path]


@pytest.mark.parametrize(("name", "origin", "other"), [("honest", HONEST, EVIL), ("evil", EVIL, HONEST)])
def test_refresh_logout_and_revocation_go_to_the_provider_that_signed_the_user_in(
    name: str, origin: str, other: str
) -> None:
    with run_two() as two:
        two.sign_in(f"/{name}/page")
        asked_of_other = len(two.seen[other])
        two.clock.advance(280)
        two.sign_in(f"/{name}/page")
        assert len(calls_to(two, origin, "/token")) == 2

        page = two.browser.navigate(f"{ORIGIN}/oauth2/sign_out")

        visited = [each.url.partition("?")[0] for each in two.browser.history]
        assert f"{origin}/end_session" in visited
        assert page.url.partition("?")[0] == f"{ORIGIN}/oauth2/signed_out"
        assert len(calls_to(two, origin, "/revoke")) == 2
        assert len(two.seen[other]) == asked_of_other
        assert two.session() is None


def test_an_evil_end_session_endpoint_does_not_sign_out_at_the_honest_provider() -> None:
    """Its `id_token_hint` is the evil provider's, which the honest one does not know."""
    with run_two() as two:
        two.sign_in("/honest/page")
        faults(two, discovery=changed(end_session_endpoint=f"{HONEST}/end_session"))
        two.sign_in("/evil/page")

        page = two.browser.navigate(f"{ORIGIN}/oauth2/sign_out")

        assert (page.status, page.url.partition("?")[0]) == (400, f"{HONEST}/end_session")
        assert two.session() is None
        two.browser.navigate(f"{ORIGIN}/honest/page")
        two.assert_evil_got_nothing()


def test_each_provider_is_shown_its_own_secret_alone() -> None:
    with run_two() as two:
        two.sign_in("/honest/page")
        two.sign_in("/evil/page")
        assert any(HONEST_SECRET in text for text in two.seen[HONEST])
        assert not any("gave to us" in text for text in two.seen[HONEST])
        assert any("gave to us" in text for text in two.seen[EVIL])
        two.assert_evil_got_nothing()
