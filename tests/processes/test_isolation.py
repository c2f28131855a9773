"""Fifty users at once: whatever renews, signs out and signs in between, no request carries another user's token."""

import secrets
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from peers.servers import free_port

from gateway.testing import FakeProvider

from .running import (
    Connection,
    Face,
    environment,
    origin_at,
    run_echo,
    run_gateway,
    run_provider,
    sign_in,
    sign_out,
)

USERS = [f"user-{number}" for number in range(50)]
REQUESTS = 20_000
TOKEN_SECONDS = 4
SIGN_OUT_EVERY = 200


@dataclass(kw_only=True)
class Visitor:
    """A user whose cookie many threads use and one replaces now and then."""

    name: str
    cookie: str
    ended: set[str] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A gateway of two processes before one upstream."""

    provider: FakeProvider
    origin: str


@pytest.fixture(scope="module")
def site(face: Face, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory, port = tmp_path_factory.mktemp("isolation"), free_port()
    origin = origin_at(port)
    with ExitStack() as stack:
        provider = stack.enter_context(run_provider([origin], {user: {} for user in USERS}))
        provider.access_token_lifetime = TOKEN_SECONDS
        settings = {"UPSTREAM": stack.enter_context(run_echo(directory))}
        environ = environment(origin, provider.issuer, settings)
        stack.enter_context(run_gateway(directory, port, environ, workers=2, face=face))
        yield Site(provider=provider, origin=origin)


@pytest.mark.slow
def test_every_request_carries_the_token_of_its_own_user(site: Site) -> None:
    visitors = [Visitor(name=user, cookie=sign_in(site.origin, user)) for user in USERS]
    with ThreadPoolExecutor(len(USERS)) as pool:
        counts = sum(pool.map(lambda number: visit(site, visitors, number), range(len(USERS))), Counter[str]())
    assert counts.keys() <= {"right user", "signed out meanwhile"}
    assert counts.total() == REQUESTS
    assert counts["right user"] > REQUESTS / 2
    assert site.provider.calls["revoke"] >= 2 * len(USERS)
    assert site.provider.calls["token.refresh_token"] >= len(USERS)


def visit(site: Site, visitors: list[Visitor], number: int) -> Counter[str]:
    """Ask for one user after the other on one connection, so that neighbours on it are never the same."""
    counts: Counter[str] = Counter()
    with Connection(site.origin) as connection:
        for turn in range(REQUESTS // len(visitors)):
            visitor = visitors[(number + turn) % len(visitors)]
            counts[ask(site, connection, visitor)] += 1
            if (turn + number) % SIGN_OUT_EVERY == SIGN_OUT_EVERY - 1:  # Not all of them at once.
                renew(site, visitors[number])
    return counts


def ask(site: Site, connection: Connection, visitor: Visitor) -> str:
    """Ask once, and tell whose token the upstream received."""
    cookie, mark = visitor.cookie, secrets.token_hex(8)
    answer = connection.get(f"/{mark}", cookie=cookie)
    if answer.status == 401 and cookie in visitor.ended:
        return "signed out meanwhile"
    if answer.status != 200 or answer.shown["target"] != f"/{mark}":
        return f"unexpected {answer.status} {answer.body!r}"
    named = answer.shown["fields"]["x-forwarded-user"]
    return "right user" if {site.provider.subject_of(answer.token), named} == {visitor.name} else "wrong user"


def renew(site: Site, visitor: Visitor) -> None:
    """Sign a user out, who then is refused with the old cookie, and in again."""
    old = visitor.cookie
    visitor.ended.add(old)
    assert sign_out(site.origin, old).status == 303
    with Connection(site.origin) as connection:
        assert connection.get("/", cookie=old).status == 401
    visitor.cookie = sign_in(site.origin, visitor.name)
