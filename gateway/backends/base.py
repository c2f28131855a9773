"""What the session store asks of a place where bytes are kept, and what all such places share.

cachelib alone gives neither claims nor locks: its `add` is not atomic on files, and it has no locks. Its default of
pickled values is replaced by plain bytes, and whatever says that the backend failed becomes `StoreUnavailable`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import IO, Protocol

from gateway.errors import STORE_DOWN, StoreUnavailable

TAG_BYTES = 16
"""An entry that is written anew begins with this many random bytes, by which one write is told from another."""

SWEEP_SECONDS = 300
"""How often entries that have ended are looked for."""

PROBE_SECONDS = 60
RETRY_AFTER_SECONDS = 5


GARBLED = (ValueError, KeyError, IndexError, AttributeError)
"""What client libraries raise for an answer that is none."""


class LockBusy(Exception):
    """Someone else holds the lock."""


class UnlistableStore(Exception):
    """The store finds entries by their keys alone."""


class Backend(Protocol):
    """What the session store asks of a place where bytes are kept; all methods raise `StoreUnavailable`."""

    def get(self, key: str) -> bytes | None:
        """Return the entry, or None if there is none or it has ended."""

    def set(self, key: str, value: bytes, seconds: int) -> None:
        """Write an entry that ends after that time."""

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return several entries in one go, in the order of their keys."""

    def replace(self, key: str, tag: bytes, value: bytes, seconds: int) -> bool:
        """Write an entry in the place of the one that begins with that tag, in one step, and tell whether it was there.

        So an entry that was deleted never comes back, and whoever was away for long overwrites nothing newer.
        """

    def delete(self, key: str) -> None:
        """Delete the entry if there is one."""

    def claim(self, key: str, seconds: int) -> bool:
        """Tell the first caller in that time, and no other, that the key is its own."""

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Hold a lock that excludes every thread and process on the same store; raises `LockBusy` at once if held.

        It is let go of when its holder is killed, at the latest after LEASE_SECONDS, and kept for as long as the
        holder lives. A holder that was stopped for longer may have lost it, which `replace` then tells it.
        """

    def scan(self, prefix: str) -> Iterator[bytes]:
        """Yield the entries whose keys begin so; raises `UnlistableStore` where a store cannot list what it has."""

    def check(self) -> None:
        """Write, read and delete a probe."""


class BytesSerializer:
    """Bytes as they are, for cachelib; anything else is a mistake of ours."""

    def dumps(self, value: bytes) -> bytes:
        """Return the value."""
        if not isinstance(value, bytes):
            raise TypeError("only bytes are stored")
        return value

    def loads(self, value: bytes | None) -> bytes | None:
        """Return the value."""
        return value

    def dump(self, value: bytes, file: IO[bytes]) -> None:
        """Write the value."""
        file.write(self.dumps(value))

    def load(self, file: IO[bytes]) -> bytes:
        """Read the value."""
        return file.read()


class Probed:
    """The check that all backends share."""

    def check(self: Backend) -> None:
        """Write, read and delete a probe."""
        key = f"probe:{os.getpid()}:{threading.get_ident()}"
        self.set(key, b"probe", PROBE_SECONDS)
        if self.get(key) != b"probe":
            raise StoreUnavailable(STORE_DOWN, "the store does not return what was written")
        self.delete(key)
