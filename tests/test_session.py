"""What is remembered of a user: lifetimes at their edges, refreshed tokens, and the form at rest."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final

import pytest

from gateway.oidc.token_endpoint import TokenSet
from gateway.session import FORMAT, Lifetimes, Session, from_bytes, to_bytes

LIFETIMES: Final = Lifetimes(idle=600, absolute=3600, refresh_leeway=60)
SESSION: Final = Session(
    id="s1",
    provider="default",
    issuer="https://op.example",
    client_id="app",
    subject="u1",
    claims={"sub": "u1", "groups": ["staff"], "address": {"locality": "Zürich"}},
    scope="openid email",
    access_token="at-secret",
    token_scheme="DPoP",
    dpop_key="key-secret",
    access_issued_at=1000,
    access_expires_at=1300,
    refresh_token="rt-secret",
    id_token="id-secret",
    created_at=1000,
    seen_at=1000,
    ends_at=1_000_000_000_000,
)


@pytest.mark.parametrize(
    ("seen_at", "now", "expired"),
    [
        pytest.param(1000, 1000, False, id="new"),
        pytest.param(1000, 1599, False, id="the last second of the idle time"),
        pytest.param(1000, 1600, True, id="idle for too long"),
        pytest.param(4500, 4599, False, id="the last second of all"),
        pytest.param(4500, 4600, True, id="used until the end of the lifetime"),
        pytest.param(1000, 500, False, id="a clock that went back"),
    ],
)
def test_a_session_ends_unused_or_old(seen_at: int, now: int, expired: bool) -> None:
    assert replace(SESSION, seen_at=seen_at).expired(now, LIFETIMES) is expired


@pytest.mark.parametrize(
    ("members", "now", "due"),
    [
        pytest.param({}, 1239, False, id="before the leeway"),
        pytest.param({}, 1240, True, id="within the leeway"),
        pytest.param({}, 2000, True, id="past its end"),
        pytest.param({"access_expires_at": 1080}, 1039, False, id="a short token in its first half"),
        pytest.param({"access_expires_at": 1080}, 1040, True, id="a short token in its second half"),
        pytest.param({"access_expires_at": 1000}, 1000, True, id="a token without any lifetime"),
        pytest.param({"access_expires_at": None}, 9999, False, id="no end is known"),
        pytest.param({"refresh_token": None}, 2000, False, id="no refresh token"),
    ],
)
def test_a_token_is_renewed_before_its_end(members: Mapping[str, Any], now: int, due: bool) -> None:
    assert replace(SESSION, **members).needs_refresh(now, LIFETIMES) is due


@pytest.mark.parametrize(
    ("expires_at", "now", "ended"),
    [
        pytest.param(1300, 1299, False, id="its last second"),
        pytest.param(1300, 1300, True, id="its end"),
        pytest.param(None, 9999, False, id="no end is known"),
    ],
)
def test_a_token_ends(expires_at: int | None, now: int, ended: bool) -> None:
    assert replace(SESSION, access_expires_at=expires_at).token_expired(now) is ended


@pytest.mark.parametrize(
    ("idle", "now", "due"),
    [
        pytest.param(600, 1059, False, id="used within the minute"),
        pytest.param(600, 1060, True, id="a minute ago"),
        pytest.param(60, 1014, False, id="a short idle time, not yet"),
        pytest.param(60, 1015, True, id="a short idle time, a quarter of it ago"),
    ],
)
def test_use_is_written_down_now_and_then(idle: int, now: int, due: bool) -> None:
    assert SESSION.needs_touch(now, replace(LIFETIMES, idle=idle)) is due


@pytest.mark.parametrize(
    ("seen_at", "now", "seconds"),
    [
        pytest.param(1000, 1000, 600, id="the idle time"),
        pytest.param(4500, 4500, 100, id="what is left of the lifetime"),
        pytest.param(1000, 5000, 1, id="never less than a second"),
    ],
)
def test_the_store_keeps_it_for_as_long_as_it_lives(seen_at: int, now: int, seconds: int) -> None:
    assert replace(SESSION, seen_at=seen_at).remaining(now, LIFETIMES) == seconds


@pytest.mark.parametrize(
    ("now", "seen_at"),
    [pytest.param(1500, 1500, id="later"), pytest.param(900, 1000, id="a clock that went back")],
)
def test_use_never_makes_it_older(now: int, seen_at: int) -> None:
    assert SESSION.touched(now).seen_at == seen_at


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param("rt-2", "rt-2", id="rotated"),
        pytest.param(None, "rt-secret", id="not sent again (RFC 6749 6)"),
    ],
)
def test_a_refresh_replaces_what_was_sent(sent: str | None, kept: str) -> None:
    tokens = TokenSet(access_token="at-2", refresh_token=sent, scope="openid", expires_at=1900)
    refreshed = SESSION.refreshed(tokens, None, 1250)
    assert refreshed == replace(
        SESSION,
        access_token="at-2",
        access_issued_at=1250,
        access_expires_at=1900,
        refresh_token=kept,
        scope="openid",
        seen_at=1250,
    )


def test_a_session_comes_back_as_it_was_written() -> None:
    assert from_bytes(to_bytes(SESSION)) == SESSION


def written(members: Mapping[str, object]) -> bytes:
    return json.dumps({"format": FORMAT, **asdict(SESSION), **members}).encode("utf-8")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x80\x04N.", id="a pickle"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"text"', id="a text"),
        pytest.param(b"{}", id="no format"),
        pytest.param(b'{"format":2}', id="no members"),
        pytest.param(b'{"format":2,"id":"s1"}', id="some members"),
        pytest.param(written({"format": FORMAT + 1}), id="a later format"),
        pytest.param(written({"format": FORMAT - 1}), id="an earlier format"),
        pytest.param(written({"format": str(FORMAT)}), id="a format that is a text"),
        pytest.param(written({"shoe_size": 42}), id="a member that nobody knows"),
        pytest.param(to_bytes(SESSION)[:-1], id="cut off"),
        pytest.param(b"\xff" + to_bytes(SESSION), id="not UTF-8"),
    ],
)
def test_what_this_version_did_not_write_is_no_session(data: bytes) -> None:
    assert from_bytes(data) is None


def test_tokens_and_claims_stay_out_of_the_repr() -> None:
    for secret in ("at-secret", "key-secret", "rt-secret", "id-secret", "staff"):
        assert secret not in repr(SESSION)


@pytest.mark.parametrize(
    ("members", "lifetimes", "ends"),
    [
        pytest.param({}, LIFETIMES, 1600, id="unused"),
        pytest.param({"seen_at": 4500}, LIFETIMES, 4600, id="too old"),
        pytest.param({"seen_at": 4500, "ends_at": 4550}, LIFETIMES, 4550, id="the end that was promised, if earlier"),
        pytest.param({"refresh_expires_at": 1200}, LIFETIMES, 1200, id="never longer than the refresh token"),
        pytest.param({"refresh_expires_at": 9999}, LIFETIMES, 1600, id="a refresh token that lives longer"),
        pytest.param({"refresh_expires_at": None}, LIFETIMES, 1600, id="one without an end that is known"),
    ],
)
def test_what_ends_first_ends_the_session(members: Mapping[str, Any], lifetimes: Lifetimes, ends: int) -> None:
    assert replace(SESSION, **members).expires_at(lifetimes) == ends


@pytest.mark.parametrize(
    ("tokens", "end"),
    [
        pytest.param({"refresh_token": "new", "refresh_expires_at": 5000}, 5000, id="a new one with its end"),
        pytest.param({"refresh_token": "new"}, None, id="a new one without"),
        pytest.param({}, 2000, id="the old one stays, and its end"),
        pytest.param({"refresh_expires_at": 5000}, 5000, id="the old one, whose end was put off"),
    ],
)
def test_a_refresh_moves_the_end_of_the_refresh_token(tokens: Mapping[str, Any], end: int | None) -> None:
    before = replace(SESSION, refresh_expires_at=2000)
    after = before.refreshed(TokenSet(access_token="at", scope="openid", **tokens), None, 1250)
    assert after.refresh_expires_at == end


def test_jitter_spreads_what_began_together_and_never_delays() -> None:
    spread = replace(LIFETIMES, refresh_jitter=30)
    due = []
    for number in range(200):
        one = replace(SESSION, id=f"s{number}")
        due.append(next(now for now in range(1150, 1301) if one.needs_refresh(now, spread)))
    assert set(due) <= set(range(1210, 1241))
    assert len(set(due)) > 20


def test_jitter_leaves_the_first_half_of_a_short_life_alone() -> None:
    spread = Lifetimes(idle=600, absolute=3600, refresh_leeway=60, refresh_jitter=3600)
    for number in range(200):
        one = replace(SESSION, id=f"s{number}", access_expires_at=1100)
        assert not one.needs_refresh(1049, spread)
        assert one.needs_refresh(1050, spread)
