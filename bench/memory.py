"""What a worker of the gateway weighs with many WebSockets, and with many sessions in its cache."""

from __future__ import annotations

import asyncio
import http.client
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench.browser import SECONDS
from bench.peers.gateway import GATEWAY, gateway_command, gateway_environment
from bench.peers.peer import CLIENT_ID, Place
from bench.processes import BenchError, resident_mib
from bench.sites import Surroundings, run_site, run_surroundings
from bench.websockets import Target, echo_each, open_many, run_echo
from gateway.assembly import Outside, make_store
from gateway.config import load_settings
from gateway.oidc.messages import base64url
from gateway.session import Session
from gateway.store import HeldSession

SOCKETS: Final = 5_000
SESSIONS: Final = 10_000
_CLIENTS: Final = 8
_KEPT_SECONDS: Final = 60
"""The longest that a worker may keep a copy; all are asked for within it."""

_LIVES_SECONDS: Final = 7200
_TOKEN: Final = "t" * 900
"""An access token that is a JWT weighs about so much."""

Weighing = Callable[[], float]


def weigh_websockets() -> float:
    """Return the worker's MiB with all WebSockets open and idle, each of which has echoed one word."""
    with _surroundings() as around, run_echo() as echo:
        behind = replace(around, backend=f"http://{echo}")
        with run_site(GATEWAY, behind) as site:
            return asyncio.run(_hold(Target(origin=site.origin, cookie=site.cookie), site.pid))


def weigh_sessions() -> float:
    """Return the worker's MiB after one request with each of the sessions, which its cache then holds."""
    with _surroundings() as around:
        place = around.place("store")
        kept = {"SESSION__LOCAL_CACHE": f"{_KEPT_SECONDS}s", "SESSION__STORE__PATH": str(place.directory / "sessions")}
        peer = replace(GATEWAY, launch=lambda own: gateway_command(own, kept))
        with run_site(peer, around) as site:
            port = urlsplit(site.origin).port or 0
            cookies = _begin_sessions(replace(place, port=port), kept)
            began = time.monotonic()
            _ask_each(site.origin, cookies)
            if time.monotonic() - began > _KEPT_SECONDS:
                raise BenchError("the first copies had ended before the last session was asked for")
            return resident_mib(site.pid)


@contextmanager
def _surroundings() -> Iterator[Surroundings]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name, run_surroundings(Path(name)) as around:
        yield around


async def _hold(target: Target, pid: int) -> float:
    streams = await open_many(target, SOCKETS)
    opened = resident_mib(pid)
    came = await echo_each(streams)
    weight = max(opened, resident_mib(pid))
    for _, writer in streams:
        writer.close()
    if came != SOCKETS:
        raise BenchError(f"{came} of {SOCKETS} words came back")
    return weight


def _begin_sessions(place: Place, settings: dict[str, str]) -> list[str]:
    store = make_store(load_settings(None, gateway_environment(place, settings)), Outside())
    now = int(time.time())
    sample = Session(
        id="",
        provider="default",
        issuer=place.issuer,
        client_id=CLIENT_ID,
        subject="",
        claims={},
        scope="openid profile email",
        access_token=_TOKEN,
        token_scheme="Bearer",
        dpop_key=None,
        access_issued_at=now,
        access_expires_at=now + _LIVES_SECONDS,
        refresh_token=_TOKEN[:300],
        id_token=_TOKEN,
        created_at=now,
        seen_at=now,
        ends_at=now + _LIVES_SECONDS,
    )
    held = [store.create(_of_user(sample, f"user-{number}"), began_at=now) for number in range(SESSIONS)]
    return [_cookie(one) for one in held]


def _of_user(sample: Session, subject: str) -> Callable[[str], Session]:
    claims = {"sub": subject, "email": f"{subject}@op.example", "groups": ["staff", "readers"]}
    return lambda name: replace(sample, id=name, subject=subject, claims=claims)


def _cookie(held: HeldSession) -> str:
    return f"gateway={base64url(held.handle)}"


def _ask_each(origin: str, cookies: Sequence[str]) -> None:
    shares = [cookies[number::_CLIENTS] for number in range(_CLIENTS)]
    with ThreadPoolExecutor(_CLIENTS) as pool:
        for problem in pool.map(lambda share: _ask_all(origin, share), shares):
            if problem:
                raise BenchError(problem)


def _ask_all(origin: str, cookies: Sequence[str]) -> str:
    connection = http.client.HTTPConnection(urlsplit(origin).netloc, timeout=SECONDS)
    try:
        for cookie in cookies:
            connection.request("GET", "/small", headers={"Cookie": cookie})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                return f"a session of the store is answered with {answer.status}"
    finally:
        connection.close()
    return ""
