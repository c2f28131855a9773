"""The parts of a gateway, each made from the settings and from what comes from outside."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from gateway.back_channel import CALLS_OF_ONE_AMONG_SEVERAL, UNLIMITED_CALLS, BackChannel
from gateway.backends.base import Backend
from gateway.backends.choice import make_backend
from gateway.config import Settings
from gateway.config_provider import ProviderSettings
from gateway.oidc.messages import Entropy, Transport
from gateway.provider import Provider
from gateway.store import Clock, SessionStore
from gateway.transport import RequestsTransport
from gateway.upstream import Upstream


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What the gateway takes from outside itself; tests put their own here."""

    transport: Transport | None = None
    backend: Backend | None = None
    clock: Clock = time.time
    entropy: Entropy = secrets.token_bytes
    sleep: Callable[[float], None] = time.sleep


def make_providers(settings: Settings, outside: Outside) -> Mapping[str, Provider]:
    """Make the providers by name."""
    alone = len(settings.providers) == 1
    return {
        name: Provider(settings=one, channel=back_channel(one, outside, alone=alone), clock=outside.clock)
        for name, one in settings.providers.items()
    }


def make_store(settings: Settings, outside: Outside) -> SessionStore:
    """Make the store of sessions; raises `StoreUnavailable`."""
    return SessionStore(
        backend=outside.backend or make_backend(settings.store),
        ring=settings.ring,
        realm=settings.public_url,
        lifetimes=settings.lifetimes,
        clock=outside.clock,
        entropy=outside.entropy,
        local_cache=settings.local_cache,
    )


def make_upstreams(settings: Settings) -> Mapping[str, Upstream]:
    """Make the upstreams by their URL."""
    return {url: _upstream(settings, url) for url in settings.upstream_urls}


def back_channel(settings: ProviderSettings, outside: Outside, *, alone: bool = True) -> BackChannel:
    """Make the way to a provider, which may be one of several."""
    transport = outside.transport or RequestsTransport(
        verify=settings.verify_tls, timeout=settings.timeout, certificate=settings.certificate
    )
    limit = UNLIMITED_CALLS if alone else CALLS_OF_ONE_AMONG_SEVERAL
    return BackChannel(transport=transport, clock=outside.clock, entropy=outside.entropy, max_calls=limit)


def _upstream(settings: Settings, url: str) -> Upstream:
    return Upstream(
        url=url,
        pseudonym=f"gateway-{sha256(settings.public_url.encode('utf-8')).hexdigest()[:12]}",
        connect_timeout=settings.upstream.connect_timeout,
        read_timeout=settings.upstream.read_timeout,
        verify_tls=settings.upstream.verify_tls,
        certificate=settings.certificate,
    )
