"""An authorization request as it counts in the end, and the memory of those that wait for their answer."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from gateway.testing.parties import FakeClient

PUSHED_PREFIX = "urn:ietf:params:oauth:request_uri:"
"""What the `request_uri` of a pushed request begins with (RFC 9126 2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """What a client asks for: the parameters that count, wherever they came from.

    `pushed` and `signed` tell whether they came by PAR (RFC 9126), and in a request object (RFC 9101).
    """

    client: FakeClient
    parameters: Mapping[str, str]
    pushed: bool = False
    signed: bool = False

    @property
    def response_type(self) -> frozenset[str]:
        """The response type, in which the order of the words does not count (OAuth Multiple Response Types 3)."""
        return frozenset(self.parameters.get("response_type", "").split())

    @property
    def response_mode(self) -> str:
        """The response mode in full: the default of the response type, and what `jwt` is short for (JARM 2.3.4)."""
        default = "query" if self.response_type == {"code"} else "fragment"
        mode = self.parameters.get("response_mode", default)
        return f"{default}.jwt" if mode == "jwt" else mode


@dataclass(slots=True)
class Waiting:
    """Requests that are taken up later, each once, by a ticket that nobody can guess. Thread-safe."""

    _lock: Lock = field(default_factory=Lock)
    _requests: dict[str, tuple[AuthorizationRequest, float]] = field(default_factory=dict)

    def put(self, request: AuthorizationRequest, expires_at: float) -> str:
        """Keep a request until then, in seconds since the epoch, and return its ticket."""
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            self._requests[ticket] = (request, expires_at)
        return ticket

    def take(self, ticket: str, now: float) -> AuthorizationRequest | None:
        """Take a request up; None for one that is unknown, expired or already taken."""
        with self._lock:
            request, expires_at = self._requests.pop(ticket, (None, 0.0))
        return request if expires_at > now else None
