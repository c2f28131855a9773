"""The configuration, checked as a whole and turned into one frozen `Settings`."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from gateway.catalogue_files import read_locales
from gateway.client_address import Network
from gateway.config_logs import LogSettings, logs_of
from gateway.config_metrics_model import MetricsSettings, metrics_of
from gateway.config_model import DEFAULT_PROVIDER, Document
from gateway.config_provider import OwnAddresses, ProviderSettings, provider_settings
from gateway.config_route import route_of
from gateway.config_route_model import RouteModel
from gateway.config_sections import (
    ConsoleSettings,
    ForwardAuthSettings,
    StoreSettings,
    console_of,
    forward_auth_of,
    lifetimes_of,
    limits_of,
    store_of,
)
from gateway.config_sources import ConfigurationError, Sources, overlay, read_sources
from gateway.config_tracing_model import TracingSettings, tracing_of
from gateway.config_upstream import UpstreamSettings, upstreams_of
from gateway.cookies import CookiePolicy
from gateway.headers import HeaderRules, header_rules
from gateway.limits import Limits
from gateway.oidc.access_token import AccessTokenRules
from gateway.oidc.client import SenderConstraint
from gateway.oidc.keys import OwnKey
from gateway.page_templates import read_templates
from gateway.route import Route
from gateway.sealing import KeyRing
from gateway.session import Lifetimes

UNREGISTERED = "(not registered yet)"
"""Stands for what a provider has not told us yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the gateway is told, read once at the start."""

    public_url: str
    prefix: str
    callback_path: str
    post_logout_path: str
    keep_fragment: bool
    providers: Mapping[str, ProviderSettings]
    cookies: CookiePolicy
    ring: KeyRing
    lifetimes: Lifetimes
    local_cache: int
    store: StoreSettings
    identity_keys: tuple[OwnKey, ...] = field(repr=False)
    bearer: AccessTokenRules
    bearer_cache: int
    cors_origins: frozenset[str]
    routes: tuple[Route, ...]
    default_route: Route
    rules: HeaderRules
    upstreams: Mapping[str, UpstreamSettings]
    trusted_proxies: tuple[Network, ...]
    trusted_hops: int
    forward_auth: ForwardAuthSettings
    admin_tokens: tuple[str, ...] = field(repr=False)
    templates: Mapping[str, str] = field(repr=False)
    locales: Mapping[str, bytes] = field(repr=False)
    limits: Limits
    console: ConsoleSettings
    tracing: TracingSettings
    metrics: MetricsSettings
    log_level: str
    logs: LogSettings

    @property
    def only_provider(self) -> ProviderSettings | None:
        """The provider, where there is just one."""
        return next(iter(self.providers.values())) if len(self.providers) == 1 else None

    @property
    def certificate(self) -> tuple[str, str] | None:
        """The certificate that access tokens are bound to, and that upstreams must therefore be shown (RFC 8705 3)."""
        bound = (one for one in self.providers.values() if one.client.sender_constraint is SenderConstraint.MTLS)
        return next((one.certificate for one in bound), None)


def load_settings(path: str | None, environ: Mapping[str, str]) -> Settings:
    """Read the configuration from file, secrets and environment; raises `ConfigurationError`."""
    return settings_of(load_document(path, environ))


def load_document(path: str | None, environ: Mapping[str, str]) -> Document:
    """Read the keys as they were written in file, secrets and environment; raises `ConfigurationError`."""
    return _validated(read_sources(path, environ))


def load_standalone_settings(path: str | None, environ: Mapping[str, str]) -> Settings:
    """Read the configuration of a gateway that wraps no app: something must be behind it, or a proxy beside it.

    Raises `ConfigurationError`.
    """
    settings = load_settings(path, environ)
    if not settings.upstreams and not settings.forward_auth.enabled:
        wrapped = "an app that is wrapped in code needs none, and `gateway doctor` looks at the rest"
        missing = f"upstream: is missing; name what is behind the gateway: http://127.0.0.1:3000 ({wrapped})"
        raise ConfigurationError([missing])
    return settings


def parse_settings(document: Mapping[str, object], environ: Mapping[str, str]) -> Settings:
    """Read the configuration from a mapping, secrets and environment; raises `ConfigurationError`."""
    return settings_of(_validated(overlay(document, environ)))


def wrapping(settings: Settings) -> Settings:
    """Return the settings for a gateway around an app, which some request must reach; raises `ConfigurationError`."""
    if all(route.upstream for route in (*settings.routes, settings.default_route)):
        raise ConfigurationError(["upstream: every request goes there and none to the app that is wrapped; remove it"])
    return settings


def load_settings_to_register(path: str | None, environ: Mapping[str, str]) -> Mapping[str, ProviderSettings]:
    """Read what there is to know of the providers before we are registered there; raises `ConfigurationError`.

    A provider with a `client_id` of its own is registered already, and left out.
    """
    sources = read_sources(path, environ)
    several = sources.document.get("providers")
    named = several if isinstance(several, dict) else {DEFAULT_PROVIDER: sources.document.get("provider")}
    placeholders = {"client_id": UNREGISTERED, "client_secret": UNREGISTERED}
    known = {name: keys for name, keys in named.items() if isinstance(keys, dict)}
    unknown = {name: {**placeholders, **keys} for name, keys in known.items() if "client_id" not in keys}
    if not unknown:
        raise ConfigurationError(["provider.client_id: is configured; there is nothing to register"])
    others = {name: value for name, value in sources.document.items() if name not in ("provider", "providers")}
    found = {"providers": unknown} if isinstance(several, dict) else {"provider": unknown[DEFAULT_PROVIDER]}
    return settings_of(_validated(replace(sources, document={**others, **found, "routes": []}))).providers


def _validated(sources: Sources) -> Document:
    # Empty sections instead of missing ones, so that the keys missing in them are named one by one.
    provider: dict[str, object] = {} if "providers" in sources.document else {"provider": {}}
    document = {**provider, "session": {}, **sources.document}
    try:
        return Document.model_validate(document)
    except ValidationError as error:
        problems = [_problem(item["loc"], item["msg"], item["type"], sources) for item in error.errors()]
        raise ConfigurationError(problems) from None


def _problem(location: tuple[int | str, ...], message: str, kind: str, sources: Sources) -> str:
    path = ".".join(str(part) for part in location)
    origin = next((origin for other, origin in sources.origins.items() if _same_branch(other, path)), None)
    where = f"{path} (from {origin})" if origin else path or "config"
    words = {"missing": "is missing", "extra_forbidden": "is not a key that the gateway knows"}
    return f"{where}: {words.get(kind, message.removeprefix('Value error, '))}"


def _same_branch(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def settings_of(document: Document) -> Settings:
    """Turn the keys into settings."""
    callback_path = document.callback_path or f"{document.prefix}/callback"
    post_logout_path = document.post_logout_path or f"{document.prefix}/signed_out"
    ring = KeyRing.of([secret.get_secret_value() for secret in document.session.secret])
    providers = _providers(document, callback_path, document.public_url + post_logout_path)
    cookies = _cookies(document, ring, providers)
    used = dict.fromkeys(filter(None, [document.upstream, *(route.upstream for route in document.routes)]))
    upstreams = upstreams_of(document.upstreams, set(used), document.upstream_connection)
    *routes, default_route = _routes(document, upstreams)
    return Settings(
        public_url=document.public_url,
        prefix=document.prefix,
        callback_path=callback_path,
        post_logout_path=post_logout_path,
        keep_fragment=document.keep_fragment,
        providers=providers,
        cookies=cookies,
        ring=ring,
        lifetimes=lifetimes_of(document.session),
        local_cache=document.session.local_cache,
        store=store_of(document.session.store),
        identity_keys=document.identity,
        bearer=_bearer(document),
        bearer_cache=document.bearer.cache,
        cors_origins=frozenset(document.cors.origins),
        routes=tuple(routes),
        default_route=default_route,
        rules=header_rules(cookies, document.public_url, (*routes, default_route)),
        upstreams={name: upstreams[name] for name in used},
        trusted_proxies=tuple(ipaddress.ip_network(network) for network in document.trusted_proxies),
        trusted_hops=document.trusted_hops,
        forward_auth=forward_auth_of(document.forward_auth),
        admin_tokens=tuple(token.get_secret_value() for token in document.admin_token),
        templates={} if document.templates is None else read_templates(Path(document.templates)),
        locales={} if document.locales is None else read_locales(Path(document.locales)),
        limits=limits_of(document.limits),
        console=console_of(document.console),
        tracing=tracing_of(document.tracing),
        metrics=metrics_of(document.metrics),
        log_level=document.log_level,
        logs=logs_of(document.logs),
    )


def _cookies(document: Document, ring: KeyRing, providers: Mapping[str, ProviderSettings]) -> CookiePolicy:
    posted = any(one.client.expects_form for one in providers.values())
    secure = document.public_url.startswith("https:")
    return CookiePolicy(name=document.session.cookie_name, secure=secure, ring=ring, cross_site=posted)


def _routes(document: Document, upstreams: Mapping[str, UpstreamSettings]) -> list[Route]:
    """Make the rules in their order, the last of them for all else."""
    addresses = {name: one.address for name, one in upstreams.items()}
    trusted, upstream = frozenset(document.cors.origins), document.upstream or ""
    written = [*document.routes, RouteModel(path="/**")]
    return [route_of(route, upstream, addresses, trusted) for route in written]


def _bearer(document: Document) -> AccessTokenRules:
    model = document.bearer
    return AccessTokenRules(
        audience=frozenset(model.audience),
        types=frozenset(name.lower().removeprefix("application/") for name in model.types),
        algorithms=tuple(model.algorithms),
        leeway=min(provider.clock_leeway for provider in document.named_providers.values()),
    )


def _providers(document: Document, callback_path: str, post_logout_redirect_uri: str) -> Mapping[str, ProviderSettings]:
    # Each of several has addresses of its own: an answer for one is none for another (RFC 9700 4.4.2.2).
    public_url, prefix, single = document.public_url, document.prefix, document.provider is not None
    return {
        name: provider_settings(
            name,
            model,
            OwnAddresses(
                redirect_uri=f"{public_url}{callback_path}{end}",
                post_logout_redirect_uri=post_logout_redirect_uri,
                backchannel_logout_uri=f"{public_url}{prefix}/backchannel-logout{end}",
                frontchannel_logout_uri=f"{public_url}{prefix}/frontchannel-logout{end}",
            ),
        )
        for name, model in document.named_providers.items()
        for end in ("" if single else f"/{name}",)
    }
