"""Sessions: how long they live, what happens while the store is down, and what lies in it."""

import hashlib
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness import (
    ALICE,
    EVERYWHERE,
    ORIGIN,
    SECRET,
    SESSION,
    SESSION_COOKIE,
    Site,
    error_code,
    held_session,
    is_signed_in,
    logged_codes,
    run_site,
    set_cookie_names,
    unready,
)
from peers.servers import free_port, run_redis

from gateway.backends.base import Backend
from gateway.backends.choice import make_backend
from gateway.cookies import session_handles
from gateway.envelope import unpack
from gateway.sealing import KeyRing, unseal
from gateway.store import session_id

IDLE = 1800
LIFETIME = 43200


@EVERYWHERE
def test_an_unused_session_ends_after_half_an_hour(site: Site) -> None:
    site.sign_in()
    site.clock.advance(IDLE - 1)
    assert is_signed_in(site.browser)

    site.clock.advance(IDLE)
    assert not is_signed_in(site.browser)


@EVERYWHERE
def test_a_session_ends_after_twelve_hours_however_busy(site: Site) -> None:
    site.sign_in()
    for _ in range(LIFETIME // 1700):
        site.clock.advance(1700)
        assert is_signed_in(site.browser)

    site.clock.advance(LIFETIME % 1700)
    assert not is_signed_in(site.browser)


def test_an_ended_session_leads_a_navigation_to_a_new_login(site: Site) -> None:
    site.sign_in()
    handle = site.browser.cookies.of(ORIGIN)[SESSION_COOKIE]
    site.clock.advance(IDLE)

    assert site.browser.navigate(f"{ORIGIN}/home").status == 200
    assert site.browser.cookies.of(ORIGIN)[SESSION_COOKIE] != handle


def test_asking_how_a_session_stands_does_not_keep_it_alive(site: Site) -> None:
    site.sign_in()
    for _ in range(3):
        site.clock.advance(IDLE // 3)
        answer = site.browser.fetch(SESSION).json()

    assert answer == {"authenticated": False}


def test_use_is_written_down_once_a_minute(site: Site) -> None:
    site.provider.access_token_lifetime = 10_000
    site.sign_in()

    def expires_in() -> int:
        assert is_signed_in(site.browser)
        return int(site.browser.fetch(SESSION).json()["expires_in"])

    site.clock.advance(59)
    assert expires_in() == IDLE - 59
    site.clock.advance(1)
    assert expires_in() == IDLE


def test_a_short_idle_time_is_written_down_oftener() -> None:
    with run_site({"session": {"idle_timeout": 60}}) as site:
        site.sign_in()
        for _ in range(4):
            site.clock.advance(45)
            assert is_signed_in(site.browser)


def turn_into_a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("not a directory")


@pytest.mark.parametrize(
    "break_it",
    [
        pytest.param(shutil.rmtree, id="directory-removed"),
        pytest.param(lambda path: shutil.rmtree(path / "entries"), id="entries-removed"),
        pytest.param(turn_into_a_file, id="directory-turned-into-a-file"),
    ],
)
def test_a_broken_directory_is_503_and_deletes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, break_it: Callable[[Path], None]
) -> None:
    path, aside = tmp_path / "sessions", tmp_path / "aside"
    with run_site(store={"type": "file", "path": str(path)}) as site:
        site.sign_in()
        shutil.copytree(path, aside)
        break_it(path)
        assert_unavailable(site, caplog)

        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
        shutil.copytree(aside, path)
        assert is_signed_in(site.browser)


@pytest.mark.real("redis")
def test_redis_down_is_503_and_works_again_afterwards(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    store = {"type": "redis", "url": f"redis://127.0.0.1:{port}/0"}
    with ExitStack() as redis, ExitStack() as rest:
        redis.enter_context(run_redis(tmp_path, port))
        site = rest.enter_context(run_site(store=store))
        site.sign_in()
        redis.close()
        assert_unavailable(site, caplog)

        redis.enter_context(run_redis(tmp_path, port))
        assert not is_signed_in(site.browser)  # This server persists nothing.
        assert site.browser.navigate(f"{ORIGIN}/home").status == 200
        assert is_signed_in(site.browser)


def assert_unavailable(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """See that everything that needs a session is 503, and that neither cookies nor the app are touched."""
    cookies, reached = site.browser.cookies.of(ORIGIN), len(site.received)
    logged_codes(caplog)
    for path in ("/home", "/oauth2/userinfo", "/oauth2/session", "/oauth2/sign_out"):
        page = site.browser.navigate(ORIGIN + path, follow=False)
        assert (page.status, error_code(page), set_cookie_names(page)) == (503, "store_down", []), path
        assert int(page.headers["Retry-After"]) > 0
        assert logged_codes(caplog) == ["store_down"]
    ready = site.browser.fetch(f"{ORIGIN}/ready")
    assert (ready.status, unready(ready)) == (503, {"store": "store_down"})
    assert site.browser.fetch(f"{ORIGIN}/ping").status == 200
    assert (site.browser.cookies.of(ORIGIN), len(site.received)) == (cookies, reached)


def test_nothing_in_the_store_can_be_read(tmp_path: Path) -> None:
    with run_site(store={"type": "file", "path": str(tmp_path / "sessions")}) as site:
        site.sign_in()
        backend = make_backend(site.gateway.settings.store)
        handle = _handle(site)
        session = held_session(site)
        assert session.refresh_token is not None
        assert session.id_token is not None

    secrets = [
        *(session.access_token, session.refresh_token, session.id_token, session.subject),
        *(str(ALICE["email"]), str(ALICE["name"]), site.browser.cookies.of(ORIGIN)[SESSION_COOKIE], SECRET),
    ]
    stored = [(path.name, path.read_bytes()) for path in (tmp_path / "sessions").rglob("*") if path.is_file()]
    assert stored
    for name, content in stored:
        assert handle not in content
        assert not any(secret in name or secret.encode() in content for secret in secrets)
    assert backend.get(f"session:{session.id}") is not None


def test_a_stolen_store_and_secret_open_nothing_without_the_cookie(tmp_path: Path) -> None:
    with run_site(store={"type": "file", "path": str(tmp_path / "sessions")}) as site:
        site.sign_in()
        handle, ring = _handle(site), KeyRing.of([SECRET])
        entry = make_backend(site.gateway.settings.store).get(f"session:{session_id(handle)}")
        purpose = f"session {hashlib.sha256(ORIGIN.encode()).hexdigest()}"

    envelope = unpack(entry or b"")
    assert envelope is not None
    sealed = envelope.sealed
    assert unseal(ring, purpose, sealed, binding=handle) is not None
    assert unseal(ring, purpose, sealed) is None
    assert unseal(ring, purpose, sealed, binding=session_id(handle).encode()) is None
    assert unseal(KeyRing.of(["x" * 32]), purpose, sealed, binding=handle) is None
    assert unseal(ring, "session", sealed, binding=handle) is None


PICKLE = b"cbuiltins\nprint\n(Vunpickled\ntR."


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x01", id="version-alone"),
        pytest.param(PICKLE, id="pickle"),
        pytest.param(b"!" + PICKLE, id="pickle-as-redis-caches-mark-it"),
        pytest.param(b'{"format":1}', id="plain-json"),
        pytest.param(b"\x00" * 4096, id="zeros"),
    ],
)
@EVERYWHERE
def test_an_entry_that_we_did_not_seal_is_no_session(
    site: Site, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    site.sign_in()
    _backend(site).set(f"session:{session_id(_handle(site))}", content, 60)

    assert not is_signed_in(site.browser)
    assert capsys.readouterr().out == ""


def test_an_entry_that_was_moved_to_another_name_is_no_session(site: Site) -> None:
    site.sign_in()
    backend, victim = _backend(site), _handle(site)
    entry = backend.get(f"session:{session_id(victim)}")
    assert entry is not None
    own = b"o" * 32
    backend.set(f"session:{session_id(own)}", entry, 60)

    assert site.gateway.store.load(own) is None
    assert site.gateway.store.load(victim) is not None


def _handle(site: Site) -> bytes:
    return session_handles(
        site.gateway.settings.cookies, f"{SESSION_COOKIE}={site.browser.cookies.of(ORIGIN)[SESSION_COOKIE]}"
    )[0]


def _backend(site: Site) -> Backend:
    return site.gateway.store._backend
