"""Lines reach who reads them whole, whoever else writes, however slow the reader, and what is lost is counted."""

import errno
import os
import select
import socket
import stat
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Final

import pytest

from gateway.log_places import LogFile, without_waiting
from gateway.log_writer import MAX_WAITING, LineWriter

PROCESSES: Final = 4
LINES: Final = 400


def notice(lost: int) -> bytes:
    return b"lost %d\n" % lost


def eventually(found: Callable[[], object]) -> bool:
    deadline = time.monotonic() + 10
    while not found() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(found())


class Reader:
    """Takes what it is told to: octets that it takes before it is full, or an error for each write."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room
        self.error: OSError | None = None
        self.taken = b""

    def write(self, data: bytes) -> int:
        if self.error is not None:
            raise self.error
        if not self.room:
            raise BlockingIOError
        taken = data[: self.room]
        self.room -= len(taken)
        self.taken += taken
        return len(taken)


def test_a_line_of_a_quiet_process_goes_out_at_once() -> None:
    reader = Reader()
    LineWriter(reader.write, notice).put(b"one\n")
    assert reader.taken == b"one\n"


def test_lines_of_a_busy_process_go_out_together_and_in_their_order() -> None:
    reader = Reader()
    writes: list[bytes] = []

    def write(data: bytes) -> int:
        writes.append(data)
        return reader.write(data)

    writer = LineWriter(write, notice)
    lines = [b"line %d\n" % number for number in range(2000)]
    for line in lines:
        writer.put(line)
    assert eventually(lambda: len(reader.taken) == len(b"".join(lines)))
    assert reader.taken == b"".join(lines)
    assert max(map(len, writes)) <= 4096
    assert all(write.endswith(b"\n") for write in writes)
    assert len(writes) < len(lines) / 20


def test_an_error_takes_along_what_was_kept_before_it() -> None:
    reader = Reader()
    writer = LineWriter(reader.write, notice)
    for line in (b"one\n", b"two\n"):
        writer.put(line)
    writer.put(b"error\n", at_once=True)
    assert reader.taken == b"one\ntwo\nerror\n"


def test_a_reader_that_comes_back_gets_what_was_kept() -> None:
    reader = Reader(room=0)
    writer = LineWriter(reader.write, notice)
    lines = [b"line %d\n" % number for number in range(100)]
    for line in lines:
        writer.put(line)
    assert reader.taken == b""
    reader.room = 10  # In the middle of a line.
    assert eventually(lambda: len(reader.taken) == 10)
    reader.room = 1 << 30
    assert eventually(lambda: reader.taken == b"".join(lines))


def test_what_is_more_than_is_kept_is_counted_and_told_of() -> None:
    reader = Reader(room=0)
    writer = LineWriter(reader.write, notice)
    for number in range(MAX_WAITING + 7):
        writer.put(b"line %d\n" % number)
    reader.room = 1 << 30
    writer.close(5)
    told = reader.taken.splitlines()
    # What was begun when the reader was full is not among those that are kept.
    lost = [line for line in told if line.startswith(b"lost")]
    written = len(told) - len(lost)
    assert lost == [b"lost %d" % (MAX_WAITING + 7 - written)]
    assert MAX_WAITING <= written < MAX_WAITING + 7
    assert told[-1] == b"line %d" % (written - 1)


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC, errno.EBADF], ids=errno.errorcode.get)
def test_a_place_that_takes_nothing_loses_lines_and_is_told_how_many(number: int) -> None:
    reader = Reader()
    writer = LineWriter(reader.write, notice)
    writer.put(b"one\n", at_once=True)
    reader.error = OSError(number, os.strerror(number))
    for line in (b"two\n", b"three\n"):
        writer.put(line, at_once=True)
    reader.error = None
    writer.put(b"four\n", at_once=True)
    assert reader.taken == b"one\nlost 2\nfour\n"


def test_half_a_line_on_a_full_disk_is_ended_before_the_next() -> None:
    reader = Reader(room=2)

    def write(data: bytes) -> int:
        if not reader.room:
            raise OSError(errno.ENOSPC, "full")
        return reader.write(data)

    writer = LineWriter(write, notice)
    writer.put(b"one\n", at_once=True)
    reader.room = 1 << 30
    writer.put(b"two\n", at_once=True)
    assert reader.taken == b"on\nlost 1\ntwo\n"


def test_many_threads_lose_and_mix_nothing() -> None:
    reader = Reader()
    writer = LineWriter(reader.write, notice)

    def put(name: int) -> None:
        for number in range(500):
            writer.put(b"%d %d\n" % (name, number))

    threads = [threading.Thread(target=put, args=[name]) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close(5)
    lines = [tuple(map(int, line.split())) for line in reader.taken.splitlines()]
    assert len(lines) == 8 * 500
    for name in range(8):
        assert [number for other, number in lines if other == name] == list(range(500))


WRITING: Final = f"""
import os, sys
from gateway.log_places import without_waiting
from gateway.log_writer import LineWriter
writer = LineWriter(without_waiting(2), lambda lost: b"lost %d\\n" % lost)
writer.put(b"parent\\n")
writer.put(b"kept by the parent\\n")
for name in range({PROCESSES}):
    if os.fork() == 0:
        for number in range({LINES}):
            writer.put(b"%d %d %s\\n" % (name, number, b"x" * (number * 37 % 4000)))
        writer.close(20)
        os._exit(0)
for _ in range({PROCESSES}):
    os.wait()
writer.close(20)
"""


@pytest.mark.parametrize("kind", ["pipe", "file", "socket"])
def test_lines_of_several_processes_do_not_mix(kind: str, tmp_path: Path) -> None:
    received = tmp_path / "log"
    command = [sys.executable, "-c", WRITING]
    if kind == "pipe":
        written = subprocess.run(command, stderr=subprocess.PIPE, timeout=60, check=True).stderr
    elif kind == "file":
        with received.open("wb") as file:
            subprocess.run(command, stderr=file, timeout=60, check=True)
        written = received.read_bytes()
    else:
        ours, theirs = socket.socketpair()
        with ours, theirs, subprocess.Popen(command, stderr=theirs.fileno()) as process:
            theirs.close()
            written = b"".join(iter(lambda: ours.recv(1 << 16), b""))
        assert process.returncode == 0
    lines = written.decode().splitlines()
    assert lines.count("parent") == lines.count("kept by the parent") == 1
    own = [line.split(" ") for line in lines if not line.endswith("parent")]
    assert {len(parts) for parts in own} == {3}
    own.sort(key=lambda parts: parts[0])
    found = {name: list(group) for name, group in groupby(own, key=lambda parts: parts[0])}
    assert sorted(found) == [str(name) for name in range(PROCESSES)]
    for group in found.values():
        assert [(int(number), len(text)) for _, number, text in group] == [
            (number, number * 37 % 4000) for number in range(LINES)
        ]


def test_a_full_pipe_stops_nobody() -> None:
    ours, theirs = os.pipe()
    writer = LineWriter(without_waiting(theirs), notice)
    for number in range(3000):  # More than a pipe has room for.
        writer.put(b"%d %s\n" % (number, b"x" * 100))
    writer.close(0.1)
    os.set_blocking(ours, False)
    received = b""
    while select.select([ours], [], [], 0.5)[0]:
        received += os.read(ours, 1 << 16)
    assert [int(line.split()[0]) for line in received.splitlines()] == list(range(3000))
    os.close(ours)
    writer.put(b"nobody reads this\n", at_once=True)
    os.close(theirs)


def test_a_pipe_that_cannot_be_opened_anew_is_written_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    ours, theirs = os.pipe()
    write = without_waiting(theirs)
    assert write(b"one\n") == 4
    with pytest.raises(BlockingIOError):
        deque((write(b"x" * 4096) for _ in range(100)), maxlen=0)
    assert os.get_blocking(theirs)
    os.close(ours)
    os.close(theirs)


def test_a_closed_descriptor_loses_lines_and_raises_nothing() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    os.close(theirs)
    LineWriter(without_waiting(theirs), notice).put(b"one\n")


def test_a_file_is_private_and_opened_anew_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    place = LogFile(path)
    place.write(b"one\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.rename(tmp_path / "audit.log.1")
    place.write(b"two\n")
    assert ((tmp_path / "audit.log.1").read_bytes(), path.read_bytes()) == (b"one\n", b"two\n")
    path.unlink()
    place.write(b"three\n")
    assert path.read_bytes() == b"three\n"
    again = LogFile(path)
    again.write(b"four\n")
    assert path.read_bytes() == b"three\nfour\n"


def test_a_file_that_cannot_be_opened_raises(tmp_path: Path) -> None:
    LogFile(tmp_path / "audit.log").write(b"one\n")
    with pytest.raises(FileExistsError):
        LogFile(tmp_path / "audit.log" / "audit.log")
    assert LogFile(tmp_path / "made" / "audit.log").write(b"one\n") == 4


def test_a_forked_process_leaves_to_its_parent_what_that_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(room=0)
    writer = LineWriter(reader.write, notice)
    writer.put(b"of the parent\n")
    monkeypatch.setattr(os, "getpid", lambda: -1)
    reader.room = 1 << 30
    writer.put(b"of the child\n")
    writer.close(1)
    assert reader.taken == b"of the child\n"
