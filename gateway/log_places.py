"""The places that lines of the log are written to: what stderr is, without waiting for it, and files."""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
from functools import partial
from pathlib import Path

from gateway.log_writer import Write
from gateway.whole_file import PRIVATE

_OWN = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def without_waiting(descriptor: int) -> Write:
    """Make what writes to a descriptor, and raises `BlockingIOError` rather than wait for whoever reads it.

    The descriptor itself stays as it is, since other processes have it, too.
    """
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISSOCK(mode):
            return _socket(descriptor)
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            return _opened_anew(descriptor)
    except OSError:
        pass  # It is closed, and each line is lost; or there is no /proc.
    return partial(os.write, descriptor)


def _socket(descriptor: int) -> Write:
    own = socket.socket(fileno=os.dup(descriptor))
    return lambda data: own.send(data, socket.MSG_DONTWAIT)


def _opened_anew(descriptor: int) -> Write:
    try:
        return partial(os.write, os.open(f"/proc/self/fd/{descriptor}", _OWN))
    except OSError:
        return partial(_write_where_there_is_room, descriptor)


def _write_where_there_is_room(descriptor: int, data: bytes) -> int:
    # Where it belongs to another user, or there is no /proc. Of two that see room for one, one waits.
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    if not ready.poll(0):
        raise BlockingIOError
    return os.write(descriptor, data)


class LogFile:
    """A file that lines are added to, for our eyes alone; opened anew when another has its name, after a rotation.

    The directory is made, too. Raises `OSError` if it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = _open(path)

    def write(self, data: bytes) -> int:
        """Add a line, or a part of it; raises `OSError`."""
        if self._descriptor < 0:
            raise OSError(errno.EBADF, "it was let go of")
        if not self._is_still_there():
            opened = _open(self._path)
            os.close(self._descriptor)
            self._descriptor = opened
        return os.write(self._descriptor, data)

    def close(self) -> None:
        """Let go of it; its number may be that of another file from now on."""
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)

    def _is_still_there(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False


def _open(path: Path) -> int:
    return os.open(path, _OWN | os.O_APPEND | os.O_CREAT, PRIVATE)
