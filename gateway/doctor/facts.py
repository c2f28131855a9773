"""All that is seen, gathered part by part before anything is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.assembly import Outside
from gateway.config import Settings
from gateway.config_model import DEFAULT_PROVIDER, Document
from gateway.config_provider import ProviderSettings
from gateway.doctor.configuration_findings import KeyFile
from gateway.doctor.outside_facts import OutsideFacts, gather_outside
from gateway.doctor.probes import Probes, gather_probes
from gateway.doctor.provider_facts import Exchange, Published, asking, gather_published
from gateway.doctor.store_facts import StoreFacts, gather_store
from gateway.doctor.upstream_facts import UpstreamFacts, gather_upstreams

Progress = Callable[[str], None]
"""Is told what is looked at next."""


_PROXY_VARIABLES = frozenset({"https_proxy", "all_proxy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFacts:
    """What is known of one provider, and every exchange with it in order."""

    published: Published
    probes: Probes
    exchanges: tuple[Exchange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was seen at a moment, `now` in seconds since the epoch; `proxy_variables` are those of the environment."""

    settings: Settings
    files: tuple[KeyFile, ...]
    providers: Mapping[str, ProviderFacts]
    store: StoreFacts
    upstreams: tuple[UpstreamFacts, ...]
    outside: tuple[OutsideFacts, ...]
    proxy_variables: tuple[str, ...]
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is examined: the configuration as keys and as settings, by which address, in which environment."""

    document: Document
    settings: Settings
    url: str | None
    environ: Mapping[str, str]


def gather(patient: Patient, outside: Outside, progress: Progress) -> Facts:
    """Look at all parts, one after the other; each waits for a bounded time alone."""
    settings = patient.settings
    providers: dict[str, ProviderFacts] = {}
    for name, one in settings.providers.items():
        progress(f"the provider {one.name}")
        providers[name] = _provider(one, outside)
    progress("the store")
    store = gather_store(settings, outside, patient.environ)
    progress("what is behind the gateway")
    upstreams = gather_upstreams(settings)
    progress("the way from outside")
    return Facts(
        settings=settings,
        files=tuple(_key_files(patient.document)),
        providers=providers,
        store=store,
        upstreams=tuple(upstreams),
        outside=tuple(gather_outside(settings, patient.url)),
        proxy_variables=tuple(name for name in sorted(patient.environ) if name.lower() in _PROXY_VARIABLES),
        now=outside.clock(),
    )


def _provider(settings: ProviderSettings, outside: Outside) -> ProviderFacts:
    asks = asking(settings, outside)
    published = gather_published(asks)
    probes = gather_probes(asks, published)
    return ProviderFacts(published=published, probes=probes, exchanges=tuple(asks.recorder.exchanges))


def _key_files(document: Document) -> list[KeyFile]:
    named = [("identity_keys", path) for path in document.identity_keys]
    for name, one in document.named_providers.items():
        at = "provider" if name == DEFAULT_PROVIDER else f"providers.{name}"
        named += [(f"{at}.signing_keys", path) for path in one.signing_keys]
        named += [(f"{at}.decryption_keys", path) for path in one.decryption_keys]
        named.append((f"{at}.client_certificate_key", one.client_certificate_key or ""))
        named.append((f"{at}.registration", one.registration or ""))
    named += [
        (f"upstreams.{name}.client_certificate_key", one.client_certificate_key or "")
        for name, one in document.upstreams.items()
    ]
    files: list[KeyFile] = []
    for key, path in named:
        with suppress(OSError):  # Whoever cannot look at it is told by what needs it.
            files += [KeyFile(key=key, path=path, mode=Path(path).stat().st_mode)] if path else []
    return files
