"""What holds between processes that share a place, also where one of them is killed, or stopped for long."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Final

import pytest
from peers.store_places import CLAIMED, KINDS, SHARED, Neighbour, Place, eventually, make_place

from gateway.backends.base import TAG_BYTES, Backend, LockBusy

OLD: Final = b"o" * TAG_BYTES
NEW: Final = b"n" * TAG_BYTES


@pytest.mark.parametrize("place", SHARED, indirect=True)
class TestSharedBackends:
    def test_processes_see_the_same_entries(self, place: Place) -> None:
        place.open().set("k", b"1", 60)
        assert place.open().get("k") == b"1"

    @pytest.mark.slow
    def test_of_racing_processes_exactly_one_claims_each_key(self, place: Place) -> None:
        with ExitStack() as stack:
            neighbours = [stack.enter_context(Neighbour(place=place)) for _ in range(3)]
            for neighbour in neighbours:
                neighbour.tell("claim")
            assert sum(neighbour.count() for neighbour in neighbours) == CLAIMED

    def test_a_lock_excludes_processes(self, place: Place) -> None:
        backend = place.open()
        with Neighbour(place=place) as holder, Neighbour(place=place) as other:
            assert (holder.ask("lock", "k"), other.ask("lock", "k")) == ("held", "busy")
            assert not free(backend, "k")
            holder.ask("release")
            assert other.ask("lock", "k") == "held"
            other.ask("release")
        assert free(backend, "k")


@dataclass(frozen=True, kw_only=True, slots=True)
class Life:
    """What became of entries and locks while their ends came, some of whose holders were killed or stopped."""

    entry_ended: bool
    claim_ended: bool
    lock_of_the_living: str
    lock_of_the_killed: str
    lock_of_the_stopped: str
    next_lock: str
    replaced_by_the_stopped: object
    entry: bytes | None


@pytest.fixture(scope="module")
def lives(
    tmp_path_factory: pytest.TempPathFactory, store_urls: Callable[[str], str], request: pytest.FixtureRequest
) -> Iterator[Mapping[str, Future[Life]]]:
    """Let all stores that are asked for live through the same at one time, for what it takes is mostly waiting."""
    names = [name for name in KINDS if name != "memory" and KINDS[name].find_missing() is None]
    places = {name: make_place(name, tmp_path_factory.mktemp(name), store_urls) for name in names}
    with ThreadPoolExecutor(len(names)) as pool:
        yield {name: pool.submit(live, place) for name, place in places.items()}
    for place in places.values():
        place.close()


def live(place: Place) -> Life:
    backend, other = place.open(), place.open()
    backend.set("ending", b"1", 1)
    backend.claim("claimed", 1)
    backend.set("entry", OLD, 60)
    with Neighbour(place=place) as killed, Neighbour(place=place) as stopped, ExitStack() as later:
        with backend.lock("living"):
            assert (killed.ask("lock", "killed"), stopped.ask("lock", "stopped")) == ("held", "held")
            assert (free(other, "killed"), free(other, "stopped")) == (False, False)
            killed.signal(SIGKILL)
            stopped.signal(SIGSTOP)
            lock_of_the_killed = state(eventually(lambda: free(other, "killed")))
            # Where locks end by themselves, this one would have ended before those two, had it not been renewed.
            lapsed = place.kind.leased and eventually(lambda: free(other, "stopped"))
            lock_of_the_living = state(free(other, "living"))
        if lapsed:
            later.enter_context(other.lock("stopped"))
        assert other.replace("entry", OLD, NEW, 60)
        stopped.signal(SIGCONT)
        replaced = stopped.ask("replace", "entry", OLD, OLD, 60)
        stopped.ask("release")
        return Life(
            entry_ended=eventually(lambda: backend.get("ending") is None),
            claim_ended=eventually(lambda: backend.claim("claimed", 60)),
            lock_of_the_living=lock_of_the_living,
            lock_of_the_killed=lock_of_the_killed,
            lock_of_the_stopped=state(lapsed),
            next_lock=state(free(backend, "stopped")),
            replaced_by_the_stopped=replaced,
            entry=backend.get("entry"),
        )


def free(backend: Backend, key: str) -> bool:
    try:
        with backend.lock(key):
            return True
    except LockBusy:
        return False


def state(is_free: bool) -> str:
    return "free" if is_free else "held"


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARED)
class TestOverTime:
    def test_an_entry_ends_after_its_time(self, lives: Mapping[str, Future[Life]], name: str) -> None:
        assert lives[name].result().entry_ended

    def test_a_claim_ends_after_its_time(self, lives: Mapping[str, Future[Life]], name: str) -> None:
        assert lives[name].result().claim_ended

    def test_a_lock_lasts_as_long_as_its_holder(self, lives: Mapping[str, Future[Life]], name: str) -> None:
        assert lives[name].result().lock_of_the_living == "held"

    def test_the_lock_of_a_killed_process_ends(self, lives: Mapping[str, Future[Life]], name: str) -> None:
        assert lives[name].result().lock_of_the_killed == "free"

    def test_a_stopped_process_does_not_overwrite_what_the_next_holder_wrote(
        self, lives: Mapping[str, Future[Life]], name: str
    ) -> None:
        life = lives[name].result()
        assert life.lock_of_the_stopped == ("free" if KINDS[name].leased else "held")
        assert (life.replaced_by_the_stopped, life.entry) == (False, NEW)

    def test_a_stopped_process_does_not_take_the_lock_from_its_next_holder(
        self, lives: Mapping[str, Future[Life]], name: str
    ) -> None:
        assert lives[name].result().next_lock == ("held" if KINDS[name].leased else "free")
