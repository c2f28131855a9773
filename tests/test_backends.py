"""What holds of every place where sessions are kept (DESIGN 5 rules 4 and 5)."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Final

import pytest
from peers.store_places import ALL, Place, make_place

from gateway.backends.base import TAG_BYTES, Backend, BytesSerializer, LockBusy, UnlistableStore
from gateway.backends.choice import make_backend
from gateway.config_sections import StoreSettings
from gateway.config_sources import ConfigurationError

OLD: Final = b"o" * TAG_BYTES
NEW: Final = b"n" * TAG_BYTES
THREADS: Final = 8
RENEWALS: Final = 10
BOUND_SECONDS: Final = 10.0


def race(task: Callable[[], bool]) -> int:
    """Run a task in threads that all begin at once, and count those that won."""
    barrier = threading.Barrier(THREADS)

    def run(_: int) -> bool:
        barrier.wait(BOUND_SECONDS)
        return task()

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(run, range(THREADS)))


def listed(backend: Backend, prefix: str) -> list[bytes] | None:
    """List the entries of a kind in order; None where the store cannot."""
    try:
        return sorted(backend.scan(prefix))
    except UnlistableStore:
        return None


@pytest.mark.parametrize("place", ALL, indirect=True)
class TestEntries:
    def test_an_entry_comes_back_byte_for_byte(self, backend: Backend) -> None:
        value = bytes(range(256)) * 4
        backend.set("k", value, 60)
        assert backend.get("k") == value

    def test_an_empty_entry_is_an_entry(self, backend: Backend) -> None:
        backend.set("k", b"", 60)
        assert backend.get("k") == b""

    def test_an_absent_entry_is_none(self, backend: Backend) -> None:
        assert backend.get("k") is None

    def test_a_second_write_replaces_the_first(self, backend: Backend) -> None:
        backend.set("k", b"a longer value", 60)
        backend.set("k", b"2", 60)
        assert backend.get("k") == b"2"

    def test_a_deleted_entry_is_gone(self, backend: Backend) -> None:
        backend.set("k", b"1", 60)
        backend.delete("k")
        assert backend.get("k") is None

    def test_several_entries_come_in_the_order_of_their_keys(self, backend: Backend) -> None:
        backend.set("a", b"1", 60)
        backend.set("b", b"", 60)
        assert backend.get_many(["b", "gone", "a", "b"]) == [b"", None, b"1", b""]
        assert backend.get_many([]) == []

    def test_the_entries_of_a_kind_are_listed(self, backend: Backend) -> None:
        values = [f"{number:03}".encode() for number in range(150)]
        for value in values:
            backend.set(f"session:{value.decode()}", value, 60)
        backend.set("revoked:1", b"another kind", 60)
        assert listed(backend, "session:") in (values, None)
        assert listed(backend, "none:") in ([], None)

    def test_deleting_what_is_not_there_is_no_failure(self, backend: Backend) -> None:
        backend.set("other", b"1", 60)
        backend.delete("k")
        assert backend.get("other") == b"1"

    @pytest.mark.parametrize("key", ["a/b", "../../escape", "a b", "é", "\n", "a" * 1000, "a\0b"], ids=ascii)
    def test_any_text_is_a_key(self, backend: Backend, key: str) -> None:
        backend.set(key, b"1", 60)
        assert backend.get(key) == b"1"
        assert backend.claim(key + "-claim", 60)

    def test_more_than_five_hundred_entries_live(self, backend: Backend) -> None:
        keys = [f"k{number}" for number in range(600)]
        for key in keys:
            backend.set(key, key.encode(), 60)
        assert backend.get_many(keys) == [key.encode() for key in keys]

    def test_only_bytes_are_stored(self, backend: Backend) -> None:
        with pytest.raises(TypeError):
            backend.set("k", {"a": 1}, 60)  # type: ignore[arg-type]
        assert backend.get("k") is None

    def test_it_checks_itself_and_leaves_nothing(self, backend: Backend) -> None:
        backend.check()
        assert listed(backend, "probe:") in ([], None)

    def test_prefixes_are_apart(
        self, request: pytest.FixtureRequest, backend: Backend, place: Place, store_urls: Callable[[str], str]
    ) -> None:
        name = request.node.callspec.params["place"]
        backend.set("session:k", b"1", 60)
        with closing(make_place(name, place.directory / "other", store_urls)) as other:
            other.open().set("session:k", b"2", 60)
        assert (backend.get("session:k"), listed(backend, "session:")) in ((b"1", [b"1"]), (b"1", None))


@pytest.mark.parametrize("place", ALL, indirect=True)
class TestReplace:
    def test_an_entry_is_replaced_where_there_is_one(self, backend: Backend) -> None:
        assert not backend.replace("k", OLD, OLD + b"1", 60)
        assert backend.get("k") is None
        backend.set("k", OLD + b"1", 60)
        assert backend.replace("k", OLD, NEW + b"2", 60)
        assert backend.get("k") == NEW + b"2"

    def test_an_entry_with_another_tag_stays(self, backend: Backend) -> None:
        backend.set("k", NEW + b"1", 60)
        assert not backend.replace("k", OLD, OLD + b"2", 60)
        assert not backend.replace("k", b"", OLD + b"3", 60)
        assert backend.get("k") == NEW + b"1"

    def test_of_racing_threads_one_replaces(self, backend: Backend) -> None:
        backend.set("k", OLD, 60)
        assert race(lambda: backend.replace("k", OLD, NEW, 60)) == 1
        assert backend.get("k") == NEW

    def test_what_was_deleted_while_it_was_replaced_is_not_seen_again(self, backend: Backend) -> None:
        """A sign-out in the middle of a renewal: not even for a moment does the session come back."""
        for _ in range(RENEWALS):
            backend.set("k", OLD, 60)
            begun = threading.Event()
            renewing = threading.Thread(target=_renew, args=(backend, begun))
            renewing.start()
            assert begun.wait(BOUND_SECONDS)
            backend.delete("k")
            assert [backend.get("k") for _ in range(20)] == [None] * 20
            renewing.join(BOUND_SECONDS)
            assert not renewing.is_alive()


@pytest.mark.parametrize("place", ALL, indirect=True)
class TestClaimsAndLocks:
    def test_a_key_is_claimed_once(self, backend: Backend) -> None:
        assert backend.claim("k", 60)
        assert not backend.claim("k", 60)
        assert backend.claim("other", 60)

    def test_of_racing_threads_exactly_one_claims(self, backend: Backend) -> None:
        for number in range(20):
            key = f"k{number}"
            assert race(lambda key=key: backend.claim(key, 60)) == 1  # type: ignore[misc]

    def test_a_held_lock_is_busy_and_a_released_one_is_free(self, backend: Backend) -> None:
        with backend.lock("k"):
            with pytest.raises(LockBusy), backend.lock("k"):
                raise AssertionError("the lock was held")
            with backend.lock("other"):
                assert backend.get("k") is None
        with backend.lock("k"), pytest.raises(LockBusy), backend.lock("k"):
            raise AssertionError("the lock was held")

    def test_a_lock_is_released_when_its_holder_fails(self, backend: Backend) -> None:
        with pytest.raises(KeyError), backend.lock("k"):
            raise KeyError
        with backend.lock("k"):
            assert backend.get("k") is None

    def test_a_lock_excludes_threads(self, backend: Backend) -> None:
        inside, most = 0, 0
        guard = threading.Lock()

        def enter() -> bool:
            nonlocal inside, most
            try:
                with backend.lock("k"):
                    with guard:
                        inside += 1
                        most = max(most, inside)
                    time.sleep(0.001)
                    with guard:
                        inside -= 1
                    return True
            except LockBusy:
                return False

        assert sum(race(enter) for _ in range(20)) >= 20
        assert most == 1

    def test_of_racing_threads_one_holds_the_lock(self, backend: Backend) -> None:
        leave, arrived = threading.Barrier(THREADS), []

        def enter() -> bool:
            try:
                with backend.lock("k"):
                    arrived.append(True)
                    leave.wait(BOUND_SECONDS)
                    return True
            except LockBusy:
                leave.wait(BOUND_SECONDS)
                return False

        assert race(enter) == 1
        assert arrived == [True]


def _renew(backend: Backend, begun: threading.Event) -> None:
    for _ in range(100_000):
        begun.set()
        if not backend.replace("k", OLD, OLD + b"2", 60):
            return


@pytest.mark.parametrize("value", [None, "text", 1, bytearray(b"x")])
def test_the_serializer_takes_bytes_and_nothing_else(value: object) -> None:
    with pytest.raises(TypeError):
        BytesSerializer().dumps(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        pytest.param("redis://u:hush@127.0.0.1:1/0?nonsense=hush", "knows no option nonsense", id="unknown"),
        pytest.param("redis://127.0.0.1:1/0?socket_timeout=hush", "Invalid value for 'socket_timeout'", id="no-number"),
        pytest.param("redis://127.0.0.1:1/0?ssl_ca_certs=/a", "knows no option ssl_ca_certs", id="of-tls-without-it"),
        pytest.param("redis+cluster://127.0.0.1:1?ssl_ca_cert=/a", "knows no option ssl_ca_cert", id="cluster"),
        pytest.param("redis+sentinel://127.0.0.1:1/service/0?x=hush", "knows no option x", id="sentinels"),
        pytest.param("unix:///run/redis.sock?port=1", "knows no option port", id="of-a-socket"),
    ],
)
def test_an_option_that_is_none_is_an_error_of_the_configuration(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make_backend(StoreSettings(type="redis", path="", url=url, prefix=""))
    assert told in str(raised.value)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:1/0",
        "rediss://127.0.0.1:1/0?ssl_ca_certs=/a&max_connections=5",
        "redis+sentinel://127.0.0.1:1/service/0?sentinel_password=x&socket_timeout=3",
        "redis+cluster://127.0.0.1:1?read_from_replicas=true",
        "valkey://127.0.0.1:1?protocol=3",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_options_of_the_client_are_taken(url: str) -> None:
    make_backend(StoreSettings(type="redis", path="", url=url, prefix=""))
