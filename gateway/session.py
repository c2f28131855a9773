"""What we remember of a signed-in user: a frozen value, its lifetimes, and its form at rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from gateway.claims import withheld_names
from gateway.oidc.challenge import StepUp
from gateway.oidc.id_token import IDToken
from gateway.oidc.token_endpoint import TokenSet
from gateway.oidc.transaction import Transaction

FORMAT = 3
_OF_THE_LOGIN = ("nonce", "sid")
"""The version of the form at rest; a session of another version is no session."""

MAX_LOGIN_BYTES = 128 * 1024

PROTOCOL_CLAIMS = frozenset(
    {"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "c_hash",
     "s_hash", "sid"}
)  # fmt: skip
"""What an ID token says of itself and of the login, not of the user (OIDC Core 2)."""

MAX_TOUCH_INTERVAL = 60
"""How long use of a session may go unrecorded, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a completed login gives; without OpenID Connect there is no ID token, and userinfo alone names the user."""

    tokens: TokenSet
    subject: str
    claims: Mapping[str, object] = field(repr=False)
    id_token: IDToken | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long sessions live, all in seconds: unused, altogether, and how early tokens are refreshed.

    `refresh_jitter` is how much earlier still, at most, so that what began together is not refreshed together.
    """

    idle: int
    absolute: int
    refresh_leeway: int
    refresh_jitter: int = 0

    @property
    def touch_interval(self) -> int:
        """How long use of a session may go unrecorded: a minute, or less for a short idle time."""
        return min(MAX_TOUCH_INTERVAL, self.idle // 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A signed-in user; times are seconds since the epoch, tokens stay out of the repr.

    `provider`, `issuer` and `client_id` say who signed the user in, and for whom. `token_scheme` is how the access
    token is presented, `dpop_key` the key that it is bound to (RFC 9449). `id_token_claims` names what the ID token,
    and not only userinfo, has said of the user. `ends_at` is the latest end that was promised when it began, `marks`
    are the values of the revocation marks that stood then. `resource` is what the tokens are for where that is not as
    registered.
    """

    id: str
    provider: str
    issuer: str
    client_id: str
    subject: str
    claims: Mapping[str, object] = field(repr=False)
    id_token_claims: tuple[str, ...] = field(default=(), repr=False)
    scope: str
    access_token: str = field(repr=False)
    token_scheme: str
    dpop_key: str | None = field(repr=False)
    access_issued_at: int
    access_expires_at: int | None
    refresh_token: str | None = field(repr=False)
    refresh_expires_at: int | None = None
    id_token: str | None = field(repr=False)
    created_at: int
    seen_at: int
    ends_at: int
    marks: tuple[str, ...] = ()
    resource: tuple[str, ...] | None = None

    def expires_at(self, lifetimes: Lifetimes) -> int:
        """Tell when the session ends if it is not used again: unused for too long, too old, or not to be renewed."""
        ends = [self.seen_at + lifetimes.idle, self.created_at + lifetimes.absolute, self.ends_at]
        return min(ends if self.refresh_expires_at is None else [*ends, self.refresh_expires_at])

    def expired(self, now: int, lifetimes: Lifetimes) -> bool:
        """Tell whether the session has ended by itself."""
        return now >= self.expires_at(lifetimes)

    def needs_refresh(self, now: int, lifetimes: Lifetimes) -> bool:
        """Tell whether the access token should be renewed and can be.

        A token that lives shorter than twice the leeway is renewed in the second half of its life, and none earlier.
        """
        if self.access_expires_at is None or self.refresh_token is None:
            return False
        if now < self.access_expires_at - lifetimes.refresh_leeway - lifetimes.refresh_jitter:
            return False
        half = (self.access_expires_at - self.access_issued_at) // 2
        leeway = min(lifetimes.refresh_leeway, half)
        jitter = int(self._chance() * min(lifetimes.refresh_jitter, half - leeway))
        return now >= self.access_expires_at - leeway - jitter

    def token_expired(self, now: int) -> bool:
        """Tell whether the access token is past its end."""
        return self.access_expires_at is not None and now >= self.access_expires_at

    def needs_touch(self, now: int, lifetimes: Lifetimes) -> bool:
        """Tell whether this use should be written down."""
        return now >= self.seen_at + lifetimes.touch_interval

    def satisfies(self, demand: StepUp, now: int) -> bool:
        """Tell whether the login was of one of the classes, and recent enough, that are demanded (RFC 9470 5)."""
        if demand.acr_values and self.claims.get("acr") not in demand.acr_values:
            return False
        auth_time = self.claims.get("auth_time")
        if demand.max_age is None:
            return True
        return isinstance(auth_time, int | float) and now <= auth_time + demand.max_age

    def remaining(self, now: int, lifetimes: Lifetimes) -> int:
        """Tell for how many seconds the session lives on if it is not used again; at least 1."""
        return max(1, self.expires_at(lifetimes) - now)

    def touched(self, now: int) -> Session:
        """Return the session as used now."""
        return replace(self, seen_at=max(now, self.seen_at))

    def refreshed(self, tokens: TokenSet, id_token: IDToken | None, now: int) -> Session:
        """Return the session with new tokens; what the provider did not send again stays (RFC 6749 6)."""
        return replace(
            self,
            access_token=tokens.access_token,
            access_issued_at=now,
            access_expires_at=tokens.expires_at,
            refresh_token=tokens.refresh_token or self.refresh_token,
            refresh_expires_at=tokens.refresh_expires_at if tokens.refresh_token else self._refresh_end(tokens),
            id_token=id_token.raw if id_token else self.id_token,
            claims=_renewed(self, id_token.claims) if id_token else self.claims,
            id_token_claims=_of_user(id_token) or self.id_token_claims,
            scope=tokens.scope,
            seen_at=max(now, self.seen_at),
        )

    def _refresh_end(self, tokens: TokenSet) -> int | None:
        return self.refresh_expires_at if tokens.refresh_expires_at is None else tokens.refresh_expires_at

    def _chance(self) -> float:
        # The same for every worker and request, another for every token.
        digest = hashlib.sha256(f"{self.id} {self.access_issued_at}".encode()).digest()
        return int.from_bytes(digest[:4]) / 2**32


def size_of(login: Login) -> int:
    """Tell how much a login weighs at rest, in bytes: every request reads it again."""
    tokens = login.tokens
    texts = (tokens.access_token, tokens.refresh_token, "" if login.id_token is None else login.id_token.raw)
    return len(json.dumps(login.claims)) + sum(len(text or "") for text in texts)


def new_session(
    *, session_id: str, transaction: Transaction, client_id: str, login: Login, now: int, ends_at: int
) -> Session:
    """Make the session of the login that completed a transaction; its marks are the store's to note."""
    tokens = login.tokens
    return Session(
        id=session_id,
        provider=transaction.provider,
        issuer=transaction.issuer,
        client_id=client_id,
        subject=login.subject,
        claims=login.claims,
        id_token_claims=_of_user(login.id_token),
        scope=tokens.scope,
        access_token=tokens.access_token,
        token_scheme=tokens.scheme,
        dpop_key=transaction.dpop_key,
        access_issued_at=now,
        access_expires_at=tokens.expires_at,
        refresh_token=tokens.refresh_token,
        refresh_expires_at=tokens.refresh_expires_at if tokens.refresh_token else None,
        id_token=None if login.id_token is None else login.id_token.raw,
        created_at=now,
        seen_at=now,
        ends_at=ends_at,
        resource=transaction.resource,
    )


def _of_user(id_token: IDToken | None) -> tuple[str, ...]:
    return () if id_token is None else tuple(sorted(id_token.claims.keys() - PROTOCOL_CLAIMS))


def to_bytes(session: Session) -> bytes:
    """Write a session down as JSON."""
    return json.dumps({"format": FORMAT, **asdict(session)}, separators=(",", ":")).encode("utf-8")


def from_bytes(data: bytes) -> Session | None:
    """Read a session back; None for anything that this version did not write."""
    try:
        members = json.loads(data)
        if members.pop("format") != FORMAT:
            return None
        lists = {name: tuple(members[name]) for name in ("id_token_claims", "marks")}
        if members.get("resource") is not None:
            lists["resource"] = tuple(members["resource"])
        return Session(**{**members, **lists})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _renewed(session: Session, new: Mapping[str, object]) -> dict[str, object]:
    # What is kept elsewhere by now is not known from earlier. What an ID token said is withdrawn by one that speaks of
    # the user and says it no more; one that says nothing of the user withdraws nothing. The nonce belongs to the login
    # and is what a later ID token is held against (OIDC Core 12.2); by the sid its logout will name it.
    of_user = new.keys() - PROTOCOL_CLAIMS
    gone = withheld_names(new) | (set(session.id_token_claims) - of_user if of_user else set())
    kept = {name: value for name, value in session.claims.items() if name not in gone or name in _OF_THE_LOGIN}
    return {**kept, **{name: value for name, value in new.items() if name not in _OF_THE_LOGIN}}
