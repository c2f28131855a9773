"""Sessions in files of one directory, shared by all processes of one machine."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cachelib import FileSystemCache

from gateway.backends.base import RETRY_AFTER_SECONDS, SWEEP_SECONDS, BytesSerializer, LockBusy, Probed
from gateway.errors import STORE_DOWN, StoreUnavailable

SWEEP_GRACE_SECONDS = 60
"""An entry is swept only this long after its end: by then nobody can be about to write it again."""

_STALE_FILE_SECONDS = 3600


class _FileCache(FileSystemCache):
    """A FileSystemCache that never evicts, and tells a missing entry from a failing disk."""

    serializer: Any = BytesSerializer()

    def __init__(self, directory: Path) -> None:
        super().__init__(str(directory), threshold=0)

    def get(self, key: str) -> bytes | None:
        filename = self._get_filename(key)
        try:
            content = Path(filename).read_bytes()
        except FileNotFoundError:
            if Path(self._path).is_dir():
                return None
            raise
        ends_at = _ends_at(content)
        return content[_HEADER.size :] if ends_at is not None and ends_at >= time.time() else None

    def set(self, key: str, value: bytes, timeout: Any = None, mgmt_element: bool = False) -> bool:  # noqa: ARG002, FBT001, FBT002
        # The parent's looks at the file again once it has its name, when a logout may have deleted it already.
        descriptor, unfinished = tempfile.mkstemp(suffix=self._fs_transaction_suffix, dir=self._path)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_HEADER.pack(self._normalize_timeout(timeout)))
                self.serializer.dump(value, file)
            Path(unfinished).replace(self._get_filename(key))
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
        return True

    def delete(self, key: str, mgmt_element: bool = False) -> bool:  # noqa: ARG002, FBT001, FBT002
        # The parent's swallows what the disk says, and sets up logging for the whole process to tell of it.
        Path(self._get_filename(key)).unlink(missing_ok=True)
        return True


_HEADER = struct.Struct("I")


def _ends_at(content: bytes) -> int | None:
    return int(_HEADER.unpack_from(content)[0]) if len(content) >= _HEADER.size else None


class FileBackend(Probed):
    """Entries in files of one directory, shared by all processes of one machine."""

    def __init__(self, directory: str) -> None:
        self._root = Path(directory)
        self._entries, self._locks, self._claims = (self._root / name for name in ("entries", "locks", "claims"))
        with _disk():
            for path in (self._root, self._entries, self._locks, self._claims):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._cache = _FileCache(self._entries)
        self._sweep_at = 0.0

    def get(self, key: str) -> bytes | None:
        """Return the entry, or None."""
        with _disk():
            return self._cache.get(key)

    def set(self, key: str, value: bytes, seconds: int) -> None:
        """Write an entry by renaming a finished file over the old one."""
        self._sweep_if_due()
        with _disk():
            self._cache.set(key, value, seconds)

    def replace(self, key: str, value: bytes, seconds: int) -> bool:
        """Write an entry in the place of another, while nobody can delete it."""
        with _disk(), self._changing(key):
            exists = self._cache.get(key) is not None
            if exists:
                self._cache.set(key, value, seconds)
        return exists

    def delete(self, key: str) -> None:
        """Delete an entry."""
        with _disk(), self._changing(key):
            if not self._entries.is_dir():
                raise StoreUnavailable(STORE_DOWN, "the entries are gone")
            self._cache.delete(key)

    def claim(self, key: str, seconds: int) -> bool:
        """Claim a key by creating its file exclusively; the file's time is when the claim ends."""
        self._sweep_if_due()
        path = self._claims / _name(key)
        with _disk():
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            except FileExistsError:
                return False
            ends_at = time.time() + seconds
            os.utime(path, (ends_at, ends_at))
        return True

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold an flock, which ends with the process that holds it."""
        path = self._locks / _name(key)
        with _disk():
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            _flock(descriptor, path)
            try:
                yield
            finally:
                with _disk():
                    path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def sweep(self) -> None:
        """Delete what has ended, in this thread."""
        now = time.time()
        for path in self._entries.iterdir():
            _sweep_entry(path, now)
        for path in self._claims.iterdir():
            # The grace also covers a claim whose file was just made and has not been given its end yet.
            _unlink_if(path, lambda modified: modified < now - SWEEP_GRACE_SECONDS)
        for path in self._locks.iterdir():
            # A lock file is deleted by its holder; one this old was left by a process that was killed.
            _unlink_if(path, lambda modified: modified < now - _STALE_FILE_SECONDS)

    @contextmanager
    def _changing(self, key: str) -> Iterator[None]:
        # Held for the moment of a write, and unlike `lock` waited for; a few files that stay serve all entries.
        path = self._root / f"changing-{_name(key)[0]}"
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _sweep_if_due(self) -> None:
        now = time.monotonic()
        if now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_SECONDS
        threading.Thread(target=self._sweep_alone, name="gateway-sweep", daemon=True).start()

    def _sweep_alone(self) -> None:
        try:
            with self.lock("sweep"):
                self.sweep()
        except (LockBusy, StoreUnavailable, OSError):
            return  # Another process sweeps, or the next round will.


def _flock(descriptor: int, path: Path) -> None:
    with _disk():
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockBusy(path.name) from None
        try:
            current = path.stat().st_ino
        except FileNotFoundError:
            current = -1
        if current != os.fstat(descriptor).st_ino:
            # The holder before us deleted this very file: another may hold a lock on a new one.
            raise LockBusy(path.name)


def _sweep_entry(path: Path, now: float) -> None:
    try:
        if path.suffix:  # A half-written file of a process that was killed.
            _unlink_if(path, lambda modified: modified < now - _STALE_FILE_SECONDS)
            return
        with path.open("rb") as file:
            ends_at = _ends_at(file.read(_HEADER.size))
        if ends_at is None or ends_at < now - SWEEP_GRACE_SECONDS:
            path.unlink()
    except OSError:
        return  # Deleted by someone else, or unreadable: its reader reports that.


def _unlink_if(path: Path, due: Callable[[float], bool]) -> None:
    try:
        if due(path.stat().st_mtime):
            path.unlink()
    except OSError:
        return


def _name(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8")).hexdigest()


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(
            STORE_DOWN, f"the session directory failed: {error.strerror}", retry_after=RETRY_AFTER_SECONDS
        ) from error
