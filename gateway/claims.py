"""Reading claims: nested ones by a dotted path, and those that a provider left out because they were too many."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_LABEL = re.compile(r"[\w-]+")


def claim_at(claims: Mapping[str, object], path: str) -> object:
    """Find a claim by its name or by a dotted path into objects: `realm_access.roles`; None if it is not there.

    A claim whose own name has dots, such as a URL, is found as well: the longest name that is there wins.
    """
    if path in claims:
        return claims[path]
    for end in (index for index in range(len(path) - 1, 0, -1) if path[index] == "."):
        nested = claims.get(path[:end])
        if isinstance(nested, Mapping):
            return claim_at(nested, path[end + 1 :])
    return None


def vouched(claims: Mapping[str, object]) -> Mapping[str, object]:
    """Leave out an e-mail address that the provider does not call verified, where it speaks of that at all."""
    if claims.get("email_verified", True) not in (True, "true"):
        return {name: value for name, value in claims.items() if name != "email"}
    return claims


def claim_values(claims: Mapping[str, object], path: str) -> set[str]:
    """Read a claim as a set of texts: a list gives its members, a text itself, true and false their JSON words."""
    value = claim_at(claims, path)
    values: Iterable[object] = value if isinstance(value, list) else [value]
    return {claim_word(item) for item in values if isinstance(item, str | int | bool)}


def claim_word(value: bool | int | str) -> str:  # noqa: FBT001 - the value of a claim, not a switch.
    """Write a claim's value as the configuration does: true and false in JSON's words."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_withheld(claims: Mapping[str, object], path: str) -> bool:
    """Tell whether the provider says that a claim exists, but elsewhere (OIDC Core 5.6.2).

    Entra ID does so with the groups of users who are in more than 200: that there are none in the token means nothing.
    """
    if claim_at(claims, path) not in (None, []):
        return False
    return not withheld_names(claims).isdisjoint((path, path.partition(".")[0]))


def withheld_names(claims: Mapping[str, object]) -> set[str]:
    """List the claims that the provider says are kept elsewhere."""
    elsewhere = claims.get("_claim_names")
    names = {str(name) for name in elsewhere} if isinstance(elsewhere, Mapping) else set()
    return names | {"groups"} if claims.get("hasgroups") in (True, "true") else names


def email_domains(email: str) -> set[str]:
    """List the domains that an address is of: `example.com` itself, and `.example.com` for all that are below it."""
    person, _, domain = email.lower().partition("@")
    labels = domain.split(".")
    # `a@evil@corp.com` and `a@evil,x.corp.com` are of no domain (GHSA-c5c4-8r6x-56w3).
    if not person or not all(_LABEL.fullmatch(label) for label in labels):
        return set()
    return {domain, *(f".{'.'.join(labels[index:])}" for index in range(1, len(labels)))}
