"""Who may see what: routes are matched first to last, and a decision is a pure function of values."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.errors import (
    ACCESS_DENIED,
    CROSS_SITE_REFUSED,
    CSRF_HEADER_MISSING,
    GROUPS_OVERAGE,
    LOGIN_REQUIRED,
    NOT_FOUND,
    STEP_UP_REQUIRED,
    TARGET_AMBIGUOUS,
    GatewayError,
    Problem,
)
from gateway.oidc.challenge import StepUp
from gateway.route import Access, Bearer, Requirement, Route, Token
from gateway.session import Session
from gateway.target import RequestTarget

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_MAX_FOUND = 4096
_MAX_FOUND_PATH = 512
_SLASHES = re.compile(r"(?:/|%2F)+")


class Verdict(enum.Enum):
    """What becomes of a request."""

    ALLOW = "allow"
    LOGIN = "login"
    STEP_UP = "step_up"
    FORBID = "forbid"
    DENY = "deny"


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
    found = [_first_leniently(routes, default, target, reading) for reading in target.lenient_readings]
    # As without leniency, encoded slashes must not lead past a route that was written.
    joined = (_first_leniently(routes, default, target, reading) for reading in target.joined_readings)
    found += [other for other in joined if other is not default]
    return (route, *(other for other in found if other is not route))


class RouteTable:
    """The rules in their order, and which of them were found for what was asked lately."""

    def __init__(self, routes: Sequence[Route], default: Route) -> None:
        self._routes = routes
        self._default = default
        self._found: dict[tuple[str, str, str], tuple[Route, ...]] = {}

    def match_all(self, target: RequestTarget) -> tuple[Route, ...]:
        """Find what the function of that name finds; raises as it does."""
        key = (target.method, target.path, target.host)
        found = self._found.get(key)
        if found is None:
            found = match_all(self._routes, self._default, target)
            if len(self._found) >= _MAX_FOUND:
                self._found.clear()
            if len(target.path) <= _MAX_FOUND_PATH:
                self._found[key] = found
        return found


def asks_who(routes: Iterable[Route]) -> bool:
    """Tell whether a decision by these rules needs to know who is asking."""
    return any(route.access is Access.REQUIRED or route.access is Access.OPTIONAL for route in routes)


def is_decided_at_once(route: Route) -> bool:
    """Tell whether a rule leads to an upstream, and neither it nor the token that it wants has to be waited for."""
    waits = route.requirement.check is not None or route.token in (Token.INTROSPECTED, Token.EXCHANGED)
    return bool(route.upstream) and not waits


def bearer_ways(routes: Sequence[Route]) -> frozenset[Bearer]:
    """Tell how an access token may be checked that came with a request: as all of its rules allow."""
    if not routes or not asks_who(routes):
        return frozenset()
    return frozenset.intersection(*(route.bearer for route in routes))


def fitting_session(routes: Iterable[Route], session: Session | None) -> Session | None:
    """Return the session, or None where a rule wants the user to have signed in at another provider."""
    if session is None or any(route.provider not in ("", session.provider) for route in routes):
        return None
    return session


def decide_all(
    routes: Iterable[Route],
    session: Session | None,
    target: RequestTarget,
    *,
    public_origin: str,
    now: int,
    ambient: bool = True,
) -> Decision:
    """Decide by several rules: what the first of them says that does not allow, else that it is allowed."""
    for route in routes:
        decision = decide(route, session, target, public_origin=public_origin, now=now, ambient=ambient)
        if decision is not _ALLOW:
            return decision
    return _ALLOW


def decide(
    route: Route,
    session: Session | None,
    target: RequestTarget,
    *,
    public_origin: str,
    now: int,
    ambient: bool = True,
) -> Decision:
    """Decide on a request; the session, if there is one, is alive; `now` is in seconds since the epoch.

    `ambient` is whether the browser shows who asks by itself, as it does with a cookie, whatever page makes it ask.
    """
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
    if ambient and route.csrf_header and route.csrf_header not in target.names:
        return Decision(verdict=Verdict.FORBID, problem=CSRF_HEADER_MISSING, detail=route.csrf_header)
    if ambient and unsafe and not is_same_origin(target, public_origin, route.trusted_origins):
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


def is_same_origin(target: RequestTarget, public_origin: str, trusted: frozenset[str] = frozenset()) -> bool:
    """Tell whether the browser vouches that a page of this very origin, or of a trusted one, made the request."""
    if target.origin in trusted:
        return True
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
