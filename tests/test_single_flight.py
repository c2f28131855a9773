"""One thread does it, the others share its result, whatever that is."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from gateway.single_flight import SingleFlight, StillBusy

THREADS: Final = 20
SECONDS: Final = 10.0


class Slow:
    """A task that takes until it is told to end, and counts how often it was begun."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = 0
        self.go_on = threading.Event()
        self.error = error

    def __call__(self) -> str:
        self.begun += 1
        assert self.go_on.wait(SECONDS)
        if self.error is not None:
            raise self.error
        return "result"


def all_waiting(flights: SingleFlight[str], pool: ThreadPoolExecutor, slow: Slow) -> list[object]:
    def run(_: int) -> object:
        try:
            return flights.run("k", slow, patience=SECONDS)
        except RuntimeError as error:
            return error

    leader = pool.submit(run, 0)
    while not flights.is_under_way("k"):
        pass
    others = [pool.submit(run, number) for number in range(1, THREADS)]
    slow.go_on.set()
    return [future.result(SECONDS) for future in (leader, *others)]


def test_a_task_runs_once_for_all_who_want_it_at_once() -> None:
    flights: SingleFlight[str] = SingleFlight()
    with ThreadPoolExecutor(THREADS) as pool:
        results = all_waiting(flights, pool, Slow())
    assert results == ["result"] * THREADS
    assert not flights.is_under_way("k")


def test_all_are_told_of_a_failure() -> None:
    flights: SingleFlight[str] = SingleFlight()
    with ThreadPoolExecutor(THREADS) as pool:
        results = all_waiting(flights, pool, Slow(RuntimeError("failed")))
    assert {str(result) for result in results} == {"failed"}
    assert flights.run("k", lambda: "again", patience=SECONDS) == "again"


def test_other_keys_do_not_wait() -> None:
    flights: SingleFlight[str] = SingleFlight()
    slow = Slow()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(flights.run, "k", slow, patience=SECONDS)
        while not flights.is_under_way("k"):
            pass
        assert flights.run("other", lambda: "at once", patience=SECONDS) == "at once"
        slow.go_on.set()
        assert held.result(SECONDS) == "result"


def test_patience_ends() -> None:
    flights: SingleFlight[str] = SingleFlight()
    slow = Slow()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(flights.run, "k", slow, patience=SECONDS)
        while not flights.is_under_way("k"):
            pass
        with pytest.raises(StillBusy):
            flights.run("k", slow, patience=0.01)
        slow.go_on.set()
        assert held.result(SECONDS) == "result"
    assert slow.begun == 1
