"""A worker's own copies: trusted for a while, bounded, and gone when they are dropped."""

from collections.abc import Callable

import pytest

from gateway.local_cache import LocalCache


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def put(cache: LocalCache[str], name: str, copy: str, weight: int) -> None:
    cache.put(name, copy, weight, cache.ticket())


def test_a_copy_is_trusted_for_its_seconds_and_no_longer() -> None:
    clock = Clock()
    cache: LocalCache[str] = LocalCache(2, clock)
    put(cache, "s1", "copy", 1)
    assert cache.get("s1") == "copy"
    clock.now += 1.999
    assert cache.get("s1") == "copy"
    clock.now += 0.001
    assert cache.get("s1") is None


def test_a_clock_that_was_set_back_ends_the_trust() -> None:
    clock = Clock()
    cache: LocalCache[str] = LocalCache(2, clock)
    put(cache, "s1", "copy", 1)
    clock.now -= 3600
    assert cache.get("s1") is None


def test_without_seconds_nothing_is_kept() -> None:
    cache: LocalCache[str] = LocalCache(0, Clock())
    put(cache, "s1", "copy", 1)
    assert cache.get("s1") is None
    assert len(cache) == 0


def test_what_is_dropped_or_cleared_is_gone() -> None:
    cache: LocalCache[str] = LocalCache(2, Clock())
    for name in ("s1", "s2", "s3"):
        put(cache, name, "copy", 1)
    cache.drop("s1")
    cache.drop("unknown")
    assert (cache.get("s1"), cache.get("s2")) == (None, "copy")
    cache.end_all()
    assert len(cache) == 0


def test_of_too_many_the_oldest_goes() -> None:
    cache: LocalCache[str] = LocalCache(2, Clock(), copies=2)
    put(cache, "s1", "1", 1)
    put(cache, "s2", "2", 1)
    put(cache, "s1", "1 again", 1)
    put(cache, "s3", "3", 1)
    assert [cache.get(name) for name in ("s1", "s2", "s3")] == ["1 again", None, "3"]


def test_all_copies_together_are_bounded_in_weight() -> None:
    cache: LocalCache[str] = LocalCache(2, Clock(), weight=100)
    put(cache, "s1", "1", 60)
    put(cache, "s2", "2", 60)
    assert (cache.get("s1"), cache.get("s2")) == (None, "2")
    put(cache, "s2", "2 again", 10)
    put(cache, "s3", "3", 90)
    assert (cache.get("s2"), cache.get("s3")) == ("2 again", "3")
    put(cache, "huge", "4", 101)
    assert len(cache) == 0


def test_copies_that_are_too_old_make_room_by_themselves() -> None:
    clock = Clock()
    cache: LocalCache[str] = LocalCache(2, clock)
    for number in range(100):
        put(cache, str(number), "copy", 1)
    clock.now += 2
    put(cache, "new", "copy", 1)
    assert len(cache) == 1


def test_a_copy_is_as_old_as_its_ticket() -> None:
    clock = Clock()
    cache: LocalCache[str] = LocalCache(2, clock)
    ticket = cache.ticket()
    clock.now += 2
    cache.put("s1", "copy", 1, ticket)
    assert cache.get("s1") is None


@pytest.mark.parametrize("end", [lambda cache: cache.end("s1"), lambda cache: cache.end_all()], ids=["one", "all"])
def test_what_is_ended_while_it_is_read_leaves_no_copy(end: Callable[[LocalCache[str]], None]) -> None:
    cache: LocalCache[str] = LocalCache(2, Clock())
    ticket = cache.ticket()
    end(cache)
    cache.put("s1", "copy", 1, ticket)
    assert cache.get("s1") is None
