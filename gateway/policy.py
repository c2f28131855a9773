"""Who may see what: routes are matched first to last, and a decision is a pure function of values."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.condition import Condition
from gateway.errors import (
    ACCESS_DENIED,
    CROSS_SITE_REFUSED,
    GROUPS_OVERAGE,
    LOGIN_REQUIRED,
    NOT_FOUND,
    STEP_UP_REQUIRED,
    TARGET_AMBIGUOUS,
    GatewayError,
    Problem,
)
from gateway.oidc.challenge import StepUp
from gateway.oidc.exchange import ExchangeWanted
from gateway.session import Session
from gateway.target import RequestTarget, canonical_encoding

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_PORT = re.compile(r":[0-9]*$")
_SLASHES = re.compile(r"(?:/|%2F)+")


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


class Verdict(enum.Enum):
    """What becomes of a request."""

    ALLOW = "allow"
    LOGIN = "login"
    STEP_UP = "step_up"
    FORBID = "forbid"
    DENY = "deny"


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
        return None if session.satisfies(self.demand, now) else self.demand


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A rule: which targets it is about, what it asks, and where they go.

    `upstream` is the name or the URL of what is behind it, `upstream_url` the URL that this is known by.
    """

    path: str
    pattern: re.Pattern[str]
    methods: frozenset[str] = frozenset()
    hosts: tuple[str, ...] = ()
    access: Access = Access.REQUIRED
    requirement: Requirement = field(default_factory=Requirement)
    redirect_to_login: bool = True
    keep_forms: bool = False
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
    request_headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def fits(self, method: str, path: str, host: str = "") -> bool:
        """Tell whether the rule is about that method, path and host; HEAD goes wherever GET does."""
        return self._is_for(method, host) and self.pattern.fullmatch(path) is not None

    def fits_leniently(self, method: str, path: str, host: str = "") -> bool:
        """Tell the same as a server would that takes no notice of case and of a slash at the end."""
        bare = path.rstrip("/")
        lenient = re.compile(self.pattern.pattern, re.DOTALL | re.IGNORECASE)
        return self._is_for(method, host) and any(lenient.fullmatch(form) for form in (bare or "/", f"{bare}/"))

    def inner_path(self, path: str) -> str:
        """Tell what the path of a request is behind the rule: a prefix cut from it, another put before it."""
        return self.add_prefix + path.removeprefix(self.strip_prefix) or "/"

    def _is_for(self, method: str, host: str) -> bool:
        if self.methods and method not in self.methods and not (method == "HEAD" and "GET" in self.methods):
            return False
        return not self.hosts or any(_is_host(pattern, host) for pattern in self.hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A verdict with its reason: `problem` is what the public is told, `detail` what the log is.

    `step_up` is what a new login would have to show.
    """

    verdict: Verdict
    problem: Problem | None = None
    detail: str = ""
    step_up: StepUp | None = None


_ALLOW = Decision(verdict=Verdict.ALLOW)


def compile_pattern(path: str) -> re.Pattern[str]:
    """Compile a route's path: exact, `*` for one segment, a last `/**` for the path itself and all below it."""
    prefix, deep = (path.removesuffix("/**"), True) if path.endswith("/**") else (path, False)
    pieces = [re.escape(canonical_encoding(piece)) for piece in prefix.split("*")]
    return re.compile("[^/]+".join(pieces) + ("(?:/.*)?" if deep else ""), re.DOTALL)


def _is_host(pattern: str, host: str) -> bool:
    name = _PORT.sub("", host).removesuffix(".")
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern


def match(routes: Sequence[Route], default: Route, target: RequestTarget) -> Route:
    """Find the first route that fits.

    Raises `target_ambiguous` when an upstream that decodes more of the path, or cuts `;parameters` from it, would be
    asked for something that another route is about, and for an encoded slash where the route does not allow one.
    """
    route = _first(routes, default, target, target.path)
    readings = target.other_readings
    if any(_first(routes, default, target, reading) is not route for reading in readings):
        raise GatewayError(TARGET_AMBIGUOUS, "another reading of the path leads to another route")
    if target.encoded_slash:
        _check_encoded_slash(routes, default, target, route)
    return route


def match_all(routes: Sequence[Route], default: Route, target: RequestTarget) -> tuple[Route, ...]:
    """Find the route of `match`, and after it those that would fit if the upstream read the path leniently.

    `/ADMIN/`, say, is `/admin` to some; a request must satisfy the rules of both. Raises as `match` does.
    """
    route = match(routes, default, target)
    found = (_first_leniently(routes, default, target, reading) for reading in target.lenient_readings)
    return (route, *(other for other in found if other is not route))


def asks_who(routes: Iterable[Route]) -> bool:
    """Tell whether a decision by these rules needs to know who is asking."""
    return any(route.access in (Access.OPTIONAL, Access.REQUIRED) for route in routes)


def fitting_session(routes: Iterable[Route], session: Session | None) -> Session | None:
    """Return the session, or None where a rule wants the user to have signed in at another provider."""
    if session is None or any(route.provider not in ("", session.provider) for route in routes):
        return None
    return session


def decide_all(
    routes: Iterable[Route], session: Session | None, target: RequestTarget, *, public_origin: str, now: int
) -> Decision:
    """Decide by several rules: what the first of them says that does not allow, else that it is allowed."""
    decisions = (decide(route, session, target, public_origin=public_origin, now=now) for route in routes)
    return next((decision for decision in decisions if decision.verdict is not Verdict.ALLOW), _ALLOW)


def decide(route: Route, session: Session | None, target: RequestTarget, *, public_origin: str, now: int) -> Decision:
    """Decide on a request; the session, if there is one, is alive; `now` is in seconds since the epoch."""
    if route.access is Access.DENY:
        return Decision(verdict=Verdict.DENY, problem=NOT_FOUND, detail=f"route {route.path}")
    if not route.requirement.condition.admits(target.client):  # Before the login, which would be of no use from there.
        return Decision(verdict=Verdict.FORBID, problem=ACCESS_DENIED, detail=f"from {target.client or 'nowhere'}")
    if route.access is Access.PUBLIC:
        return _ALLOW
    if session is None:
        if route.access is Access.OPTIONAL:
            return _ALLOW
        return Decision(verdict=Verdict.LOGIN, problem=LOGIN_REQUIRED)
    # A WebSocket begins as a GET and carries the cookies too, whatever page opens it.
    unsafe = target.method not in SAFE_METHODS or target.upgrade
    if unsafe and not is_same_origin(target, public_origin):
        return Decision(verdict=Verdict.FORBID, problem=CROSS_SITE_REFUSED, detail=f"origin {target.origin[:80]!r}")
    return _decide_on(route.requirement, session, target, now)


def _decide_on(requirement: Requirement, session: Session, target: RequestTarget, now: int) -> Decision:
    withheld = requirement.condition.withheld(session)
    if withheld is not None:
        detail = f"claim {withheld} is kept elsewhere: too many values for a token"
        return Decision(verdict=Verdict.FORBID, problem=GROUPS_OVERAGE, detail=detail)
    lacking = requirement.condition.missing(session, target.client)
    if lacking is not None:
        return Decision(verdict=Verdict.FORBID, problem=ACCESS_DENIED, detail=f"lacks {lacking}")
    demand = requirement.step_up(session, now)
    if demand is not None:
        return Decision(verdict=Verdict.STEP_UP, problem=STEP_UP_REQUIRED, step_up=demand)
    # The last to be asked, so that it sees no session that the rest has refused.
    if requirement.check is not None and requirement.check(session, target) is not True:
        return Decision(verdict=Verdict.FORBID, problem=ACCESS_DENIED, detail="the check of the route says no")
    return _ALLOW


def is_same_origin(target: RequestTarget, public_origin: str) -> bool:
    """Tell whether the browser vouches that a page of this very origin made the request."""
    if target.fetch_site:
        return target.fetch_site == "same-origin"
    return target.origin == public_origin


def _check_encoded_slash(routes: Sequence[Route], default: Route, target: RequestTarget, route: Route) -> None:
    if not route.allow_encoded_slash:
        raise GatewayError(TARGET_AMBIGUOUS, "the path has an encoded slash")
    # To allow them says that the upstream keeps them apart; still, they must not lead past a route that was written.
    for reading in (target.path, *target.other_readings):
        if _first(routes, default, target, _SLASHES.sub("/", reading)) not in (route, default):
            raise GatewayError(TARGET_AMBIGUOUS, "encoded slashes lead to another route")


def _first(routes: Sequence[Route], default: Route, target: RequestTarget, path: str) -> Route:
    return next((route for route in routes if route.fits(target.method, path, target.host)), default)


def _first_leniently(routes: Sequence[Route], default: Route, target: RequestTarget, path: str) -> Route:
    return next((route for route in routes if route.fits_leniently(target.method, path, target.host)), default)
