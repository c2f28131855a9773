"""Tokens of ended sessions: revoked at once, or later where the provider is away (RFC 7009)."""

from collections.abc import Iterator

import pytest
from harness import SIGN_OUT, Site, held_session, is_signed_in, run_site

from gateway.background import Background
from gateway.errors import PROVIDER_UNREACHABLE, ProviderUnavailable
from gateway.session import Session
from gateway.testing import Faults
from gateway.token_revocation import FIRST_PAUSE, LONGEST_PAUSE, MAX_ROUNDS, MAX_WAITING, TokenRevocation


class Still(Background):
    """Leaves the steps to the test."""

    def wake(self, after: float = 0.0) -> None:
        """Do nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    with run_site() as running:
        yield running


def unavailable(site: Site) -> None:
    def before(name: str) -> None:
        if name == "revoke":
            raise ProviderUnavailable(PROVIDER_UNREACHABLE)

    site.provider.faults = Faults(before=before)


def session_of(site: Site) -> Session:
    site.sign_in()
    return held_session(site)


def alive(site: Site, session: Session) -> list[bool]:
    return [site.provider.is_active(token or "") for token in (session.refresh_token, session.access_token)]


def test_tokens_are_revoked_at_once_where_that_works(site: Site) -> None:
    session = session_of(site)
    revocation = TokenRevocation(site.gateway.providers, Still)
    revocation.of_session(session)
    assert alive(site, session) == [False, False]
    assert revocation.waiting == 0


def test_the_refresh_token_goes_first(site: Site) -> None:
    session, hints = session_of(site), list[str]()
    site.provider.faults = Faults(before=lambda name: hints.append(f"{name} {alive(site, session)}"))
    TokenRevocation(site.gateway.providers, Still).of_session(session)
    assert hints == ["revoke [True, True]", "revoke [False, False]"]


def test_what_cannot_be_revoked_now_is_revoked_later(site: Site) -> None:
    session = session_of(site)
    revocation = TokenRevocation(site.gateway.providers, Still)
    unavailable(site)
    revocation.of_session(session)
    assert (revocation.waiting, alive(site, session)) == (2, [True, True])
    assert revocation.step() is not None

    site.provider.faults = Faults()
    assert revocation.step() is None
    assert (revocation.waiting, alive(site, session)) == (0, [False, False])


def test_a_provider_that_is_away_is_asked_once_for_many_tokens(site: Site) -> None:
    session = session_of(site)
    revocation = TokenRevocation(site.gateway.providers, Still)
    unavailable(site)
    for _ in range(10):
        revocation.of_session(session)
    assert revocation.waiting == 20
    asked = site.provider.calls["revoke"]
    revocation.step()
    assert site.provider.calls["revoke"] == asked + 1


def test_the_pauses_grow_to_their_longest(site: Site) -> None:
    revocation = TokenRevocation(site.gateway.providers, Still)
    unavailable(site)
    revocation.of_session(session_of(site))
    pauses = [revocation.step() for _ in range(10)]
    assert pauses[:3] == [2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE


def test_a_token_is_given_up_after_a_day(site: Site) -> None:
    revocation = TokenRevocation(site.gateway.providers, Still)
    unavailable(site)
    revocation.of_session(session_of(site))
    for _ in range(MAX_ROUNDS):
        revocation.step()
    assert revocation.waiting == 0


def test_no_more_wait_than_there_is_room_for(site: Site) -> None:
    session = session_of(site)
    revocation = TokenRevocation(site.gateway.providers, Still)
    unavailable(site)
    for _ in range(MAX_WAITING // 2 + 10):
        revocation.of_session(session)
    assert revocation.waiting == MAX_WAITING


def test_a_user_is_signed_out_though_the_provider_is_away(site: Site) -> None:
    session = session_of(site)
    unavailable(site)
    assert site.browser.navigate(SIGN_OUT).status == 200
    assert not is_signed_in(site.browser)
    assert alive(site, session) == [True, True]
