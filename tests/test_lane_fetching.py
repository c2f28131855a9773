"""Sessions that are not at hand (DESIGN 6): fetched together, and never from before they were wanted."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection
from typing import Final

import pytest
from samples import SESSION

from gateway.errors import STORE_DOWN, GatewayError, StoreUnavailable
from gateway.lane.fetching import MAX_FETCHES, MAX_TOGETHER, Fetching, Found
from gateway.store import HeldSession

SECONDS: Final = 10.0


class Store:
    """Answers when it is let, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[bytes]] = []
        self.failure: Exception | None = None
        self.let = threading.Event()

    def find_many(self, handles: Collection[bytes]) -> Found:
        self.asked.append(sorted(handles))
        assert self.let.wait(SECONDS)
        if self.failure is not None:
            raise self.failure
        return {handle: HeldSession(handle=handle, session=SESSION) for handle in handles if handle != b"none"}


def run(store: Store, story: Callable[[Fetching, list[HeldSession | None]], Awaitable[None]]) -> None:
    async def told() -> None:
        fetching = Fetching(asyncio.get_running_loop(), store.find_many)
        try:
            await asyncio.wait_for(story(fetching, []), SECONDS)
        finally:
            store.let.set()
            fetching.close()

    asyncio.run(told())


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.01)


def test_many_who_want_one_are_served_by_one_question() -> None:
    store = Store()

    async def story(fetching: Fetching, found: list[HeldSession | None]) -> None:
        for name in (b"first", b"second"):  # As many as may be under way.
            fetching.want(name, found.append)
        await until(lambda: len(store.asked) == MAX_FETCHES)
        for _ in range(5):
            fetching.want(b"a", found.append)
            fetching.want(b"b", found.append)
        store.let.set()
        await until(lambda: len(found) == 12)

    run(store, story)
    assert store.asked == [[b"first"], [b"second"], [b"a", b"b"]]


def test_who_comes_while_a_question_is_under_way_is_not_served_by_its_answer() -> None:
    store = Store()

    async def story(fetching: Fetching, found: list[HeldSession | None]) -> None:
        fetching.want(b"a", found.append)
        await until(lambda: len(store.asked) == 1)
        fetching.want(b"a", found.append)
        store.let.set()
        await until(lambda: len(found) == 2)

    run(store, story)
    assert store.asked == [[b"a"], [b"a"]]


def test_no_question_is_about_too_many() -> None:
    store = Store()

    async def story(fetching: Fetching, found: list[HeldSession | None]) -> None:
        for number in range(3 * MAX_TOGETHER):
            fetching.want(b"%d" % number, found.append)
        store.let.set()
        await until(lambda: len(found) == 3 * MAX_TOGETHER)

    run(store, story)
    assert max(map(len, store.asked)) == MAX_TOGETHER


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(StoreUnavailable(STORE_DOWN, "for the test"), id="the store is down"),
        pytest.param(GatewayError(STORE_DOWN), id="another failure that is known"),
        pytest.param(RuntimeError("for the test"), id="one that nobody foresaw"),
        pytest.param(None, id="there is none"),
    ],
)
def test_what_cannot_be_told_is_told_as_nothing_and_the_next_question_is_asked(failure: Exception | None) -> None:
    store = Store()

    async def story(fetching: Fetching, found: list[HeldSession | None]) -> None:
        store.failure = failure
        store.let.set()
        for _ in range(3):
            fetching.want(b"none", found.append)
        await until(lambda: len(found) == 3)
        assert found == [None] * 3
        store.failure = None
        fetching.want(b"a", found.append)
        await until(lambda: len(found) == 4)
        assert found[3] is not None

    run(store, story)
