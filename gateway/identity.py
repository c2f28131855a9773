"""Who asks, signed by us for one upstream: so that it need not trust the network between."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from gateway.claims import is_withheld, vouched
from gateway.config import Settings
from gateway.headers import Headers
from gateway.kept import Clock
from gateway.oidc.keys import OwnKey, sign
from gateway.oidc.messages import Entropy, base64url
from gateway.route import Route
from gateway.session import Session
from gateway.token_cache import TokenCache

IDENTITY_FIELD = "x-gateway-identity"
IDENTITY_TYPE = "gateway-identity+jwt"
"""The kind (`typ`), so that it is taken for nothing else (RFC 8725 3.11)."""

LIFETIME_SECONDS = 300
REUSE_SECONDS = 60

LEAST_SECONDS = 5
"""How long it counts where a token is believed past its end, as clocks differ: an upstream must be able to read it."""

MAX_TEXT = 1024
MAX_LIST = 4096
"""How long a claim may be as JSON: the field has to fit into what servers take."""

_ID_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    text: str = field(repr=False)
    usable_until: float


class Identities:
    """Signs who asks with the first of our identity keys; one that was made is used again for a minute."""

    def __init__(self, *, keys: Sequence[OwnKey], issuer: str, clock: Clock, entropy: Entropy) -> None:
        self._keys = keys
        self._issuer = issuer
        self._clock = clock
        self._entropy = entropy
        self._cache: TokenCache[_Signed] = TokenCache(clock=clock)

    @classmethod
    def of(cls, settings: Settings, *, clock: Clock, entropy: Entropy) -> Identities:
        """Make what signs with the keys of the settings."""
        return cls(keys=settings.identity_keys, issuer=settings.public_url, clock=clock, entropy=entropy)

    def headers(self, route: Route, session: Session | None) -> Headers:
        """Make the field of a route that wants it; nothing where there is nobody."""
        if session is None or not route.identity_jwt:
            return []
        claims = {
            "iss": self._issuer,
            "aud": route.upstream_url or self._issuer,
            "sub": session.subject,
            "idp": session.issuer,
            **_of_user({**vouched(session.claims), "scope": session.scope}),
        }
        end = _end(session)
        # All that is signed is in the key: what is new of a user, or of a token, is never said late.
        key = json.dumps([claims, end], sort_keys=True)
        return [(IDENTITY_FIELD, self._cache.get(key, lambda: self._signed(claims, end)).text)]

    def _signed(self, claims: Mapping[str, object], end: int) -> _Signed:
        now = int(self._clock())
        expires_at = min(now + LIFETIME_SECONDS, end if end > now else now + LEAST_SECONDS)
        timed = {**claims, "iat": now, "exp": expires_at, "jti": base64url(self._entropy(_ID_BYTES))}
        text = sign(self._keys[0], {"typ": IDENTITY_TYPE}, timed)
        return _Signed(text=text, usable_until=min(now + REUSE_SECONDS, expires_at))


def _end(session: Session) -> int:
    # Of a client's, this is the end of its token; a user's access token may end before the session, and be renewed.
    return session.ends_at if session.refresh_expires_at is None else min(session.ends_at, session.refresh_expires_at)


def _of_user(known: Mapping[str, object]) -> dict[str, object]:
    # What is there, but not told, is named: to say nothing of somebody's groups would say that there are none.
    told: dict[str, object] = {}
    withheld = []
    for name, read in _SHAPES.items():
        elsewhere = is_withheld(known, name)
        value = None if elsewhere else read(known.get(name))
        if value is not None:
            told[name] = value
        elif elsewhere or known.get(name) is not None:
            withheld.append(name)
    return {**told, "withheld": withheld} if withheld else told


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and _fits(value, MAX_TEXT) else None


def _long_text(value: object) -> str | None:
    return value if isinstance(value, str) and _fits(value, MAX_LIST) else None


def _texts(value: object) -> list[str] | None:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return None
    return texts if _fits(texts, MAX_LIST) else None


def _time(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1 << 40:
        return None
    return int(value)


def _fits(value: object, limit: int) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:  # Half of a surrogate pair, which JSON can hold and UTF-8 cannot.
        return False
    return len(json.dumps(value)) <= limit


_SHAPES: Mapping[str, Callable[[object], object]] = MappingProxyType(
    {
        "email": _text,
        "name": _text,
        "preferred_username": _text,
        "groups": _texts,
        "acr": _text,
        "auth_time": _time,
        "scope": _long_text,
    }
)
"""What is told of a user, and how it is read: anything of another shape or too long for a field is not."""
