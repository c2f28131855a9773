"""What the provider has granted: codes, access and refresh tokens, and which of them still count. Thread-safe."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
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
    resources: tuple[str, ...] = ()
    authorization_details: tuple[Mapping[str, object], ...] = ()
    asked_claims: Mapping[str, object] = field(default_factory=dict)
    dpop_jkt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """What an access token stands for; `grant` is None when a client acts for itself, `cnf` binds it (RFC 7800 3)."""

    client_id: str
    scope: str
    issued_at: float
    expires_at: float
    grant: Grant | None = None
    audience: tuple[str, ...] = ()
    cnf: Mapping[str, object] | None = None

    @property
    def grant_id(self) -> str:
        """The id of the grant; empty without one."""
        return "" if self.grant is None else self.grant.grant_id


@dataclass(slots=True)
class Grants:
    """The provider's memory of what it handed out; times are seconds since the epoch."""

    _lock: Lock = field(default_factory=Lock)
    _codes: dict[str, tuple[Grant, float]] = field(default_factory=dict)
    _redeemed: dict[str, Grant] = field(default_factory=dict)
    _access: dict[str, AccessToken] = field(default_factory=dict)
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

    def new_access_token(self, access: AccessToken, token: str = "") -> str:
        """Hand out an access token, an opaque one unless its text is given."""
        token = token or secrets.token_urlsafe(24)
        with self._lock:
            self._access[token] = access
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
            if access is not None and access.client_id == client_id:
                self._revoked.add(token)

    def end_all_of(self, client_id: str) -> None:
        """End every grant of a client, and its own tokens."""
        with self._lock:
            self._revoked.update(token for token, access in self._access.items() if access.client_id == client_id)
            grants = (*self._refresh.values(), *(grant for grant, _ in self._codes.values()))
            self._ended.update(grant.grant_id for grant in grants if grant.client_id == client_id)

    def access(self, token: str, now: float) -> AccessToken | None:
        """Look up a live access token."""
        with self._lock:
            access = self._access.get(token)
            if access is None or token in self._revoked or access.grant_id in self._ended:
                return None
            return None if access.expires_at <= now else access

    def grant_of_refresh_token(self, token: str) -> Grant | None:
        """Look up the grant of a refresh token that can still be used, and leave the token as it is."""
        with self._lock:
            grant = self._refresh.get(token)
            return None if grant is None or grant.grant_id in self._ended else grant

    def subject_of(self, access_token: str) -> str | None:
        """Tell whose an access token is or was; None for one that was never issued."""
        with self._lock:
            access = self._access.get(access_token)
            return None if access is None or access.grant is None else access.grant.subject

    def remember_id_token(self, compact: str, grant: Grant) -> None:
        """Note an ID token that was issued, for a later `id_token_hint`."""
        with self._lock:
            self._id_tokens[compact] = grant

    def of_sign_in(self, sid: str) -> list[Grant]:
        """List one grant for each client that got an ID token of that sign-in."""
        with self._lock:
            return list({one.client_id: one for one in self._id_tokens.values() if one.sid == sid}.values())

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
