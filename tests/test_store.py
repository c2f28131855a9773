"""Sessions at rest (DESIGN 5 rules 3 to 5): sealed to their handle, ended for good, never confused with a failure."""

import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import pytest
from samples import SESSION

from gateway.backends.base import Backend, LockBusy
from gateway.backends.choice import make_backend
from gateway.backends.file import FileBackend
from gateway.backends.memory import MemoryBackend
from gateway.backends.redis import RedisBackend
from gateway.config_sections import StoreSettings
from gateway.cookies import HANDLE_BYTES
from gateway.errors import GatewayError, StoreUnavailable
from gateway.revocation import everyone_name, sid_name, sidless_name, subject_name
from gateway.sealing import KeyRing, seal
from gateway.session import FORMAT, Lifetimes, Session, to_bytes
from gateway.store import HeldSession, SessionStore, session_id

NOW: Final = 1_800_000_000
OLD: Final = "an old secret of at least thirty-two characters"
NEW: Final = "a new secret of at least thirty-two characters"
LIFETIMES: Final = Lifetimes(idle=600, absolute=3600, refresh_leeway=60)


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def store_on(
    backend: Backend, clock: Clock, *ring: str, realm: str = "https://app.example", local_cache: float = 0
) -> SessionStore:
    return SessionStore(
        backend=backend,
        realm=realm,
        ring=KeyRing.of(ring or (OLD,)),
        lifetimes=LIFETIMES,
        clock=clock,
        entropy=secrets.token_bytes,
        local_cache=local_cache,
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
def store(backend: MemoryBackend, clock: Clock) -> SessionStore:
    return store_on(backend, clock)


def session(name: str) -> Session:
    return replace(
        SESSION, id=name, access_issued_at=NOW, refresh_token="the-refresh-token", created_at=NOW, seen_at=NOW
    )


def begun(store: SessionStore) -> HeldSession:
    return store.create(session, began_at=NOW)


def begun_after(store: SessionStore) -> HeldSession:
    return store.create(session, began_at=NOW + 3600)


def entry(held: HeldSession) -> str:
    return f"session:{held.session.id}"


def at_rest(backend: Backend, held: HeldSession) -> bytes:
    sealed = backend.get(entry(held))
    assert sealed is not None
    return sealed


def test_a_session_is_loaded_by_its_handle(store: SessionStore) -> None:
    held = begun(store)
    assert store.load(held.handle) == held
    assert len(held.handle) == HANDLE_BYTES
    assert held.session.id == session_id(held.handle)


def test_every_session_has_a_handle_of_its_own(store: SessionStore) -> None:
    assert len({begun(store).handle for _ in range(100)}) == 100


def test_no_command_line_takes_an_id_for_an_option(store: SessionStore) -> None:
    assert all(re.fullmatch("[0-9a-f]{32}", begun(store).session.id) for _ in range(100))


def test_the_store_sees_neither_handle_nor_tokens(store: SessionStore, backend: MemoryBackend) -> None:
    held = begun(store)
    sealed = at_rest(backend, held)
    for secret in (held.handle, b"the-access-token", b"the-refresh-token", b'"u1"', b"op.example"):
        assert secret not in sealed
    assert repr(held.handle) not in repr(held)


@pytest.mark.parametrize(
    "handle",
    [
        pytest.param(b"x" * HANDLE_BYTES, id="unknown"),
        pytest.param(b"", id="empty"),
        pytest.param(b"x", id="short"),
    ],
)
def test_a_wrong_handle_opens_nothing(store: SessionStore, handle: bytes) -> None:
    begun(store)
    assert store.load(handle) is None


def test_one_session_under_the_name_of_another_does_not_open(store: SessionStore, backend: MemoryBackend) -> None:
    one, other = begun(store), begun(store)
    backend.set(entry(other), at_rest(backend, one), 60)
    assert store.load(other.handle) is None
    assert store.load(one.handle) == one


def test_a_session_that_names_another_is_none(store: SessionStore, backend: MemoryBackend) -> None:
    held = begun(store)
    foreign = to_bytes(replace(held.session, id="another"))
    sealed = seal(KeyRing.of([OLD]), "session", foreign, entropy=secrets.token_bytes, binding=held.handle)
    backend.set(entry(held), sealed, 60)
    assert store.load(held.handle) is None


@pytest.mark.parametrize(
    ("ring", "opens"),
    [
        pytest.param((OLD,), True, id="the same secret"),
        pytest.param((NEW, OLD), True, id="rotated, the old one still opens"),
        pytest.param((NEW,), False, id="another secret"),
    ],
)
def test_a_session_opens_under_its_ring(
    store: SessionStore, backend: MemoryBackend, clock: Clock, ring: tuple[str, ...], opens: bool
) -> None:
    held = begun(store)
    assert store_on(backend, clock, *ring).load(held.handle) == (held if opens else None)


@pytest.mark.parametrize(
    ("seconds", "lives"),
    [
        pytest.param(599, True, id="the last second of the idle time"),
        pytest.param(600, False, id="idle for too long"),
    ],
)
def test_an_expired_session_is_none_though_it_is_still_stored(
    store: SessionStore, backend: MemoryBackend, clock: Clock, seconds: int, lives: bool
) -> None:
    held = begun(store)
    clock.now += seconds
    assert (store.load(held.handle) is not None) is lives
    assert at_rest(backend, held)


@pytest.mark.parametrize(
    "plaintext",
    [
        pytest.param(json.dumps({"format": FORMAT + 1}).encode(), id="a later format"),
        pytest.param(b"not JSON", id="not JSON"),
        pytest.param(b"\x80\x04N.", id="a pickle"),
    ],
)
def test_what_another_version_wrote_is_no_session(
    store: SessionStore, backend: MemoryBackend, plaintext: bytes
) -> None:
    held = begun(store)
    sealed = seal(KeyRing.of([OLD]), "session", plaintext, entropy=secrets.token_bytes, binding=held.handle)
    backend.set(entry(held), sealed, 60)
    assert store.load(held.handle) is None


def test_a_replaced_session_is_loaded_anew_with_the_newest_key(backend: MemoryBackend, clock: Clock) -> None:
    held = begun(store_on(backend, clock, OLD))
    touched = replace(held, session=held.session.touched(NOW + 60))
    assert store_on(backend, clock, NEW, OLD).replace(touched) == touched
    assert store_on(backend, clock, NEW).load(held.handle) == touched


def test_an_ended_session_is_gone_and_stays_gone(store: SessionStore, backend: MemoryBackend) -> None:
    held, other = begun(store), begun(store)
    store.end(held.session.id)
    assert store.load(held.handle) is None
    assert store.replace(held) is None
    assert store.load(held.handle) is None
    assert backend.get(entry(held)) is None
    assert store.load(other.handle) == other


def test_ending_what_is_not_there_is_no_failure(store: SessionStore) -> None:
    held = begun(store)
    store.end("unknown")
    store.end(held.session.id)
    store.end(held.session.id)
    assert store.load(held.handle) is None


class Recording(MemoryBackend):
    """A memory that notes for how long entries are to live."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[int] = []

    def set(self, key: str, value: bytes, seconds: int) -> None:
        if key.startswith("session:"):
            self.seconds.append(seconds)
        super().set(key, value, seconds)

    def replace(self, key: str, tag: bytes, value: bytes, seconds: int) -> bool:
        self.seconds.append(seconds)
        return super().replace(key, tag, value, seconds)


def test_entries_live_as_long_as_they_are_needed(clock: Clock) -> None:
    backend = Recording()
    store = store_on(backend, clock)
    held = begun(store)
    clock.now += 3500
    store.replace(replace(held, session=held.session.touched(NOW + 3500)))
    assert backend.seconds == [LIFETIMES.idle, 100]


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        pytest.param(everyone_name, True, id="everyone"),
        pytest.param(lambda realm: subject_name(realm, "https://op.example", "u1"), True, id="the user"),
        pytest.param(lambda realm: sidless_name(realm, "https://op.example", "u1"), True, id="the user, without sid"),
        pytest.param(lambda realm: subject_name(realm, "https://op.example", "u2"), False, id="another user"),
        pytest.param(lambda realm: subject_name(realm, "https://other.example", "u1"), False, id="of another provider"),
        pytest.param(lambda realm: sid_name(realm, "https://op.example", "u1"), False, id="another login"),
        pytest.param(lambda _: everyone_name("another realm"), False, id="everyone elsewhere"),
    ],
)
def test_a_mark_ends_what_it_is_about(
    store: SessionStore, backend: MemoryBackend, name: Callable[[str], str], ends: bool
) -> None:
    held = begun(store)
    store.mark(name(store.realm))
    assert (store.load(held.handle) is None) is ends
    assert (backend.get(entry(held)) is None) is ends
    assert (store.replace(held) is None) is ends
    later = begun_after(store)
    assert store.load(later.handle) == later


def test_the_same_mark_again_ends_nothing_that_began_in_between(store: SessionStore) -> None:
    name = everyone_name(store.realm)
    store.mark(name, "value")
    held = begun_after(store)
    store.mark(name, "value")
    assert store.load(held.handle) == held
    store.mark(name, "another")
    assert store.load(held.handle) is None


def test_a_login_that_was_under_way_when_its_user_was_signed_out_comes_to_nothing(
    store: SessionStore, backend: MemoryBackend, clock: Clock
) -> None:
    clock.now += 1
    store.mark(subject_name(store.realm, "https://op.example", "u1"))
    with pytest.raises(GatewayError) as error:
        store.create(session, began_at=NOW)
    assert error.value.code == "session_revoked"
    assert list(backend.scan("session:")) == []


class Counting(MemoryBackend):
    """Counts the questions about many, and refuses a key that is asked for twice at once, as DynamoDB does."""

    def __init__(self) -> None:
        super().__init__()
        self.questions = 0

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        assert len(set(keys)) == len(keys)
        self.questions += 1
        return super().get_many(keys)


def test_many_are_loaded_by_two_questions_each_as_it_would_be_alone(clock: Clock) -> None:
    backend = Counting()
    store = store_on(backend, clock)
    living, other, ended, marked = (begun(store) for _ in range(4))
    store.end(ended.session.id)
    backend.set(f"session:{marked.session.id}", at_rest(backend, living), 600)
    handles = [living.handle, other.handle, ended.handle, marked.handle, secrets.token_bytes(HANDLE_BYTES), b""]
    alone = {handle: store.load(handle) for handle in handles}
    backend.questions = 0
    together = store.load_many(handles)
    assert together == alone
    assert [found is not None for found in together.values()] == [True, True, False, False, False, False]
    assert backend.questions == 2
    clock.now += 1
    store.mark(everyone_name(store.realm))
    assert set(store.load_many(handles).values()) == {None}


def test_only_what_was_read_is_written_over(store: SessionStore) -> None:
    held = begun(store)
    newer = store.replace(replace(held, session=held.session.touched(NOW + 60)))
    assert newer is not None
    assert store.replace(replace(held, session=replace(held.session, access_token="stale"))) is None
    assert store.load(held.handle) == newer


class TestLocalCache:
    def test_a_copy_is_trusted_for_its_seconds(self, backend: MemoryBackend, clock: Clock) -> None:
        one, other = (store_on(backend, clock, local_cache=2) for _ in range(2))
        held = begun(one)
        assert other.recall(held.handle) == held
        one.end(held.session.id)
        assert one.recall(held.handle) is None
        assert other.recall(held.handle) == held
        assert other.load(held.handle) is None
        assert other.recall(held.handle) is None

    def test_a_mark_is_seen_elsewhere_when_the_copy_is_too_old(self, backend: MemoryBackend, clock: Clock) -> None:
        one, other = (store_on(backend, clock, local_cache=2) for _ in range(2))
        held = begun(one)
        assert other.recall(held.handle) == held
        one.mark(everyone_name(one.realm))
        assert (one.recall(held.handle), other.recall(held.handle)) == (None, held)
        clock.now += 2
        assert other.recall(held.handle) is None

    def test_a_copy_ends_with_its_session(self, backend: MemoryBackend, clock: Clock) -> None:
        one = store_on(backend, clock, local_cache=10_000)
        held = begun(one)
        clock.now += LIFETIMES.idle
        assert one.recall(held.handle) is None

    def test_without_it_every_look_is_at_the_store(self, backend: MemoryBackend, clock: Clock) -> None:
        one, other = (store_on(backend, clock) for _ in range(2))
        held = begun(one)
        assert other.recall(held.handle) == held
        one.end(held.session.id)
        assert other.recall(held.handle) is None


def test_a_value_is_claimed_once(store: SessionStore) -> None:
    assert [store.claim("state-1", 60), store.claim("state-1", 60), store.claim("state-2", 60)] == [True, False, True]


def test_a_session_is_locked_once(store: SessionStore) -> None:
    with store.lock("s1"):
        with pytest.raises(LockBusy), store.lock("s1"):
            raise AssertionError("the lock was held")
        with store.lock("s2"):
            assert store.load(b"x" * HANDLE_BYTES) is None


class Down(MemoryBackend):
    """A memory that forgets what is written."""

    def get(self, key: str) -> bytes | None:
        return super().get(f"forgotten {key}")


def test_a_store_that_does_not_return_what_was_written_is_down(clock: Clock) -> None:
    with pytest.raises(StoreUnavailable) as error:
        store_on(Down(), clock).check()
    assert error.value.code == "store_down"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param("memory", MemoryBackend, id="memory"),
        pytest.param("file", FileBackend, id="file"),
        pytest.param("redis", RedisBackend, id="redis"),
    ],
)
def test_the_configured_backend_is_made(kind: str, expected: type, tmp_path: object) -> None:
    settings = StoreSettings(type=kind, path=f"{tmp_path}/sessions", url="redis://127.0.0.1:1/0", prefix="p:")
    assert isinstance(make_backend(settings), expected)
