"""Tokens that were renewed while the store was away: they are written as soon as it is back, under their lock."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Final

from harness import ISSUER, ORIGIN, error_code, held_session, is_signed_in, run_site
from lane_face import run_lane

from gateway import gunicorn_conf
from gateway.backends.memory import MemoryBackend
from gateway.background import Background
from gateway.errors import STORE_DOWN, GatewayError, StoreUnavailable
from gateway.testing import Browser, Faults
from gateway.unsaved import MAX_ATTEMPTS, MAX_WRITES, RETRY_SECONDS, Unsaved

REFRESH: Final = "token.refresh_token"
SECONDS: Final = 10.0


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and not condition():
        time.sleep(0.01)
    return condition()


def down() -> object:
    raise StoreUnavailable(STORE_DOWN)


def locks(released: list[str], name: str) -> ExitStack:
    stack = ExitStack()
    stack.callback(released.append, name)
    return stack


class Still(Background):
    """Leaves the steps to the test."""

    def wake(self, after: float = 0.0) -> None:
        """Do nothing."""


def test_a_write_is_made_up_for_and_its_lock_let_go_afterwards() -> None:
    done, state = list[str](), {"down": True}

    def write() -> None:
        if state["down"]:
            down()
        done.append("written")

    unsaved = Unsaved(Still)
    unsaved.write_later(write, locks(done, "released"))
    assert (unsaved.step(), done, unsaved.left) == (RETRY_SECONDS, [], 1)
    state["down"] = False
    assert (unsaved.step(), done, unsaved.left) == (None, ["written", "released"], 0)
    assert (unsaved.step(), done) == (None, ["written", "released"])


def test_a_store_that_stays_away_is_given_up_in_the_end() -> None:
    released = list[str]()
    unsaved = Unsaved(Still)
    unsaved.write_later(down, locks(released, "released"))
    for _ in range(MAX_ATTEMPTS):
        pause = unsaved.step()
    assert (pause, released) == (None, ["released"])


def test_another_failure_keeps_nobody_waiting() -> None:
    done = list[str]()

    def refused() -> object:
        raise GatewayError(STORE_DOWN)

    unsaved = Unsaved(Still)
    unsaved.write_later(refused, locks(done, "first"))
    unsaved.write_later(lambda: done.append("written"), locks(done, "second"))
    assert (unsaved.step(), done) == (None, ["first", "written", "second"])


def test_there_is_room_for_so_many() -> None:
    released = list[str]()
    unsaved = Unsaved(Still)
    for number in range(MAX_WRITES + 1):
        unsaved.write_later(down, locks(released, str(number)))
    assert released == [str(MAX_WRITES)]


class Failing(MemoryBackend):
    """A memory that cannot be written while it is `down`."""

    down = False

    def replace(self, key: str, tag: bytes, value: bytes, seconds: int) -> bool:
        if self.down:
            raise StoreUnavailable(STORE_DOWN)
        return super().replace(key, tag, value, seconds)


def test_a_refresh_token_that_was_used_up_during_an_outage_of_the_store_is_not_lost() -> None:
    backend = Failing()
    with run_site({"routes": [{"path": "/**", "token": "access_token"}]}, backend=backend) as site:
        site.sign_in()
        first = held_session(site)
        site.clock.advance(301)
        backend.down = True

        assert site.browser.fetch(f"{ORIGIN}/data").status == 200
        sent = site.received[-1].headers["authorization"]
        assert sent != f"Bearer {first.access_token}"
        assert held_session(site) == first

        backend.down = False
        assert eventually(lambda: held_session(site).access_token != first.access_token)
        assert sent == f"Bearer {held_session(site).access_token}"
        assert eventually(lambda: not any(thread.name == "gateway-unsaved" for thread in threading.enumerate()))
        assert is_signed_in(site.browser)
        assert site.provider.calls[REFRESH] == 1


def test_nobody_else_uses_the_old_refresh_token_meanwhile() -> None:
    backend = Failing()
    with run_site(backend=backend, sleep=lambda _: None) as site:
        site.sign_in()
        site.clock.advance(301)
        backend.down = True
        assert site.browser.fetch(f"{ORIGIN}/data").status == 200

        page = site.browser.fetch(f"{ORIGIN}/data")
        assert (page.status, error_code(page)) == (503, "session_busy")
        assert site.provider.calls[REFRESH] == 1
        backend.down = False
        assert eventually(lambda: site.browser.fetch(f"{ORIGIN}/data").status == 200)
        assert site.provider.calls[REFRESH] == 1


def test_a_sign_out_meanwhile_stays_one() -> None:
    backend = Failing()
    with run_site(backend=backend) as site:
        site.sign_in()
        issued: list[dict[str, object]] = []

        def note(status: int, members: dict[str, object]) -> tuple[int, dict[str, object]]:
            issued.append(members)
            return status, members

        site.provider.faults = Faults(token_response=note)
        site.clock.advance(301)
        backend.down = True
        assert site.browser.fetch(f"{ORIGIN}/data").status == 200
        site.gateway.store.end(held_session(site).id)
        backend.down = False
        assert eventually(lambda: not site.provider.is_active(str(issued[0]["access_token"])))
        assert not is_signed_in(site.browser)


class FailingAWhile(MemoryBackend):
    """A memory that cannot be written so many times more."""

    failures = 0

    def replace(self, key: str, tag: bytes, value: bytes, seconds: int) -> bool:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable(STORE_DOWN)
        return super().replace(key, tag, value, seconds)


def test_a_worker_with_threads_waits_for_them_too_but_not_for_ever() -> None:
    backend = FailingAWhile()
    with run_site(backend=backend) as site:
        site.sign_in()
        site.clock.advance(301)
        backend.failures = 20
        assert site.browser.fetch(f"{ORIGIN}/data").status == 200
        worker = SimpleNamespace(wsgi=site.gateway, cfg=SimpleNamespace(graceful_timeout=0.0))
        gunicorn_conf.worker_exit(None, worker)
        assert site.gateway.authenticator.unsaved == 1
        worker.cfg.graceful_timeout = 30.0
        gunicorn_conf.worker_exit(None, worker)
        assert (site.gateway.authenticator.unsaved, backend.failures) == (0, 0)


def test_a_worker_that_is_replaced_writes_first_what_no_other_has() -> None:
    backend = FailingAWhile()
    with run_site(backend=backend) as site:
        with run_lane(site.gateway) as face:
            browser = Browser({ORIGIN: face, ISSUER: site.provider}, clock=site.clock)
            assert browser.navigate(f"{ORIGIN}/home").status == 200
            site.clock.advance(301)
            backend.failures = 20
            assert browser.fetch(f"{ORIGIN}/data").status == 200
        assert (site.gateway.authenticator.unsaved, backend.failures) == (0, 0)
        assert site.provider.calls[REFRESH] == 1
