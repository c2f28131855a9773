"""Sessions in files of one directory, shared by all processes of one machine."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cachelib import FileSystemCache

from gateway.backends.base import RETRY_AFTER_SECONDS, SWEEP_SECONDS, TAG_BYTES, BytesSerializer, LockBusy, Probed
from gateway.errors import STORE_DOWN, StoreUnavailable

SWEEP_GRACE_SECONDS = 60
"""An entry is swept only this long after its end: by then nobody can be about to write it again."""

_STALE_FILE_SECONDS = 3600

_SWEEP_STEP = 50
_SWEEP_PAUSE_SECONDS = 0.002
_KIND = re.compile(r"[a-z]+")


class _FileCache(FileSystemCache):
    """A FileSystemCache that never evicts, and tells a missing entry from a failing disk."""

    serializer: Any = BytesSerializer()

    def __init__(self, directory: Path) -> None:
        super().__init__(str(directory), threshold=0)

    def get(self, key: str) -> bytes | None:
        return self.read(Path(self._get_filename(key)))

    def read(self, path: Path) -> bytes | None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            if Path(self._path).is_dir():
                return None
            raise
        ends_at = _ends_at(content)
        if ends_at is None:
            return b""  # Cut short by a crash: it is there and cannot be read, for a mark must not be taken for none.
        return content[_HEADER.size :] if ends_at >= time.time() else None

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

    def _get_filename(self, key: str) -> str:
        # The kind of an entry, before the colon, can be told from outside; whose it is cannot.
        return str(Path(self._path) / f"{_shown(key)}{_name(key)}")


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

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return several entries."""
        return [self.get(key) for key in keys]

    def set(self, key: str, value: bytes, seconds: int) -> None:
        """Write an entry by renaming a finished file over the old one."""
        self._sweep_if_due()
        with _disk(), self._changing(_name(key)):
            self._cache.set(key, value, seconds)

    def replace(self, key: str, tag: bytes, value: bytes, seconds: int) -> bool:
        """Write an entry in the place of another, while nobody can delete it."""
        with _disk(), self._changing(_name(key)):
            found = self._cache.get(key)
            same = found is not None and found[:TAG_BYTES] == tag
            if same:
                self._cache.set(key, value, seconds)
        return same

    def delete(self, key: str) -> None:
        """Delete an entry."""
        with _disk(), self._changing(_name(key)):
            if not self._entries.is_dir():
                raise StoreUnavailable(STORE_DOWN, "the entries are gone")
            self._cache.delete(key)

    def claim(self, key: str, seconds: int) -> bool:
        """Claim a key by a file whose time is when the claim ends."""
        self._sweep_if_due()
        path = self._claims / _name(key)
        with _disk(), self._changing(path.name):
            now = time.time()
            if _modified(path) > now:
                return False
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            os.utime(path, (now + seconds, now + seconds))
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

    def scan(self, prefix: str) -> Iterator[bytes]:
        """Yield the entries whose keys begin so."""
        start = _shown(prefix)
        with _disk():
            # All names at once, for whoever reads on may stop in the middle.
            for name in os.listdir(self._entries):  # noqa: PTH208 - names, and no object for each.
                if name.startswith(start) and "." not in name:
                    content = self._cache.read(self._entries / name)
                    if content is not None:
                        yield content

    def sweep(self) -> None:
        """Delete what has ended, in this thread, and leave others room to work between."""
        now = time.time()
        for number, found in enumerate(os.scandir(self._entries), start=1):
            self._sweep_entry(Path(found.path), now)
            if number % _SWEEP_STEP == 0:
                time.sleep(_SWEEP_PAUSE_SECONDS)
        for path in self._claims.iterdir():
            with self._changing(path.name):
                _unlink_if(path, lambda modified: modified < now)
        for path in self._locks.iterdir():
            _sweep_lock(path, now)

    def _sweep_entry(self, path: Path, now: float) -> None:
        if path.suffix:  # A half-written file of a process that was killed.
            _unlink_if(path, lambda modified: modified < now - _STALE_FILE_SECONDS)
        elif _has_ended(path, now):
            with self._changing(path.name.rpartition("-")[2]):
                if _has_ended(path, now):  # It may just have been written anew.
                    path.unlink(missing_ok=True)

    @contextmanager
    def _changing(self, name: str) -> Iterator[None]:
        # Held for the moment of a write, and unlike `lock` waited for; a few files that stay serve all entries.
        path = self._root / f"changing-{name[0]}"
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # A child that was forked meanwhile has the descriptor, too.
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


def _has_ended(path: Path, now: float) -> bool:
    try:
        with path.open("rb") as file:
            ends_at = _ends_at(file.read(_HEADER.size))
    except OSError:
        return False  # Deleted by someone else, or unreadable: its reader reports that.
    return ends_at is not None and ends_at < now - SWEEP_GRACE_SECONDS


def _sweep_lock(path: Path, now: float) -> None:
    # A lock file is deleted by its holder; one this old was left by a process that was killed.
    if not 0 < _modified(path) < now - _STALE_FILE_SECONDS:
        return
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        path.unlink(missing_ok=True)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _unlink_if(path: Path, due: Callable[[float], bool]) -> None:
    try:
        if due(path.stat().st_mtime):
            path.unlink()
    except OSError:
        return


def _shown(key: str) -> str:
    kind, colon, _ = key.partition(":")
    return f"{kind}-" if colon and _KIND.fullmatch(kind) else ""


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
