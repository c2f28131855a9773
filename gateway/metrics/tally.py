"""Numbers of one process in a file of shared memory: any process reads them, and none is lost with its own."""

from __future__ import annotations

import fcntl
import itertools
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_ROW = 32
"""Cells that a row may have."""

FIRST_OCTETS = 1 << 16
MAX_OCTETS = 1 << 22
"""How large a file is at first, and at most: about 10,000 rows of histograms."""

MAX_TALLIES = 1024
"""Processes that count at the same time."""

_ENDING = ".tally"
_CELL = 8
_USED, _PID = 0, 1
_SPILL = 8
_BEGIN = _SPILL + MAX_ROW


class Tally:
    """Rows of cells by their keys, in the file of this process; not for several threads at once.

    A cell is written by one store of eight octets, and a row counts from the moment that `used` says so: a process
    that is killed leaves what it had counted, and its next holder goes on from there.
    """

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self._descriptor = descriptor
        size = max(os.fstat(descriptor).st_size, FIRST_OCTETS)
        self._map(size)
        self.cells[_USED] = max(self.cells[_USED], _BEGIN)
        self.cells[_PID] = os.getpid()
        self._rows = {
            (key, count): begin for key, begin, count in _records(self._octets, self.cells, int(self.cells[_USED]))
        }

    def row(self, key: str, count: int) -> int | None:
        """Return where the row with that key begins, which is made where there is none; None where no more fit.

        `cells` may be another view afterwards.
        """
        begin = self._rows.get((key, count))
        return self._append(key.encode("utf-8", "replace"), key, count) if begin is None else begin

    @property
    def spill(self) -> int:
        """Where cells begin that are for nobody to read, `MAX_ROW` of them."""
        return _SPILL

    def _append(self, octets: bytes, key: str, count: int) -> int | None:
        used = int(self.cells[_USED])
        begin = used + 2 + _cells_for(octets)
        if not self._has_room(begin + count):
            return None
        self._octets[(used + 2) * _CELL : (used + 2) * _CELL + len(octets)] = octets
        self.cells[used], self.cells[used + 1] = len(octets), count
        self.cells[_USED] = begin + count
        self._rows[key, count] = begin
        return begin

    def _has_room(self, cells: int) -> bool:
        size = len(self._octets)
        while size < cells * _CELL:
            size *= 2
        if size > MAX_OCTETS:
            return False
        try:
            if size > len(self._octets):
                self._map(size)
        except OSError:
            return False
        return True

    def _map(self, size: int) -> None:
        # Allocated, since a write to memory that the file system turns out not to have would end the process.
        os.posix_fallocate(self._descriptor, 0, size)
        self._octets = memoryview(mmap.mmap(self._descriptor, size))
        self.cells = self._octets.cast("d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a process has counted, and whether it still lives; `rows` are keys and cells."""

    name: str
    pid: int
    is_alive: bool
    rows: tuple[tuple[str, tuple[float, ...]], ...]


def open_tally(directory: Path, role: str) -> Tally:
    """Take the first file in a directory that belongs to no living process, for as long as this one lives.

    Names are those of a role, `worker-0`, `worker-1`; there are never more files than there were processes at once.
    Raises `OSError`.
    """
    for number in itertools.count():
        name = f"{role}-{number}"
        descriptor = os.open(directory / (name + _ENDING), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return Tally(name, descriptor)
        except BlockingIOError:
            os.close(descriptor)
            if number == MAX_TALLIES:
                raise
        except OSError:
            os.close(descriptor)
            raise
    raise AssertionError("numbers do not end")


def read_tallies(directory: Path) -> list[Reading]:
    """Read what all processes have counted, those that have ended, too."""
    found = (_read(path) for path in sorted(directory.glob(f"*{_ENDING}")))
    return [reading for reading in found if reading is not None]


def _read(path: Path) -> Reading | None:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < FIRST_OCTETS:
            return None  # A process has just made it.
        is_alive = _is_locked(file.fileno())
        octets = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        # Not by `read`: it may see half of a number that is being written.
        cells = octets.cast("d")
        used = int(cells[_USED])
        if used > len(cells):  # It has grown since it was mapped.
            return _read(path) if used * _CELL <= os.fstat(file.fileno()).st_size else None
    rows = tuple((key, tuple(cells[begin : begin + count])) for key, begin, count in _records(octets, cells, used))
    return Reading(name=path.name.removesuffix(_ENDING), pid=int(cells[_PID]), is_alive=is_alive, rows=rows)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _records(octets: memoryview[int], cells: memoryview[float], used: int) -> Iterator[tuple[str, int, int]]:
    at = _BEGIN
    while at + 2 <= used:
        length, count = int(cells[at]), int(cells[at + 1])
        key = bytes(octets[(at + 2) * _CELL : (at + 2) * _CELL + length])
        begin = at + 2 + _cells_for(key)
        yield key.decode("utf-8"), begin, count
        at = begin + count


def _cells_for(octets: bytes) -> int:
    return -(-len(octets) // _CELL)
