"""Our gateway, started as a user starts it: gunicorn, its own configuration file, settings in the environment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from bench.peers.peer import CLIENT_ID, CLIENT_SECRET, ROOT, SECRET, Peer, Place
from bench.processes import LOOPBACK, Command

WSGI: Final = ("--worker-class", "gthread", "gateway.standalone:create_app()")
"""What is said behind the configuration file to have the WSGI face of it."""


def gateway_environment(place: Place, settings: Mapping[str, str]) -> dict[str, str]:
    """Return what configures a gateway of one worker; `settings` are more keys, without GATEWAY_."""
    keys = {
        "PUBLIC_URL": place.origin,
        "UPSTREAM": f"http://{place.backend}",
        "PROVIDER__ISSUER": place.issuer,
        "PROVIDER__CLIENT_ID": CLIENT_ID,
        "PROVIDER__CLIENT_SECRET": CLIENT_SECRET,
        "SESSION__SECRET": SECRET,
        "SESSION__STORE__PATH": str(place.directory / "sessions"),
        "LOGS__ACCESS": "false",  # The others write none either.
        **settings,
    }
    named = {f"GATEWAY_{name}": value for name, value in keys.items()}
    return {
        **named,
        "BIND": f"{LOOPBACK}:{place.port}",
        "WEB_CONCURRENCY": "1",
    }


def gateway_command(place: Place, settings: Mapping[str, str], arguments: Sequence[str] = ()) -> Command:
    """Return how a gateway is started."""
    argv = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "--log-level", "warning"]
    return Command(argv=[*argv, *arguments], env=gateway_environment(place, settings))


def _launcher(settings: Callable[[Place], Mapping[str, str]], arguments: Sequence[str]) -> Callable[[Place], Command]:
    return lambda place: gateway_command(place, settings(place), arguments)


def _as_it_is(_: Place) -> Mapping[str, str]:
    return {}


def _missing(place: Place) -> Mapping[str, str]:
    return {
        "SESSION__STORE__TYPE": "redis",
        "SESSION__STORE__URL": f"redis://{LOOPBACK}:{place.redis}/0",
        "SESSION__LOCAL_CACHE": "0",
    }


def _asked(_: Place) -> Mapping[str, str]:
    return {"TRUSTED_PROXIES": LOOPBACK, "FORWARD_AUTH__ENABLED": "true"}


def _version() -> str:
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return commit or "unknown"


GATEWAY: Final = Peer(name="gateway", title="gateway", launch=_launcher(_as_it_is, ()), version=_version)
FACE: Final = replace(GATEWAY, name="wsgi", title="gateway, WSGI face", launch=_launcher(_as_it_is, WSGI))
REDIS: Final = replace(
    GATEWAY,
    name="gateway-redis",
    title="gateway on Redis",
    launch=_launcher(_missing, ()),
    cases=frozenset({"miss"}),
)
FACE_REDIS: Final = replace(
    REDIS, name="wsgi-redis", title="gateway on Redis, WSGI face", launch=_launcher(_missing, WSGI)
)
ASKED: Final = replace(
    GATEWAY,
    name="gateway-asked",
    title="gateway, asked by a proxy",
    launch=_launcher(_asked, ()),
    cases=frozenset({"ask"}),
)
FACE_ASKED: Final = replace(
    ASKED, name="wsgi-asked", title="gateway asked by a proxy, WSGI face", launch=_launcher(_asked, WSGI)
)
OURS: Final = (GATEWAY, FACE, REDIS, FACE_REDIS, ASKED, FACE_ASKED)
