"""Answers that are still being sent end with their session, and none before."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from gateway.background import Background
from gateway.errors import STORE_DOWN, UPSTREAM_ANSWER_INVALID, GatewayError, StoreUnavailable
from gateway.open_streams import CHECK_SECONDS, OpenStreams, SessionEnded

HANDLE: Final = b"h" * 32


class Still(Background):
    """Leaves the steps to the test."""

    def wake(self, after: float = 0.0) -> None:
        """Do nothing."""


class Body:
    """A body of an upstream: pieces without end, until it is aborted."""

    def __init__(self) -> None:
        self.aborted, self.closed = threading.Event(), 0

    def __iter__(self) -> Iterator[bytes]:
        while not self.aborted.is_set():
            yield b"piece"
        raise GatewayError(UPSTREAM_ANSWER_INVALID)

    def abort(self) -> None:
        """End it, as another thread does."""
        self.aborted.set()

    def close(self) -> None:
        """Count how often it was closed."""
        self.closed += 1


def streams(lives: Callable[[bytes], bool]) -> OpenStreams:
    return OpenStreams(lives, Still)


def old(watched: OpenStreams) -> None:
    for one in watched._open:
        one.began_at = time.monotonic() - CHECK_SECONDS


def test_an_answer_goes_on_while_its_session_lives() -> None:
    watched, body = streams(lambda _: True), Body()
    pieces = iter(watched.watched(HANDLE, body))
    assert next(pieces) == b"piece"
    old(watched)
    watched.step()
    assert next(pieces) == b"piece"
    assert not body.aborted.is_set()


def test_an_answer_is_cut_off_when_its_session_has_ended() -> None:
    watched, body = streams(lambda _: False), Body()
    pieces = iter(watched.watched(HANDLE, body))
    assert next(pieces) == b"piece"
    old(watched)
    watched.step()
    assert body.aborted.is_set()
    with pytest.raises(SessionEnded):
        list(pieces)


def test_of_an_app_that_cannot_be_interrupted_the_next_piece_is_the_end() -> None:
    watched = streams(lambda _: False)
    pieces = iter(watched.watched(HANDLE, iter([b"1", b"2", b"3"])))
    assert next(pieces) == b"1"
    old(watched)
    watched.step()
    with pytest.raises(SessionEnded):
        next(pieces)


def test_other_sessions_answers_go_on() -> None:
    watched, ended, other = streams(lambda handle: handle != HANDLE), Body(), Body()
    _, pieces = watched.watched(HANDLE, ended), iter(watched.watched(b"other", other))
    old(watched)
    watched.step()
    assert ended.aborted.is_set()
    assert next(pieces) == b"piece"


def test_short_answers_are_not_asked_about() -> None:
    asked = list[bytes]()

    def lives(handle: bytes) -> bool:
        asked.append(handle)
        return True

    watched = streams(lives)
    watched.watched(HANDLE, Body())
    watched.step()
    assert asked == []


def test_a_store_that_is_away_ends_nothing() -> None:
    def lives(_: bytes) -> bool:
        raise StoreUnavailable(STORE_DOWN)

    watched, body = streams(lives), Body()
    watched.watched(HANDLE, body)
    old(watched)
    watched.step()
    assert not body.aborted.is_set()


def test_what_the_upstream_breaks_off_stays_its_failure() -> None:
    watched, body = streams(lambda _: True), Body()
    body.abort()
    with pytest.raises(GatewayError) as error:
        list(watched.watched(HANDLE, body))
    assert error.value.code == "upstream_answer_invalid"


def test_a_body_is_closed_with_its_answer_and_watched_no_longer() -> None:
    watched, body = streams(lambda _: False), Body()
    answer = watched.watched(HANDLE, body)
    old(watched)
    answer.close()  # type: ignore[attr-defined]
    watched.step()
    assert body.closed == 1
    assert not body.aborted.is_set()
