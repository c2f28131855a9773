"""Two hundred requests at once, over four processes, when the access token runs out: the provider is asked once."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from peers.servers import free_port, run_redis

from gateway.testing import FakeProvider, Faults
from gateway.testing.faults import Members

from .running import (
    SECONDS,
    Answer,
    Connection,
    Face,
    environment,
    origin_at,
    run_echo,
    run_gateway,
    run_provider,
    sign_in,
)

pytestmark = pytest.mark.slow

PROCESSES = 4
REQUESTS = 200
LIFETIME = 8
"""Seconds; such a token is renewed in the second half of its life."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Four gateways, each a process of its own, before one upstream."""

    provider: FakeProvider
    origins: Sequence[str]


@pytest.fixture(
    scope="module",
    params=[pytest.param("file", id="file"), pytest.param("redis", id="redis", marks=pytest.mark.real("redis"))],
)
def site(face: Face, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("single-flight")
    ports = [free_port() for _ in range(PROCESSES)]
    origins = [origin_at(port) for port in ports]
    with ExitStack() as stack:
        provider = stack.enter_context(run_provider([origins[0]], {"alice": {}}))
        settings = {"UPSTREAM": stack.enter_context(run_echo(directory)), "PROVIDER__USERINFO": "false"}
        if request.param == "redis":
            url = stack.enter_context(run_redis(directory))
            settings |= {"SESSION__STORE__TYPE": "redis", "SESSION__STORE__URL": url}
        environ = environment(origins[0], provider.issuer, settings)
        for port in ports:
            stack.enter_context(run_gateway(directory, port, environ, workers=1, face=face))
        yield Site(provider=provider, origins=origins)


def test_a_token_that_still_serves_is_renewed_once_and_nobody_waits(site: Site) -> None:
    crowd = Crowd(site)
    cookie, old = signed_in(site, lifetime=LIFETIME)
    time.sleep(LIFETIME / 2 + 0.1)
    # The provider answers only when half of the crowd has its answer, so these cannot have waited for it.
    hold_refresh(site, lambda: crowd.answered >= REQUESTS // 2)
    answers = crowd.ask(cookie)
    assert refreshes(site) == 1
    assert {answer.status for answer in answers} == {200}
    (new,) = {answer.token for answer in answers} - {old}
    assert {answer.token for answer in answers} == {old, new}
    assert crowd.all_tokens_were_good


def test_a_token_that_has_ended_is_renewed_once_and_all_wait(site: Site) -> None:
    crowd = Crowd(site)
    cookie, old = signed_in(site, lifetime=1)
    time.sleep(1.1)
    hold_refresh(site, lambda: crowd.asked == REQUESTS)
    answers = crowd.ask(cookie)
    assert refreshes(site) == 1
    assert {answer.status for answer in answers} == {200}
    (new,) = {answer.token for answer in answers}
    assert new != old
    assert crowd.all_tokens_were_good


def signed_in(site: Site, *, lifetime: int) -> tuple[str, str]:
    """Sign in with an access token that lives that many seconds, and return the cookie and the token."""
    issued: list[str] = []

    def note(status: int, members: Members) -> tuple[int, Members]:
        issued.append(str(members["access_token"]))
        return status, members

    site.provider.faults = Faults(token_response=note)
    site.provider.access_token_lifetime = lifetime
    cookie = sign_in(site.origins[0], "alice")
    site.provider.access_token_lifetime = 300
    site.provider.calls.clear()
    (token,) = issued
    return cookie, token


def hold_refresh(site: Site, release: Callable[[], bool]) -> None:
    """Have the provider think about a refresh until then, at most some seconds."""

    def before(name: str) -> None:
        deadline = time.monotonic() + SECONDS / 2
        while name == "token.refresh_token" and not release() and time.monotonic() < deadline:
            time.sleep(0.01)

    site.provider.faults = Faults(before=before)


def refreshes(site: Site) -> int:
    return site.provider.calls["token.refresh_token"]


class Crowd:
    """Many clients with one cookie, spread over the gateways, that ask at the same moment."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._start = threading.Barrier(REQUESTS)
        self._lock = threading.Lock()
        self.asked = 0
        self.answered = 0
        self.all_tokens_were_good = True

    def ask(self, cookie: str) -> list[Answer]:
        with ThreadPoolExecutor(REQUESTS) as pool:
            return list(pool.map(lambda number: self._one(number, cookie), range(REQUESTS)))

    def _one(self, number: int, cookie: str) -> Answer:
        with Connection(self._site.origins[number % PROCESSES]) as connection:
            self._start.wait(SECONDS)
            connection.send("GET", f"/{number}", cookie=cookie)
            with self._lock:
                self.asked += 1
            answer = connection.receive()
        good = answer.status == 200 and self._site.provider.is_active(answer.token)
        with self._lock:
            self.answered += 1
            self.all_tokens_were_good = self.all_tokens_were_good and good
        return answer
