"""Signing in, staying signed in, signing out: verbs on plain values, without a request or a response in sight."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.backends.base import LockBusy
from gateway.cookies import TRANSACTION_SECONDS
from gateway.errors import (
    PROVIDER_UNKNOWN,
    SESSION_BUSY,
    SESSION_TOKEN_EXPIRED,
    SESSION_TOO_LARGE,
    TRANSACTION_EXPIRED,
    TRANSACTION_REPEATED,
    GatewayError,
    InvalidGrant,
    ProviderUnavailable,
)
from gateway.login_parameters import allowed_parameters, asked_max_age, strictest, strictest_classes
from gateway.oidc.authorization_response import ReceivedResponse
from gateway.oidc.challenge import StepUp
from gateway.oidc.client import SenderConstraint
from gateway.oidc.dpop import new_dpop_key
from gateway.oidc.messages import Entropy, Moment, base64url
from gateway.oidc.transaction import Transaction, new_transaction, second_attempt
from gateway.provider import Provider
from gateway.session import MAX_LOGIN_BYTES, Lifetimes, Login, Session, new_session, size_of
from gateway.store import Clock, HeldSession, SessionStore, session_id

REFRESH_WAIT_STEPS = 300
REFRESH_WAIT_STEP_SECONDS = 0.05
"""How long a request waits for another one to renew the session: 15 seconds at most."""

_STATE_BYTES = 32
_log = logging.getLogger("gateway.authenticator")


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunLogin:
    """Where to send the browser, and what it must bring back."""

    url: str = field(repr=False)
    transaction: Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunLogout:
    """Where the provider signs the browser out, if it does, and the state that it will send back."""

    url: str | None = field(repr=False)
    state: str = field(repr=False)


class Authenticator:
    """The verbs of a relying party over its providers and one store.

    All of them raise `StoreUnavailable` when the store cannot be asked; then nothing has been concluded.
    """

    def __init__(
        self,
        *,
        providers: Mapping[str, Provider],
        store: SessionStore,
        lifetimes: Lifetimes,
        clock: Clock,
        entropy: Entropy,
        sleep: Callable[[float], None],
    ) -> None:
        self._providers = providers
        self._store = store
        self._lifetimes = lifetimes
        self._clock = clock
        self._entropy = entropy
        self._sleep = sleep

    def provider(self, name: str) -> Provider:
        """Find a provider by its name in the configuration; raises `provider_unknown`."""
        provider = self._providers.get(name)
        if provider is None:
            raise GatewayError(PROVIDER_UNKNOWN, f"no provider {name[:40]!r}")
        return provider

    def begin_login(
        self,
        provider_name: str,
        return_to: str,
        parameters: Mapping[str, str],
        *,
        demand: StepUp = StepUp(),
        replaces: Sequence[str] = (),
        second: bool = False,
    ) -> BegunLogin:
        """Begin a login that ends at `return_to`; `parameters` are what a link asked for.

        `demand` is what the login has to show, `replaces` are the sessions that it ends, `second` says that an earlier
        attempt came to nothing. Raises `parameter_refused`, `ProviderUnavailable` while there is no metadata, and what
        `Provider.authorization_url` raises.
        """
        provider = self.provider(provider_name)
        settings = provider.settings
        allowed = allowed_parameters(parameters, settings.start_parameters)
        transaction = new_transaction(
            provider=provider_name,
            issuer=settings.issuer,
            return_to=return_to,
            moment=Moment(now=self._now(), entropy=self._entropy),
            demand=StepUp(
                acr_values=strictest_classes(demand.acr_values, settings.required_acr),
                max_age=strictest(demand.max_age, settings.max_age, asked_max_age(allowed)),
            ),
            silent=allowed.get("prompt") == "none",
            replaces=replaces,
        )
        if second:
            transaction = second_attempt(transaction)
        if settings.client.sender_constraint is SenderConstraint.DPOP:
            transaction = replace(transaction, dpop_key=new_dpop_key(self._entropy).to_text())
        return BegunLogin(url=provider.authorization_url(transaction, allowed), transaction=transaction)

    def complete_login(
        self, received: ReceivedResponse, transaction: Transaction, handles: Sequence[bytes]
    ) -> HeldSession:
        """Complete the login that this browser began; sessions that it held before are ended.

        Raises `transaction_expired`, `transaction_repeated`, and whatever the checks of the response, the tokens and
        the ID token raise. The state is claimed before the code is used, so that no code is ever sent twice.
        """
        if self._now() > transaction.created_at + TRANSACTION_SECONDS:
            raise GatewayError(TRANSACTION_EXPIRED)
        provider = self.provider(transaction.provider)
        response = provider.check_response(received, transaction)
        if not self._store.claim(transaction.state, 2 * TRANSACTION_SECONDS):
            raise GatewayError(TRANSACTION_REPEATED)
        login = provider.redeem(response)
        if size_of(login) > MAX_LOGIN_BYTES:
            raise GatewayError(SESSION_TOO_LARGE, f"more than {MAX_LOGIN_BYTES} bytes of claims and tokens")
        held = self._store.create(lambda name: self._session_of(name, login, transaction))
        for name in {*transaction.replaces, *(session_id(handle) for handle in handles)}:
            self._store.end(name)
        _log.info("signed in: session %s", held.session.id[:8])
        return held

    def current_session(self, handles: Sequence[bytes]) -> HeldSession | None:
        """Find the living session among those that a browser holds, renewed where that is due.

        Raises `session_token_expired` when its token has ended and the provider cannot be asked for another, and
        `session_busy` when another request has been renewing it for too long.
        """
        held = self.find_session(handles)
        if held is None:
            return None
        if held.session.needs_refresh(self._now(), self._lifetimes):
            return self._renewed(held)
        if held.session.needs_touch(self._now(), self._lifetimes):
            return self._touched(held)
        return held

    def find_session(self, handles: Sequence[bytes]) -> HeldSession | None:
        """Find the living session among those that a browser holds, as it is."""
        for handle in handles:
            session = self._store.load(handle)
            if session is not None and self._is_ours(session):
                return HeldSession(handle=handle, session=session)
        return None

    def refresh(self, held: HeldSession) -> HeldSession | None:
        """Renew the tokens now, if they can be; None if the session ended over it."""
        if held.session.refresh_token is None:
            return held
        try:
            with self._store.lock(held.session.id):
                current = self._reload(held)
                return None if current is None else self._use_refresh_token(current)
        except LockBusy:
            return self._reload(held)  # Whoever holds the lock is renewing it this moment.

    def end_session(self, held: HeldSession) -> BegunLogout:
        """End a session here, revoke its tokens, and prepare the sign-out at the provider.

        What is here ends first and for good; the provider's part is tried and never stops it.
        """
        session = (self._reload(held) or held).session  # A renewal may have replaced the tokens meanwhile.
        provider = self.provider(session.provider)
        self._store.end(session.id)
        if session.refresh_token is not None:
            provider.revoke(session.refresh_token, "refresh_token")
        provider.revoke(session.access_token, "access_token")
        state = base64url(self._entropy(_STATE_BYTES))
        _log.info("signed out: session %s", session.id[:8])
        return BegunLogout(url=provider.end_session_url(session.id_token, state), state=state)

    def _renewed(self, held: HeldSession) -> HeldSession | None:
        for _ in range(REFRESH_WAIT_STEPS):
            try:
                with self._store.lock(held.session.id):
                    return self._renew_if_due(held)
            except LockBusy:
                pass
            if not held.session.token_expired(self._now()):
                return held  # The old token still serves while another request fetches the new one.
            self._sleep(REFRESH_WAIT_STEP_SECONDS)
            current = self._reload(held)
            if current is None or not current.session.token_expired(self._now()):
                return current
        raise GatewayError(SESSION_BUSY, f"session {held.session.id[:8]}", retry_after=1)

    def _renew_if_due(self, held: HeldSession) -> HeldSession | None:
        current = self._reload(held)
        if current is None or not current.session.needs_refresh(self._now(), self._lifetimes):
            return current
        return self._use_refresh_token(current)

    def _use_refresh_token(self, held: HeldSession) -> HeldSession | None:
        session = held.session
        provider = self.provider(session.provider)
        try:
            tokens, id_token = provider.refresh(session)
        except ProviderUnavailable as error:
            if not session.token_expired(self._now()):
                return held
            raise GatewayError(SESSION_TOKEN_EXPIRED, str(error), retry_after=error.retry_after) from error
        except GatewayError as error:
            return self._after_refusal(held, error)
        renewed = self._store.replace(replace(held, session=session.refreshed(tokens, id_token, self._now())))
        if renewed is None:  # Signed out meanwhile: the new tokens are nobody's.
            if tokens.refresh_token is not None:
                provider.revoke(tokens.refresh_token, "refresh_token")
            provider.revoke(tokens.access_token, "access_token")
            return None
        return replace(held, session=renewed)

    def _after_refusal(self, held: HeldSession, error: GatewayError) -> HeldSession | None:
        current = self._reload(held)
        if current is None:
            return None
        if isinstance(error, InvalidGrant) and current.session.refresh_token != held.session.refresh_token:
            return current  # Another process was first after all; its tokens are in the store.
        _log.warning("session %s ended: the refresh gave %s", held.session.id[:8], error)
        self._store.end(held.session.id)
        return None

    def _touched(self, held: HeldSession) -> HeldSession | None:
        try:
            with self._store.lock(held.session.id):
                current = self._reload(held)
                if current is None:
                    return None
                touched = self._store.replace(replace(current, session=current.session.touched(self._now())))
                return None if touched is None else replace(current, session=touched)
        except LockBusy:
            return held  # Someone else is writing the session, and that counts as its use.

    def _reload(self, held: HeldSession) -> HeldSession | None:
        session = self._store.load(held.handle)
        return None if session is None else replace(held, session=session)

    def _session_of(self, name: str, login: Login, transaction: Transaction) -> Session:
        return new_session(
            session_id=name,
            transaction=transaction,
            client_id=self.provider(transaction.provider).client.client_id,
            login=login,
            now=self._now(),
        )

    def _is_ours(self, session: Session) -> bool:
        # The configuration may have changed since: another provider under that name has signed nobody in.
        provider = self._providers.get(session.provider)
        if provider is None:
            return False
        return (session.issuer, session.client_id) == (provider.settings.issuer, provider.client.client_id)

    def _now(self) -> int:
        return int(self._clock())
