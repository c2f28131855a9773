"""Revoking tokens that nobody will use again: at once, or later where the provider cannot be asked now (RFC 7009)."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.background import Background
from gateway.errors import ProviderUnavailable
from gateway.oidc.token_endpoint import TokenSet
from gateway.provider import Provider
from gateway.session import Session

MAX_WAITING = 10_000
"""How many tokens wait at most; of more, the oldest are given up, and live until they end by themselves."""

MAX_ROUNDS = 300
"""How often a token is tried, about a day in all."""

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""How long a provider is left alone after a failure, in seconds; doubled each time."""

_log = logging.getLogger("gateway.provider")


@dataclass(slots=True, kw_only=True)
class _Waiting:
    provider: str
    token: str = field(repr=False)
    hint: str
    rounds: int = 0


class TokenRevocation:
    """Revokes tokens at several providers; what waits is in the memory of this process alone.

    A store would have to keep it so that we can read it without the user's cookie, and so could a thief. `background`
    makes what takes the steps.
    """

    def __init__(self, providers: Mapping[str, Provider], background: type[Background] = Background) -> None:
        self._providers = providers
        self._guard = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._pause = FIRST_PAUSE
        self._background = background("gateway-revocations", self.step)

    def of_session(self, session: Session) -> None:
        """Revoke the tokens of a session that has ended, those first that can get new ones."""
        self._revoke(session.provider, session.refresh_token, session.access_token)

    def of_tokens(self, provider: str, tokens: TokenSet) -> None:
        """Revoke tokens that came too late for their session."""
        self._revoke(provider, tokens.refresh_token, tokens.access_token)

    @property
    def waiting(self) -> int:
        """How many tokens wait."""
        return len(self._waiting)

    def step(self) -> float | None:
        """Try once all tokens that wait, and tell when to try again."""
        with self._guard:
            batch = list(self._waiting)
        kept = list(self._failed(batch))
        with self._guard:
            gone = {id(item) for item in batch} - {id(item) for item in kept}
            self._waiting = deque(item for item in self._waiting if id(item) not in gone)
        if not kept:
            self._pause = FIRST_PAUSE
            return None
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return self._pause

    def _revoke(self, provider: str, refresh_token: str | None, access_token: str) -> None:
        tokens = [_Waiting(provider=provider, token=access_token, hint="access_token")]
        if refresh_token is not None:
            tokens.insert(0, _Waiting(provider=provider, token=refresh_token, hint="refresh_token"))
        # Whoever signs out while the provider is away does not wait for its timeout.
        known_down = any(item.provider == provider for item in list(self._waiting))
        failed = tokens if known_down else list(self._failed(tokens))
        if failed:
            self._keep(failed)

    def _failed(self, items: Iterable[_Waiting]) -> Iterable[_Waiting]:
        down: set[str] = set()
        for item in items:
            if item.provider in down or not self._is_done(item):
                down.add(item.provider)
                item.rounds += 1
                if item.rounds < MAX_ROUNDS:
                    yield item

    def _is_done(self, item: _Waiting) -> bool:
        provider = self._providers.get(item.provider)
        if provider is None:
            return True
        try:
            provider.revoke(item.token, item.hint)
        except ProviderUnavailable as error:
            _log.warning("provider: revocation of the %s is put off: %s", item.hint, error)
            return False
        except Exception as error:  # noqa: BLE001 - the others must not wait for it, whatever it was.
            _log.error("provider: the %s is not revoked: %s", item.hint, type(error).__name__)
        return True

    def _keep(self, items: list[_Waiting]) -> None:
        with self._guard:
            self._waiting.extend(items)
            while len(self._waiting) > MAX_WAITING:
                self._waiting.popleft()
        self._background.wake(FIRST_PAUSE)
