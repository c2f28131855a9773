"""A backend whose calls are told of: which, how long they took, and what came of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from gateway.backends.base import Backend, LockBusy
from gateway.errors import GatewayError
from gateway.telemetry import OK, Peer, Telemetry, ended_call

BUSY = "busy"
"""The outcome of a lock that somebody else holds."""


class ToldBackend:
    """Does as the backend does; `name` is the kind of store."""

    def __init__(self, backend: Backend, *, name: str, telemetry: Telemetry, clock: Callable[[], float]) -> None:
        self._backend = backend
        self._name = name
        self._telemetry = telemetry
        self._clock = clock

    def get(self, key: str) -> bytes | None:
        """Return the entry."""
        with self._told("get"):
            return self._backend.get(key)

    def set(self, key: str, value: bytes, seconds: int) -> None:
        """Write an entry."""
        with self._told("set"):
            self._backend.set(key, value, seconds)

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return several entries."""
        with self._told("get_many"):
            return self._backend.get_many(keys)

    def replace(self, key: str, tag: bytes, value: bytes, seconds: int) -> bool:
        """Write an entry in the place of another."""
        with self._told("replace"):
            return self._backend.replace(key, tag, value, seconds)

    def delete(self, key: str) -> None:
        """Delete an entry."""
        with self._told("delete"):
            self._backend.delete(key)

    def claim(self, key: str, seconds: int) -> bool:
        """Claim a key."""
        with self._told("claim"):
            return self._backend.claim(key, seconds)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold a lock; how long it is held is not part of the call."""
        with ExitStack() as held:
            with self._told("lock"):
                held.enter_context(self._backend.lock(key))
            yield

    def scan(self, prefix: str) -> Iterator[bytes]:
        """Yield entries, of which there may be many, and whoever reads them may take their time: not told of."""
        return self._backend.scan(prefix)

    def check(self) -> None:
        """Write, read and delete a probe."""
        with self._told("check"):
            self._backend.check()

    @contextmanager
    def _told(self, operation: str) -> Iterator[None]:
        began, outcome = self._clock(), OK
        try:
            yield
        except LockBusy:
            outcome = BUSY
            raise
        except GatewayError as error:
            outcome = error.code
            raise
        finally:
            ended = ended_call(Peer.STORE, self._name, operation, outcome, began_at=began, now=self._clock())
            self._telemetry.called(ended)
