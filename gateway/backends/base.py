"""What the session store asks of a place where bytes are kept, and what all such places share.

cachelib alone gives neither claims nor locks: its `add` is not atomic on files, and it has no locks. Its default of
pickled values is replaced by plain bytes, and whatever says that the backend failed becomes `StoreUnavailable`.
"""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager
from typing import IO, Protocol

from gateway.errors import STORE_DOWN, StoreUnavailable

SWEEP_SECONDS = 300
"""How often entries that have ended are looked for."""

PROBE_SECONDS = 60
RETRY_AFTER_SECONDS = 5


class LockBusy(Exception):
    """Someone else holds the lock."""


class Backend(Protocol):
    """What the session store asks of a place where bytes are kept; all methods raise `StoreUnavailable`."""

    def get(self, key: str) -> bytes | None:
        """Return the entry, or None if there is none or it has ended."""

    def set(self, key: str, value: bytes, seconds: int) -> None:
        """Write an entry that ends after that time."""

    def replace(self, key: str, value: bytes, seconds: int) -> bool:
        """Write an entry in the place of another, and tell whether there was one; a deleted entry never comes back."""

    def delete(self, key: str) -> None:
        """Delete the entry if there is one."""

    def claim(self, key: str, seconds: int) -> bool:
        """Tell the first caller in that time, and no other, that the key is its own."""

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Hold a lock that excludes every thread and process on the same store; raises `LockBusy` at once if held."""

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
