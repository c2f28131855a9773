"""Who may pass: groups, roles, users and addresses, as conditions of a rule."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.migration.given import Given
from gateway.migration.report import Item, Outcome, restricting

Condition = dict[str, object]

READS_GROUPS = ("oidc", "keycloak-oidc", "adfs", "cidaas", "gitlab", "entra-id", "azure", "login.gov")
"""The providers that say groups in a claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restrictions:
    """What a session must show; `closed` names the options for whose sake nobody may pass."""

    require: Condition
    closed: tuple[str, ...]
    items: tuple[Item, ...]


def restrictions(given: Given, read: Callable[[str], str]) -> Restrictions:
    """Say in conditions who may pass; `read` reads a file and raises `OSError`."""
    parts: list[Condition] = []
    items: list[Item] = []
    for condition, item in (
        _by_address(given, read),
        _by_group(given),
        (_by_login(given), None),
        (_verified(given), None),
    ):
        parts += [condition] if condition else []
        items += [item] if item is not None else []
    closed = [*restricting(given), *(item.option for item in items if item.outcome is Outcome.REFUSED)]
    return Restrictions(require=_all_of(parts), closed=tuple(dict.fromkeys(closed)), items=tuple(items))


def _by_address(given: Given, read: Callable[[str], str]) -> tuple[Condition, Item | None]:
    domains, file = given.listed("email_domains"), given.text("authenticated_emails_file")
    claim = given.text("oidc_email_claim") or given.text("user_id_claim") or "email"
    if not domains and not file:
        text = "is missing, without which oauth2-proxy does not start; give it, `*` for everybody"
        return {}, Item(option="email_domains", outcome=Outcome.REFUSED, text=text)
    if "*" in domains:
        return {}, None
    if claim != "email":
        name = "oidc_email_claim" if given.text("oidc_email_claim") else "user_id_claim"
        return {}, Item(option=name, outcome=Outcome.REFUSED, text=f"addresses are those of email, not of {claim}")
    if given.text("provider") == "github":
        text = "GitHub does not tell whether an address is verified, so that none is of a domain; use github_users"
        return {}, Item(option="email_domains", outcome=Outcome.REFUSED, text=text)
    # `*.` alone is a wildcard there; `*example.com` is of nobody, and no domain here.
    found = sorted({domain.lower().removeprefix("*" if domain.startswith("*.") else "") for domain in domains})
    parts: list[Condition] = [{"email_domains": found}] if found else []
    if not file:
        return _any_of(parts), None
    try:
        addresses = _addresses(read(file))
    except (OSError, UnicodeDecodeError):
        text = f"{file} cannot be read; convert where it is"
        return {}, Item(option="authenticated_emails_file", outcome=Outcome.REFUSED, text=text)
    text = (
        f"require.claims.email, {len(addresses)} addresses as they are now; later changes of the file are not followed"
    )
    parts += [{"claims": {"email": addresses}}] if addresses else []
    return _any_of(parts), Item(option="authenticated_emails_file", outcome=Outcome.DIFFERS, text=text)


def _addresses(text: str) -> list[str]:
    rows = csv.reader(line for line in text.splitlines() if not line.startswith("#"))
    return sorted({row[0].strip().lower() for row in rows if row and row[0].strip()})


def _by_group(given: Given) -> tuple[Condition, Item | None]:
    provider = given.text("provider") or "google"
    roles = given.listed("allowed_roles") if provider == "keycloak-oidc" else ()
    # One list counts there, never two. keycloak_groups is not looked at here; alone, it says what was meant.
    own = ("gitlab_groups",) if provider == "gitlab" else ()
    names = (*own, "allowed_groups", *(() if roles else ("keycloak_groups",)))
    name = next((one for one in names if given.listed(one)), "allowed_groups")
    groups = given.listed(name)
    if groups and provider not in READS_GROUPS:
        return {}, Item(option=name, outcome=Outcome.REFUSED, text=f"{provider} says groups in no claim")
    parts: list[Condition] = []
    if groups:
        parts.append({"claims": {given.text("oidc_groups_claim") or "groups": sorted(set(groups))}})
    parts += _by_role(roles)
    return _any_of(parts), None


def _by_role(roles: tuple[str, ...]) -> Iterator[Condition]:
    realm = sorted({role for role in roles if ":" not in role})
    if realm:
        yield {"claims": {"realm_access.roles": realm}}
    for client in sorted({role.partition(":")[0] for role in roles if ":" in role}):
        names = sorted({role.partition(":")[2] for role in roles if role.startswith(f"{client}:")})
        yield {"claims": {f"resource_access.{client}.roles": names}}


def _by_login(given: Given) -> Condition:
    users = sorted(set(given.listed("github_users")))
    return {"claims": {"login": users}} if users and given.text("provider") == "github" else {}


def _verified(given: Given) -> Condition:
    """Keep out whose address the provider calls unverified, where no other rule looks at the address."""
    if "*" not in given.listed("email_domains") or given.is_on("insecure_oidc_allow_unverified_email"):
        return {}
    return {"not": [{"claims": {"email_verified": [False]}}]}


def _any_of(parts: list[Condition]) -> Condition:
    return {} if not parts else parts[0] if len(parts) == 1 else {"any_of": parts}


def _all_of(parts: list[Condition]) -> Condition:
    merged = {name: value for part in parts for name, value in part.items()}
    return merged if len(merged) == sum(map(len, parts)) else {"all_of": parts}
