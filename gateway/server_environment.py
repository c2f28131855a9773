"""What the environment says to the server itself: how many workers, where to listen, how long to go on at the end."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.config_sources import ConfigurationError
from gateway.cpus import default_workers

DEFAULT_BIND = "127.0.0.1:4180"
LARGEST_NUMBER_OF_WORKERS = 512
LONGEST_DRAIN_SECONDS = 3600
_LARGEST_PORT = 65535

_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]*)"
_PLACE = re.compile(rf"(?:tcp://)?{_HOST}:(?P<port>[0-9]{{1,5}})|unix:\S+|fd://[0-9]+", re.ASCII)


def workers_of(environ: Mapping[str, str]) -> int:
    """Return how many processes serve: WEB_CONCURRENCY, or as many as fit; raises `ConfigurationError`."""
    text = environ.get("WEB_CONCURRENCY", "")
    return _number("WEB_CONCURRENCY", text, 1, LARGEST_NUMBER_OF_WORKERS) if text else default_workers()


def bind_of(environ: Mapping[str, str]) -> str:
    """Return where to listen: BIND, or the default; raises `ConfigurationError`."""
    return checked_bind("BIND", environ.get("BIND") or DEFAULT_BIND)


def drain_seconds_of(environ: Mapping[str, str]) -> int:
    """Return for how long all is served after SIGTERM: DRAIN_SECONDS, or not at all; raises `ConfigurationError`."""
    return _number("DRAIN_SECONDS", environ.get("DRAIN_SECONDS") or "0", 0, LONGEST_DRAIN_SECONDS)


def checked_bind(name: str, text: str) -> str:
    """Return places to listen at, divided by commas, as they are; `name` is whose they are.

    Raises `ConfigurationError`.
    """
    for place in text.split(","):
        found = _PLACE.fullmatch(place.strip())
        if found is None or int(found["port"] or 0) > _LARGEST_PORT:
            wanted = "HOST:PORT, as in 0.0.0.0:4180 or [::]:4180, or unix:/run/gateway.sock"
            raise ConfigurationError([f"{name}: must be {wanted}; it is {place!r}"])
    return text


def _number(name: str, text: str, least: int, most: int) -> int:
    plain = text.strip()
    if not re.fullmatch(r"[0-9]{1,9}", plain, re.ASCII) or not least <= int(plain) <= most:
        raise ConfigurationError([f"{name}: must be a whole number from {least} to {most}; it is {text!r}"])
    return int(plain)
