"""The keys of config.yaml: type, default and one sentence each; the sentences become the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from gateway.config_authorization_model import Model
from gateway.config_console_model import ConsoleModel
from gateway.config_limits_model import LimitsModel
from gateway.config_logs_model import LogsModel
from gateway.config_metrics_model import MetricsModel
from gateway.config_page_values import Locales, Templates
from gateway.config_provider_model import ProviderModel
from gateway.config_route_model import BearerModel, CorsModel, RouteModel
from gateway.config_session_model import SessionModel
from gateway.config_tracing_model import TracingModel
from gateway.config_upstream_model import ConnectionModel, UpstreamModel
from gateway.config_values import (
    COUNT,
    Duration,
    HeaderName,
    Listed,
    Name,
    Network,
    OneOrMore,
    Origin,
    OwnPath,
    ReadableFile,
    RingSecret,
    Section,
    UpstreamReference,
)
from gateway.oidc.keys import OwnKey, load_own_keys
from gateway.oidc.metadata import is_loopback

DEFAULT_PROVIDER = "default"
"""The name of the only provider."""


class ForwardAuthModel(Model):
    """How a proxy beside us names the target that it asks about."""

    enabled: bool = False
    """Whether /oauth2/auth answers the addresses of `trusted_proxies`."""
    uri_header: HeaderName = "X-Forwarded-Uri"
    """The header in which a trusted proxy names the target that it asks about."""
    method_header: HeaderName | Literal[""] = "X-Forwarded-Method"
    """The header in which it names the method; empty for one that names none, and then no rule may name methods."""
    ext_authz: bool = False
    """Whether <prefix>/ext_authz answers Envoy, which puts that before the path that it asks about."""
    login: Literal["status", "redirect"] = "status"
    """What a navigation without a session gets: 401, as nginx needs, or the way to the login, which others pass on."""
    access_token: bool = False
    """Whether X-Auth-Request-Access-Token has the access token, for whoever may ask."""
    cache: Annotated[Duration, Field(le=60)] = 0
    """How long the proxy may use an answer again; so long a sign-out goes unseen."""


class Document(Model):
    """The whole configuration."""

    public_url: Origin
    """What the browser sees; redirect URI, cookies and logout follow from it."""
    upstream: UpstreamReference | None = None
    """What is behind the gateway, by URL or by name, for every route that names no upstream of its own."""
    upstreams: Section[dict[Name, UpstreamModel]] = {}
    """Upstreams by name, where a URL does not say enough: several origins, certificates, timeouts, health checks."""
    provider: ProviderModel | None = None
    """The provider and our registration there."""
    providers: Annotated[dict[Name, ProviderModel], Field(min_length=1)] | None = None
    """Several providers by name, each with the keys of `provider`; where none is named, users choose."""
    session: SessionModel
    """How sessions are kept."""
    bearer: BearerModel = BearerModel()
    """What the access tokens must show that clients bring, where a rule lets them."""
    cors: CorsModel = CorsModel()
    """Single-page apps of other origins."""
    routes: Listed[RouteModel] = []
    """Rules for paths, the first that fits holds; where none does, login is required."""
    prefix: OwnPath = "/oauth2"
    """Where our own endpoints are."""
    callback_path: OwnPath | None = None
    """The redirect URI's path; <prefix>/callback if unset."""
    post_logout_path: OwnPath | None = None
    """Where the provider sends the browser after a logout; <prefix>/signed_out if unset."""
    identity_keys: Listed[ReadableFile] = []
    """Files with private keys on P-256 that sign X-Gateway-Identity; the first signs, all are published."""
    keep_fragment: bool = False
    """Whether a page of ours runs before the login, so that the #fragment of the address survives it."""
    trusted_proxies: Listed[Network] = []
    """Addresses whose X-Forwarded-For is believed, and which may ask for decisions where forward_auth is enabled."""
    trusted_hops: Annotated[int, Field(ge=0, le=8), COUNT] = 0
    """Instead, how many proxies every request passes, where their addresses are not known."""
    forward_auth: ForwardAuthModel = ForwardAuthModel()
    """How nginx, Traefik or Caddy name what they ask about."""
    upstream_connection: ConnectionModel = ConnectionModel()
    """How upstreams are connected to."""
    limits: LimitsModel = LimitsModel()
    """How much each process takes on."""
    admin_token: OneOrMore[RingSecret] = []
    """Who sends one of these as a bearer token may list and end sessions at <prefix>/admin/sessions; unset, nobody."""
    templates: Templates | None = None
    """A directory of Jinja2 templates that stand for our pages of the same names (docs/pages.md)."""
    locales: Locales | None = None
    """A directory of gettext catalogues that add languages to our pages, or have other texts (docs/pages.md)."""
    console: ConsoleModel = ConsoleModel()
    """The developer's console."""
    tracing: TracingModel = TracingModel()
    """Traces of requests, by OpenTelemetry."""
    metrics: MetricsModel = MetricsModel()
    """Metrics for Prometheus."""
    log_level: Literal["info", "warning", "error"] = "info"
    """How much is logged by a gateway that stands alone; around an app, its logging decides."""
    logs: LogsModel = LogsModel()
    """What is logged of requests and sessions, and how."""

    @property
    def named_providers(self) -> dict[str, ProviderModel]:
        """All providers by name."""
        return {DEFAULT_PROVIDER: self.provider} if self.provider is not None else dict(self.providers or {})

    @model_validator(mode="after")
    def _providers_are_told_apart(self) -> Document:
        if (self.provider is None) == (self.providers is None):
            raise ValueError("one of provider and providers must be there, and not both")
        issuers = [provider.issuer for provider in self.named_providers.values()]
        if len(set(issuers)) != len(issuers):  # RFC 9207 4
            raise ValueError("providers: two have the same issuer")
        unknown = sorted({route.provider for route in self.routes if route.provider} - set(self.named_providers))
        if unknown:
            raise ValueError(f"routes: provider {unknown[0]} is not among providers")
        return self

    @model_validator(mode="after")
    def _upstreams_are_there(self) -> Document:
        named = [self.upstream, *(route.upstream for route in self.routes)]
        unknown = sorted({name for name in named if name and ":" not in name} - set(self.upstreams))
        if unknown:
            raise ValueError(f"upstream {unknown[0]} is not among upstreams")
        return self

    @model_validator(mode="after")
    def _only_named_proxies_ask(self) -> Document:
        if self.forward_auth.enabled and not self.trusted_proxies:
            raise ValueError("trusted_proxies must name the proxies that may ask, for forward_auth is enabled")
        if self.trusted_hops and self.trusted_proxies:
            raise ValueError("trusted_hops counts proxies and trusted_proxies names them: one of the two")
        if not self.forward_auth.method_header and any(route.methods for route in self.routes):
            raise ValueError("forward_auth.method_header must name a header, for a rule is about methods")
        return self

    @model_validator(mode="after")
    def _console_is_for_developers(self) -> Document:
        host = urlsplit(self.public_url).hostname or ""
        if self.console.enabled and not self.console.says_who and not is_loopback(host):
            raise ValueError("console.require must say whom the console is for, since public_url is not on localhost")
        return self

    @model_validator(mode="after")
    def _rules_can_be_met(self) -> Document:
        openid = {name for name, provider in self.named_providers.items() if provider.type == "openid"}
        for route in self.routes:
            needs_id_token = route.token == "id_token" or route.require.acr or route.require.max_age is not None
            if needs_id_token and not openid & ({route.provider} if route.provider else openid):
                raise ValueError(
                    f"routes: {route.path} needs an ID token, which a provider of type oauth2 does not give"
                )
        return self

    @model_validator(mode="after")
    def _bearer_tokens_are_for_us(self) -> Document:
        ways = {way for route in self.routes for way in route.bearer}
        if ways and not self.bearer.audience:
            raise ValueError("bearer.audience must name us: a token that was made for another counts for nothing here")
        for route in self.routes:
            if "introspection" in route.bearer and len(self.named_providers) > 1 and route.provider is None:
                raise ValueError(f"routes: {route.path} must name the provider that is asked about tokens")
        clients = {provider.client_id for provider in self.named_providers.values()}
        if "jwt" in {each.lower() for each in self.bearer.types} and clients & set(self.bearer.audience):
            raise ValueError("bearer.audience must not be a client_id where typ JWT counts: ID tokens are for that")
        return self

    @property
    def identity(self) -> tuple[OwnKey, ...]:
        """The keys that sign who asks; raises `ValueError` for one that is not fit."""
        files = [load_own_keys(Path(path).read_bytes(), signing_algorithm="ES256") for path in self.identity_keys]
        keys = tuple(key for file in files for key in file)
        others = [key for one in self.named_providers.values() for key in one.own_keys("sig")]
        if any(key.algorithm != "ES256" or key.use != "sig" for key in keys):
            raise ValueError("identity_keys: each must be a private key on P-256, for ES256")
        if len({key.kid for key in (*keys, *others)}) < len(keys) + len({key.kid for key in others}):
            raise ValueError("identity_keys: each must be there once, and sign nothing else")
        return keys

    @model_validator(mode="after")
    def _identity_can_be_signed(self) -> Document:
        keys = self.identity
        if any(route.identity_jwt for route in self.routes) and not keys:
            raise ValueError("identity_keys must name a key, for a route has identity_jwt")
        return self

    @model_validator(mode="after")
    def _paths_differ(self) -> Document:
        callback = self.callback_path or f"{self.prefix}/callback"
        landing = self.post_logout_path or f"{self.prefix}/signed_out"
        fixed = {
            f"{self.prefix}/{name}"
            for name in (
                "start",
                "sign_out",
                "auth",
                "userinfo",
                "session",
                "refresh",
                "form",
                "sign_in",
                "jwks.json",
                "admin/sessions",
                "console",
                "backchannel-logout",
                "frontchannel-logout",
            )
        }
        if callback == landing or {callback, landing} & {*fixed, "/ping", "/ready"}:
            raise ValueError("callback_path and post_logout_path must differ from each other and from other endpoints")
        return self
