"""What can be asked of who is signed in: scopes, claims, e-mail domains and addresses, and any combination of them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isnan

from gateway.claims import claim_at, claim_values, email_domains, is_withheld, vouched
from gateway.client_address import Network
from gateway.session import Session

_NUMBER = re.compile(r"-?[0-9]{1,15}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Between what a number must lie, both ends included; None is no bound."""

    at_least: int | None = None
    at_most: int | None = None

    def hold(self, value: object) -> bool:
        """Tell whether a number, also one that is written as a text, or one of a list lies between."""
        if isinstance(value, list):
            return any(self.hold(item) for item in value if not isinstance(item, list))
        number = _number(value)
        if number is None:
            return False
        above = self.at_least is None or number >= self.at_least
        return above and (self.at_most is None or number <= self.at_most)


ClaimTest = frozenset[str] | Bounds
"""The values of which a claim must have one, or the bounds of a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a session must show: every scope, a value of every claim, and all else that is named.

    `email_domains` are those of which the address must be, `.example.com` all below one; `networks` are where the
    client must be. Of `any_of` one must hold, all of `all_of`, and nothing of `none_of`.
    """

    scope: frozenset[str] = frozenset()
    claims: Mapping[str, ClaimTest] = field(default_factory=dict)
    email_domains: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    any_of: tuple[Condition, ...] = ()
    all_of: tuple[Condition, ...] = ()
    none_of: tuple[Condition, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked."""
        asked = self.scope or self.claims or self.email_domains or self.networks
        return not (asked or self.any_of or self.all_of or self.none_of)

    def missing(self, session: Session, client: str) -> str | None:
        """Name the first thing that is not shown, or None; `client` is the address of the user agent."""
        return None if self.is_empty else next(self._lacking(session, client), None)

    def withheld(self, session: Session) -> str | None:
        """Name a claim that the provider keeps elsewhere, so that nothing can be said about it, or None."""
        if self.is_empty:
            return None
        return next((name for name in self.claim_names() if is_withheld(session.claims, name)), None)

    def admits(self, client: str, *, against: bool = False) -> bool:
        """Tell whether a client may come from that address, whoever it is; one that is not known comes from nowhere.

        `against` asks whether it speaks against everybody from there, as in a `not`; then one that is not known does.
        """
        if self.is_empty:
            return True
        if against and (self.scope or self.claims or self.email_domains):
            return False
        return (
            self._is_from(client, unknown=against)
            and all(part.admits(client, against=against) for part in self.all_of)
            and (not self.any_of or any(part.admits(client, against=against) for part in self.any_of))
            and not any(part.admits(client, against=not against) for part in self.none_of)
        )

    def claim_names(self) -> Iterator[str]:
        """Yield the claims that are asked about anywhere."""
        yield from self.claims
        if self.email_domains:
            yield "email"
        for part in (*self.any_of, *self.all_of, *self.none_of):
            yield from part.claim_names()

    def _lacking(self, session: Session, client: str, *, against: bool = False) -> Iterator[str]:
        # What speaks against somebody is looked for in all that was said, vouched for or not; an address that is not
        # known may be any, and so may a value that is of no kind that we can compare. A `not` inside a `not` speaks for
        # somebody again.
        claims = session.claims if against else vouched(session.claims)
        if not self._is_from(client, unknown=against):
            yield "an address of the networks"
        lacking = self.scope - set(session.scope.split())
        if lacking:
            yield f"scope {' '.join(sorted(lacking))}"
        yield from (
            f"claim {name}" for name, test in self.claims.items() if not _shows(claims, name, test, unclear=against)
        )
        if self.email_domains and not _is_of(claims, self.email_domains, unclear=against):
            yield "an address of the e-mail domains"
        for part in self.all_of:
            yield from part._lacking(session, client, against=against)
        if self.any_of and not any(part._holds(session, client, against=against) for part in self.any_of):
            yield "any of the alternatives"
        if any(part._holds(session, client, against=not against) for part in self.none_of):
            yield "the absence of what must not be"

    def _holds(self, session: Session, client: str, *, against: bool) -> bool:
        return next(self._lacking(session, client, against=against), None) is None

    def _is_from(self, client: str, *, unknown: bool) -> bool:
        if not self.networks:
            return True
        return any(ipaddress.ip_address(client) in network for network in self.networks) if client else unknown


def _shows(claims: Mapping[str, object], name: str, test: ClaimTest, *, unclear: bool) -> bool:
    value = claim_at(claims, name)
    shown = test.hold(value) if isinstance(test, Bounds) else not test.isdisjoint(claim_values(claims, name))
    return shown or (unclear and not all(_is_clear(item, test) for item in _members(value)))


def _is_clear(item: object, test: ClaimTest) -> bool:
    return item is None or (_number(item) is not None if isinstance(test, Bounds) else isinstance(item, str | int))


def _is_of(claims: Mapping[str, object], domains: frozenset[str], *, unclear: bool) -> bool:
    addresses = _members(claim_at(claims, "email"))
    found = [email_domains(one) if isinstance(one, str) else set() for one in addresses if one is not None]
    return any(not domains.isdisjoint(one) or (unclear and not one) for one in found)


def _members(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _number(value: object) -> int | float | None:
    number = int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    return None if isinstance(number, float) and isnan(number) else number
