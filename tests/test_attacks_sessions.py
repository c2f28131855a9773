"""Sessions whose store, clock, process or wrapped app misbehaves."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from harness import ISSUER, ORIGIN, SIGN_OUT, held_session, is_signed_in, pending_callback, run_site
from test_store import Clock, begun, entry, store_on
from test_unsaved import Still, down, eventually, locks

import gateway.backends.file as file_module
from gateway.backends.base import TAG_BYTES, LockBusy
from gateway.backends.dynamodb import DynamoBackend
from gateway.backends.file import FileBackend
from gateway.backends.memory import MemoryBackend
from gateway.backends.mongodb import MongoBackend
from gateway.errors import STORE_DOWN, StoreUnavailable
from gateway.revocation import everyone_name, sid_name, subject_name
from gateway.single_flight import SingleFlight
from gateway.testing import Faults
from gateway.token_revocation import TokenRevocation, _Waiting
from gateway.unsaved import MAX_ATTEMPTS, Unsaved


class LostAnswer(MemoryBackend):
    """A memory that once does what it is told and says that it failed (or, by `again`, is told a second time)."""

    lose = again = False

    def replace(self, key: str, tag: bytes, value: bytes, seconds: int) -> bool:
        done = super().replace(key, tag, value, seconds)
        if done and self.lose:
            self.lose = False
            raise StoreUnavailable(STORE_DOWN)
        if done and self.again:
            self.again = False
            done = super().replace(key, tag, value, seconds)
        return done


@pytest.mark.parametrize("fault", ["lose", "again"])
def test_tokens_whose_write_was_made_though_its_answer_was_lost_live(fault: str) -> None:
    backend = LostAnswer()
    with run_site({"routes": [{"path": "/**", "token": "access_token"}]}, backend=backend) as site:
        site.sign_in()
        site.clock.advance(301)
        setattr(backend, fault, True)
        assert site.browser.fetch(f"{ORIGIN}/data").status == 200
        assert eventually(lambda: not any(one.name == "gateway-unsaved" for one in threading.enumerate()))
        stored = held_session(site)
        assert site.provider.is_active(stored.access_token)
        assert site.provider.is_active(str(stored.refresh_token))
        site.clock.advance(301)
        assert is_signed_in(site.browser)


class Interrupted(MemoryBackend):
    """A memory that calls `then` once after it has read a session, read marks, or replaced an entry."""

    def __init__(self, when: str) -> None:
        super().__init__()
        self.when = when
        self.then: Callable[[], None] | None = None

    def get(self, key: str) -> bytes | None:
        value = super().get(key)
        self._call("session" if key.startswith("session:") else "")
        return value

    def get_many(self, keys: object) -> list[bytes | None]:
        values = super().get_many(keys)  # type: ignore[arg-type]
        self._call("marks")
        return values

    def replace(self, key: str, tag: bytes, value: bytes, seconds: int) -> bool:
        done = super().replace(key, tag, value, seconds)
        self._call("replaced")
        return done

    def _call(self, when: str) -> None:
        if self.then is not None and when == self.when:
            then, self.then = self.then, None
            then()


@pytest.mark.parametrize(("when", "verb"), [("session", "end"), ("marks", "mark"), ("replaced", "end")])
def test_a_session_that_is_ended_while_it_is_read_here_leaves_no_copy_here(when: str, verb: str) -> None:
    backend = Interrupted(when)
    store = store_on(backend, Clock(), local_cache=2)
    held = begun(store)
    end = (lambda: store.end(held.session.id)) if verb == "end" else lambda: store.mark(everyone_name(store.realm))
    backend.then = end
    _ = store.replace(held) if when == "replaced" else store.load(held.handle)
    assert store.recall(held.handle) is None


def test_a_copy_is_as_old_as_what_was_read() -> None:
    backend, clock = Interrupted("session"), Clock()
    one, other = (store_on(backend, clock, local_cache=2) for _ in range(2))
    held = begun(one)

    def end_elsewhere_and_take_long() -> None:
        other.end(held.session.id)
        clock.now += 6

    backend.then = end_elsewhere_and_take_long
    one.load(held.handle)
    clock.now += 1
    assert one.recall(held.handle) is None


def test_a_part_of_the_store_that_stays_away_holds_up_no_other() -> None:
    done = list[str]()
    unsaved = Unsaved(Still)
    unsaved.write_later(down, locks(done, "first"))
    unsaved.write_later(lambda: done.append("written"), locks(done, "second"))
    unsaved.step()
    assert done == ["written", "second"]


def test_the_attempts_of_one_write_are_not_those_of_the_next() -> None:
    released = list[str]()
    unsaved = Unsaved(Still)
    unsaved.write_later(down, locks(released, "old"))
    for _ in range(MAX_ATTEMPTS - 1):
        unsaved.step()
    unsaved.write_later(down, locks(released, "new"))
    unsaved.step()
    assert released == ["old"]


def test_an_error_that_nobody_foresaw_keeps_no_other_write_waiting() -> None:
    done = list[str]()
    unsaved = Unsaved(Still)
    unsaved.write_later(lambda: int("abc"), locks(done, "first"))
    unsaved.write_later(lambda: done.append("written"), locks(done, "second"))
    with suppress(ValueError):  # Background logs it and goes on, for ever.
        unsaved.step()
    assert "written" in done


def test_a_child_that_was_forked_meanwhile_keeps_nobody_out(tmp_path: Path) -> None:
    backend = FileBackend(str(tmp_path))
    backend.set("k", b"o" * TAG_BYTES, 60)
    with backend._changing(file_module._name("k")):
        child = os.fork()  # As multiprocessing does in another thread.
        if child == 0:
            time.sleep(10)
            os._exit(0)
    deleting = threading.Thread(target=backend.delete, args=["k"], daemon=True)
    deleting.start()
    deleting.join(2)
    stuck = deleting.is_alive()
    os.kill(child, 9)
    os.waitpid(child, 0)
    deleting.join(2)
    assert not stuck


@pytest.mark.parametrize("kind", ["sid", "sub"])
def test_a_sign_out_between_the_providers_answer_and_the_callback_is_one(kind: str) -> None:
    with run_site() as site:
        site.sign_in()
        session, realm = held_session(site), site.gateway.store.realm
        site.gateway.store.end(session.id)
        callback = pending_callback(site.browser)
        site.clock.advance(1)
        by_sid = sid_name(realm, ISSUER, str(session.claims["sid"]))
        site.gateway.store.mark(by_sid if kind == "sid" else subject_name(realm, ISSUER, session.subject))
        site.clock.advance(1)
        site.browser.navigate(callback, follow=False)
        assert not is_signed_in(site.browser)


def test_an_app_that_changes_the_claims_changes_nobodys_session() -> None:
    seen: list[list[str]] = []

    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        groups = environ["gateway.session"].claims["groups"]
        seen.append(list(groups))
        groups.append("admin")
        start_response("200 OK", [])
        return [b""]

    with run_site({"session": {"local_cache": 60}}, app=app) as site:
        site.browser.navigate(f"{ORIGIN}/home")
        site.browser.fetch(f"{ORIGIN}/data")
        assert seen == [["staff", "ops"], ["staff", "ops"]]


class Throttled:
    """A client that never gets round to what it is asked."""

    asked = 0

    def batch_get_item(self, RequestItems: object) -> dict[str, object]:  # noqa: N803
        self.asked += 1
        assert self.asked < 100, "it is asked again and again without a pause"
        return {"Responses": {}, "UnprocessedKeys": RequestItems}


def test_a_table_that_is_throttled_is_a_failure_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    backend = DynamoBackend("t", "p:", region="eu-west-1", endpoint_url="http://127.0.0.1:1")
    backend._connected = Throttled()
    with pytest.raises(StoreUnavailable):
        backend.get_many(["a"])


@pytest.mark.slow
def test_a_mongodb_that_is_down_is_waited_for_by_all_at_one_time() -> None:
    backend, waits = MongoBackend("mongodb://127.0.0.1:1/x", "p:"), list[float]()

    def ask() -> None:
        begun_at = time.monotonic()
        with pytest.raises(StoreUnavailable):
            backend.get("k")
        waits.append(time.monotonic() - begun_at)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    backend.close()
    assert max(waits) < 5


class LostDelete(MemoryBackend):
    """A memory that once deletes and says that it failed, or fails altogether."""

    lose = down = False

    def delete(self, key: str) -> None:
        if self.down:
            raise StoreUnavailable(STORE_DOWN)
        super().delete(key)
        if self.lose:
            self.lose = False
            raise StoreUnavailable(STORE_DOWN)


def test_a_sign_out_that_is_repeated_after_a_lost_answer_leaves_no_token_alive() -> None:
    backend = LostDelete()
    with run_site(backend=backend) as site:
        site.sign_in()
        session = held_session(site)
        backend.lose = True
        assert site.browser.navigate(SIGN_OUT).status == 503
        assert site.browser.navigate(SIGN_OUT).status == 200
        assert not site.provider.is_active(str(session.refresh_token))


def test_a_login_that_cannot_end_the_earlier_session_leaves_no_token_alive() -> None:
    backend, issued = LostDelete(), list[dict[str, object]]()

    def note(status: int, members: dict[str, object]) -> tuple[int, dict[str, object]]:
        issued.append(members)
        return status, members

    with run_site(backend=backend) as site:
        site.sign_in()
        site.provider.faults = Faults(token_response=note)
        backend.down = True
        assert site.browser.navigate(f"{ORIGIN}/oauth2/start?rd=/home").status == 503
        assert not site.provider.is_active(str(issued[0]["refresh_token"]))


def test_a_clock_that_was_set_back_does_not_keep_the_provider_away() -> None:
    with run_site() as site:
        site.clock.advance(3600)
        site.provider.faults = Faults(down=True)
        assert site.browser.navigate(f"{ORIGIN}/home").status == 503
        site.provider.faults = Faults()
        site.clock.advance(-3600 + 60)
        assert site.browser.navigate(f"{ORIGIN}/home").status == 200


def test_a_mark_that_is_set_while_its_predecessor_is_swept_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, read = FileBackend(str(tmp_path)), file_module._ends_at
    backend._sweep_at = time.monotonic() + 1000
    backend.set("mark:u1", b"old", -1000)

    def then_another_sets_it(content: bytes) -> int | None:
        monkeypatch.setattr(file_module, "_ends_at", read)
        backend.set("mark:u1", b"new", 60)
        return read(content)

    monkeypatch.setattr(file_module, "_ends_at", then_another_sets_it)
    backend.sweep()
    assert backend.get("mark:u1") == b"new"


def test_the_lock_of_the_living_is_not_swept(tmp_path: Path) -> None:
    backend = FileBackend(str(tmp_path))
    with backend.lock("k"):
        (path,) = (tmp_path / "locks").iterdir()
        os.utime(path, (0, time.time() - 7200))  # Or the clock was set forward.
        backend.sweep()
        with pytest.raises(LockBusy), backend.lock("k"):
            raise AssertionError("the lock was held")


@pytest.mark.parametrize("size", range(4))
def test_a_mark_that_was_cut_short_stands(tmp_path: Path, size: int) -> None:
    backend = FileBackend(str(tmp_path))
    backend.set("mark:u1", b'["v", 1]', 60)
    (path,) = (tmp_path / "entries").glob("mark-*")
    path.write_bytes(path.read_bytes()[:size])
    assert backend.get("mark:u1") is not None


def test_the_notes_of_realms_are_apart() -> None:
    backend = MemoryBackend()
    one, other = (store_on(backend, Clock(), realm=f"https://{name}.example") for name in ("one", "two"))
    one.note("logout token https://op.example 1", 60)
    assert not other.was_noted("logout token https://op.example 1")


def test_one_token_that_cannot_be_revoked_keeps_no_other_waiting() -> None:
    asked = list[str]()

    class Odd:
        def revoke(self, token: str, _: str) -> None:
            asked.append(token)
            if token == "bad":
                raise ValueError(token)

    revocation = TokenRevocation({"p": Odd()}, Still)  # type: ignore[dict-item]
    revocation._waiting.extend(_Waiting(provider="p", token=token, hint="") for token in ("good", "bad", "later"))
    for _ in range(3):
        with suppress(ValueError):
            revocation.step()
    assert (asked.count("good"), asked.count("later")) == (1, 1)


def test_who_waits_does_not_end_with_the_thread_that_leads() -> None:
    flights: SingleFlight[int] = SingleFlight()
    begun_it, go_on, raised = threading.Event(), threading.Event(), list[str]()

    def end() -> int:
        begun_it.set()
        go_on.wait(5)
        raise SystemExit

    def run(name: str) -> None:
        try:
            flights.run("k", end, patience=5)
        except BaseException as error:  # noqa: BLE001
            raised.append(f"{name} {type(error).__name__}")

    leading, waiting = (threading.Thread(target=run, args=[name]) for name in ("leads", "waits"))
    leading.start()
    assert begun_it.wait(5)
    waiting.start()
    time.sleep(0.1)
    go_on.set()
    leading.join(5)
    waiting.join(5)
    assert "waits SystemExit" not in raised


def test_a_mark_with_an_endless_number_stands() -> None:
    backend = MemoryBackend()
    store = store_on(backend, Clock())
    held = begun(store)
    assert backend.get(entry(held))
    backend.set("mark:" + everyone_name(store.realm), b'["v", 1' + b"0" * 400 + b"]", 60)
    assert store.load(held.handle) is None
