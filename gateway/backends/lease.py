"""Locks that end by themselves unless they are renewed, and the thread that renews those of this process."""

from __future__ import annotations

import logging
import secrets
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from gateway.backends.base import TAG_BYTES, LockBusy

LEASE_SECONDS = 10
"""After this a lock ends whose holder was killed; a living holder has it renewed three times as often."""

_log = logging.getLogger("gateway.store")

Renew = Callable[[], object]
"""Makes a lease last for its seconds from now, if it is still ours."""


class Leases:
    """The leases that this process holds, renewed by one thread that is begun with the first of them."""

    def __init__(self, seconds: float = LEASE_SECONDS) -> None:
        self._interval = seconds / 3
        self._guard = threading.Lock()
        self._held: dict[int, Renew] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def renewed(self, renew: Renew) -> Iterator[None]:
        """Have a lease renewed for the length of the block."""
        with self._guard:
            # A worker that was forked has inherited the thread's name and not the thread, nor its parent's leases.
            if self._thread is None or not self._thread.is_alive():
                self._held = {}
                self._thread = threading.Thread(target=self._run, name="gateway-leases", daemon=True)
                self._thread.start()
            self._held[id(renew)] = renew
        try:
            yield
        finally:
            with self._guard:
                self._held.pop(id(renew), None)

    def renew_all(self) -> None:
        """Renew what is held; one that fails is tried again the next time."""
        with self._guard:
            held = list(self._held.values())
        for renew in held:
            try:
                renew()
            except Exception as error:  # noqa: BLE001 - the others must not end for it, whatever it was.
                _log.warning("a lock could not be renewed: %s", type(error).__name__)

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._interval):
            self.renew_all()


class Leased(ABC):
    """Claims and locks of a server that can write an entry only where there is none.

    A lock is an entry that holds its holder's token, so that renewing it is a `replace` and letting go of it is a
    `remove`, neither of which touches the lock of the next holder.
    """

    def __init__(self, lease_seconds: int) -> None:
        self._lease_seconds = lease_seconds
        self._leases = Leases(lease_seconds)

    @abstractmethod
    def add(self, key: str, value: bytes, seconds: int) -> bool:
        """Write an entry where there is none, in one step, and tell whether there was none."""

    @abstractmethod
    def replace(self, key: str, tag: bytes, value: bytes, seconds: int) -> bool:
        """Write an entry in the place of the one that begins with that tag, in one step."""

    @abstractmethod
    def remove(self, key: str, tag: bytes) -> None:
        """Delete the entry that begins with that tag, in one step."""

    @abstractmethod
    def close(self) -> None:
        """Let go of all connections."""

    def claim(self, key: str, seconds: int) -> bool:
        """Claim a key by writing an empty entry where there is none."""
        return self.add(key, b"", seconds)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold a lock for as long as this process lives."""
        name, token = f"lock:{key}", secrets.token_bytes(TAG_BYTES)
        if not self.add(name, token, self._lease_seconds):
            raise LockBusy(key)
        try:
            with self._leases.renewed(partial(self.replace, name, token, token, self._lease_seconds)):
                yield
        finally:
            self.remove(name, token)
