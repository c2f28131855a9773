"""Tokens for upstreams that are kept: one fetch for all who wait, nobody else's token, never beyond its end."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from gateway.errors import EXCHANGE_REFUSED, GatewayError
from gateway.oidc.exchange import ExchangeWanted
from gateway.token_cache import TokenCache, UpstreamToken

NOW: Final = 1_800_000_000
THREADS: Final = 8
BOUND_SECONDS: Final = 10.0


class Source:
    """Where tokens come from: each has another text, and is usable for a minute. `looked` counts looks at the clock."""

    def __init__(self) -> None:
        self.now = float(NOW)
        self.fetches = 0
        self.lifetime = 60
        self.looked = threading.Semaphore(0)

    def clock(self) -> float:
        self.looked.release()
        return self.now

    def __call__(self) -> UpstreamToken:
        self.fetches += 1
        return UpstreamToken(scheme="Bearer", text=f"t{self.fetches}", usable_until=int(self.now) + self.lifetime)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.mark.parametrize(
    ("lifetime", "seconds", "text"),
    [
        pytest.param(60, 0, "t1", id="at once"),
        pytest.param(60, 59, "t1", id="its last second"),
        pytest.param(60, 60, "t2", id="its end"),
        pytest.param(60, 10_000, "t2", id="long after"),
        pytest.param(0, 0, "t2", id="one that may not be kept"),
        pytest.param(-1, 0, "t2", id="one that had ended before it came"),
    ],
)
def test_a_token_is_used_until_its_end(source: Source, lifetime: int, seconds: int, text: str) -> None:
    cache: TokenCache[UpstreamToken] = TokenCache(clock=source.clock)
    source.lifetime = lifetime
    assert cache.get("key", source).text == "t1"
    source.now += seconds
    assert cache.get("key", source).text == text


API: Final = ExchangeWanted(audience=("api",), resource=(), scope=())


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(("s2", "hash", API), id="another session"),
        pytest.param(("s1", "hash2", API), id="another access token of the session"),
        pytest.param(("s1", "hash", "introspected"), id="another kind"),
        pytest.param(("s1", "hash", ExchangeWanted(audience=("other",), resource=(), scope=())), id="audience"),
        pytest.param(("s1", "hash", ExchangeWanted(audience=("api",), resource=("r",), scope=())), id="resource"),
        pytest.param(("s1", "hash", ExchangeWanted(audience=("api",), resource=(), scope=("read",))), id="scope"),
    ],
)
def test_a_token_is_for_all_that_it_was_fetched_with(source: Source, other: Hashable) -> None:
    cache: TokenCache[UpstreamToken] = TokenCache(clock=source.clock)
    assert cache.get(("s1", "hash", API), source).text == "t1"
    assert cache.get(other, source).text == "t2"
    same = ExchangeWanted(audience=("api",), resource=(), scope=())
    assert cache.get(("s1", "hash", same), source).text == "t1"


def test_no_more_are_kept_than_there_is_room_for(source: Source) -> None:
    cache: TokenCache[UpstreamToken] = TokenCache(clock=source.clock, max_entries=2)
    for key in ("a", "b", "c"):
        cache.get(key, source)
    assert [cache.get(key, source).text for key in ("b", "c")] == ["t2", "t3"]
    assert cache.get("a", source).text == "t4"


def test_a_failure_is_told_and_not_kept(source: Source) -> None:
    cache: TokenCache[UpstreamToken] = TokenCache(clock=source.clock)
    assert cache.get("other", source).text == "t1"
    assert code_of(lambda: cache.get("key", refuse)) == "exchange_refused"
    assert cache.get("key", source).text == "t2"
    assert cache.get("other", source).text == "t1"


def test_a_failure_does_not_bring_back_a_token_that_had_ended(source: Source) -> None:
    cache: TokenCache[UpstreamToken] = TokenCache(clock=source.clock)
    cache.get("key", source)
    source.now += 60
    assert code_of(lambda: cache.get("key", refuse)) == "exchange_refused"
    source.now -= 60
    assert cache.get("key", source).text == "t2"


def refuse() -> UpstreamToken:
    raise GatewayError(EXCHANGE_REFUSED, "for the test")


def code_of(use: Callable[[], object]) -> str:
    with pytest.raises(GatewayError) as error:
        use()
    return error.value.code


class Slow:
    """A fetch that lasts until it is let go; `begun` is set once it has begun."""

    def __init__(self, source: Callable[[], UpstreamToken]) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self._source = source

    def __call__(self) -> UpstreamToken:
        self.begun.set()
        assert self.go_on.wait(BOUND_SECONDS)
        return self._source()


def outcome(cache: TokenCache[UpstreamToken], fetch: Callable[[], UpstreamToken]) -> str:
    try:
        return cache.get("key", fetch).text
    except GatewayError as error:
        return error.code


@pytest.mark.parametrize(
    ("fails", "expected"),
    [pytest.param(False, "t3", id="the token"), pytest.param(True, "exchange_refused", id="the failure")],
)
def test_one_thread_fetches_for_all(source: Source, fails: bool, expected: str) -> None:
    cache: TokenCache[UpstreamToken] = TokenCache(clock=source.clock)
    slow = Slow(refuse if fails else source)
    cache.get("key", source)
    source.now += 60  # Whoever asks finds a token that has ended, and looks at the clock.
    with ThreadPoolExecutor(THREADS) as pool:
        first = pool.submit(outcome, cache, slow)
        assert slow.begun.wait(BOUND_SECONDS)
        others = [pool.submit(outcome, cache, never) for _ in range(THREADS - 1)]
        for _ in range(THREADS):
            assert source.looked.acquire(timeout=BOUND_SECONDS)
        assert cache.get("another key", source).text == "t2"  # Who wants another token does not wait for this one.
        slow.go_on.set()
        found = [future.result(BOUND_SECONDS) for future in (first, *others)]
    assert found == [expected] * THREADS


def never() -> UpstreamToken:
    raise AssertionError("a second fetch for the same token")


def test_tokens_stay_out_of_the_repr(source: Source) -> None:
    assert "t1" not in repr(source())
