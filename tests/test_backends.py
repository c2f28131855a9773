"""What holds of every place where sessions are kept (DESIGN 5 rules 4 and 5), and what is special to each."""

import os
import pickle
import shutil
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from peers.servers import LOOPBACK, free_port, run_redis
from redis import Redis

from gateway.backends.base import Backend, BytesSerializer, LockBusy
from gateway.backends.file import SWEEP_GRACE_SECONDS, FileBackend
from gateway.backends.memory import MemoryBackend
from gateway.backends.redis import LOCK_LEASE_SECONDS, RedisBackend
from gateway.errors import StoreUnavailable

PREFIX: Final = "test:"
THREADS: Final = 8
BOUND_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.02
REAL_REDIS: Final = pytest.mark.real("redis")
SHARED: Final = [pytest.param("file", id="file"), pytest.param("redis", id="redis", marks=REAL_REDIS)]
ALL: Final = [pytest.param("memory", id="memory"), *SHARED]

Member = str
"""How another process finds the backend: a directory, or a URL."""


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Member:
    if request.param == "redis":
        url = str(request.getfixturevalue("redis_url"))
        with Redis.from_url(url) as client:
            client.flushall()
        return url
    return str(tmp_path / "sessions") if request.param == "file" else ""


@pytest.fixture
def backend(place: Member) -> Backend:
    return opened(place)


def opened(place: Member) -> Backend:
    if not place:
        return MemoryBackend()
    return RedisBackend(place, PREFIX) if place.startswith("redis") else FileBackend(place)


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + BOUND_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(POLL_SECONDS)
    return False


def failure(use: Callable[[], object]) -> str:
    """Return the code of a failure; unlike pytest.raises it keeps no traceback, which would keep connections open."""
    try:
        use()
    except StoreUnavailable as error:
        return error.code
    return "none"


def race(task: Callable[[], bool]) -> int:
    """Run a task in threads that all begin at once, and count those that won."""
    barrier = threading.Barrier(THREADS)

    def run(_: int) -> bool:
        barrier.wait(BOUND_SECONDS)
        return task()

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(run, range(THREADS)))


CHILD: Final = """
import sys, time
from gateway.backends.base import LockBusy
from gateway.backends.file import FileBackend
from gateway.backends.redis import LOCK_LEASE_SECONDS, RedisBackend
place, action = sys.argv[1:]
backend = RedisBackend(place, "test:") if place.startswith("redis") else FileBackend(place)
print("ready", flush=True)
sys.stdin.readline()
if action == "claim":
    print(sum(backend.claim(f"k{number}", 60) for number in range(50)), flush=True)
elif action == "lock":
    try:
        with backend.lock("k"):
            print("held", flush=True)
            sys.stdin.readline()
    except LockBusy:
        print("busy", flush=True)
"""


class Child:
    """Another process on the same store, which acts when it is told to."""

    def __init__(self, place: Member, action: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, place, action], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate(timeout=BOUND_SECONDS)

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.mark.parametrize("place", ALL, indirect=True)
class TestEveryBackend:
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

    def test_an_entry_is_replaced_where_there_is_one(self, backend: Backend) -> None:
        assert not backend.replace("k", b"1", 60)
        assert backend.get("k") is None
        backend.set("k", b"1", 60)
        assert backend.replace("k", b"2", 60)
        assert backend.get("k") == b"2"

    def test_what_was_deleted_while_it_was_replaced_is_not_seen_again(self, backend: Backend) -> None:
        """A sign-out in the middle of a renewal: not even for a moment does the session come back."""
        for _ in range(30):
            backend.set("k", b"1", 60)
            begun = threading.Event()
            renewing = threading.Thread(target=_renew, args=(backend, begun))
            renewing.start()
            assert begun.wait(BOUND_SECONDS)
            backend.delete("k")
            assert [backend.get("k") for _ in range(20)] == [None] * 20
            renewing.join(BOUND_SECONDS)
            assert not renewing.is_alive()

    def test_deleting_what_is_not_there_is_no_failure(self, backend: Backend) -> None:
        backend.set("other", b"1", 60)
        backend.delete("k")
        assert backend.get("other") == b"1"

    @pytest.mark.parametrize("key", ["a/b", "../../escape", "a b", "é", "\n", "a" * 1000, "a\0b"], ids=ascii)
    def test_any_text_is_a_key(self, backend: Backend, key: str) -> None:
        backend.set(key, b"1", 60)
        assert backend.get(key) == b"1"
        assert backend.claim(key + "-claim", 60)

    def test_an_entry_ends_after_its_time_and_others_stay(self, backend: Backend) -> None:
        backend.set("long", b"1", 60)
        backend.set("short", b"1", 1)
        assert eventually(lambda: backend.get("short") is None)
        assert backend.get("long") == b"1"

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

    def test_more_than_five_hundred_entries_live(self, backend: Backend) -> None:
        for number in range(600):
            backend.set(f"k{number}", b"1", 60)
        assert [number for number in range(600) if backend.get(f"k{number}") is None] == []

    def test_only_bytes_are_stored(self, backend: Backend) -> None:
        with pytest.raises(TypeError):
            backend.set("k", {"a": 1}, 60)  # type: ignore[arg-type]
        assert backend.get("k") is None

    def test_it_checks_itself_and_leaves_nothing(self, backend: Backend, place: Member) -> None:
        backend.check()
        if place.startswith("redis"):
            with Redis.from_url(place) as client:
                assert client.dbsize() == 0
        elif place:
            assert list((Path(place) / "entries").iterdir()) == []


@pytest.mark.parametrize("place", SHARED, indirect=True)
class TestSharedBackends:
    def test_processes_see_the_same_entries(self, place: Member) -> None:
        opened(place).set("k", b"1", 60)
        assert opened(place).get("k") == b"1"

    def test_of_racing_processes_exactly_one_claims_each_key(self, place: Member) -> None:
        opened(place)
        with ExitStack() as stack:
            children = [stack.enter_context(Child(place, "claim")) for _ in range(3)]
            assert [child.read() for child in children] == ["ready"] * 3
            for child in children:
                child.go_on()
            assert sum(int(child.read()) for child in children) == 50

    def test_a_lock_excludes_processes(self, place: Member) -> None:
        backend = opened(place)
        with Child(place, "lock") as holder, Child(place, "lock") as other:
            assert (holder.read(), other.read()) == ("ready", "ready")
            holder.go_on()
            assert holder.read() == "held"
            other.go_on()
            assert other.read() == "busy"
            with pytest.raises(LockBusy), backend.lock("k"):
                raise AssertionError("the lock was held")
            holder.go_on()
            assert holder.process.wait(BOUND_SECONDS) == 0
        with backend.lock("k"):
            assert backend.get("k") is None


def _renew(backend: Backend, begun: threading.Event) -> None:
    for _ in range(100_000):
        begun.set()
        if not backend.replace("k", b"2", 60):
            return


class Payload:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def entry_file(directory: Path) -> Path:
    (path,) = (directory / "entries").iterdir()
    return path


def rewrite(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that a sweep under way finds the old one or the new one."""
    unfinished = path.parent.parent / "unfinished"
    unfinished.write_bytes(content)
    unfinished.replace(path)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture
def files(directory: Path) -> FileBackend:
    return FileBackend(str(directory))


class TestFiles:
    def test_a_file_holds_its_end_and_the_bytes(self, files: FileBackend, directory: Path) -> None:
        before = int(time.time())
        files.set("k", b"value", 60)
        content = entry_file(directory).read_bytes()
        assert content[4:] == b"value"
        assert before + 60 <= struct.unpack("I", content[:4])[0] <= int(time.time()) + 60

    def test_a_pickle_is_bytes_like_any_other(self, files: FileBackend, directory: Path, tmp_path: Path) -> None:
        trap = tmp_path / "executed"
        payload = pickle.dumps(Payload(trap))
        files.set("k", b"value", 60)
        path = entry_file(directory)
        rewrite(path, path.read_bytes()[:4] + payload)
        assert files.get("k") == payload
        rewrite(path, payload)
        files.get("k")
        files.sweep()
        assert not trap.exists()

    @pytest.mark.parametrize("content", [b"", b"\0", b"\0\0\0"], ids=["empty", "one octet", "three octets"])
    def test_a_damaged_file_is_no_entry(self, files: FileBackend, directory: Path, content: bytes) -> None:
        files.set("k", b"value", 60)
        rewrite(entry_file(directory), content)
        assert files.get("k") is None
        files.set("k", b"again", 60)
        assert files.get("k") == b"again"

    def test_nobody_else_may_read_it(self, tmp_path: Path) -> None:
        previous = os.umask(0)
        try:
            backend = FileBackend(str(tmp_path / "sessions"))
            backend.set("k", b"value", 60)
            backend.claim("k", 60)
            with backend.lock("k"):
                paths = [tmp_path / "sessions", *(tmp_path / "sessions").rglob("*")]
                modes = {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()}
                directories = {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()}
        finally:
            os.umask(previous)
        assert (modes, directories) == ({0o600}, {0o700})

    def test_names_of_files_tell_nothing_of_the_keys(self, files: FileBackend, directory: Path) -> None:
        files.set("secret-key", b"value", 60)
        files.claim("secret-key", 60)
        with files.lock("secret-key"):
            assert [path.name for path in directory.rglob("*") if "secret" in path.name] == []

    def test_a_lock_ends_with_the_process_that_held_it(self, files: FileBackend, directory: Path) -> None:
        with Child(str(directory), "lock") as holder:
            holder.read()
            holder.go_on()
            assert holder.read() == "held"
            with pytest.raises(LockBusy), files.lock("k"):
                raise AssertionError("the lock was held")
            holder.process.send_signal(signal.SIGKILL)
            holder.process.wait(BOUND_SECONDS)
            with files.lock("k"):
                assert files.get("k") is None

    def test_a_lock_leaves_no_file(self, files: FileBackend, directory: Path) -> None:
        with files.lock("k"):
            assert len(list((directory / "locks").iterdir())) == 1
        assert list((directory / "locks").iterdir()) == []

    def test_what_has_ended_is_swept_and_what_lives_stays(self, files: FileBackend, directory: Path) -> None:
        now = int(time.time())
        entries = directory / "entries"
        for name, ends_at in {
            "living": now + 60,
            "ended": now - SWEEP_GRACE_SECONDS - 5,
            "just ended": now - 5,
        }.items():
            (entries / name.replace(" ", "_")).write_bytes(struct.pack("I", ends_at) + b"value")
        (entries / "damaged").write_bytes(b"")
        files.sweep()
        assert {path.name for path in entries.iterdir()} == {"living", "just_ended"}

    def test_half_written_files_and_locks_are_swept_after_an_hour(self, files: FileBackend, directory: Path) -> None:
        for folder, suffix in (("entries", ".__wz_cache"), ("locks", "")):
            for name, age in {"old": 3700, "new": 60}.items():
                path = directory / folder / f"{name}{suffix}"
                path.write_bytes(b"")
                os.utime(path, (time.time() - age, time.time() - age))
        files.sweep()
        assert {path.stem for path in directory.rglob("*") if path.is_file()} == {"new"}
        assert len([path for path in directory.rglob("*") if path.is_file()]) == 2

    def test_claims_are_swept_after_their_time(self, files: FileBackend, directory: Path) -> None:
        assert files.claim("ended", 60)
        (path,) = (directory / "claims").iterdir()
        past = time.time() - SWEEP_GRACE_SECONDS - 5
        os.utime(path, (past, past))
        assert files.claim("living", 60)
        files.sweep()
        assert not files.claim("living", 60)
        assert files.claim("ended", 60)

    def test_a_claim_without_its_end_yet_is_not_swept(self, files: FileBackend, directory: Path) -> None:
        assert files.claim("k", 60)
        (path,) = (directory / "claims").iterdir()
        os.utime(path, (time.time() - 1, time.time() - 1))
        files.sweep()
        assert not files.claim("k", 60)

    def test_a_write_sweeps_what_has_ended(self, files: FileBackend, directory: Path) -> None:
        ended = directory / "entries" / "ended"
        ended.write_bytes(struct.pack("I", 1) + b"value")
        files.set("k", b"value", 60)
        assert eventually(lambda: not ended.exists())
        assert files.get("k") == b"value"

    @pytest.mark.parametrize(
        "use",
        [
            pytest.param(lambda backend: backend.get("k"), id="get"),
            pytest.param(lambda backend: backend.set("k", b"value", 60), id="set"),
            pytest.param(lambda backend: backend.delete("k"), id="delete"),
            pytest.param(lambda backend: backend.claim("k", 60), id="claim"),
            pytest.param(lambda backend: backend.lock("k").__enter__(), id="lock"),
            pytest.param(lambda backend: backend.check(), id="check"),
        ],
    )
    def test_a_directory_that_is_gone_is_a_failure_and_no_missing_session(
        self, files: FileBackend, directory: Path, use: Callable[[Backend], object]
    ) -> None:
        ended = directory / "entries" / "ended"
        ended.write_bytes(struct.pack("I", 1))
        files.set("k", b"value", 60)
        assert eventually(lambda: not ended.exists() and not any((directory / "locks").iterdir()))
        shutil.rmtree(directory)
        with pytest.raises(StoreUnavailable) as error:
            use(files)
        assert error.value.code == "store_down"

    def test_an_entry_that_cannot_be_read_is_a_failure(self, files: FileBackend, directory: Path) -> None:
        files.set("k", b"value", 60)
        path = entry_file(directory)
        path.unlink()
        path.mkdir()
        with pytest.raises(StoreUnavailable) as error:
            files.get("k")
        assert error.value.code == "store_down"

    def test_a_directory_that_cannot_be_made_is_a_failure(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StoreUnavailable) as error:
            FileBackend(str(tmp_path / "file" / "sessions"))
        assert error.value.code == "store_down"


class TestMemory:
    def test_what_has_ended_makes_room(self) -> None:
        backend = MemoryBackend()
        backend.set("k", b"value", 1)
        assert eventually(lambda: backend.get("k") is None)
        assert backend.claim("k", 60)


@pytest.mark.real("redis")
class TestRedis:
    def test_a_server_holds_the_bytes_under_our_prefix_for_their_time(self, redis_url: str) -> None:
        RedisBackend(redis_url, "ours:").set("k", b"value", 60)
        with Redis.from_url(redis_url) as client:
            assert client.get("ours:k") == b"value"
            assert client.ttl("ours:k") in (59, 60)

    def test_claims_and_locks_end_by_themselves(self, redis_url: str) -> None:
        backend = RedisBackend(redis_url, "ends:")
        backend.claim("k", 60)
        with backend.lock("k"), Redis.from_url(redis_url) as client:
            assert client.ttl("ends:k") in (59, 60)
            assert client.ttl("ends:lock:k") in (LOCK_LEASE_SECONDS - 1, LOCK_LEASE_SECONDS)

    def test_prefixes_are_apart(self, redis_url: str) -> None:
        RedisBackend(redis_url, "one:").set("k", b"1", 60)
        assert RedisBackend(redis_url, "two:").get("k") is None

    @pytest.mark.parametrize("mark", [b"", b"!"], ids=["pickle", "marked as a pickle"])
    def test_a_pickle_is_bytes_like_any_other(self, redis_url: str, tmp_path: Path, mark: bytes) -> None:
        trap = tmp_path / "executed"
        payload = mark + pickle.dumps(Payload(trap))
        with Redis.from_url(redis_url) as client:
            client.set(f"{PREFIX}pickled", payload)
        assert RedisBackend(redis_url, PREFIX).get("pickled") == payload
        assert not trap.exists()

    def test_a_lock_whose_lease_ended_is_not_taken_from_its_next_holder(self, redis_url: str) -> None:
        backend = RedisBackend(redis_url, "lease:")
        with Redis.from_url(redis_url) as client:
            with backend.lock("k"):
                client.set("lease:lock:k", b"the next holder's")
            assert client.get("lease:lock:k") == b"the next holder's"


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda backend: backend.get("k"), id="get"),
        pytest.param(lambda backend: backend.set("k", b"value", 60), id="set"),
        pytest.param(lambda backend: backend.delete("k"), id="delete"),
        pytest.param(lambda backend: backend.claim("k", 60), id="claim"),
        pytest.param(lambda backend: backend.lock("k").__enter__(), id="lock"),
        pytest.param(lambda backend: backend.check(), id="check"),
    ],
)
def test_a_redis_that_is_down_is_a_failure_and_no_missing_session(use: Callable[[Backend], object]) -> None:
    with pytest.raises(StoreUnavailable) as error:
        use(RedisBackend(f"redis://:the-password@{LOOPBACK}:{free_port()}/0", PREFIX))
    assert error.value.code == "store_down"
    assert error.value.retry_after is not None
    assert "the-password" not in str(error.value)


@pytest.mark.real("redis")
def test_a_redis_that_went_down_is_a_failure_and_is_found_again(tmp_path: Path) -> None:
    port = free_port()
    with run_redis(tmp_path, port) as url:
        backend = RedisBackend(url, PREFIX)
        backend.set("k", b"value", 60)
    assert failure(lambda: backend.get("k")) == "store_down"
    with run_redis(tmp_path, port):
        backend.set("k", b"again", 60)
        assert backend.get("k") == b"again"
    assert failure(lambda: backend.get("k")) == "store_down"


@pytest.mark.parametrize("value", [None, "text", 1, bytearray(b"x")])
def test_the_serializer_takes_bytes_and_nothing_else(value: object) -> None:
    with pytest.raises(TypeError):
        BytesSerializer().dumps(value)  # type: ignore[arg-type]
