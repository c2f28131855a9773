"""The keys of a route: which requests it is about, what it asks of them, and where they go."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gateway.config_authorization_model import Model
from gateway.config_values import (
    Duration,
    FieldText,
    HeaderName,
    Listed,
    Mapped,
    Method,
    OneOrMore,
    OwnPath,
    Pattern,
    ProviderName,
    UpstreamURL,
)


class RequireModel(Model):
    """What a session must show."""

    acr: Listed[str] = []
    """Authentication context classes of which the login must have one; a weaker one is asked to sign in again."""
    max_age: Annotated[Duration, Field(ge=60)] | None = None
    """How old the login at the provider may be; an older one is asked to sign in again."""

    scope: Listed[str] = []
    """Scopes that must all have been granted."""
    claims: Mapped[OneOrMore[bool | int | str]] = {}
    """Claims by name, each with the values of which one must be present."""


class ExchangeModel(Model):
    """A token for one upstream alone (RFC 8693)."""

    audience: Listed[str] = []
    """Names of what the token is for."""
    resource: Listed[str] = []
    """Addresses of what the token is for."""
    scope: str = ""
    """What it may be used for."""


class ExchangedTokenModel(Model):
    """The access token, exchanged."""

    exchange: ExchangeModel
    """What the exchanged token is for."""


class RouteModel(Model):
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
    provider: ProviderName | None = None
    """Which of several providers must have signed the user in; any if unset."""
    token: Literal["access_token", "id_token", "introspected", "none"] | ExchangedTokenModel | None = None
    """Which token goes out as `Authorization`; access_token to an upstream, none to a wrapped app."""
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
