"""What the environment says to the server itself: where to listen, how many workers, how long to go on at the end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.config_sources import ConfigurationError
from gateway.cpus import default_workers

DEFAULT_BIND = "127.0.0.1:4180"
LARGEST_NUMBER_OF_WORKERS = 512
LONGEST_DRAIN_SECONDS = 3600
_LARGEST_PORT = 65535

_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]*)"
_PLACE = re.compile(rf"(?:tcp://)?{_HOST}:(?P<port>[0-9]{{1,5}})|unix:\S+|fd://[0-9]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEnvironment:
    """What BIND, WEB_CONCURRENCY and DRAIN_SECONDS say, or what holds where they say nothing."""

    bind: str
    workers: int
    drain_seconds: int


def read_server_environment(environ: Mapping[str, str]) -> ServerEnvironment:
    """Read what is for the server; raises `ConfigurationError` with a line for each variable that cannot be."""
    bind = environ.get("BIND") or DEFAULT_BIND
    workers = environ.get("WEB_CONCURRENCY") or str(default_workers())
    drain_seconds = environ.get("DRAIN_SECONDS") or "0"
    problems = [
        *bind_problems("BIND", bind),
        *_number_problems("WEB_CONCURRENCY", workers, 1, LARGEST_NUMBER_OF_WORKERS),
        *_number_problems("DRAIN_SECONDS", drain_seconds, 0, LONGEST_DRAIN_SECONDS),
    ]
    if problems:
        raise ConfigurationError(problems)
    return ServerEnvironment(bind=bind, workers=int(workers), drain_seconds=int(drain_seconds))


def bind_problems(name: str, text: str) -> list[str]:
    """Say what is wrong with places to listen at, which commas divide; `name` is what says them."""
    wanted = "HOST:PORT, as in 0.0.0.0:4180 or [::]:4180, or unix:/run/gateway.sock"
    return [f"{name}: must be {wanted}; it is {place!r}" for place in text.split(",") if not _is_place(place.strip())]


def _is_place(text: str) -> bool:
    found = _PLACE.fullmatch(text)
    return found is not None and int(found["port"] or 0) <= _LARGEST_PORT


def _number_problems(name: str, text: str, least: int, most: int) -> list[str]:
    plain = text.strip()
    if plain.isascii() and plain.isdigit() and len(plain) < 10 and least <= int(plain) <= most:
        return []
    return [f"{name}: must be a whole number from {least} to {most}; it is {text!r}"]
