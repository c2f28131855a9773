"""A rule: which targets it is about, what it asks of whoever asks, and where they go."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

from gateway.condition import Condition
from gateway.oidc.challenge import StepUp
from gateway.oidc.exchange import ExchangeWanted
from gateway.session import Session
from gateway.target import RequestTarget, canonical_encoding

_PORT = re.compile(r":[0-9]*$")


class Access(enum.Enum):
    """What a route asks of a visitor."""

    PUBLIC = "public"
    OPTIONAL = "optional"
    REQUIRED = "required"
    DENY = "deny"


class Token(enum.Enum):
    """Which token the upstream receives as `Authorization: Bearer`."""

    ACCESS_TOKEN = "access_token"
    ID_TOKEN = "id_token"
    INTROSPECTED = "introspected"
    EXCHANGED = "exchanged"
    NONE = "none"


class Bearer(enum.Enum):
    """How an access token that a client brings may be checked."""

    JWT = "jwt"
    INTROSPECTION = "introspection"


Check = Callable[[Session, RequestTarget], object]
"""A rule written in Python: only the answer `True` lets a request pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What a session must show, and a fit login, and whatever else a Python function asks.

    `acr` are authentication classes of which the login must have one, `max_age` how old it may be in seconds.
    """

    condition: Condition = field(default_factory=Condition)
    acr: tuple[str, ...] = ()
    max_age: int | None = None
    check: Check | None = None

    @property
    def demand(self) -> StepUp:
        """What a login must show."""
        return StepUp(acr_values=self.acr, max_age=self.max_age)

    def step_up(self, session: Session, now: int) -> StepUp | None:
        """Tell what a new login would have to show that this one does not, or None (RFC 9470)."""
        if not self.acr and self.max_age is None:
            return None
        return None if session.satisfies(self.demand, now) else self.demand


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A rule: which targets it is about, what it asks, and where they go.

    `trusted_origins` are those whose pages may do what those of our own may, `csrf_header` is a field that a request
    with a session must have. `upstream` is the name or the URL of what is behind it, `upstream_url` the URL that this
    is known by.
    """

    path: str
    pattern: re.Pattern[str]
    methods: frozenset[str] = frozenset()
    hosts: tuple[str, ...] = ()
    access: Access = Access.REQUIRED
    requirement: Requirement = field(default_factory=Requirement)
    redirect_to_login: bool = True
    keep_forms: bool = False
    trusted_origins: frozenset[str] = frozenset()
    csrf_header: str = ""
    bearer: frozenset[Bearer] = frozenset()
    allow_encoded_slash: bool = False
    upstream: str = ""
    upstream_url: str = ""
    strip_prefix: str = ""
    add_prefix: str = ""
    rewrite_responses: bool = False
    max_body: int | None = None
    max_headers: int = 65536
    preserve_host: bool = True
    provider: str = ""
    token: Token = Token.NONE
    exchange: ExchangeWanted | None = None
    identity_headers: bool = False
    identity_jwt: bool = False
    request_headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def vary(self) -> str:
        """The fields of a request by which answers differ although one address has them (RFC 9110 12.5.5).

        Where a session is needed and nothing else will do, `private` says enough. A cache of one user still has to know
        a token's answer from a cookie's, and any cache has to know that of nobody from that of somebody.
        """
        if self.access not in (Access.OPTIONAL, Access.REQUIRED):
            return ""
        tokens = ["Authorization"] if self.bearer else []
        return ", ".join([*tokens, *(["Cookie"] if self.access is Access.OPTIONAL else [])])

    def fits(self, method: str, path: str, host: str = "") -> bool:
        """Tell whether the rule is about that method, path and host; HEAD goes wherever GET does."""
        return self._is_for(method, host) and self.pattern.fullmatch(path) is not None

    def fits_leniently(self, method: str, path: str, host: str = "") -> bool:
        """Tell the same as a server would that takes no notice of case and of a slash at the end."""
        bare = path.rstrip("/")
        lenient = _without_case(self.pattern)
        return self._is_for(method, host) and any(lenient.fullmatch(form) for form in (bare or "/", f"{bare}/"))

    def inner_path(self, path: str) -> str:
        """Tell what the path of a request is behind the rule: a prefix cut from it, another put before it."""
        return self.add_prefix + path.removeprefix(self.strip_prefix) or "/"

    def _is_for(self, method: str, host: str) -> bool:
        if self.methods and method not in self.methods and not (method == "HEAD" and "GET" in self.methods):
            return False
        return not self.hosts or any(_is_host(pattern, host) for pattern in self.hosts)


def compile_pattern(path: str) -> re.Pattern[str]:
    """Compile a route's path: exact, `*` for one segment, a last `/**` for the path itself and all below it."""
    prefix, deep = (path.removesuffix("/**"), True) if path.endswith("/**") else (path, False)
    pieces = [re.escape(canonical_encoding(piece)) for piece in prefix.split("*")]
    return re.compile("[^/]+".join(pieces) + ("(?:/.*)?" if deep else ""), re.DOTALL)


@cache
def _without_case(pattern: re.Pattern[str]) -> re.Pattern[str]:
    # Kept by ourselves: `re` keeps 512, and with more rules each request would compile them all.
    return re.compile(pattern.pattern, re.DOTALL | re.IGNORECASE)


def _is_host(pattern: str, host: str) -> bool:
    name = _PORT.sub("", host).removesuffix(".")
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern
