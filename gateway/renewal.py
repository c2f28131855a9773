"""Renewing a session's tokens: once for all requests, threads and processes that want it, and without losing them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from gateway.backends.base import LockBusy
from gateway.errors import (
    PROVIDER_UNKNOWN,
    SESSION_BUSY,
    SESSION_TOKEN_EXPIRED,
    GatewayError,
    InvalidGrant,
    ProviderUnavailable,
    StoreUnavailable,
)
from gateway.loss import REMEMBERED_SECONDS, Loss, loss_note
from gateway.oidc.id_token import IDToken
from gateway.oidc.token_endpoint import TokenSet
from gateway.provider import Provider
from gateway.session import Lifetimes, Session
from gateway.session_events import session_event
from gateway.single_flight import SingleFlight, StillBusy
from gateway.store import Clock, HeldSession, SessionStore
from gateway.telemetry import OK, Kind, Silence, Telemetry
from gateway.unsaved import Unsaved

WAIT_STEPS = 300
WAIT_STEP_SECONDS = 0.05
"""How long a request waits for another one to renew the session: 15 seconds at most."""

MIN_TOKEN_AGE = 30
"""A token that is younger, in seconds, is not renewed because an upstream refuses it: the next one would be, too."""

_WRITE_ATTEMPTS = 5

_log = logging.getLogger("gateway.authenticator")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """Why a session is to be renewed: `due` says whether it still is, `serves` whether its token will do meanwhile."""

    name: str
    due: Callable[[Session], bool]
    serves: Callable[[Session], bool]


class Renewal:
    """Renews sessions of several providers over one store; `discard` revokes tokens that are nobody's."""

    def __init__(
        self,
        *,
        providers: Mapping[str, Provider],
        store: SessionStore,
        lifetimes: Lifetimes,
        clock: Clock,
        sleep: Callable[[float], None],
        discard: Callable[[str, TokenSet], None],
        telemetry: Telemetry | None = None,
    ) -> None:
        self._providers = providers
        self._store = store
        self._lifetimes = lifetimes
        self._clock = clock
        self._sleep = sleep
        self._discard = discard
        self._telemetry = telemetry or Silence()
        self._flights: SingleFlight[HeldSession | None] = SingleFlight()
        self._unsaved = Unsaved()

    @property
    def unsaved(self) -> int:
        """How many renewed sessions are in this process alone, since the store cannot be written."""
        return self._unsaved.left

    def before_expiry(self, held: HeldSession) -> HeldSession | None:
        """Renew a session whose access token ends soon; None if the session ended over it.

        Raises `session_token_expired` when its token has ended and the provider cannot be asked for another, and
        `session_busy` when another request has been renewing it for too long.
        """
        wish = _Wish(
            name="expiry",
            due=lambda session: session.needs_refresh(self._now(), self._lifetimes),
            serves=lambda session: not session.token_expired(self._now()),
        )
        return self._fulfilled(held, wish)

    def at_once(self, held: HeldSession) -> HeldSession | None:
        """Renew a session's tokens whatever their age; raises as `before_expiry` does."""
        if held.session.refresh_token is None:
            return held
        token = held.session.access_token

        def is_another(session: Session) -> bool:
            return session.access_token != token

        name = hashlib.sha256(token.encode("utf-8")).hexdigest()
        return self._fulfilled(held, _Wish(name=name, due=lambda session: not is_another(session), serves=is_another))

    def after_rejection(self, held: HeldSession) -> HeldSession | None:
        """Renew a session whose token an upstream does not take; unchanged where that is not worth a try."""
        if self._now() < held.session.access_issued_at + MIN_TOKEN_AGE:
            return held
        return self.at_once(held)

    def _fulfilled(self, held: HeldSession, wish: _Wish) -> HeldSession | None:
        key = f"{held.session.id} {wish.name}"
        if wish.serves(held.session) and self._flights.is_under_way(key):
            return held  # The old token still serves while another request fetches the new one.
        try:
            return self._flights.run(key, lambda: self._led(held, wish), patience=WAIT_STEPS * WAIT_STEP_SECONDS)
        except StillBusy:
            raise self._busy(held) from None

    def _led(self, held: HeldSession, wish: _Wish) -> HeldSession | None:
        # Of all threads of this process, this one alone waits for other processes.
        for _ in range(WAIT_STEPS):
            try:
                return self._locked(held, wish)
            except LockBusy:
                pass
            if wish.serves(held.session):
                return held
            self._sleep(WAIT_STEP_SECONDS)
            current = self._store.load(held.handle)
            if current is None or wish.serves(current.session):
                return current
        raise self._busy(held)

    def _locked(self, held: HeldSession, wish: _Wish) -> HeldSession | None:
        with ExitStack() as lock:
            lock.enter_context(self._store.lock(held.session.id))
            current = self._store.load(held.handle)
            if current is None or not wish.due(current.session):
                return current
            return self._use_refresh_token(current, lock)

    def _use_refresh_token(self, held: HeldSession, lock: ExitStack) -> HeldSession | None:
        session = held.session
        provider = self._providers.get(session.provider)
        if provider is None:
            raise GatewayError(PROVIDER_UNKNOWN, f"no provider {session.provider[:40]!r}")
        try:
            tokens, id_token = provider.refresh(session)
        except ProviderUnavailable as error:
            self._tell(session, error.code)
            if not session.token_expired(self._now()):
                return held
            raise GatewayError(SESSION_TOKEN_EXPIRED, str(error), retry_after=error.retry_after) from error
        except GatewayError as error:
            return self._after_refusal(held, error)
        self._tell(session, OK)
        try:
            return self._written(held, tokens, id_token)
        except StoreUnavailable:
            # The old refresh token is used up: the new one is in this process alone, and so is the lock, until the
            # store can be written again.
            self._unsaved.write_later(lambda: self._written(held, tokens, id_token), lock.pop_all())
            return replace(held, session=session.refreshed(tokens, id_token, self._now()))

    def _written(self, held: HeldSession, tokens: TokenSet, id_token: IDToken | None) -> HeldSession | None:
        current: HeldSession | None = held
        for _ in range(_WRITE_ATTEMPTS):
            if current is not None and current.session.access_token == tokens.access_token:
                return current  # Our own write, which was made although the store, or its client, lost the answer.
            if current is None or current.session.refresh_token != held.session.refresh_token:
                break
            renewed = current.session.refreshed(tokens, id_token, self._now())
            written = self._store.replace(replace(current, session=renewed))
            if written is not None:
                return written
            current = self._store.load(held.handle)  # Its use was noted meanwhile, or it was ended or renewed.
        self._discard(held.session.provider, tokens)
        return current

    def _after_refusal(self, held: HeldSession, error: GatewayError) -> HeldSession | None:
        current = self._store.load(held.handle)
        if current is None:
            return None
        if isinstance(error, InvalidGrant) and current.session.refresh_token != held.session.refresh_token:
            return current  # Another process was first after all; its tokens are in the store.
        _log.warning("session %s ended: the refresh gave %s", held.session.id[:8], error)
        self._tell(held.session, error.code)
        ended = session_event(Kind.LOGOUT, held.session, way="provider", detail=str(error))
        self._telemetry.happened(ended)
        self._store.end(held.session.id)
        self._store.note(loss_note(held.session.id, Loss.REFUSED), REMEMBERED_SECONDS)
        return None

    def _tell(self, session: Session, outcome: str) -> None:
        self._telemetry.happened(session_event(Kind.REFRESH, session, outcome=outcome))

    def _busy(self, held: HeldSession) -> GatewayError:
        return GatewayError(SESSION_BUSY, f"session {held.session.id[:8]}", retry_after=1)

    def _now(self) -> int:
        return int(self._clock())
