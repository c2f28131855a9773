"""Who asks, signed by us for one upstream: so that it need not trust the network between."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.claims import vouched
from gateway.headers import Headers
from gateway.kept import Clock
from gateway.oidc.keys import OwnKey, sign
from gateway.route import Route
from gateway.session import Session
from gateway.token_cache import TokenCache

IDENTITY_FIELD = "x-gateway-identity"
IDENTITY_TYPE = "gateway-identity+jwt"
"""The kind (`typ`), so that it is taken for nothing else (RFC 8725 3.11)."""

LIFETIME_SECONDS = 300
REUSE_SECONDS = 60

_OF_THE_USER = ("email", "name", "preferred_username", "groups", "acr", "auth_time")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    text: str = field(repr=False)
    usable_until: float


class Identities:
    """Signs who asks with the first of our identity keys; one that was made is used again for a minute."""

    def __init__(self, *, keys: Sequence[OwnKey], issuer: str, clock: Clock) -> None:
        self._keys = keys
        self._issuer = issuer
        self._clock = clock
        self._cache: TokenCache[_Signed] = TokenCache(clock=clock)

    def headers(self, route: Route, session: Session | None) -> Headers:
        """Make the field of a route that wants it; nothing where there is nobody."""
        if session is None or not route.identity_jwt:
            return []
        known = vouched(session.claims)
        claims = {
            "iss": self._issuer,
            "aud": route.upstream_url or self._issuer,
            "sub": session.subject,
            "idp": session.issuer,
            "scope": session.scope,
            **{name: known[name] for name in _OF_THE_USER if name in known},
        }
        # All that is signed is in the key: what is new of a user, or of a token, is never said late.
        key = json.dumps(claims, sort_keys=True)
        return [(IDENTITY_FIELD, self._cache.get(key, lambda: self._signed(claims)).text)]

    def _signed(self, claims: Mapping[str, object]) -> _Signed:
        now = int(self._clock())
        timed = {**claims, "iat": now, "exp": now + LIFETIME_SECONDS}
        return _Signed(text=sign(self._keys[0], {"typ": IDENTITY_TYPE}, timed), usable_until=now + REUSE_SECONDS)
