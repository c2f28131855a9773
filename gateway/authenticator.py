"""Signing in, staying signed in, signing out: verbs on plain values, without a request or a response in sight."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.backends.base import LockBusy
from gateway.cookies import TRANSACTION_SECONDS
from gateway.errors import (
    PROVIDER_UNKNOWN,
    SESSION_TOO_LARGE,
    TRANSACTION_EXPIRED,
    TRANSACTION_REPEATED,
    GatewayError,
)
from gateway.login_parameters import (
    allowed_parameters,
    asked_max_age,
    asked_resource,
    asked_scope,
    strictest,
    strictest_classes,
)
from gateway.oidc.authorization_response import ReceivedResponse
from gateway.oidc.challenge import StepUp
from gateway.oidc.client import SenderConstraint
from gateway.oidc.dpop import new_dpop_key
from gateway.oidc.logout import EndSession
from gateway.oidc.messages import Entropy, Moment, base64url
from gateway.oidc.transaction import Transaction, marked, new_transaction
from gateway.provider import Provider
from gateway.renewal import Renewal
from gateway.session import MAX_LOGIN_BYTES, Lifetimes, Login, Session, new_session, size_of
from gateway.store import Clock, HeldSession, SessionStore, session_id
from gateway.telemetry import Telemetry
from gateway.token_revocation import TokenRevocation

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

    at_provider: EndSession | None
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
        telemetry: Telemetry | None = None,
    ) -> None:
        self._providers = providers
        self._store = store
        self._lifetimes = lifetimes
        self._clock = clock
        self._entropy = entropy
        self._revocation = TokenRevocation(providers)
        self._renewal = Renewal(
            providers=providers,
            store=store,
            lifetimes=lifetimes,
            clock=clock,
            sleep=sleep,
            discard=self._revocation.of_tokens,
            telemetry=telemetry,
        )

    @property
    def unsaved(self) -> int:
        """How many sessions have tokens that would be lost with this process."""
        return self._renewal.unsaved

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
        mark: str = "",
        allowed: Collection[str] | None = None,
    ) -> BegunLogin:
        """Begin a login that ends at `return_to`; `parameters` are what a link asked for.

        `demand` is what the login has to show, `replaces` are the sessions that it ends, `mark` is what its
        state carries, `allowed` what may be asked for where that is not what links may. Raises
        `parameter_refused`, `ProviderUnavailable` while there is no metadata, and what `Provider.authorization_url`
        raises.
        """
        provider = self.provider(provider_name)
        settings = provider.settings
        asked = allowed_parameters(parameters, settings.start_parameters if allowed is None else allowed)
        transaction = new_transaction(
            provider=provider_name,
            issuer=settings.issuer,
            return_to=return_to,
            moment=Moment(now=self._now(), entropy=self._entropy),
            demand=StepUp(
                acr_values=strictest_classes(demand.acr_values, settings.required_acr),
                max_age=strictest(demand.max_age, settings.max_age, asked_max_age(asked)),
            ),
            silent=asked.get("prompt") == "none",
            replaces=replaces,
        )
        scope, resource = asked_scope(asked, openid=settings.openid), asked_resource(asked)
        transaction = marked(replace(transaction, scope=scope, resource=resource), mark)
        if settings.client.sender_constraint is SenderConstraint.DPOP:
            transaction = replace(transaction, dpop_key=new_dpop_key(self._entropy).to_text())
        # What claims are asked for is of no use any more when they come, and would fill the cookie.
        url = provider.authorization_url(replace(transaction, claims=asked.get("claims", "")), asked)
        return BegunLogin(url=url, transaction=transaction)

    def complete_login(
        self, received: ReceivedResponse, transaction: Transaction, handles: Sequence[bytes]
    ) -> HeldSession:
        """Complete the login that this browser began; sessions that it held before are ended.

        Raises `transaction_expired`, `transaction_repeated`, and whatever the checks of the response, the tokens and
        the ID token raise; `session_revoked` where the user was signed out meanwhile. The state is claimed before the
        code is used, so that no code is ever sent twice.
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
        try:
            held = self._store.create(
                lambda name: self._session_of(name, login, transaction), began_at=transaction.created_at
            )
            for name in {*transaction.replaces, *(session_id(handle) for handle in handles)}:
                self._store.end(name)
        except GatewayError:
            self._revocation.of_tokens(transaction.provider, login.tokens)
            raise
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
            return self._renewal.before_expiry(held)
        return self.note_use(held) if self.is_use_due(held) else held

    def session_at_hand(self, handles: Sequence[bytes]) -> HeldSession | None:
        """Find what `current_session` would among this worker's copies; None where only asking can tell."""
        held = self._store.copy(handles[0]) if handles else None
        return None if held is None else self.as_it_is(held)

    def as_it_is(self, held: HeldSession) -> HeldSession | None:
        """Return a session to which nothing has to be done first; None for what `current_session` has to see to.

        That it is used may have to be written down all the same: `is_use_due` tells, `note_use` does it.
        """
        is_ready = self._is_ours(held.session) and not held.session.needs_refresh(self._now(), self._lifetimes)
        return held if is_ready else None

    def is_use_due(self, held: HeldSession) -> bool:
        """Tell whether it has to be written down that a session is used."""
        return held.session.needs_touch(self._now(), self._lifetimes)

    def find_many(self, handles: Collection[bytes]) -> dict[bytes, HeldSession | None]:
        """Find the living sessions of several browsers."""
        return self._store.load_many(handles)

    def has_session(self, handle: bytes) -> bool:
        """Tell whether a handle has a session; raises as `find_session` does."""
        return self.find_session([handle]) is not None

    def find_session(self, handles: Sequence[bytes]) -> HeldSession | None:
        """Find the living session among those that a browser holds, as it is."""
        for handle in handles:
            held = self._store.recall(handle)
            if held is not None and self._is_ours(held.session):
                return held
        return None

    def refresh(self, held: HeldSession) -> HeldSession | None:
        """Renew the tokens now, if they can be; None if the session ended over it."""
        return self._renewal.at_once(held)

    def after_rejection(self, held: HeldSession) -> HeldSession | None:
        """Renew the tokens since an upstream does not take them; unchanged where that is not worth a try."""
        return self._renewal.after_rejection(held)

    def end_session(self, held: HeldSession, handles: Sequence[bytes] = (), *, local: bool = False) -> BegunLogout:
        """End a session here, revoke its tokens, and, unless `local`, prepare the sign-out at the provider.

        `handles` are all that the browser holds; what else they open is ended, too.
        What is here ends first and for good; the provider's part is tried and never stops it.
        """
        # A renewal may have replaced the tokens meanwhile.
        session = (self._store.load(held.handle) or held).session
        provider = self.provider(session.provider)
        others = (self._store.load(handle) for handle in handles if handle != held.handle)
        for ended in (session, *(other.session for other in others if other is not None)):
            try:
                self._store.end(ended.id)
            finally:
                self._revocation.of_session(ended)  # Whoever signs out again may find no session any more.
        state = base64url(self._entropy(_STATE_BYTES))
        _log.info("signed out: session %s", session.id[:8])
        return BegunLogout(at_provider=None if local else provider.end_session(session.id_token, state), state=state)

    def note_use(self, held: HeldSession, at: int | None = None) -> HeldSession | None:
        """Write down that a session is used, unless another worker has; return it as it is then, None if it is over.

        `at` is when that was, in seconds since the epoch, where it is not now.
        """
        used_at = self._now() if at is None else at
        try:
            with self._store.lock(held.session.id):
                current = self._store.load(held.handle)
                if current is None or not current.session.needs_touch(used_at, self._lifetimes):
                    return current  # Of all workers, one writes it down.
                touched = replace(current, session=current.session.touched(used_at))
                return self._store.replace(touched) or self._store.load(held.handle)
        except LockBusy:
            return held  # Someone else is writing the session, and that counts as its use.

    def _session_of(self, name: str, login: Login, transaction: Transaction) -> Session:
        return new_session(
            session_id=name,
            transaction=transaction,
            client_id=self.provider(transaction.provider).client.client_id,
            login=login,
            now=self._now(),
            ends_at=self._now() + self._lifetimes.absolute,
        )

    def _is_ours(self, session: Session) -> bool:
        # The configuration may have changed since: another provider under that name has signed nobody in.
        provider = self._providers.get(session.provider)
        if provider is None:
            return False
        return (session.issuer, session.client_id) == (provider.settings.issuer, provider.client.client_id)

    def _now(self) -> int:
        return int(self._clock())
