"""What the master of gunicorn holds for its workers: a reload that would break something changes nothing."""

import datetime
import json
import logging
import os
import shutil
import signal
import ssl
from collections.abc import Callable, Iterator, Mapping
from copy import copy, deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from gunicorn import sock
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from werkzeug.test import Client

from gateway import Gateway, reloading
from gateway.config_sources import CONFIG_VARIABLE, SECRETS_VARIABLE, ConfigurationError
from gateway.devtls import localhost_certificate
from gateway.reloading import CONFIGURATION_REFUSED, Reloading
from gateway.telemetry import OK, Event, Kind

SECRET: Final = "a secret for sessions and cookies of the tests"
BEFORE: Final = "/before"
AFTER: Final = "/after"


class App(BaseApplication):
    """Gunicorn with its configuration in a file of JSON."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__()

    def load(self) -> Any:
        """Load nothing: workers are given what they serve."""
        return None

    def load_config(self) -> None:
        """Read the file."""
        for name, value in json.loads(self.path.read_text()).items():
            self.cfg.set(name, value)


@dataclass(frozen=True, kw_only=True)
class Master:
    """A master that holds what is in a directory; `reloads` has an entry for each worker that it begins."""

    directory: Path
    arbiter: Any
    reloading: Reloading
    told: list[Event]
    reloads: list[str]

    def new_worker(self) -> Any:
        """Make a new worker, which has a copy of all that the master has."""
        worker = SimpleNamespace(app=copy(self.arbiter.app), cfg=deepcopy(self.arbiter.cfg))
        self.reloading.equip(worker)
        return worker

    def new_gateway(self) -> Gateway:
        """Make the gateway of a new worker."""
        made: Gateway = self.new_worker().app.load()
        return made

    def new_context(self) -> ssl.SSLContext:
        """Make a new worker's rules for TLS towards clients."""
        made: ssl.SSLContext = sock.ssl_context(self.new_worker().cfg)
        return made

    @property
    def route(self) -> str:
        """The only rule of a new worker."""
        (route,) = self.new_gateway().settings.routes
        return route.path


def write_configuration(directory: Path, over: Mapping[str, object], route: str = BEFORE) -> None:
    document = {
        "public_url": "https://app.example",
        "provider": {
            "issuer": "https://op.example",
            "client_id": "a",
            "client_secret": "b",
            "verify_tls": str(directory / "ca.pem"),
        },
        "upstreams": {
            "app": {
                "url": "https://127.0.0.1:9",
                "verify_tls": str(directory / "ca.pem"),
                "client_certificate": str(directory / "localhost.crt"),
                "client_certificate_key": str(directory / "localhost.key"),
            }
        },
        "upstream": "app",
        "session": {"store": {"path": str(directory / "sessions")}},
        "routes": [{"path": route, "access": "deny"}],
        **over,
    }
    (directory / "config.yaml").write_text(json.dumps(document))  # JSON is YAML.


def write_own(directory: Path, **over: object) -> None:
    own = {
        "certfile": str(directory / "server.crt"),
        "keyfile": str(directory / "server.key"),
        "bind": "127.0.0.1:0",
        "workers": 2,
        **over,
    }
    (directory / "gunicorn.json").write_text(json.dumps(own))


def mend(directory: Path, route: str) -> None:
    """Put everything in order, with files that are new."""
    shutil.rmtree(directory, ignore_errors=True)
    files = localhost_certificate(directory, datetime.datetime.now(datetime.UTC))
    for source, name in ((files.certificate, "ca.pem"), (files.certificate, "server.crt"), (files.key, "server.key")):
        shutil.copy(source, directory / name)
    (directory / "secrets").mkdir()
    (directory / "secrets" / "session__secret").write_text(SECRET)
    write_configuration(directory, {}, route)
    write_own(directory)


@pytest.fixture
def master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Master]:
    monkeypatch.setenv("SERVER_SOFTWARE", "gunicorn sets it")
    directory = tmp_path / "here"
    mend(directory, BEFORE)
    own_log = logging.getLogger("gateway")
    handlers, level = list(own_log.handlers), own_log.level
    yield begin(directory)
    own_log.handlers[:] = handlers
    own_log.setLevel(level)


def begin(directory: Path, drain_seconds: float = 0) -> Master:
    arbiter: Any = Arbiter(App(directory / "gunicorn.json"))
    reloads: list[str] = []
    told: list[Event] = []
    arbiter.spawn_worker = lambda: reloads.append("worker")
    environ = {
        CONFIG_VARIABLE: str(directory / "config.yaml"),
        SECRETS_VARIABLE: str(directory / "secrets"),
        "PATH": os.environ["PATH"],
    }
    reloading = Reloading(arbiter, environ, begin_telling=lambda _: told.append, drain_seconds=drain_seconds)
    return Master(directory=directory, arbiter=arbiter, reloading=reloading, told=told, reloads=reloads)


def written(name: str, text: str) -> Callable[[Path], object]:
    return lambda directory: (directory / name).write_text(text)


def gone(name: str) -> Callable[[Path], object]:
    return lambda directory: (directory / name).unlink()


def said(**over: object) -> Callable[[Path], object]:
    return lambda directory: write_configuration(directory, over)


def own(**over: object) -> Callable[[Path], object]:
    return lambda directory: write_own(directory, **over)


def another_key(directory: Path) -> None:
    files = localhost_certificate(directory / "other", datetime.datetime.now(datetime.UTC))
    shutil.copy(files.key, directory / "server.key")


def ending_check(directory: Path) -> None:
    (directory / "ends_all.py").write_text("raise SystemExit(4)")
    write_configuration(directory, {"routes": [{"path": "/x", "require": {"check": "ends_all:check"}}]})


BROKEN: Final = (
    pytest.param(written("config.yaml", "routes: ["), "is not YAML", id="no-yaml"),
    pytest.param(gone("config.yaml"), "cannot be read", id="no-file"),
    pytest.param(said(nonsense=1), "nonsense: is not a key", id="unknown-key"),
    pytest.param(said(upstream=None), "upstream: is missing", id="nothing-behind"),
    pytest.param(gone("secrets/session__secret"), "session.secret: is missing", id="no-secret"),
    pytest.param(written("secrets/session__secret", "shor"), "session.secret", id="half-a-secret"),
    pytest.param(lambda here: shutil.rmtree(here / "secrets"), "GATEWAY_SECRETS_DIR: ", id="no-secrets"),
    pytest.param(
        said(session={"store": {"type": "redis", "url": "redis://host?nonsense=1"}}),
        "session.store.url: redis-py knows no option nonsense",
        id="store-url",
    ),
    pytest.param(said(session={"store": {"path": __file__}}), "session.store: store_down", id="store-directory"),
    pytest.param(
        said(session={"store": {"type": "memory"}}), "session.store.type: memory serves one worker", id="memory"
    ),
    pytest.param(written("ca.pem", "no certificate"), "provider: files for TLS cannot be used", id="provider-ca"),
    pytest.param(
        written("localhost.crt", "no certificate"), "upstreams.app: files for TLS cannot be used", id="certificate"
    ),
    pytest.param(another_key, "certfile, keyfile: ", id="key-of-another-certificate"),
)


@pytest.mark.parametrize(("break_something", "expected"), BROKEN)
def test_a_reload_that_would_break_something_is_refused(
    master: Master, break_something: Callable[[Path], object], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert master.route == BEFORE
    context = master.new_context()
    before = (master.arbiter.app.cfg, Path.cwd())
    break_something(master.directory)
    caplog.clear()

    master.reloading.reload()

    messages = [one.getMessage() for one in caplog.records if one.name == "gateway"]
    assert all(one.startswith("reload refused: ") for one in messages)
    assert any(expected in one for one in messages), messages
    assert SECRET not in caplog.text
    assert [(one.kind, one.outcome) for one in master.told] == [(Kind.CONFIGURATION, CONFIGURATION_REFUSED)]
    assert expected in master.told[0].detail
    assert master.reloads == []
    assert master.route == BEFORE  # Of a worker that is begun after the files were broken, too.
    assert master.new_context() is context
    assert (master.arbiter.app.cfg, Path.cwd()) == before

    mend(master.directory, AFTER)
    master.reloading.reload()

    assert (master.route, master.reloads) == (AFTER, ["worker", "worker"])
    assert [one.outcome for one in master.told] == [CONFIGURATION_REFUSED, OK]
    assert "reload accepted: routes 1, providers 1, upstreams 1;" in caplog.text


AT_THE_START: Final = (
    *BROKEN,
    pytest.param(own(certfile="/nowhere.pem"), "certfile, keyfile: ", id="no-certificate"),
    pytest.param(own(preload_app=True), "preload_app: must not be set", id="preload"),
)


@pytest.mark.parametrize(("break_something", "expected"), AT_THE_START)
def test_the_same_is_said_at_the_start(
    master: Master, break_something: Callable[[Path], object], expected: str
) -> None:
    break_something(master.directory)
    with pytest.raises(ConfigurationError, match=expected):
        begin(master.directory)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(written("gunicorn.json", "{"), id="no-json"),
        pytest.param(own(workers=-1), id="none"),
        pytest.param(own(bind="127.0.0.1:1", threads=0, pidfile="/nowhere/at/all", reuse_port=True), id="others"),
    ],
)
def test_what_gunicorn_itself_was_told_stays(master: Master, change: Callable[[Path], object]) -> None:
    before = master.arbiter.cfg, master.arbiter.app.cfg, master.arbiter.num_workers
    write_configuration(master.directory, {}, AFTER)
    change(master.directory)
    master.reloading.reload()
    assert (master.route, [one.outcome for one in master.told]) == (AFTER, [OK])
    assert (master.arbiter.cfg, master.arbiter.app.cfg, master.arbiter.num_workers) == before


def test_several_problems_have_a_line_each(master: Master, caplog: pytest.LogCaptureFixture) -> None:
    write_configuration(master.directory, {"nonsense": 1, "routes": [{"path": "a"}]})
    master.reloading.reload()
    lines = [one.getMessage() for one in caplog.records if one.getMessage().startswith("reload refused: ")]
    assert [line.split()[2] for line in lines] == ["routes.0.path:", "nonsense:", "the"]


def test_an_error_that_nobody_foresaw_changes_nothing(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(reloading, "prepare", fail)
    master.reloading.reload()
    assert (master.reloads, [one.outcome for one in master.told]) == ([], [CONFIGURATION_REFUSED])
    assert master.route == BEFORE


def test_code_of_a_user_that_would_end_the_master_is_refused(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(master.directory)
    ending_check(master.directory)
    master.reloading.reload()
    assert ([one.outcome for one in master.told], master.route) == ([CONFIGURATION_REFUSED], BEFORE)


def test_workers_of_another_user_could_not_read_what_the_master_makes(master: Master) -> None:
    master.arbiter.cfg.set("user", "65534")
    master.reloading.reload()
    assert "user, group: must be those" in master.told[0].detail


def test_a_worker_that_dies_while_old_ones_end_is_replaced_at_once(master: Master) -> None:
    arbiter, told = with_workers(master, 1, 2)
    master.reloading.reload()
    assert (sorted(arbiter.WORKERS), told) == ([1, 2, 3, 4], [1, 2])
    for gone in (2, 3):
        del arbiter.WORKERS[gone]
    told.clear()
    arbiter.manage_workers()
    assert (sorted(arbiter.WORKERS), told) == ([1, 4, 5], [1])  # Once more, as it may not have heard it.


def test_no_old_worker_ends_before_there_is_another(master: Master, caplog: pytest.LogCaptureFixture) -> None:
    arbiter, told = with_workers(master, 1, 2)
    spawn, room = arbiter.spawn_worker, [True, False, False]

    def spawn_where_there_is_room() -> None:
        if not room.pop(0):
            raise BlockingIOError(11, "no room for another process")
        spawn()

    arbiter.spawn_worker = spawn_where_there_is_room
    master.reloading.reload()
    assert (sorted(arbiter.WORKERS), told) == ([1, 2, 3], [1])
    arbiter.manage_workers()
    assert (sorted(arbiter.WORKERS), told) == ([1, 2, 3], [1, 1])
    assert "a worker could not be begun: BlockingIOError" in caplog.text
    arbiter.spawn_worker = spawn
    arbiter.manage_workers()
    assert (sorted(arbiter.WORKERS), told) == ([1, 2, 3, 4], [1, 1, 1, 2])


def test_fewer_workers_are_fewer_also_while_old_ones_end(master: Master) -> None:
    arbiter, told = with_workers(master, 1, 2)
    master.reloading.reload()
    arbiter.num_workers = 1
    told.clear()
    arbiter.manage_workers()
    assert told == [1, 2, 3]


def test_a_master_without_workers_gets_its_own_again(master: Master) -> None:
    arbiter, _ = with_workers(master, 1, 2)
    arbiter.WORKERS, arbiter.num_workers = {}, 0
    master.reloading.reload()
    assert sorted(arbiter.WORKERS) == [3, 4]


def with_workers(master: Master, *ages: int) -> tuple[Any, list[int]]:
    """Give a master workers whose ages are their process ids, and return whom it tells to end."""
    arbiter, told = master.arbiter, list[int]()
    arbiter.WORKERS = {age: SimpleNamespace(age=age) for age in ages}
    arbiter.worker_age = max(ages)

    def spawn() -> None:
        arbiter.worker_age += 1
        arbiter.WORKERS[arbiter.worker_age] = SimpleNamespace(age=arbiter.worker_age)

    arbiter.spawn_worker, arbiter.kill_worker = spawn, lambda pid, _: told.append(pid)
    return arbiter, told


def test_the_rules_for_tls_towards_clients_change_with_a_reload(master: Master) -> None:
    first = master.new_context()
    mend(master.directory, AFTER)
    master.reloading.reload()
    assert master.new_context() is not first


def test_keys_that_were_replaced_seal_from_then_on_and_the_old_ones_open(master: Master) -> None:
    old = master.new_gateway().settings.ring
    (master.directory / "secrets" / "session__secret").write_text(json.dumps([SECRET[::-1], SECRET]))
    master.reloading.reload()
    new = master.new_gateway().settings.ring
    assert new.secrets[0] not in old.secrets
    assert new.secrets[1:] == old.secrets


@pytest.mark.parametrize(
    ("seconds", "signals"),
    [
        pytest.param(0, [], id="at-once"),
        pytest.param(3600, [signal.SIGCHLD, signal.SIGTERM], id="a-second-signal"),
        pytest.param(3600, [signal.SIGHUP, signal.SIGINT], id="no-reload-any-more"),
    ],
)
def test_the_end_is_told_to_all_workers_before_it_comes(
    master: Master, seconds: float, signals: list[signal.Signals]
) -> None:
    ending = begin(master.directory, drain_seconds=seconds)
    worker = Client(ending.new_gateway())
    for number in signals:
        ending.arbiter.signal(number, None)
    with pytest.raises(StopIteration):
        ending.arbiter.handle_term()
    assert ending.reloads == []
    answer = worker.get("/ready", base_url="https://app.example")
    assert (answer.status_code, answer.json) == (503, {"ready": False, "gateway": {"status": "draining"}})
    assert worker.get("/ping", base_url="https://app.example").status_code == 200


@pytest.mark.parametrize("other", ["reexec_pid", "master_pid"])
def test_where_another_master_goes_on_this_is_no_end(master: Master, other: str) -> None:
    ending = begin(master.directory, drain_seconds=3600)
    setattr(ending.arbiter, other, 1)
    with pytest.raises(StopIteration):
        ending.arbiter.handle_term()
    answer = Client(ending.new_gateway()).get("/ready", base_url="https://app.example")
    assert "gateway" not in (answer.json or {})
