"""Servers that run, with what is behind and beside them, and the user who is signed in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.browser import Browser
from bench.peers import backend, provider, redis
from bench.peers.peer import Peer, Place, origin_at
from bench.processes import LOAD_CORE, SERVER_CORE, free_port, run

DIRECT: Final = "direct"
"""The backend itself, asked by the load generator without a server between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What runs beside the servers: origins of backend and provider, the backend's process, Redis's port."""

    directory: Path
    backend: str
    backend_pid: int
    issuer: str
    redis: int

    def place(self, name: str) -> Place:
        """Make a place for a server."""
        directory = self.directory / name
        directory.mkdir()
        address = self.backend.removeprefix("http://")
        return Place(directory=directory, port=free_port(), backend=address, issuer=self.issuer, redis=self.redis)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A server that runs; `peer` is None for the backend itself."""

    name: str
    peer: Peer | None
    origin: str
    pid: int
    cookie: str = field(repr=False)

    @property
    def signs_in(self) -> bool:
        """Whether nobody passes without a login."""
        return self.peer is not None and self.peer.signs_in


@contextmanager
def run_surroundings(directory: Path) -> Iterator[Surroundings]:
    """Run backend, provider and Redis on the load generator's core until the end of the block."""
    ports = [free_port() for _ in range(3)]
    directories = [directory / name for name in ("backend", "provider", "redis")]
    for one in directories:
        one.mkdir()
    commands = [
        backend.launch(directories[0], ports[0]),
        provider.launch(ports[1]),
        redis.launch(directories[2], ports[2]),
    ]
    with ExitStack() as stack:
        pids = [
            stack.enter_context(run(where.name, command, directory=where, port=port, core=LOAD_CORE))
            for where, command, port in zip(directories, commands, ports, strict=True)
        ]
        yield Surroundings(
            directory=directory,
            backend=origin_at(ports[0]),
            backend_pid=pids[0],
            issuer=origin_at(ports[1]),
            redis=ports[2],
        )


@contextmanager
def run_sites(peers: Sequence[Peer], around: Surroundings) -> Iterator[list[Site]]:
    """Run servers on the other core until the end of the block, with a user signed in at each."""
    with ExitStack() as stack:
        sites = [stack.enter_context(run_site(peer, around)) for peer in peers]
        direct = Site(name=DIRECT, peer=None, origin=around.backend, pid=around.backend_pid, cookie="")
        yield [direct, *sites]


@contextmanager
def run_site(peer: Peer, around: Surroundings) -> Iterator[Site]:
    """Run one server."""
    place = around.place(peer.name)
    command = peer.launch(place)
    with run(peer.name, command, directory=place.directory, port=place.port, core=SERVER_CORE) as pid:
        cookie = ""
        if peer.signs_in:
            browser = Browser(around.issuer)
            browser.sign_in(f"{place.origin}/token")
            cookie = browser.cookies(place.origin)
        yield Site(name=peer.name, peer=peer, origin=place.origin, pid=pid, cookie=cookie)
