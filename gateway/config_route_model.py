"""The keys of a route: which requests it is about, what it asks of them, and where they go."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from gateway.config_authorization_model import Model
from gateway.config_values import (
    CheckName,
    Duration,
    EmailDomain,
    FieldText,
    HeaderName,
    HostPattern,
    Listed,
    Mapped,
    Method,
    Name,
    Network,
    OneOrMore,
    Origin,
    OwnPath,
    Pattern,
    ScopeToken,
    Size,
    UpstreamReference,
)


class BoundsModel(Model):
    """Between what the number in a claim must lie."""

    at_least: int | None = None
    """The smallest that will do."""
    at_most: int | None = None
    """The largest that will do."""

    @model_validator(mode="after")
    def _is_bound(self) -> BoundsModel:
        if self.at_least is None and self.at_most is None:
            raise ValueError("at_least or at_most must be there")
        return self


ClaimModel = Annotated[
    Annotated[OneOrMore[bool | int | str], Field(min_length=1), Tag("values")] | Annotated[BoundsModel, Tag("bounds")],
    Discriminator(lambda value: "bounds" if isinstance(value, dict | BoundsModel) else "values"),
]


class ConditionModel(Model):
    """What must be true of a session."""

    scope: Listed[ScopeToken] = []
    """Scopes that must all have been granted."""
    claims: Mapped[ClaimModel] = {}
    """Claims by name, each with the values of which one must be present, or with `at_least` and `at_most`."""
    email_domains: Listed[EmailDomain] = []
    """Domains of which the user's address must be; `.example.com` means all below that one."""
    networks: Listed[Network] = []
    """Networks in which the client must be, as far as `trusted_proxies` name it."""
    any_of: Listed[ConditionModel] = []
    """Conditions, each with keys from `scope` to `not`, of which one must hold."""
    all_of: Listed[ConditionModel] = []
    """Conditions, each with keys from `scope` to `not`, which must all hold."""
    not_: Listed[ConditionModel] = Field(default=[], alias="not")
    """Conditions, each with keys from `scope` to `not`, of which none may hold."""

    @model_validator(mode="after")
    def _asks_something(self) -> ConditionModel:
        # An alternative that asks nothing would let everybody in, and is a slip of the pen.
        for part in (*self.any_of, *self.all_of, *self.not_):
            if not part.model_fields_set:
                raise ValueError("any_of, all_of and not must hold conditions that ask something")
        return self

    @property
    def asks_who(self) -> bool:
        """Whether it asks for more than where the client is."""
        parts = (*self.any_of, *self.all_of, *self.not_)
        return bool(self.scope or self.claims or self.email_domains or any(part.asks_who for part in parts))


class RequireModel(ConditionModel):
    """What a session must show."""

    acr: Listed[str] = []
    """Authentication context classes of which the login must have one; a weaker one is asked to sign in again."""
    max_age: Annotated[Duration, Field(ge=60)] | None = None
    """How old the login at the provider may be; an older one is asked to sign in again."""
    check: CheckName | None = None
    """A Python function, `module:name`, that is given session and target; only its answer `True` lets pass."""


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


AsymmetricAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
]  # fmt: skip


class BearerModel(Model):
    """What the access tokens must show that clients bring, where a rule lets them (RFC 9068, RFC 7662)."""

    audience: Listed[str] = []
    """Our names in `aud`, of which a token must have one."""
    types: Annotated[Listed[str], Field(min_length=1)] = ["at+jwt"]
    """The kinds (`typ`) of JWT that count; add JWT for a provider that writes no other, and read docs/security.md."""
    algorithms: Annotated[Listed[AsymmetricAlgorithm], Field(min_length=1)] = ["RS256", "ES256", "PS256"]
    """The only algorithms that they may be signed with."""
    cache: Annotated[Duration, Field(le=600)] = 30
    """How long the provider's word about an opaque token is believed, and a withdrawn one may go unseen; 0: never."""


class CorsModel(Model):
    """Single-page apps of other origins."""

    origins: Listed[Origin] = []
    """Origins whose pages may ask with credentials and read the answers, and do what our own pages may."""


class RouteModel(Model):
    """A rule for paths."""

    path: Pattern
    """The path: exact, `*` for one segment, `/**` at the end for all below."""
    methods: Listed[Method] = []
    """The methods that the rule is about; none means all, and HEAD goes with GET."""
    hosts: Listed[HostPattern] = []
    """The hosts that the rule is about, `*.example.com` for all below one; none means all."""
    access: Literal["public", "optional", "required", "deny"] = "required"
    """Who may pass: anyone, anyone but named when signed in, the signed in, nobody."""
    upstream: UpstreamReference | None = None
    """Where the request goes, by URL or by name; the global upstream if unset."""
    strip_prefix: OwnPath | None = None
    """What is cut from the front of the path before it goes to the upstream."""
    add_prefix: OwnPath | None = None
    """What is put before the path then."""
    rewrite_responses: bool = False
    """Whether `Location` and `Set-Cookie` of the upstream are put into the words of the site."""
    max_body: Size | None = None
    """How large a body may be, 413 otherwise; any if unset."""
    max_headers: Annotated[Size, Field(ge=1024)] = 65536
    """How large the fields may be all together that go on, 431 otherwise."""
    preserve_host: bool = True
    """Whether the upstream sees the host of `public_url` or its own."""
    login: Literal["redirect", "never"] = "redirect"
    """Whether a navigation without a session is sent to the login, or gets 401 like everything else."""
    bearer: Listed[Literal["jwt", "introspection"]] = []
    """How an access token is checked that a client brings (`bearer`); where it is empty, no such token counts."""
    keep_forms: bool = False
    """Whether a small form that meets no session is kept by the browser, sealed, and offered again after the login."""
    csrf_header: HeaderName | None = None
    """A field, such as X-Requested-With, that a request with a session must have, which no page's form can send."""
    require: RequireModel = RequireModel()
    """What the session must show."""
    provider: Name | None = None
    """Which of several providers must have signed the user in; any if unset."""
    token: Literal["access_token", "id_token", "introspected", "none"] | ExchangedTokenModel | None = None
    """Which token goes out as `Authorization`; access_token to an upstream, none to a wrapped app."""
    identity_headers: bool | None = None
    """Whether X-Forwarded-User and its like are sent; yes to an upstream, no to a wrapped app."""
    identity_jwt: bool = False
    """Whether X-Gateway-Identity is sent: who asks, signed by us for this upstream; needs `identity_keys`."""
    request_headers: dict[HeaderName, FieldText] = {}
    """Headers to add; `{claim}` is replaced by the user's claim."""
    allow_encoded_slash: bool = False
    """Whether %2F may stand in the path."""

    @field_validator("token")
    @classmethod
    def _is_there_for_clients(
        cls, token: str | ExchangedTokenModel | None, info: ValidationInfo
    ) -> str | ExchangedTokenModel | None:
        if token == "id_token" and info.data.get("bearer"):
            raise ValueError(
                "must not be id_token where bearer lets clients bring access tokens: they have no ID token"
            )
        return token

    @model_validator(mode="after")
    def _is_coherent(self) -> RouteModel:
        literal = self.path.removesuffix("/**")
        if self.strip_prefix and literal != self.strip_prefix and not literal.startswith(f"{self.strip_prefix}/"):
            raise ValueError("strip_prefix must be the beginning of path")
        asked = self.require
        if self.access == "public" and (asked.asks_who or asked.acr or asked.max_age or asked.check):
            raise ValueError(
                "a public rule lets anyone pass and can ask for networks alone; access: required asks more"
            )
        return self
