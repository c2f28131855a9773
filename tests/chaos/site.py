"""What runs: two gateways over one Redis, before an upstream that may be rough, with a provider that may be broken."""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from canaries import Canaries
from peers.servers import LOOPBACK, free_port
from processes.fleet import on_redis
from processes.outages import DurableRedis, ProviderServer, run_durable_redis
from processes.running import CLIENT_ID, environment, origin_at, run_gateway, run_rough_origin

from gateway.testing import FakeClient, FakeProvider

from .faults import PROVIDER_SECONDS, UPSTREAM_SECONDS
from .tap import Tap

GATEWAYS: Final = 2
LOG_FORMATS: Final = ("text", "json")
WORKERS: Final = 2
TOKEN_SECONDS: Final = 20
"""An access token lives so long, and is renewed in the second half of its life."""

LOCAL_CACHE_SECONDS: Final = 2.0
API_KEY_FIELD: Final = "x-api-key"


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """The processes; `masters` are those of the gateways, in the order of `origins`. The first origin is the public.

    `metrics` are the origins where each gateway tells its numbers.
    """

    directory: Path
    origins: Sequence[str]
    metrics: Sequence[str]
    masters: Sequence[int]
    upstream: str
    redis: DurableRedis
    provider: FakeProvider
    server: ProviderServer
    tap: Tap
    canaries: Canaries
    api_key: str

    @property
    def public_url(self) -> str:
        """What browsers see."""
        return self.origins[0]


@contextmanager
def run_site(directory: Path, users: Sequence[str]) -> Iterator[Site]:
    """Run all of it in a directory, where each process writes what it has to say."""
    canaries = Canaries()
    ports = [free_port() for _ in range(GATEWAYS)]
    origins = [origin_at(port) for port in ports]
    keys = {name: secrets.token_urlsafe(32) for name in ("client secret", "session secret", "API key")}
    for kind, secret in keys.items():
        canaries.add(kind, secret)
    with ExitStack() as stack:
        redis = stack.enter_context(run_durable_redis(directory / "redis"))
        upstream = stack.enter_context(run_rough_origin(directory))
        provider = _provider(origins[0], users, keys["client secret"], canaries)
        tap = Tap(provider, canaries)
        server = ProviderServer(tap, int(provider.issuer.rpartition(":")[2]))
        server.start()
        stack.callback(server.kill)
        stack.callback(tap.end)
        settings = {**_settings(keys, upstream), **on_redis(redis.url)}
        environ = environment(origins[0], provider.issuer, settings)
        metrics = [free_port() for _ in ports]
        masters = [
            stack.enter_context(run_gateway(directory, port, {**environ, **_own(place, form)}, workers=WORKERS))
            for port, place, form in zip(ports, metrics, LOG_FORMATS, strict=True)
        ]
        yield Site(
            directory=directory,
            origins=origins,
            metrics=[origin_at(place) for place in metrics],
            masters=masters,
            upstream=upstream,
            redis=redis,
            provider=provider,
            server=server,
            tap=tap,
            canaries=canaries,
            api_key=keys["API key"],
        )


def _settings(keys: Mapping[str, str], upstream: str) -> dict[str, str]:
    return {
        "UPSTREAM": upstream,
        "UPSTREAM_CONNECTION__READ_TIMEOUT": f"{UPSTREAM_SECONDS}s",
        "PROVIDER__CLIENT_SECRET": keys["client secret"],
        "PROVIDER__SCOPE": "openid profile email offline_access",
        "PROVIDER__USERINFO": "false",
        "PROVIDER__ID_TOKEN_SIGNED_RESPONSE_ALG": "ES256",
        "PROVIDER__TIMEOUT": f"{PROVIDER_SECONDS}s",
        "SESSION__SECRET": keys["session secret"],
        "SESSION__LOCAL_CACHE": f"{LOCAL_CACHE_SECONDS:.0f}s",
        "TRUSTED_PROXIES": '["127.0.0.1"]',
        "FORWARD_AUTH__ENABLED": "true",
        "ROUTES": json.dumps([{"path": "/ok/**", "request_headers": {API_KEY_FIELD: keys["API key"]}}]),
        "LOG_LEVEL": "info",
    }


def _own(metrics: int, form: str) -> dict[str, str]:
    return {"GATEWAY_METRICS__LISTEN": f"{LOOPBACK}:{metrics}", "GATEWAY_LOGS__FORMAT": form}


def _provider(public_url: str, users: Sequence[str], secret: str, canaries: Canaries) -> FakeProvider:
    claims = {user: {"email": f"{secrets.token_hex(12)}@op.example", "name": secrets.token_hex(12)} for user in users}
    for told in claims.values():
        canaries.add("email of a user", told["email"].partition("@")[0])
        canaries.add("name of a user", told["name"])
    client = FakeClient(
        client_id=CLIENT_ID,
        client_secret=secret,
        redirect_uris=[f"{public_url}/oauth2/callback"],
        post_logout_redirect_uris=[f"{public_url}/oauth2/signed_out"],
    )
    return FakeProvider(
        issuer=origin_at(free_port()),
        clients=[client],
        users=claims,
        sign_in_as=users[0],
        id_token_alg="ES256",
        id_token_user_claims=True,
        access_token_lifetime=TOKEN_SECONDS,
    )
