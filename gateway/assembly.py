"""The parts of a gateway, each made from the settings and from what comes from outside."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import urlsplit

from gateway.authenticator import Authenticator
from gateway.back_channel import CALLS_OF_ONE_AMONG_SEVERAL, UNLIMITED_CALLS, BackChannel
from gateway.backends.base import Backend
from gateway.backends.choice import make_backend
from gateway.backends.told import ToldBackend
from gateway.bearer import BearerRules, BearerTokens
from gateway.config import Settings
from gateway.config_provider import ProviderSettings
from gateway.config_upstream import UNIX, UpstreamSettings
from gateway.console.tape import Recorder
from gateway.login_limit import LoginLimit
from gateway.oidc.messages import Entropy, Transport
from gateway.provider import Provider
from gateway.store import Clock, SessionStore
from gateway.telemetry import Silence, Telemetry
from gateway.teller import Teller
from gateway.tls import MakeTls, tls_context
from gateway.trace_context import NO_TRACES, TraceRules
from gateway.transport import RequestsTransport
from gateway.upstream import Upstream
from gateway.upstream_origin import Origin

_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip
_ANYWHERE = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


def process_name() -> str:
    """Name this process among those of all machines."""
    return f"{socket.gethostname()}/{os.getpid()}"


def not_at_the_end() -> bool:
    """Tell that it goes on, where nobody knows of an end."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What the gateway takes from outside itself; tests put their own here.

    `is_draining` tells whether this is the end, and others should be asked instead.
    """

    transport: Transport | None = None
    backend: Backend | None = None
    clock: Clock = time.time
    entropy: Entropy = secrets.token_bytes
    sleep: Callable[[float], None] = time.sleep
    process: Callable[[], str] = process_name
    telemetry: Telemetry = field(default_factory=Silence)
    traces: TraceRules = NO_TRACES
    make_tls: MakeTls = tls_context
    is_draining: Callable[[], bool] = not_at_the_end


def make_providers(settings: Settings, outside: Outside, recorder: Recorder | None = None) -> Mapping[str, Provider]:
    """Make the providers by name; `recorder` takes note of the calls to them."""
    alone = len(settings.providers) == 1
    return {
        name: Provider(
            settings=one,
            channel=back_channel(one, outside, alone=alone, recorder=recorder),
            clock=outside.clock,
        )
        for name, one in settings.providers.items()
    }


def make_store(settings: Settings, outside: Outside) -> SessionStore:
    """Make the store of sessions; raises `StoreUnavailable`."""
    store = SessionStore(
        backend=_backend(settings, outside),
        ring=settings.ring,
        realm=settings.public_url,
        lifetimes=settings.lifetimes,
        clock=outside.clock,
        entropy=outside.entropy,
        local_cache=settings.local_cache,
    )
    outside.telemetry.watch("local_cache_hits", lambda: store.copies.hits)
    outside.telemetry.watch("local_cache_misses", lambda: store.copies.misses)
    return store


def _backend(settings: Settings, outside: Outside) -> Backend:
    backend = outside.backend or make_backend(settings.store)
    if isinstance(outside.telemetry, Silence):
        return backend
    return ToldBackend(backend, name=settings.store.type, telemetry=outside.telemetry, clock=outside.clock)


def make_authenticator(
    settings: Settings, providers: Mapping[str, Provider], store: SessionStore, outside: Outside
) -> Authenticator:
    """Make what begins, finds and ends sessions."""
    return Authenticator(
        providers=providers,
        store=store,
        lifetimes=settings.lifetimes,
        clock=outside.clock,
        entropy=outside.entropy,
        sleep=outside.sleep,
        telemetry=outside.telemetry,
    )


def make_bearer(
    settings: Settings, providers: Mapping[str, Provider], store: SessionStore, outside: Outside
) -> BearerTokens:
    """Make what checks the access tokens that clients bring."""
    rules = BearerRules(
        token=settings.bearer,
        jwt_seconds=settings.local_cache,
        introspection_seconds=settings.bearer_cache,
        # Where no proxy is named, any address may be that of one, with all clients behind it.
        shared=settings.trusted_proxies if settings.trusted_proxies or settings.trusted_hops else _ANYWHERE,
    )
    return BearerTokens(providers=providers, store=store, rules=rules, clock=outside.clock)


def make_login_limit(settings: Settings, outside: Outside) -> LoginLimit:
    """Make what counts logins by the address that begins them."""
    # Where no proxy is named, a private address is likely to be that of one, with all clients behind it.
    named = bool(settings.trusted_proxies or settings.trusted_hops)
    return LoginLimit(settings.limits, shared=settings.trusted_proxies if named else _PRIVATE, clock=outside.clock)


def make_upstreams(settings: Settings, outside: Outside) -> Mapping[str, Upstream]:
    """Make the upstreams by their name or URL."""
    return {name: _upstream(settings, one, outside.make_tls) for name, one in settings.upstreams.items()}


def back_channel(
    settings: ProviderSettings, outside: Outside, *, alone: bool = True, recorder: Recorder | None = None
) -> BackChannel:
    """Make the way to a provider, which may be one of several; `recorder` takes note of its calls."""
    transport = outside.transport or transport_of(settings)
    limit = UNLIMITED_CALLS if alone else CALLS_OF_ONE_AMONG_SEVERAL
    transport = transport if recorder is None else recorder.around(transport)
    return BackChannel(
        transport=transport,
        clock=outside.clock,
        entropy=outside.entropy,
        max_calls=limit,
        name=settings.name,
        telemetry=outside.telemetry,
    )


def transport_of(settings: ProviderSettings) -> Transport:
    """Make what carries calls to a provider over the network."""
    return RequestsTransport(verify=settings.verify_tls, timeout=settings.timeout, certificate=settings.certificate)


def make_teller(settings: Settings, outside: Outside) -> Teller:
    """Make what tells of requests."""
    return Teller(
        outside.telemetry,
        clock=outside.clock,
        entropy=outside.entropy,
        trusted=settings.trusted_proxies,
        hops=settings.trusted_hops,
        traces=outside.traces,
    )


def _upstream(settings: Settings, upstream: UpstreamSettings, make_tls: MakeTls) -> Upstream:
    address, bound = urlsplit(upstream.address), settings.certificate
    return Upstream(
        origins=[origin_of_upstream(url, upstream, bound, make_tls) for url in upstream.urls],
        authority=address.netloc,
        base=address.path,
        pseudonym=f"gateway-{sha256(settings.public_url.encode('utf-8')).hexdigest()[:12]}",
        health_path=upstream.health_path,
        health_interval=upstream.health_interval,
        most=settings.limits.upstream_requests,
    )


def origin_of_upstream(
    url: str, upstream: UpstreamSettings, bound: tuple[str, str] | None, make_tls: MakeTls = tls_context
) -> Origin:
    """Make one origin of an upstream; `bound` is the certificate that access tokens are bound to."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    return Origin(
        host=parts.hostname or "",
        port=parts.port or (443 if secure else 80),
        path=url.removeprefix(UNIX) if url.startswith(UNIX) else "",
        server_name=upstream.server_name,
        tls=make_tls(verify_tls=upstream.verify_tls, certificate=upstream.certificate or bound) if secure else None,
        connect_timeout=upstream.connect_timeout,
        read_timeout=upstream.read_timeout,
    )
