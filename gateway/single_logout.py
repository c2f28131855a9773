"""Sessions that end because the provider says so: by a token behind the browser's back, or by a frame in it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping

from gateway.errors import LOGOUT_TOKEN_REPEATED, PROVIDER_UNKNOWN, GatewayError
from gateway.oidc.logout_token import MAX_AGE_OF_IAT, LogoutToken
from gateway.provider import Provider
from gateway.revocation import sid_name, sidless_name, subject_name
from gateway.store import SessionStore
from gateway.telemetry import Event, Kind, Silence, Telemetry

_log = logging.getLogger("gateway.authenticator")


class SingleLogout:
    """Ends sessions for several providers over one store; both verbs raise `StoreUnavailable`."""

    def __init__(
        self, *, providers: Mapping[str, Provider], store: SessionStore, telemetry: Telemetry | None = None
    ) -> None:
        self._providers = providers
        self._store = store
        self._telemetry = telemetry or Silence()

    def back_channel(self, provider_name: str, logout_token: str) -> None:
        """End the sessions that a logout token is about, whether there are any or not.

        Raises what `Provider.check_logout_token` does, and `logout_token_repeated` for a token that was used before.
        """
        provider = self._provider(provider_name)
        token = provider.check_logout_token(logout_token)
        issuer = provider.settings.issuer
        use = f"logout token {issuer} {token.jti}"
        if self._store.was_noted(use):
            raise GatewayError(LOGOUT_TOKEN_REPEATED, f"jti {token.jti[:40]!r}")
        # The token is noted as used once all is done: one whose logout failed half way may come again, and leaves the
        # marks then that it has set, so that they end nothing that began in between.
        cause = hashlib.sha256(use.encode("utf-8")).hexdigest()[:24]
        for name in self._names(issuer, token):
            self._store.mark(name, cause)
        self._store.note(use, MAX_AGE_OF_IAT + 2 * provider.client.leeway + 1)
        _log.info("signed out by %s: %s", issuer, "a login" if token.sid is not None else "a user")
        self._tell(provider_name, issuer, "back_channel", token.subject or "")

    def front_channel(self, provider_name: str, issuer: str, sid: str) -> None:
        """End the sessions of a login at the provider; nothing is signed, so that it must be one that we know."""
        provider = self._provider(provider_name)
        name = sid_name(self._store.realm, issuer, sid)
        if issuer != provider.settings.issuer or not sid or not self._store.knows_login(name):
            _log.info("a front-channel logout of no login that we know was passed over")
            return
        self._store.mark(name)
        self._store.forget_login(name)  # Nobody else's copies are dropped for a frame that is loaded again.
        _log.info("signed out by %s: a login", issuer)
        self._tell(provider_name, issuer, "front_channel", "")

    def _tell(self, provider: str, issuer: str, way: str, subject: str) -> None:
        self._telemetry.happened(Event(kind=Kind.LOGOUT, way=way, provider=provider, issuer=issuer, subject=subject))

    def _names(self, issuer: str, token: LogoutToken) -> list[str]:
        realm, subject = self._store.realm, token.subject
        if token.sid is None:
            return [subject_name(realm, issuer, subject or "")]
        # A session whose ID token named no `sid` may be the one that is meant (Back-Channel Logout 1.0 2.7).
        sidless = [] if subject is None else [sidless_name(realm, issuer, subject)]
        return [sid_name(realm, issuer, token.sid), *sidless]

    def _provider(self, name: str) -> Provider:
        provider = self._providers.get(name)
        if provider is None:
            raise GatewayError(PROVIDER_UNKNOWN, f"no provider {name[:40]!r}")
        return provider
