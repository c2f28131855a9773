"""Clients that bring an access token of their own: who it says they are, and for how long that is believed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.client_address import Network
from gateway.errors import (
    ACCESS_TOKEN_BOUND,
    ACCESS_TOKEN_ISS_MISMATCH,
    ACCESS_TOKEN_REVOKED,
    ACCESS_TOKEN_TYPE_REFUSED,
    BEARER_MALFORMED,
    INVALID_TOKEN,
    TOKEN_INACTIVE,
    GatewayError,
    InvalidGrant,
    Problem,
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
from gateway.policy import bearer_ways
from gateway.provider import Provider
from gateway.route import Bearer, Route
from gateway.session import Session
from gateway.store import Clock, SessionStore
from gateway.token_cache import TokenCache
from gateway.token_questions import Questions, Refusals

_SCHEME = "bearer"
_OF_A_CLIENT = "bearer "
"""How the id of a client's session begins; that of no other has a space."""

_NAMED_RE = re.compile(r"\b(?:bearer|dpop)\b", re.IGNORECASE)
_OF_THE_TOKEN = ("jwt_", "access_token_")


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerRules:
    """What is demanded of tokens, and for how many seconds is believed what was found out.

    `shared` are networks whose addresses may each stand for many clients, as a proxy's does.
    """

    token: AccessTokenRules
    jwt_seconds: float
    introspection_seconds: float
    shared: tuple[Network, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What was found out about a token: whose it is."""

    usable_until: float
    session: Session


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
        self._refusals = Refusals(clock, shared=rules.shared)
        self._questions = {name: Questions(provider=one, clock=clock) for name, one in providers.items()}

    def session(self, field: object, routes: Sequence[Route], client: str) -> Session | None:
        """Return the session of an `Authorization` field; None where it is of another scheme, or no rule asks for it.

        `client` is the address of who brings it. Raises
        `bearer_malformed` and, whatever is wrong with the token, `invalid_token`, both as `BearerRefused`; and
        `ProviderUnavailable` and `StoreUnavailable`.
        """
        ways = bearer_ways(routes)
        if not ways or field is None:
            return None
        provider = next((one.provider for one in routes if one.provider), next(iter(self._providers)))
        try:
            return self._of_field(str(field), ways, provider, client)
        except GatewayError as error:
            if error.problem is BEARER_MALFORMED:
                raise BearerRefused(BEARER_MALFORMED, error.detail, {"error": "invalid_request"}) from error
            if _is_of_token(error):
                raise BearerRefused(INVALID_TOKEN, str(error), {"error": "invalid_token"}) from error
            raise

    def _of_field(self, authorization: str, ways: frozenset[Bearer], provider: str, client: str) -> Session | None:
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
        if Bearer.JWT in ways and is_compact_jws(token):
            return self._known.get((Bearer.JWT, _digest(token)), lambda: self._of_jwt(token)).session
        if Bearer.INTROSPECTION not in ways:
            raise GatewayError(ACCESS_TOKEN_TYPE_REFUSED, "not a JWT")
        key = (provider, _digest(token))
        self._refusals.check(key)
        # What was believed before is no stranger's, whoever else is at that address.
        stranger = "" if self._known.has(key) else client
        return self._known.get(key, lambda: self._of_opaque(token, key, stranger)).session

    def _of_jwt(self, raw: str) -> _Known:
        return self._believed(self._verified(raw), raw, self._clock() + self._rules.jwt_seconds)

    def _of_opaque(self, raw: str, key: tuple[str, str], stranger: str) -> _Known:
        until, (provider, _) = self._clock() + self._rules.introspection_seconds, key
        self._refusals.check_client(stranger)
        try:
            answer = self._questions[provider].ask(raw)
            issuer = self._providers[provider].settings.issuer
            return self._believed(check_introspected(answer, self._rules.token, issuer=issuer), raw, until)
        except GatewayError as error:
            if _is_of_token(error):
                self._refusals.note(key, stranger, error)
            raise

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


def _is_of_token(error: GatewayError) -> bool:
    return error.problem is TOKEN_INACTIVE or error.code.startswith(_OF_THE_TOKEN)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("ascii")).hexdigest()
