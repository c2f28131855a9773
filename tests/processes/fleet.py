"""Several gateways, each a gunicorn of its own with our settings, over one store and before one application."""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from peers.servers import free_port

from gateway.testing import FakeClient, FakeProvider, Faults

from .load import Plan, Seen, Visitor, ask_each
from .outages import ProviderServer
from .running import (
    CLIENT_ID,
    CLIENT_SECRET,
    OWN_FORM,
    SECONDS,
    Connection,
    environment,
    origin_at,
    run_echo,
    run_gateway,
    sign_in,
)

LONG: Final = 300
"""Seconds; an access token that lives so long is not renewed while an experiment lasts."""

_SIGN_INS_AT_ONCE: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """What runs; `masters` are the processes of the gateways, in the order of `origins`, `environ` is theirs."""

    environ: Mapping[str, str]
    provider: FakeProvider
    server: ProviderServer
    origins: Sequence[str]
    masters: Sequence[int]

    def sign_in(self, user: str, *, lifetime: int = LONG) -> Visitor:
        """Sign in with an access token that lives that many seconds; those that follow live long."""
        self.provider.access_token_lifetime = lifetime
        visitor = Visitor(user=user, cookie=sign_in(self.origins[0], user))
        self.provider.access_token_lifetime = LONG
        return visitor

    def sign_in_all(self, users: Sequence[str]) -> list[Visitor]:
        """Begin a session for each name, which may occur more than once."""
        with ThreadPoolExecutor(_SIGN_INS_AT_ONCE) as pool:
            cookies = pool.map(self._cookie, users)
            return [Visitor(user=user, cookie=cookie) for user, cookie in zip(users, cookies, strict=True)]

    def shorten(self, visitor: Visitor, lifetime: int) -> None:
        """Renew a session so that its access token lives that many seconds; those that follow live long."""
        self.provider.access_token_lifetime = lifetime
        with Connection(self.origins[0]) as connection:
            connection.send("POST", "/oauth2/refresh", cookie=visitor.cookie, headers=OWN_FORM)
            assert connection.receive().status == 200
        self.provider.access_token_lifetime = LONG

    def plans(self, visitors: Sequence[Visitor]) -> list[Plan]:
        """Plan a request of each visitor at each gateway."""
        return [Plan(visitor=visitor, origin=origin) for visitor in visitors for origin in self.origins]

    def ask_all(self, visitors: Sequence[Visitor]) -> list[Seen]:
        """Ask for each visitor at each gateway."""
        return ask_each(self.plans(visitors), at_once=8)

    def is_right(self, seen: Seen) -> bool:
        """Tell whether a request went through with its own user's name and token."""
        own = seen.visitor.user
        return seen.status == 200 and seen.user == own and self.provider.subject_of(seen.token) == own

    def all_live(self, visitors: Sequence[Visitor]) -> bool:
        """Tell whether each session lives at each gateway."""
        return all(self.is_right(seen) for seen in self.ask_all(visitors))

    def wait_for(self, number: int) -> None:
        """Wait until a gateway answers again whose worker was killed."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            try:
                with Connection(self.origins[number]) as connection:
                    if connection.get("/ping").status == 200:
                        return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"gateway {number} has not come back")

    def _cookie(self, user: str) -> str:
        return sign_in(self.origins[0], user)


def on_files(directory: Path) -> dict[str, str]:
    """Make the settings for sessions in files of that directory."""
    return {"SESSION__STORE__TYPE": "file", "SESSION__STORE__PATH": str(directory)}


def on_redis(url: str) -> dict[str, str]:
    """Make the settings for sessions in Redis."""
    return {"SESSION__STORE__TYPE": "redis", "SESSION__STORE__URL": url}


@contextmanager
def run_fleet(
    directory: Path,
    users: Sequence[str],
    settings: Mapping[str, str],
    *,
    gateways: int = 2,
    workers: int = 1,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Fleet]:
    """Run gateways with further settings; what `environ` names is laid over their environment, empty for unset."""
    directory.mkdir(exist_ok=True)
    ports = [free_port() for _ in range(gateways)]
    origins = [origin_at(port) for port in ports]
    with ExitStack() as stack:
        provider, server = _provider(stack, origins[0], users)
        upstream = stack.enter_context(run_echo(directory))
        common = {"UPSTREAM": upstream, "PROVIDER__USERINFO": "false", "SESSION__LOCAL_CACHE": "2s"}
        outer = {**environment(origins[0], provider.issuer, {**common, **settings}), **(environ or {})}
        given = {name: value for name, value in outer.items() if value}
        masters = [stack.enter_context(run_gateway(directory, port, given, workers=workers)) for port in ports]
        yield Fleet(environ=given, provider=provider, server=server, origins=origins, masters=masters)


def _provider(stack: ExitStack, origin: str, users: Sequence[str]) -> tuple[FakeProvider, ProviderServer]:
    port = free_port()
    client = FakeClient(client_id=CLIENT_ID, client_secret=CLIENT_SECRET, redirect_uris=[f"{origin}/oauth2/callback"])
    claims = {user: {"email": f"{user}@op.example"} for user in users}
    provider = FakeProvider(issuer=origin_at(port), clients=[client], users=claims, sign_in_as=users[0])
    server = ProviderServer(provider, port)
    server.start()
    stack.callback(server.kill)
    stack.callback(setattr, provider, "faults", Faults())
    return provider, server
