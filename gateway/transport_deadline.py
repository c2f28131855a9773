"""Connections to a provider that end with their deadline, however the other side spreads its bytes over time."""

from __future__ import annotations

import io
import time
from functools import partial
from http.client import HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class DeadlineAdapter(HTTPAdapter):
    """Sends over connections whose timeout bounds the whole answer.

    The library's own bounds each silence: a head by drops, interim answers without end and trailers would outlast it.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools, of our kind of connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


class _Reader(io.RawIOBase):
    """Reads a socket until a deadline, by the monotonic clock."""

    def __init__(self, sock: Any, deadline: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)  # It keeps the socket open for as long as it is read.
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(left)
        size: int | None = self._raw.readinto(buffer)
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Bounded:
    """Stands for a socket where an answer is read from it."""

    def __init__(self, sock: Any, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock, self._deadline))


class _Answer(HTTPResponse):
    def __init__(self, sock: Any, *args: Any, deadline: float, **kwargs: Any) -> None:
        super().__init__(_Bounded(sock, deadline), *args, **kwargs)  # type: ignore[arg-type]


class _Connection(HTTPConnection):
    def getresponse(self) -> Any:
        self.response_class = partial(_Answer, deadline=_deadline(self.timeout))  # type: ignore[assignment]
        return super().getresponse()


class _SecureConnection(HTTPSConnection):
    def getresponse(self) -> Any:
        self.response_class = partial(_Answer, deadline=_deadline(self.timeout))  # type: ignore[assignment]
        return super().getresponse()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def _deadline(timeout: Any) -> float:
    return time.monotonic() + float(timeout)
