"""The provider as we know it: its metadata and keys, fetched when needed and kept, and the calls that we make to it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.config import ProviderSettings
from gateway.errors import (
    ID_TOKEN_MISSING,
    JWT_KEY_UNKNOWN,
    JWT_SIGNATURE_INVALID,
    METADATA_INVALID,
    METADATA_ISSUER_MISMATCH,
    PROVIDER_ANSWER_INVALID,
    PROVIDER_UNREACHABLE,
    GatewayError,
    ProviderUnavailable,
)
from gateway.oidc.authorization import AuthorizationResponse, Transaction, authorization_url
from gateway.oidc.id_token import Expected, IDToken, check_id_token, check_refreshed_id_token
from gateway.oidc.jose import KeySet, SignedToken, parse_signed, process_jwks
from gateway.oidc.logout import end_session_url
from gateway.oidc.messages import Transport, json_call
from gateway.oidc.metadata import (
    REQUIRED_ENDPOINTS,
    Client,
    ProviderMetadata,
    discovery_call,
    process_discovery,
    process_metadata,
)
from gateway.oidc.token_endpoint import (
    TokenSet,
    code_grant,
    process_token_reply,
    process_userinfo,
    refresh_grant,
    revocation_call,
    userinfo_call,
)
from gateway.session import Session

Clock = Callable[[], float]

KEEP_SECONDS = 3600
"""How long metadata and keys are used before they are asked for again."""

BACKOFF_SECONDS = 5
"""How long a failing provider is left alone."""

KEY_REFETCH_SECONDS = 60
"""How often a token that no known key fits may cause a new fetch of the keys."""

# A page of maintenance, say: it tells nothing about a session, though something did answer.
_NO_ANSWER = (PROVIDER_ANSWER_INVALID, METADATA_INVALID, METADATA_ISSUER_MISMATCH)

_log = logging.getLogger("gateway.provider")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a completed login gives."""

    tokens: TokenSet
    id_token: IDToken
    userinfo: Mapping[str, object]


class _Kept(Generic[T]):
    """A value that one thread at a time fetches, kept for a while, and beyond that while its source fails."""

    def __init__(self, fetch: Callable[[], T], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._value: T | None = None
        self._error: GatewayError | None = None
        self._ask_again_at = 0.0
        self._insist_again_at = 0.0

    def get(self) -> T:
        """Return the value, fetching it if it is old; raises what the fetch raised when there is none to return."""
        if self._clock() >= self._ask_again_at and self._lock.acquire(blocking=self._value is None):
            try:
                if self._clock() >= self._ask_again_at:
                    self._renew()
            finally:
                self._lock.release()
        if self._value is None:
            # Without the frames of whoever was told before: each raise would add its own, and keep their requests.
            raise (self._error or RuntimeError("nothing was fetched")).with_traceback(None)
        return self._value

    def newer_than(self, known: T) -> T:
        """Return a value fetched after one that may be out of date, asking at most once in KEY_REFETCH_SECONDS.

        Returns `known` itself when it is not time to ask; raises what the fetch raised when the last one failed.
        """
        with self._lock:
            if self._value is known and self._clock() >= self._insist_again_at:
                self._insist_again_at = self._clock() + KEY_REFETCH_SECONDS
                self._renew()
            if self._value is known and self._error is not None:
                raise self._error.with_traceback(None)
            return known if self._value is None else self._value

    def _renew(self) -> None:
        try:
            self._value, self._error = self._fetch(), None
            self._ask_again_at = self._clock() + KEEP_SECONDS
        except GatewayError as error:
            _log.warning("provider: %s", error)
            self._error = error
            self._ask_again_at = self._clock() + BACKOFF_SECONDS


class Provider:
    """One OpenID provider.

    Its methods raise `ProviderUnavailable` when it cannot be asked, and another `GatewayError` when it errs.
    """

    def __init__(self, *, settings: ProviderSettings, client: Client, transport: Transport, clock: Clock) -> None:
        self._settings = settings
        self._client = client
        self._transport = transport
        self._clock = clock
        self._metadata = _Kept(self._fetch_metadata, clock)
        self._keys = _Kept(self._fetch_keys, clock)
        self._refresh_again_at = 0.0

    @property
    def issuer(self) -> str:
        """The issuer identifier as configured."""
        return self._settings.issuer

    @property
    def max_age(self) -> int | None:
        """The `max_age` that is asked of every login, in seconds."""
        return self._settings.max_age

    def metadata(self) -> ProviderMetadata:
        """Return the provider's metadata, which is discovered on first use."""
        return self._metadata.get()

    def check(self) -> None:
        """Fetch metadata and keys, or say why not."""
        self._metadata.get()
        self._keys.get()

    def allowed_parameters(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """Pick the parameters that a link may set, by the configuration."""
        return {name: value for name, value in parameters.items() if name in self._settings.start_parameters}

    def authorization_url(self, transaction: Transaction, parameters: Mapping[str, str]) -> str:
        """Build the URL that begins a login; `parameters` are those of `allowed_parameters`."""
        return authorization_url(
            self.metadata(), self._client, transaction, {**self._settings.parameters, **parameters}
        )

    def redeem(self, response: AuthorizationResponse) -> Login:
        """Turn a checked response into tokens, a checked ID token and userinfo (OIDC Core 3.1.3, 5.3)."""
        metadata, transaction = self.metadata(), response.transaction
        reply = self._transport(code_grant(metadata, self._client, response))
        tokens = process_token_reply(reply, requested_scope=self._client.scope, now=self._now())
        if tokens.id_token is None:
            raise GatewayError(ID_TOKEN_MISSING)
        expected = self._expected(tokens)
        id_token = self._with_keys(
            tokens.id_token,
            lambda token, keys: check_id_token(
                token, keys, expected, nonce=transaction.nonce, max_age=transaction.max_age
            ),
        )
        return Login(tokens=tokens, id_token=id_token, userinfo=self._userinfo(metadata, tokens, id_token.subject))

    def refresh(self, session: Session) -> tuple[TokenSet, IDToken | None]:
        """Use a session's refresh token; an ID token that comes with the answer must be about the same login.

        Raises `InvalidGrant` when the refresh token is worth nothing. After an outage the provider is left alone for
        a few seconds, so that requests do not queue up behind its timeout.
        """
        if self._clock() < self._refresh_again_at:
            raise ProviderUnavailable(PROVIDER_UNREACHABLE, "still left alone", retry_after=BACKOFF_SECONDS)
        try:
            return self._refresh(session)
        except GatewayError as error:
            if not isinstance(error, ProviderUnavailable) and error.problem not in _NO_ANSWER:
                raise
            self._refresh_again_at = self._clock() + BACKOFF_SECONDS
            retry_after = error.retry_after or BACKOFF_SECONDS
            raise ProviderUnavailable(error.problem, error.detail, retry_after=retry_after) from error

    def revoke(self, token: str, hint: str) -> None:
        """Revoke a token where the provider offers that; a failure is logged and is no one's business (RFC 7009)."""
        try:
            endpoint = self.metadata().revocation_endpoint
            if endpoint is not None:
                status = self._transport(revocation_call(endpoint, self._client, token, hint)).status
                if status != 200:
                    _log.warning("provider: revocation of the %s answered %d", hint, status)
        except GatewayError as error:
            _log.warning("provider: revocation of the %s failed: %s", hint, error)

    def end_session_url(self, id_token: str | None, state: str) -> str | None:
        """Build the URL that signs the browser out of the provider; None where it offers none or cannot be asked."""
        try:
            endpoint = self.metadata().end_session_endpoint
        except GatewayError as error:
            _log.warning("provider: no logout there: %s", error)
            return None
        return None if endpoint is None else end_session_url(endpoint, self._client, id_token=id_token, state=state)

    def _refresh(self, session: Session) -> tuple[TokenSet, IDToken | None]:
        self._keys.get()  # First: once the old refresh token is used, the new one must not be lost for want of keys.
        reply = self._transport(refresh_grant(self.metadata(), self._client, session.refresh_token or ""))
        tokens = process_token_reply(reply, requested_scope=session.scope, now=self._now())
        if tokens.id_token is None:
            return tokens, None
        expected = self._expected(tokens)
        login = {**session.claims, "sub": session.subject}
        return tokens, self._with_keys(
            tokens.id_token, lambda token, keys: check_refreshed_id_token(token, keys, expected, login=login)
        )

    def _userinfo(self, metadata: ProviderMetadata, tokens: TokenSet, subject: str) -> Mapping[str, object]:
        if metadata.userinfo_endpoint is None or not self._settings.userinfo:
            return {}
        return process_userinfo(self._transport(userinfo_call(metadata.userinfo_endpoint, tokens)), subject)

    def _with_keys(self, raw: str, check: Callable[[SignedToken, KeySet], IDToken]) -> IDToken:
        token = parse_signed(raw, self._client.id_token_algorithms)
        keys = self._keys.get()
        try:
            return check(token, keys)
        except GatewayError as error:
            # Keys may have been replaced since: with a new `kid`, or with none to tell by (OIDC Core 10.1.1).
            if error.problem not in (JWT_KEY_UNKNOWN, JWT_SIGNATURE_INVALID):
                raise
        return check(token, self._keys.newer_than(keys))

    def _expected(self, tokens: TokenSet) -> Expected:
        return Expected(
            issuer=self._settings.issuer, client=self._client, now=self._now(), access_token=tokens.access_token
        )

    def _fetch_metadata(self) -> ProviderMetadata:
        by_hand = self._settings.metadata
        if all(name in by_hand for name in REQUIRED_ENDPOINTS):
            return process_metadata(by_hand, self._settings.issuer)
        return process_discovery(self._transport(discovery_call(self.issuer)), self.issuer, by_hand)

    def _fetch_keys(self) -> KeySet:
        return process_jwks(self._transport(json_call(self.metadata().jwks_uri)))

    def _now(self) -> int:
        return int(self._clock())
