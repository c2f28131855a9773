"""Leaving a provider alone: what is about one session, what about all, and for how long (RFC 9110 10.2.3, 15.6.4)."""

from collections.abc import Mapping

import pytest
from harness import ORIGIN, Clock, Site, error_code, run_site
from werkzeug import Response

from gateway.backoff import LONGEST_SECONDS, MAX_SESSIONS, SHED_SECONDS, SHED_SESSIONS, Backoff
from gateway.errors import (
    PROVIDER_ANSWER_INVALID,
    PROVIDER_UNREACHABLE,
    TOKEN_CLIENT_INVALID,
    TOKEN_REFUSED,
    GatewayError,
    ProviderBusy,
    ProviderUnavailable,
    TooManyRequests,
)
from gateway.kept import BACKOFF_SECONDS
from gateway.oidc.messages import Reply, raise_if_unavailable
from gateway.oidc.retry_after import retry_after
from gateway.testing import Browser, Faults

REFRESH = "token.refresh_token"
SENT = "Mon, 30 Nov 2026 11:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({"retry-after": "7"}, 7, id="seconds"),
        pytest.param({"retry-after": "0"}, 1, id="at once"),
        pytest.param({"retry-after": "3600"}, 60, id="an hour"),
        pytest.param({"retry-after": "9" * 5000}, 60, id="more digits than anybody reads"),
        pytest.param({"retry-after": "Mon, 30 Nov 2026 11:00:20 GMT", "date": SENT}, 20, id="a date"),
        pytest.param({"retry-after": "Monday, 30-Nov-26 11:00:20 GMT", "date": SENT}, 20, id="an old form of it"),
        pytest.param({"retry-after": "Mon Nov 30 11:00:20 2026", "date": SENT}, 20, id="another old form"),
        pytest.param({"retry-after": "Mon, 30 Nov 2026 12:00:00 GMT", "date": SENT}, 60, id="a date in an hour"),
        pytest.param({"retry-after": "Mon, 30 Nov 2026 10:59:00 GMT", "date": SENT}, 1, id="a date that is over"),
        pytest.param({"retry-after": SENT}, 5, id="a date of a clock that nobody knows"),
        pytest.param({"retry-after": "Mon, 30 Nov 99999 11:00:20 GMT", "date": SENT}, 5, id="no year"),
        pytest.param({}, 5, id="nothing"),
        pytest.param({"retry-after": ""}, 5, id="empty"),
        pytest.param({"retry-after": "soon"}, 5, id="a word"),
        pytest.param({"retry-after": "-1"}, 5, id="a negative number"),
        pytest.param({"retry-after": "1.5"}, 5, id="a fraction"),
        pytest.param({"retry-after": "5, 5"}, 5, id="two of them"),
        pytest.param({"retry-after": "\u0665"}, 5, id="another script's digit"),
    ],
)
def test_what_the_provider_says_of_when_to_come_again(headers: Mapping[str, str], seconds: int) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        pytest.param(200, None, id="200"),
        pytest.param(400, None, id="400"),
        pytest.param(429, TooManyRequests, id="429"),
        pytest.param(500, ProviderUnavailable, id="500"),
        pytest.param(502, ProviderUnavailable, id="502"),
        pytest.param(503, ProviderBusy, id="503"),
        pytest.param(504, ProviderUnavailable, id="504"),
    ],
)
def test_what_an_answer_says_of_the_provider(status: int, kind: type[GatewayError] | None) -> None:
    reply = Reply(status=status, headers={"retry-after": "9"})
    if kind is None:
        raise_if_unavailable(reply, "the token endpoint")
        return
    with pytest.raises(ProviderUnavailable) as error:
        raise_if_unavailable(reply, "the token endpoint")
    assert (type(error.value), error.value.code, error.value.retry_after) == (kind, "provider_unreachable", 9)


BUSY = ProviderBusy(PROVIDER_UNREACHABLE, retry_after=7)
AWAY = ProviderUnavailable(PROVIDER_UNREACHABLE, retry_after=7)


@pytest.mark.parametrize(
    ("error", "own", "others"),
    [
        pytest.param(BUSY, 7, 0, id="503"),
        pytest.param(TooManyRequests(PROVIDER_UNREACHABLE, retry_after=7), 7, 0, id="429"),
        pytest.param(
            ProviderUnavailable(TOKEN_REFUSED, retry_after=30), BACKOFF_SECONDS, 0, id="this grant is refused"
        ),
        pytest.param(AWAY, BACKOFF_SECONDS, BACKOFF_SECONDS, id="no answer"),
        pytest.param(
            ProviderUnavailable(TOKEN_CLIENT_INVALID), BACKOFF_SECONDS, BACKOFF_SECONDS, id="our secret is wrong"
        ),
        pytest.param(GatewayError(PROVIDER_ANSWER_INVALID), BACKOFF_SECONDS, BACKOFF_SECONDS, id="no JSON"),
    ],
)
def test_whom_a_failure_is_about(error: GatewayError, own: int, others: int) -> None:
    clock = Clock()
    backoff = Backoff(clock)
    assert [_left(backoff, "own"), _left(backoff, "other")] == [0, 0]
    assert backoff.note(error, "own") == bool(others)
    assert [_left(backoff, "own"), _left(backoff, "other")] == [own, others]
    clock.advance(max(own, others))
    assert [_left(backoff, "own"), _left(backoff, "other")] == [0, 0]


@pytest.mark.parametrize(
    ("sessions", "seconds", "answered", "outage"),
    [
        pytest.param(SHED_SESSIONS, SHED_SECONDS, False, True, id="nobody is answered"),
        pytest.param(SHED_SESSIONS - 1, SHED_SECONDS, False, False, id="too few were asked for"),
        pytest.param(1000, SHED_SECONDS - 1, False, False, id="many, within a moment"),
        pytest.param(1000, SHED_SECONDS, True, False, id="one is answered between"),
    ],
)
def test_503_to_all_is_an_outage(sessions: int, seconds: int, answered: bool, outage: bool) -> None:
    clock = Clock()
    backoff = Backoff(clock)
    for number in range(sessions - 1):
        assert not backoff.note(BUSY, str(number))
    clock.advance(seconds)
    if answered:
        assert not backoff.end()
    assert backoff.note(BUSY, "last") == outage
    assert _left(backoff, "other") == (7 if outage else 0)


def test_one_session_makes_no_outage_however_often_it_is_shed() -> None:
    clock = Clock()
    backoff = Backoff(clock)
    for _ in range(100):
        assert not backoff.note(BUSY, "own")
        clock.advance(10)
    assert _left(backoff, "other") == 0


def test_an_outage_by_503_lasts_longer_each_time_until_somebody_is_answered() -> None:
    clock = Clock()
    backoff = Backoff(clock)
    for number in range(SHED_SESSIONS - 1):
        backoff.note(BUSY, str(number))
    clock.advance(SHED_SECONDS)
    pauses = []
    for number in range(5):
        backoff.note(BUSY, f"probe {number}")
        pauses.append(_left(backoff, "other"))
        clock.advance(pauses[-1])
    assert pauses == [7, 10, 20, LONGEST_SECONDS, LONGEST_SECONDS]
    assert backoff.end()
    assert not backoff.note(BUSY, "own")
    assert _left(backoff, "other") == 0


def test_what_is_remembered_is_bounded() -> None:
    backoff = Backoff(Clock())
    for number in range(MAX_SESSIONS + 10):
        backoff.note(BUSY, str(number))
    assert [_left(backoff, "0"), _left(backoff, "10")] == [0, 7]


def _left(backoff: Backoff, session: str) -> int:
    try:
        backoff.check(session)
    except ProviderUnavailable as error:
        return error.retry_after or 0
    return 0


def _signed_in(site: Site, count: int) -> list[Browser]:
    browsers = []
    for _ in range(count):
        site.restarted().sign_in()
        browsers.append(site.browser)
    return browsers


def test_a_provider_that_sheds_one_renewal_by_503_is_asked_for_the_others() -> None:
    with run_site() as site:
        site.provider.rotate_refresh_tokens = False  # What stands in for the provider took the call before it did.
        shed, other = _signed_in(site, 2)
        site.clock.advance(400)
        busy = Response(status=503, headers={"Retry-After": "9"})
        site.provider.faults = Faults(response=lambda name, real: busy if name == REFRESH else real)
        page = shed.fetch(f"{ORIGIN}/data")
        assert (page.status, error_code(page), page.headers["Retry-After"]) == (503, "session_token_expired", "9")

        site.provider.faults = Faults()
        calls = site.provider.calls[REFRESH]
        assert shed.fetch(f"{ORIGIN}/data").status == 503
        assert site.provider.calls[REFRESH] == calls
        assert other.fetch(f"{ORIGIN}/data").status == 200
        site.clock.advance(9)
        assert shed.fetch(f"{ORIGIN}/data").status == 200


def test_a_provider_that_answers_503_to_all_is_left_alone_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    with run_site() as site:
        site.provider.rotate_refresh_tokens = False
        browsers = _signed_in(site, SHED_SESSIONS + 1)
        site.clock.advance(400)
        site.provider.faults = Faults(response=lambda name, real: Response(status=503) if name == REFRESH else real)
        for browser in browsers[:-1]:
            assert browser.fetch(f"{ORIGIN}/data").status == 503
        site.clock.advance(SHED_SECONDS)
        assert browsers[0].fetch(f"{ORIGIN}/data").status == 503
        calls = site.provider.calls[REFRESH]
        assert browsers[-1].fetch(f"{ORIGIN}/data").status == 503
        assert site.provider.calls[REFRESH] == calls
        assert [one.levelname for one in caplog.records if one.name == "gateway.provider"] == ["ERROR"]

        site.provider.faults = Faults()
        site.clock.advance(LONGEST_SECONDS)
        assert browsers[-1].fetch(f"{ORIGIN}/data").status == 200
