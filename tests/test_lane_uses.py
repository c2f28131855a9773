"""That sessions are used (DESIGN 6): written down together, off the way of the requests, and never in silence lost."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest
from samples import SESSION

from gateway.errors import STORE_DOWN, StoreUnavailable
from gateway.lane.uses import FAILED_SECONDS, Uses
from gateway.store import HeldSession

SECONDS: Final = 10.0
AT: Final = 1_800_000_000


def held(name: str) -> HeldSession:
    return HeldSession(handle=name.encode("ascii"), session=replace(SESSION, id=name))


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_session_that_is_used_often_is_written_once_in_a_step() -> None:
    written: list[str] = []
    noting = Uses(lambda one, _: written.append(one.session.id))
    for name in ("a", "b", "a", "a"):
        assert noting.note(held(name), AT)
    assert written == []
    noting.step()
    until(lambda: noting.is_done)
    assert written == ["a", "b"]


def test_what_comes_while_others_are_written_waits_for_the_next_step() -> None:
    written: list[str] = []
    let = threading.Event()

    def write(one: HeldSession, _: int) -> None:
        assert let.wait(SECONDS)
        written.append(one.session.id)

    noting = Uses(write)
    noting.note(held("a"), AT)
    noting.step()
    noting.note(held("b"), AT)
    noting.step()
    let.set()
    until(lambda: written == ["a"])
    assert not noting.is_done
    noting.close()
    until(lambda: written == ["a", "b"])


def test_after_a_failure_requests_write_by_themselves_for_a_while() -> None:
    failures: list[str] = []
    now = [0.0]

    def write(one: HeldSession, _: int) -> None:
        failures.append(one.session.id)
        raise StoreUnavailable(STORE_DOWN, "for the test")

    noting = Uses(write, clock=lambda: now[0])
    assert noting.note(held("a"), AT)
    noting.step()
    until(lambda: noting.is_done)
    assert failures == ["a"]
    assert not noting.note(held("a"), AT)
    assert noting.is_done
    now[0] += FAILED_SECONDS
    assert noting.note(held("a"), AT)


@pytest.mark.parametrize(
    ("error", "written"),
    [
        pytest.param(StoreUnavailable(STORE_DOWN, "for the test"), ["b", "a", "c"], id="the-store-was-away"),
        pytest.param(ValueError("for the test"), ["b", "c"], id="it-cannot-be-written"),
    ],
)
def test_what_could_not_be_written_takes_nothing_with_it(error: Exception, written: list[str]) -> None:
    done: list[str] = []
    now = [0.0]
    failures = iter([None, error])

    def write(one: HeldSession, at: int) -> None:
        failure = next(failures, None) if one.session.id in ("b", "a") else None
        if failure is not None:
            raise failure
        assert at == AT  # However late it is written: an outage is no use.
        done.append(one.session.id)

    noting = Uses(write, clock=lambda: now[0])
    for name in ("b", "a", "c"):
        assert noting.note(held(name), AT)
    noting.step()
    until(lambda: noting.is_done)
    noting.step()
    now[0] += FAILED_SECONDS
    noting.step()
    until(lambda: done == written)


def test_while_a_use_waits_for_too_long_requests_write_by_themselves() -> None:
    """A store that is slow would end the sessions of those who are busy, while nobody was told of it."""
    written: list[str] = []
    let = threading.Event()
    now = [0.0]

    def write(one: HeldSession, _: int) -> None:
        assert let.wait(SECONDS)
        written.append(one.session.id)

    noting = Uses(write, clock=lambda: now[0], patience_seconds=15.0)
    assert noting.note(held("a"), AT)
    noting.step()
    now[0] += 10.0
    assert noting.note(held("b"), AT)
    now[0] += 5.0
    assert not noting.note(held("b"), AT)  # The first has waited for as long.
    let.set()
    until(lambda: noting._is_idle)
    assert noting.note(held("a"), AT)  # The second waits for its step, and has not waited for long.
    now[0] += 10.0
    assert not noting.note(held("a"), AT)
    noting.step()
    until(lambda: noting.is_done)
    assert noting.note(held("a"), AT)
    assert written == ["a", "b", "a"]


def test_what_is_due_when_it_closes_is_written_though_others_are_being_written() -> None:
    written: list[str] = []
    begun, let = threading.Event(), threading.Event()

    def write(one: HeldSession, _: int) -> None:
        begun.set()
        assert let.wait(SECONDS)
        written.append(one.session.id)

    noting = Uses(write)
    noting.note(held("a"), AT)
    noting.step()
    assert begun.wait(SECONDS)
    noting.note(held("b"), AT)
    noting.close()
    let.set()
    until(lambda: written == ["a", "b"])
