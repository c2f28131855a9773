"""Every place where sessions are kept, empty for each test, and other processes that share it."""

import multiprocessing
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest

from gateway.backends.base import Backend, LockBusy
from gateway.backends.choice import make_backend
from gateway.backends.lease import Leased
from gateway.config_sections import StoreSettings

from . import store_servers
from .servers import find_missing_redis, run_redis

ANSWER_SECONDS: Final = 20.0
BOUND_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.05
MISSING: Final[Mapping[str, Callable[[], str | None]]] = MappingProxyType(
    {
        "redis": find_missing_redis,
        "valkey": store_servers.find_missing_valkey,
        "memcached": store_servers.find_missing_memcached,
        "mongodb": store_servers.find_missing_mongodb,
        "dynamodb": store_servers.find_missing_dynamodb,
    }
)
"""The peers that stores need, and what tells how to install each."""

CLAIMED: Final = 50
"""How many keys each process tries to claim."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A way to keep sessions: its `type`, what runs its server, and the peer that this needs."""

    type: str
    run: Callable[[Path], AbstractContextManager[str]] | None = None
    peer: str = ""
    lease_seconds: int = 1

    def find_missing(self) -> str | None:
        """Return what is missing to run its server, or None."""
        return MISSING[self.peer]() if self.peer else None

    @property
    def leased(self) -> bool:
        """Whether a lock ends by itself; one on a file is as long as its holder's process."""
        return self.run is not None


# Memcached counts whole seconds, of which the first may just end.
KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "memory": Kind(type="memory"),
        "file": Kind(type="file"),
        "redis": Kind(type="redis", run=run_redis, peer="redis"),
        "redis-tls": Kind(type="redis", run=store_servers.run_redis_over_tls, peer="redis"),
        "redis-user": Kind(type="redis", run=store_servers.run_redis_with_user, peer="redis"),
        "redis-sentinel": Kind(type="redis", run=store_servers.run_redis_behind_sentinels, peer="redis"),
        "redis-cluster": Kind(type="redis", run=store_servers.run_redis_cluster, peer="redis"),
        "valkey": Kind(type="valkey", run=store_servers.run_valkey, peer="valkey"),
        "memcached": Kind(type="memcached", run=store_servers.run_two_memcached, peer="memcached", lease_seconds=2),
        "mongodb": Kind(type="mongodb", run=store_servers.run_mongodb, peer="mongodb"),
        "dynamodb": Kind(type="dynamodb", run=store_servers.run_dynamodb, peer="dynamodb"),
    }
)


def _param(name: str) -> Any:
    peer = KINDS[name].peer
    return pytest.param(name, id=name, marks=[pytest.mark.real(peer)] if peer else [])


ALL: Final = [_param(name) for name in KINDS]
SHARED: Final = [_param(name) for name in KINDS if name != "memory"]


@pytest.fixture(scope="session")
def store_urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Run the servers that are asked for until the end of the tests, and name them."""
    with ExitStack() as running, pytest.MonkeyPatch.context() as environment:
        for name, value in store_servers.CREDENTIALS.items():
            environment.setenv(name, value)

        @cache
        def url(name: str) -> str:
            run = KINDS[name].run
            return running.enter_context(run(tmp_path_factory.mktemp(name))) if run else ""

        yield url


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """An empty place of one kind."""

    kind: Kind
    settings: StoreSettings
    directory: Path
    opened: list[Leased] = field(default_factory=list)

    def open(self) -> Backend:
        """Make a backend with a lease that ends soon."""
        backend = make_backend(self.settings, self.kind.lease_seconds)
        if isinstance(backend, Leased):
            self.opened.append(backend)
        return backend

    def close(self) -> None:
        """Let go of the connections of all backends that were made here."""
        for backend in self.opened:
            backend.close()


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, store_urls: Callable[[str], str]) -> Iterator[Place]:
    """Give an empty place of the kind that the test's param names."""
    with closing(make_place(request.param, tmp_path, store_urls)) as made:
        yield made


def make_place(name: str, directory: Path, store_urls: Callable[[str], str]) -> Place:
    """Make an empty place: a directory, or a part of a server under a prefix of its own."""
    settings = StoreSettings(
        type=KINDS[name].type,
        path=str(directory / "sessions"),
        url=store_urls(name),
        prefix=f"test-{secrets.token_hex(4)}:",
    )
    return Place(kind=KINDS[name], settings=settings, directory=directory)


@pytest.fixture
def backend(place: Place) -> Backend:
    """Give a backend at the place."""
    return place.open()


def eventually(condition: Callable[[], bool]) -> bool:
    """Tell whether a condition comes true."""
    deadline = time.monotonic() + BOUND_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(POLL_SECONDS)
    return False


class Payload:
    """A pickle that makes a directory when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


_SPAWN: Final = multiprocessing.get_context("forkserver")
_SPAWN.set_forkserver_preload(
    ["__main__", "peers.store_places", "gateway.backends.mongodb", "gateway.backends.dynamodb"]
)


@dataclass(kw_only=True)
class Neighbour:
    """Another process on the same place, which does what it is told to."""

    place: Place
    _here: Connection = field(init=False)
    _process: Any = field(init=False)

    def __enter__(self) -> "Neighbour":
        self._here, there = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(there, replace(self.place, opened=[])), daemon=True)
        self._process.start()
        there.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join(ANSWER_SECONDS)
        self._process.close()
        self._here.close()

    def tell(self, verb: str, *values: object) -> None:
        """Tell it what to do."""
        self._here.send((verb, *values))

    def answer(self) -> object:
        """Return what came of it."""
        assert self._here.poll(ANSWER_SECONDS)
        answer: object = self._here.recv()
        return answer

    def ask(self, verb: str, *values: object) -> object:
        """Tell it what to do, and return what came of it."""
        self.tell(verb, *values)
        return self.answer()

    def count(self) -> int:
        """Return the number that came of it."""
        answer = self.answer()
        assert isinstance(answer, int)
        return answer

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self._process.pid, number)


def _serve(asked: Connection, place: Place) -> None:
    backend = place.open()
    with ExitStack() as held:
        verbs: dict[str, Callable[..., object]] = {
            "claim": lambda: sum(backend.claim(f"k{number}", 60) for number in range(CLAIMED)),
            "lock": lambda key: _lock(backend, held, key),
            "release": held.close,
            "replace": backend.replace,
        }
        while True:
            try:
                verb, *values = asked.recv()
            except EOFError:
                return
            asked.send(verbs[verb](*values))


def _lock(backend: Backend, held: ExitStack, key: str) -> str:
    try:
        held.enter_context(backend.lock(key))
    except LockBusy:
        return "busy"
    return "held"
