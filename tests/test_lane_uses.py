"""That sessions are used (DESIGN 6): written down together, off the way of the requests, and never in silence lost."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from samples import SESSION

from gateway.errors import STORE_DOWN, StoreUnavailable
from gateway.lane.uses import FAILED_SECONDS, Uses
from gateway.store import HeldSession

SECONDS: Final = 10.0


def held(name: str) -> HeldSession:
    return HeldSession(handle=name.encode("ascii"), session=replace(SESSION, id=name))


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_session_that_is_used_often_is_written_once_in_a_step() -> None:
    written: list[str] = []
    noting = Uses(lambda one: written.append(one.session.id))
    for name in ("a", "b", "a", "a"):
        assert noting.note(held(name))
    assert written == []
    noting.step()
    until(lambda: noting.is_done)
    assert written == ["a", "b"]


def test_what_comes_while_others_are_written_waits_for_the_next_step() -> None:
    written: list[str] = []
    let = threading.Event()

    def write(one: HeldSession) -> None:
        assert let.wait(SECONDS)
        written.append(one.session.id)

    noting = Uses(write)
    noting.note(held("a"))
    noting.step()
    noting.note(held("b"))
    noting.step()
    let.set()
    until(lambda: written == ["a"])
    assert not noting.is_done
    noting.close()
    until(lambda: written == ["a", "b"])


def test_after_a_failure_requests_write_by_themselves_for_a_while() -> None:
    failures: list[str] = []
    now = [0.0]

    def write(one: HeldSession) -> None:
        failures.append(one.session.id)
        raise StoreUnavailable(STORE_DOWN, "for the test")

    noting = Uses(write, clock=lambda: now[0])
    assert noting.note(held("a"))
    noting.step()
    until(lambda: noting.is_done)
    assert failures == ["a"]
    assert not noting.note(held("a"))
    assert noting.is_done
    now[0] += FAILED_SECONDS
    assert noting.note(held("a"))
