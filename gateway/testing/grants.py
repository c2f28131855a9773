"""What the provider has granted: codes, access and refresh tokens, and which of them still count. Thread-safe."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from threading import Lock

CODE_LIFETIME = 60
"""Seconds within which a code is redeemed (RFC 6749 4.1.2 allows ten minutes at most)."""

_PUNCTUATION = " %&+:/;=?#\"'<>\\~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One sign-in of one user at one client; all its tokens are worthless once it has ended."""

    grant_id: str
    client_id: str
    user: str
    subject: str
    scope: str
    redirect_uri: str
    nonce: str
    code_challenge: str
    auth_time: int
    sid: str
    acr: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _AccessToken:
    grant: Grant
    scope: str
    expires_at: float


@dataclass(slots=True)
class Grants:
    """The provider's memory of what it handed out; times are seconds since the epoch."""

    _lock: Lock = field(default_factory=Lock)
    _codes: dict[str, tuple[Grant, float]] = field(default_factory=dict)
    _redeemed: dict[str, Grant] = field(default_factory=dict)
    _access: dict[str, _AccessToken] = field(default_factory=dict)
    _refresh: dict[str, Grant] = field(default_factory=dict)
    _rotated: dict[str, Grant] = field(default_factory=dict)
    _revoked: set[str] = field(default_factory=set)
    _ended: set[str] = field(default_factory=set)
    _id_tokens: dict[str, Grant] = field(default_factory=dict)

    def new_code(self, grant: Grant, now: float) -> str:
        """Hand out a code for a grant."""
        code = hostile_text()
        with self._lock:
            self._codes[code] = (grant, now + CODE_LIFETIME)
        return code

    def redeem(self, code: str, now: float) -> Grant | None:
        """Take a code, once; a second use ends the grant (RFC 6749 4.1.2)."""
        with self._lock:
            if code in self._redeemed:
                self._ended.add(self._redeemed[code].grant_id)
            grant, expires_at = self._codes.pop(code, (None, 0.0))
            if grant is None or expires_at < now:
                return None
            self._redeemed[code] = grant
            return grant

    def new_access_token(self, grant: Grant, scope: str, expires_at: float) -> str:
        """Hand out an opaque access token."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._access[token] = _AccessToken(grant=grant, scope=scope, expires_at=expires_at)
        return token

    def new_refresh_token(self, grant: Grant) -> str:
        """Hand out a refresh token, of all the characters that one may have (RFC 6749 appendix A.17)."""
        token = hostile_text()
        with self._lock:
            self._refresh[token] = grant
        return token

    def use_refresh_token(self, token: str, client_id: str, *, rotate: bool) -> Grant | None:
        """Use a refresh token; one that was rotated away ends the grant (RFC 9700 4.14.2)."""
        with self._lock:
            rotated, grant = self._rotated.get(token), self._refresh.get(token)
            if rotated is not None and rotated.client_id == client_id:
                self._ended.add(rotated.grant_id)
            if grant is None or grant.client_id != client_id or grant.grant_id in self._ended:
                return None
            if rotate:
                self._rotated[token] = self._refresh.pop(token)
            return grant

    def revoke(self, token: str, client_id: str) -> None:
        """Revoke a token of a client: a refresh token with its whole grant, an access token alone (RFC 7009 2.1)."""
        with self._lock:
            grant = self._refresh.get(token) or self._rotated.get(token)
            if grant is not None and grant.client_id == client_id:
                self._ended.add(grant.grant_id)
            access = self._access.get(token)
            if access is not None and access.grant.client_id == client_id:
                self._revoked.add(token)

    def access(self, token: str, now: float) -> tuple[Grant, str] | None:
        """Look up a live access token: its grant and its scope."""
        with self._lock:
            access = self._access.get(token)
            if access is None or token in self._revoked or access.grant.grant_id in self._ended:
                return None
            return None if access.expires_at <= now else (access.grant, access.scope)

    def grant_of_refresh_token(self, token: str) -> Grant | None:
        """Look up the grant of a refresh token that can still be used, and leave the token as it is."""
        with self._lock:
            grant = self._refresh.get(token)
            return None if grant is None or grant.grant_id in self._ended else grant

    def subject_of(self, access_token: str) -> str | None:
        """Tell whose an access token is or was; None for one that was never issued."""
        with self._lock:
            access = self._access.get(access_token)
            return None if access is None else access.grant.subject

    def remember_id_token(self, compact: str, grant: Grant) -> None:
        """Note an ID token that was issued, for a later `id_token_hint`."""
        with self._lock:
            self._id_tokens[compact] = grant

    def grant_of_id_token(self, compact: str) -> Grant | None:
        """Find the grant that an ID token was issued for."""
        with self._lock:
            return self._id_tokens.get(compact)


def hostile_text() -> str:
    """Make a random text of printable ASCII that only survives correct encoding (RFC 6749 appendix A, VSCHAR)."""
    letters = string.ascii_letters + string.digits
    middle = list(_PUNCTUATION + "".join(secrets.choice(letters) for _ in range(32)))
    secrets.SystemRandom().shuffle(middle)
    return f"{secrets.choice(letters)}{''.join(middle)}{secrets.choice(letters)}"
