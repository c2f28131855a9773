"""What all servers of the benchmark have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.processes import LOOPBACK, Command

CLIENT_ID: Final = "bench"
CLIENT_SECRET: Final = "a secret that the mock takes from everybody"
SECRET: Final = "thirty-two characters and a few more of the bench"
THROUGH: Final = frozenset({"small", "crowd", "varied", "medium", "post", "download"})
"""The cases of requests that go through to the backend."""

BENCH: Final = Path(__file__).resolve().parents[1]
ROOT: Final = BENCH.parent
PROGRAMS: Final = BENCH / ".venv" / "bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a server is given: a directory and a port of its own, and the addresses of the others."""

    directory: Path
    port: int
    backend: str
    issuer: str
    redis: int

    @property
    def origin(self) -> str:
        """Where clients find the server."""
        return origin_at(self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A server under test: how it is started, what it can be asked, and what it must do to be counted.

    `name` chooses it on the command line. `signs_in` tells whether it asks for a login; `token` is what the backend
    must receive as Authorization where it is not the user's, None for nothing at all.
    """

    name: str
    title: str
    launch: Callable[[Place], Command]
    version: Callable[[], str]
    cases: frozenset[str] = THROUGH
    signs_in: bool = True
    token: str | None = field(default=None, repr=False)


def origin_at(port: int) -> str:
    """Return the origin of a server on loopback."""
    return f"http://{LOOPBACK}:{port}"
