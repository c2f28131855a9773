"""Revocation marks: what they are called, how they are kept, and which sessions they end."""

from typing import Final

import pytest

from gateway.revocation import (
    Mark,
    everyone_name,
    is_over,
    mark_from_bytes,
    mark_names,
    mark_to_bytes,
    sid_name,
    sidless_name,
    subject_name,
)

REALM: Final = "https://app.example"
ISSUER: Final = "https://op.example"


def mark(value: str) -> Mark:
    return Mark(value=value, set_at=1000.5)


def test_a_session_has_a_mark_for_everyone_for_its_user_and_for_its_login() -> None:
    names = mark_names(REALM, ISSUER, "alice", "s1")
    assert names.all() == (
        everyone_name(REALM),
        subject_name(REALM, ISSUER, "alice"),
        sid_name(REALM, ISSUER, "s1"),
    )


def test_a_login_without_a_sid_is_marked_by_its_user() -> None:
    assert mark_names(REALM, ISSUER, "alice", None).login == sidless_name(REALM, ISSUER, "alice")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(everyone_name(REALM), everyone_name("https://other.example"), id="another gateway"),
        pytest.param(subject_name(REALM, ISSUER, "a"), subject_name("x", ISSUER, "a"), id="a user elsewhere"),
        pytest.param(subject_name(REALM, ISSUER, "a"), subject_name(REALM, "x", "a"), id="another provider's user"),
        pytest.param(subject_name(REALM, ISSUER, "a"), sid_name(REALM, ISSUER, "a"), id="a sub and a sid"),
        pytest.param(subject_name(REALM, ISSUER, "a"), sidless_name(REALM, ISSUER, "a"), id="a user and a login"),
        pytest.param(subject_name(REALM, "ab", "c"), subject_name(REALM, "a", "bc"), id="parts that run together"),
        pytest.param(subject_name(REALM, ISSUER, 'a", "b'), subject_name(REALM, ISSUER, "a"), id="quotes in a sub"),
    ],
)
def test_names_are_apart(one: str, other: str) -> None:
    assert one != other


def test_a_name_tells_nothing() -> None:
    assert "alice" not in subject_name(REALM, ISSUER, "alice")
    assert subject_name(REALM, ISSUER, "\ud800")  # Half of a surrogate pair, which JSON can hold.


@pytest.mark.parametrize(
    ("noted", "standing", "over"),
    [
        pytest.param(("", "", ""), (None, None, None), False, id="no mark was ever set"),
        pytest.param(("", "", ""), (mark("m1"), None, None), True, id="everyone was signed out since"),
        pytest.param(("", "", ""), (None, mark("m1"), None), True, id="its user was"),
        pytest.param(("", "", ""), (None, None, mark("m1")), True, id="its login was"),
        pytest.param(("m1", "", ""), (mark("m1"), None, None), False, id="the mark stood when it began"),
        pytest.param(("m1", "", ""), (mark("m2"), None, None), True, id="another one was set since"),
        pytest.param(("m1", "", ""), (None, None, None), False, id="the mark has outlived what it ended"),
        pytest.param(("m1", "", ""), (None, mark("m1"), None), True, id="the same value of another mark"),
        pytest.param((), (None, None, None), True, id="a session that noted none"),
    ],
)
def test_a_mark_ends_what_began_before_it(
    noted: tuple[str, ...], standing: tuple[Mark | None, ...], over: bool
) -> None:
    assert is_over(noted, standing) is over


def test_a_mark_comes_back_as_it_was_written() -> None:
    assert mark_from_bytes(mark_to_bytes(mark("m1"))) == mark("m1")
    assert mark_from_bytes(None) is None


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'["m1"]', b'["m1", "x"]', b"\xff", b"null", b"[" * 100_000],
    ids=["empty", "object", "list", "short", "no time", "no text", "null", "deep"],
)  # fmt: skip
def test_a_mark_that_cannot_be_read_ends_sessions_all_the_same(data: bytes) -> None:
    assert is_over(("", "", ""), (mark_from_bytes(data), None, None))
