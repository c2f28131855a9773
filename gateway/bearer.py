"""Clients that bring an access token of their own: who it says they are, and for how long that is believed."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.errors import (
    ACCESS_TOKEN_BOUND,
    ACCESS_TOKEN_ISS_MISMATCH,
    ACCESS_TOKEN_REVOKED,
    ACCESS_TOKEN_TYPE_REFUSED,
    BEARER_MALFORMED,
    INVALID_TOKEN,
    PROVIDER_UNREACHABLE,
    TOKEN_INACTIVE,
    GatewayError,
    InvalidGrant,
    Problem,
    ProviderUnavailable,
)
from gateway.oidc.access_token import (
    AccessToken,
    AccessTokenRules,
    check_access_token,
    check_introspected,
    claimed_issuer,
    is_bearer_text,
    is_compact_jws,
    parse_access_token,
)
from gateway.oidc.challenge import challenge_text
from gateway.provider import Provider
from gateway.route import Bearer, Route
from gateway.session import Session
from gateway.store import Clock, SessionStore
from gateway.token_cache import TokenCache

UNKNOWN_SECONDS = 10
"""How long a token that the provider does not know is not asked about again."""

MAX_CALLS = 8
"""How many questions about unknown tokens are under way at once: who makes tokens up must not flood it."""

_SCHEME = "bearer"
_OF_A_CLIENT = "bearer "
"""How the id of a client's session begins; that of no other has a space."""

_NAMED_RE = re.compile(r"\b(?:bearer|dpop)\b", re.IGNORECASE)
_OF_THE_TOKEN = ("jwt_", "access_token_")


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerRules:
    """What is demanded of tokens, and for how many seconds is believed what was found out."""

    token: AccessTokenRules
    jwt_seconds: float
    introspection_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What was found out about a token: whose it is, or why its provider does not stand by it."""

    usable_until: float
    session: Session | None = None
    inactive: str = ""


class BearerRefused(GatewayError):
    """A token is refused; `challenge` is what its client is told (RFC 6750 3), which is no more than that."""

    def __init__(self, problem: Problem, detail: str, parameters: Mapping[str, str]) -> None:
        super().__init__(problem, detail)
        self.challenge = challenge_text("Bearer", {"realm": "gateway", **parameters})


def insufficient(error: GatewayError, routes: Sequence[Route], client: Session) -> GatewayError:
    """Say in a refusal which scopes the rules want, where it is those that a client lacks (RFC 6750 3.1)."""
    wanted = {name for route in routes for name in route.requirement.condition.scope}
    if wanted <= set(client.scope.split()):
        return error
    parameters = {"error": "insufficient_scope", "scope": " ".join(sorted(wanted))}
    return BearerRefused(error.problem, error.detail, parameters)


def withdrawn(error: GatewayError, session: Session | None) -> GatewayError:
    """Say to a client that its own token is worth nothing, where the provider says so of it (RFC 6750 3.1).

    `error` is why there is no token for an upstream; whatever it is for others than clients, it stays.
    """
    worthless = error.problem is TOKEN_INACTIVE or isinstance(error, InvalidGrant)
    if session is None or not session.id.startswith(_OF_A_CLIENT) or not worthless:
        return error
    return BearerRefused(INVALID_TOKEN, str(error), {"error": "invalid_token"})


class BearerTokens:
    """Turns bearer tokens into sessions that no store holds; raises what says why not, and opens nothing then."""

    def __init__(
        self, *, providers: Mapping[str, Provider], store: SessionStore, rules: BearerRules, clock: Clock
    ) -> None:
        self._providers = providers
        self._store = store
        self._rules = rules
        self._clock = clock
        self._known: TokenCache[_Known] = TokenCache(clock=clock)
        self._calls = threading.Semaphore(MAX_CALLS)

    def session(self, authorization: str, ways: frozenset[Bearer], provider: str) -> Session | None:
        """Return the session of an `Authorization` field; None where it is of another scheme.

        `ways` are how its token may be checked, `provider` the one that is asked about opaque ones,
        empty for the only one. Raises
        `bearer_malformed` and, whatever is wrong with the token, `invalid_token`, both as `BearerRefused`; and
        `ProviderUnavailable` and `StoreUnavailable`.
        """
        try:
            return self._of_field(authorization, ways, provider)
        except GatewayError as error:
            if error.problem is BEARER_MALFORMED:
                raise BearerRefused(BEARER_MALFORMED, error.detail, {"error": "invalid_request"}) from error
            if error.problem is TOKEN_INACTIVE or error.code.startswith(_OF_THE_TOKEN):
                raise BearerRefused(INVALID_TOKEN, str(error), {"error": "invalid_token"}) from error
            raise

    def _of_field(self, authorization: str, ways: frozenset[Bearer], provider: str) -> Session | None:
        scheme, _, text = authorization.strip(" \t").partition(" ")
        if scheme.lower() == "dpop":
            raise GatewayError(ACCESS_TOKEN_BOUND, "its scheme is DPoP")
        if scheme.lower() != _SCHEME:
            if _NAMED_RE.search(authorization):
                raise GatewayError(BEARER_MALFORMED, "a bearer token is in it, but not alone")
            return None
        token = text.strip(" ")
        if not is_bearer_text(token):
            raise GatewayError(BEARER_MALFORMED, "not one bearer token")
        way = Bearer.JWT if Bearer.JWT in ways and is_compact_jws(token) else Bearer.INTROSPECTION
        if way not in ways:
            raise GatewayError(ACCESS_TOKEN_TYPE_REFUSED, "not a JWT")
        known = self._known.get((way, provider, _digest(token)), lambda: self._found(token, way, provider))
        if known.session is None:
            raise GatewayError(TOKEN_INACTIVE, known.inactive)
        return known.session

    def _found(self, token: str, way: Bearer, provider: str) -> _Known:
        now = self._clock()
        if way is Bearer.JWT:
            return self._believed(self._verified(token), token, now + self._rules.jwt_seconds)
        try:
            return self._believed(self._introspected(token, provider), token, now + self._rules.introspection_seconds)
        except GatewayError as error:
            if error.problem is not TOKEN_INACTIVE:
                raise
            return _Known(usable_until=now + UNKNOWN_SECONDS, inactive=error.detail)

    def _believed(self, token: AccessToken, raw: str, until: float) -> _Known:
        sid = token.claims.get("sid")
        login = sid if isinstance(sid, str) else None
        if self._store.was_revoked(token.issuer, token.subject, login, since=token.issued_at or 0):
            raise GatewayError(ACCESS_TOKEN_REVOKED, "its user was signed out since")
        session = self._session(token, raw, until)
        end = until if token.expires_at is None else min(until, token.expires_at)
        return _Known(usable_until=end, session=session)

    def _verified(self, raw: str) -> AccessToken:
        token = parse_access_token(raw, self._rules.token)
        issuer = claimed_issuer(token)
        provider = next((one for one in self._providers.values() if one.settings.issuer == issuer), None)
        if provider is None:
            raise GatewayError(ACCESS_TOKEN_ISS_MISMATCH, f"iss {issuer[:200]!r} is none of ours")
        now = int(self._clock())
        return provider.published.with_keys(
            token, lambda signed, keys: check_access_token(signed, keys, self._rules.token, issuer=issuer, now=now)
        )

    def _introspected(self, raw: str, name: str) -> AccessToken:
        provider = self._providers[name or next(iter(self._providers))]
        with self._call():
            answer = provider.tokens.introspect(raw)
        return check_introspected(answer, self._rules.token, issuer=provider.settings.issuer)

    @contextmanager
    def _call(self) -> Iterator[None]:
        if not self._calls.acquire(blocking=False):
            raise ProviderUnavailable(PROVIDER_UNREACHABLE, "too many unknown tokens at once", retry_after=1)
        try:
            yield
        finally:
            self._calls.release()

    def _session(self, token: AccessToken, raw: str, until: float) -> Session:
        now = int(self._clock())
        name = next(name for name, one in self._providers.items() if one.settings.issuer == token.issuer)
        issued_at = now if token.issued_at is None else token.issued_at
        return Session(
            id=f"{_OF_A_CLIENT}{_digest(raw)}",
            provider=name,
            issuer=token.issuer,
            client_id=token.client_id,
            subject=token.subject,
            claims=token.claims,
            scope=token.scope,
            access_token=raw,
            token_scheme="Bearer",
            dpop_key=None,
            access_issued_at=issued_at,
            access_expires_at=token.expires_at,
            refresh_token=None,
            id_token=None,
            created_at=issued_at,
            seen_at=now,
            ends_at=int(until) if token.expires_at is None else token.expires_at,
        )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("ascii")).hexdigest()
