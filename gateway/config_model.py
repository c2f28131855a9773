"""The keys of config.yaml: type, default and one sentence each; the sentences become the documentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from gateway.config_values import (
    CookieName,
    Duration,
    FieldText,
    HeaderName,
    Listed,
    Mapped,
    Method,
    Network,
    OneOrMore,
    Origin,
    OwnPath,
    Pattern,
    ProtectedURL,
    RingSecret,
    UpstreamURL,
    Verification,
    split_url,
)

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
    "HS256", "HS384", "HS512",
]  # fmt: skip
PROTECTED_PARAMETERS = frozenset(
    {
        "response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge",
        "code_challenge_method", "max_age", "request", "request_uri", "id_token_hint",
    }
)  # fmt: skip
"""Parameters of the authorization request that are ours to set, or that would replace all the others."""

StartParameter = Literal["acr_values", "prompt", "login_hint", "ui_locales", "max_age"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


class AuthorizationModel(_Model):
    """What every authorization request asks for."""

    acr_values: str | None = None
    """Authentication context classes to ask for."""
    prompt: Literal["login", "consent", "select_account"] | None = None
    """What to ask of the user at every login."""
    max_age: Duration | None = None
    """How old a login at the provider may be; checked against `auth_time`."""
    ui_locales: str | None = None
    """Languages for the provider's pages."""
    extra: Mapped[str] = {}
    """More parameters of the authorization request; those that protect the flow cannot be replaced."""

    @field_validator("extra")
    @classmethod
    def _leaves_the_flow_alone(cls, extra: dict[str, str]) -> dict[str, str]:
        refused = sorted(PROTECTED_PARAMETERS.intersection(extra))
        if refused:
            raise ValueError(f"must not set {', '.join(refused)}")
        return extra


class ProviderModel(_Model):
    """The OpenID provider and our registration there."""

    issuer: ProtectedURL
    """The provider's issuer identifier, to the letter."""
    client_id: Annotated[str, Field(min_length=1)]
    """Our name at the provider."""
    client_secret: SecretStr = SecretStr("")
    """Our secret at the provider; better kept in GATEWAY_PROVIDER__CLIENT_SECRET or in a secrets file."""
    token_endpoint_auth_method: Literal["client_secret_basic", "client_secret_post", "none"] = "client_secret_basic"
    """How we authenticate at the token endpoint, in RFC 7591's words."""
    scope: str = "openid profile email"
    """What to ask for, with spaces between; `openid` must be among it."""
    id_token_signed_response_alg: OneOrMore[Algorithm] = ["RS256"]
    """The only algorithms that an ID token may be signed with, one or a list."""
    userinfo: bool = True
    """Whether the userinfo endpoint is asked at login."""
    verify_tls: Verification = True
    """Whether the provider's certificate is checked; a path names a CA bundle, false is for experiments."""
    timeout: Annotated[Duration, Field(ge=1, le=30)] = 10
    """How long the provider may be silent, and how long its answer may take."""
    clock_leeway: Annotated[Duration, Field(le=300)] = 60
    """How far the provider's clock may be off."""
    metadata: Mapped[object] = {}
    """Endpoints by hand, under their names in discovery; with the three required ones, discovery is not asked."""
    authorization: AuthorizationModel = AuthorizationModel()
    """What every authorization request asks for."""
    start_parameters: Listed[StartParameter] = ["login_hint", "ui_locales"]
    """Parameters that a link to /oauth2/start may set."""

    @model_validator(mode="after")
    def _is_coherent(self) -> ProviderModel:
        if "openid" not in self.scope.split():
            raise ValueError("scope must contain openid")
        if self.token_endpoint_auth_method != "none" and not self.client_secret.get_secret_value():
            raise ValueError("client_secret is missing (or set token_endpoint_auth_method: none)")
        return self


class StoreModel(_Model):
    """Where sessions are kept."""

    type: Literal["file", "memory", "redis"] = "file"
    """Where sessions are kept: `file` for the workers of one machine, `redis` for several, `memory` for one process."""
    path: str = "var/sessions"
    """The directory of the file store."""
    url: SecretStr | None = None
    """The server of the redis store: redis://127.0.0.1:6379/0."""
    prefix: str = "gateway:"
    """What keys in a shared server begin with."""

    @model_validator(mode="after")
    def _is_coherent(self) -> StoreModel:
        url = "" if self.url is None else self.url.get_secret_value()
        if "://" in url:
            split_url(url)
        if self.type == "redis" and not url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("url must name the server: redis://127.0.0.1:6379/0")
        return self


class SessionModel(_Model):
    """How sessions are sealed and how long they live."""

    secret: OneOrMore[RingSecret] = Field(min_length=1)
    """Seals cookies and sessions, at least 32 characters; a list is a key ring: the first seals, all open."""
    cookie_name: CookieName = "gateway"
    """The session cookie's name; `__Host-` is put before it on https."""
    store: StoreModel = StoreModel()
    """Where sessions are kept."""
    idle_timeout: Annotated[Duration, Field(ge=60)] = 1800
    """How long an unused session lives."""
    lifetime: Annotated[Duration, Field(ge=60)] = 43200
    """How long any session lives."""
    refresh_leeway: Duration = 60
    """How long before its end the access token is renewed."""


class RequireModel(_Model):
    """What a session must show."""

    scope: Listed[str] = []
    """Scopes that must all have been granted."""
    claims: Mapped[OneOrMore[bool | int | str]] = {}
    """Claims by name, each with the values of which one must be present."""


class RouteModel(_Model):
    """A rule for paths."""

    path: Pattern
    """The path: exact, `*` for one segment, `/**` at the end for all below."""
    methods: Listed[Method] = []
    """The methods that the rule is about; none means all, and HEAD goes with GET."""
    access: Literal["public", "optional", "required", "deny"] = "required"
    """Who may pass: anyone, anyone but named when signed in, the signed in, nobody."""
    upstream: UpstreamURL | None = None
    """Where the request goes; the global upstream if unset."""
    strip_prefix: OwnPath | None = None
    """What is cut from the front of the path before it goes to the upstream."""
    preserve_host: bool = True
    """Whether the upstream sees the host of `public_url` or its own."""
    login: Literal["redirect", "never"] = "redirect"
    """Whether a navigation without a session is sent to the login, or gets 401 like everything else."""
    require: RequireModel = RequireModel()
    """What the session must show."""
    token: Literal["access_token", "id_token", "none"] | None = None
    """Which token goes out as `Authorization: Bearer`; access_token to an upstream, none to a wrapped app."""
    identity_headers: bool | None = None
    """Whether X-Forwarded-User and its like are sent; yes to an upstream, no to a wrapped app."""
    request_headers: dict[HeaderName, FieldText] = {}
    """Headers to add; `{claim}` is replaced by the user's claim."""
    allow_encoded_slash: bool = False
    """Whether %2F may stand in the path."""

    @model_validator(mode="after")
    def _is_coherent(self) -> RouteModel:
        literal = self.path.removesuffix("/**")
        if self.strip_prefix and literal != self.strip_prefix and not literal.startswith(f"{self.strip_prefix}/"):
            raise ValueError("strip_prefix must be the beginning of path")
        return self


class ForwardAuthModel(_Model):
    """How a proxy beside us names the target that it asks about."""

    enabled: bool = False
    """Whether /oauth2/auth answers the addresses of `trusted_proxies`."""
    uri_header: HeaderName = "X-Forwarded-Uri"
    """The header in which a trusted proxy names the target that it asks about."""
    method_header: HeaderName = "X-Forwarded-Method"
    """The header in which it names the method."""


class UpstreamModel(_Model):
    """How upstreams are connected to."""

    connect_timeout: Annotated[Duration, Field(ge=1)] = 5
    """How long connecting to an upstream may take."""
    read_timeout: Annotated[Duration, Field(ge=1)] = 60
    """How long an upstream may be silent."""
    verify_tls: Verification = True
    """Whether an https upstream's certificate is checked; a path names a CA bundle."""


class Document(_Model):
    """The whole configuration."""

    public_url: Origin
    """What the browser sees; redirect URI, cookies and logout follow from it."""
    upstream: UpstreamURL | None = None
    """What is behind the gateway, for every route that names no upstream of its own."""
    provider: ProviderModel
    """The OpenID provider and our registration there."""
    session: SessionModel
    """How sessions are kept."""
    routes: Listed[RouteModel] = []
    """Rules for paths, the first that fits holds; where none does, login is required."""
    prefix: OwnPath = "/oauth2"
    """Where our own endpoints are."""
    callback_path: OwnPath | None = None
    """The redirect URI's path; <prefix>/callback if unset."""
    post_logout_path: OwnPath | None = None
    """Where the provider sends the browser after a logout; <prefix>/signed_out if unset."""
    keep_fragment: bool = False
    """Whether a page of ours runs before the login, so that the #fragment of the address survives it."""
    trusted_proxies: Listed[Network] = []
    """Addresses whose X-Forwarded-For is believed, and which may ask for decisions where forward_auth is enabled."""
    forward_auth: ForwardAuthModel = ForwardAuthModel()
    """How nginx, Traefik or Caddy name what they ask about."""
    upstream_connection: UpstreamModel = UpstreamModel()
    """How upstreams are connected to."""
    log_level: Literal["info", "warning", "error"] = "info"
    """How much is logged by a gateway that stands alone; around an app, its logging decides."""

    @model_validator(mode="after")
    def _paths_differ(self) -> Document:
        callback = self.callback_path or f"{self.prefix}/callback"
        landing = self.post_logout_path or f"{self.prefix}/signed_out"
        fixed = {f"{self.prefix}/{name}" for name in ("start", "sign_out", "auth", "userinfo", "session", "refresh")}
        if callback == landing or {callback, landing} & {*fixed, "/ping", "/ready"}:
            raise ValueError("callback_path and post_logout_path must differ from each other and from other endpoints")
        return self
