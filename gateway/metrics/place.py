"""Where processes count together, and the socket that they answer at: made by gunicorn's master, for its workers."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gateway.config_metrics_model import MetricsSettings
from gateway.config_sources import ConfigurationError
from gateway.metrics.exposition import WORKER, exposition
from gateway.metrics.listener import Listener, bind
from gateway.metrics.sink import Metrics
from gateway.metrics.tally import open_tally
from gateway.telemetry import Silence, Telemetry

VARIABLE = "GUNICORN_GATEWAY_METRICS"
"""By which a master tells its workers of the place, and, as gunicorn does with its sockets, the master after it."""

MASTER = "master"
_PREFIX = "gateway-metrics-"
_NEW_SECONDS = 60.0  # A directory that was just made may not be locked yet.
_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it.
_log = logging.getLogger("gateway.metrics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory, locked by an open file for as long as one of its processes lives, and a socket that listens."""

    directory: Path
    lock: int
    socket: int


def open_metrics(directory: Path | None = None) -> Metrics:
    """Make what counts for this process, together with all that are given the same directory.

    Without one, it counts alone. It is to be made after a server's workers were forked. Raises `OSError`.
    """
    if directory is None:
        directory, _ = _make_directory()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Metrics(open_tally(directory, WORKER), directory)


def open_place(settings: MetricsSettings, server: Any) -> None:
    """Make the place before there are workers, or take over that of the master which this one is to follow.

    `server` is gunicorn's. Raises `ConfigurationError` where metrics cannot be served.
    """
    before = find_place(os.environ) if server.master_pid else None
    os.environ.pop(VARIABLE, None)
    if not settings.enabled:
        return
    if server.cfg.preload_app:
        raise ConfigurationError(["metrics.listen: does not go with gunicorn's preload_app"])
    if (settings.path or (settings.host, settings.port)) in server.cfg.address:
        raise ConfigurationError([f"metrics.listen: {settings.where} is where the gateway itself listens"])
    try:
        place = _make_place(settings) if before is None else _taken_over(before, settings)
    except OSError as error:
        raise ConfigurationError([f"metrics.listen: {settings.where}: {error.strerror}"]) from error
    told = f"{place.socket}:{place.lock}:{place.directory}"
    os.environ[VARIABLE] = server.cfg.env_orig[VARIABLE] = told


def close_place(server: Any) -> None:
    """Remove the place at the end of a master, unless another follows it or was before it."""
    place = find_place(os.environ)
    follows = server.master_pid != 0 and server.master_pid == os.getppid()
    if place is None or follows or server.reexec_pid:
        return
    with socket.socket(fileno=place.socket) as listening:
        name = listening.getsockname()
    if isinstance(name, str):
        Path(name).unlink(missing_ok=True)
    shutil.rmtree(place.directory, ignore_errors=True)


def find_place(environ: Mapping[str, str]) -> Place | None:
    """Return the place that the master made, if it made one."""
    told = environ.get(VARIABLE)
    if not told:
        return None
    descriptor, lock, directory = told.split(":", 2)
    return Place(directory=Path(directory), lock=int(lock), socket=int(descriptor))


def make_metrics(settings: MetricsSettings, environ: Mapping[str, str]) -> Telemetry:
    """Make what counts for this worker, and begin to answer whoever asks; it is silent where metrics are off."""
    metrics = _opened(settings, environ, WORKER)
    place = find_place(environ)
    if place is None or not isinstance(metrics, Metrics):
        return metrics
    Listener(socket.socket(fileno=os.dup(place.socket)), partial(exposition, metrics)).begin()
    return metrics


def make_master_metrics(settings: MetricsSettings, environ: Mapping[str, str]) -> Telemetry:
    """Make what counts for the master, which alone knows of configurations that were refused; it answers nobody."""
    return _opened(settings, environ, MASTER)


def _opened(settings: MetricsSettings, environ: Mapping[str, str], role: str) -> Telemetry:
    place = find_place(environ)
    if not settings.enabled:
        return Silence()
    if place is None:
        _log.warning("metrics.listen takes a start by gunicorn with the gateway's own settings; nothing is served")
        return Silence()
    try:
        return Metrics(open_tally(place.directory, role), place.directory)
    except OSError as error:
        _log.error("this process is not counted in the metrics: %s", error.strerror)
        return Silence()


def _make_place(settings: MetricsSettings) -> Place:
    listening = bind(settings)
    directory, lock = _make_directory()
    os.set_inheritable(listening.fileno(), True)  # noqa: FBT003 - the signature is the standard library's.
    return Place(directory=directory, lock=lock, socket=listening.detach())


def _taken_over(before: Place, settings: MetricsSettings) -> Place:
    with socket.socket(fileno=os.dup(before.socket)) as listening:
        name = listening.getsockname()
    if name == settings.path or (isinstance(name, tuple) and name[:2] == (settings.host, settings.port)):
        return before
    os.close(before.socket)
    descriptor = bind(settings).detach()
    os.set_inheritable(descriptor, True)  # noqa: FBT003 - as above.
    return Place(directory=before.directory, lock=before.lock, socket=descriptor)


def _make_directory() -> tuple[Path, int]:
    problems = []
    for base in (_MEMORY, Path(tempfile.gettempdir())):
        try:
            _sweep(base)
            directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))  # For our eyes alone.
            return directory, _lock(directory)
        except OSError as error:
            problems.append(error)
    raise problems[0]


def _lock(directory: Path) -> int:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.set_inheritable(descriptor, True)  # noqa: FBT003 - as above.
    return descriptor


def _sweep(base: Path) -> None:
    # What a gateway left behind that was killed; a living one holds its directory.
    for directory in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            _remove_if_left(directory)


def _remove_if_left(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(descriptor)
        if found.st_uid == os.geteuid() and time.time() - found.st_mtime > _NEW_SECONDS:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory)
    finally:
        os.close(descriptor)
