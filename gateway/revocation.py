"""Revocation marks: what began before a mark was set is over, and no list of sessions has to be kept to end it.

A session notes the marks that stand when it begins. It is over as soon as one of its marks has another value, so no
clock decides about it, and setting a mark costs the same for one session as for a million.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.oidc.messages import base64url

_NAME_BYTES = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What ended sessions: a value that no other mark has, and when it was set, in seconds since the epoch.

    `cause` tells one that is set again for the same reason; it is empty where there is no such thing.
    """

    value: str
    set_at: float
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkNames:
    """What a session's marks are called: hashes, which whoever reads the store can only guess at.

    `login` stands for the provider's session (`sid`); where the provider names none, for all of the user's logins
    without one.
    """

    everyone: str
    subject: str
    login: str

    def all(self) -> tuple[str, str, str]:
        """List them, in the order in which a session keeps their values."""
        return self.everyone, self.subject, self.login


def mark_names(realm: str, issuer: str, subject: str, sid: str | None) -> MarkNames:
    """Name the marks of a session; `realm` keeps gateways apart that share a store."""
    return MarkNames(
        everyone=everyone_name(realm),
        subject=subject_name(realm, issuer, subject),
        login=sidless_name(realm, issuer, subject) if sid is None else sid_name(realm, issuer, sid),
    )


def everyone_name(realm: str) -> str:
    """Name the mark that ends every session."""
    return _name(realm, "everyone")


def subject_name(realm: str, issuer: str, subject: str) -> str:
    """Name the mark that ends all sessions of a user."""
    return _name(realm, "sub", issuer, subject)


def sid_name(realm: str, issuer: str, sid: str) -> str:
    """Name the mark that ends the sessions of one login at the provider."""
    return _name(realm, "sid", issuer, sid)


def sidless_name(realm: str, issuer: str, subject: str) -> str:
    """Name the mark that ends those sessions of a user of which the provider named no `sid`."""
    return _name(realm, "no sid", issuer, subject)


def mark_to_bytes(mark: Mark) -> bytes:
    """Write a mark down."""
    return json.dumps([mark.value, mark.set_at, mark.cause]).encode("ascii")


def mark_from_bytes(data: bytes | None) -> Mark | None:
    """Read a mark; one that cannot be read stands all the same, and ends whatever it is about."""
    if data is None:
        return None
    try:
        value, set_at, cause = json.loads(data)
        return Mark(value=str(value), set_at=float(set_at), cause=str(cause))
    except (ValueError, TypeError, OverflowError, RecursionError):
        return Mark(value="unreadable", set_at=0.0)


def is_over(noted: Sequence[str], standing: Sequence[Mark | None]) -> bool:
    """Tell whether a mark was set since a session noted those that stood when it began.

    A mark that is gone outlived whatever began before it.
    """
    if len(noted) != len(standing):
        return True
    return any(mark is not None and mark.value != value for value, mark in zip(noted, standing, strict=True))


def _name(*parts: str) -> str:
    text = json.dumps(parts).encode("ascii")
    return base64url(hashlib.sha256(text).digest()[:_NAME_BYTES])
