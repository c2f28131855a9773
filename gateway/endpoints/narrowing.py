"""What a proxy that asks for a decision wants of the user beyond our rules, in oauth2-proxy's words."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from gateway.claims import claim_values, email_domains, is_withheld, vouched
from gateway.errors import ACCESS_DENIED, GROUPS_OVERAGE, GatewayError
from gateway.session import Session

_NARROWING = frozenset({"allowed_groups", "allowed_emails", "allowed_email_domains"})


def read_narrowing(query: str) -> dict[str, set[str]]:
    """Read the parameters of a question; raises `access_denied` for one that is unknown, which would narrow nothing."""
    try:
        asked = parse_qs(query, keep_blank_values=True, max_num_fields=16)
    except ValueError as error:
        raise GatewayError(ACCESS_DENIED, "too many parameters") from error
    unknown = sorted(set(asked) - _NARROWING)
    if unknown:
        raise GatewayError(ACCESS_DENIED, f"unknown parameter {unknown[0][:40]!r}")
    return {
        name: {item.strip() for value in values for item in value.split(",") if item.strip()}
        for name, values in asked.items()
    }


def narrow(session: Session, wanted: Mapping[str, set[str]]) -> None:
    """Hold a session against `allowed_groups`, `allowed_emails` and `allowed_email_domains`; raises `access_denied`."""
    if "allowed_groups" in wanted and is_withheld(session.claims, "groups"):
        raise GatewayError(GROUPS_OVERAGE, "the groups are kept elsewhere: too many for a token")
    for name, values in wanted.items():
        if not values & _shown(session, name):
            raise GatewayError(ACCESS_DENIED, f"not among {name}")


def _shown(session: Session, name: str) -> set[str]:
    if name == "allowed_groups":
        return claim_values(session.claims, "groups")
    emails = claim_values(vouched(session.claims), "email")
    if name == "allowed_emails":
        return emails
    return {domain for email in emails for domain in email_domains(email)}
