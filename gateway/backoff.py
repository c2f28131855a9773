"""Leaving a provider alone for a while: for all that we ask, or for one session."""

from __future__ import annotations

from collections import OrderedDict

from gateway.errors import PROVIDER_UNREACHABLE, ProviderUnavailable
from gateway.kept import BACKOFF_SECONDS, Clock

MAX_SESSIONS = 10_000
"""How many sessions are remembered; of more, the oldest are forgotten, and asked about again."""


class Backoff:
    """Remembers until when nothing is asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._again_at = 0.0
        self._of_sessions: OrderedDict[str, float] = OrderedDict()

    def check(self, session_id: str) -> None:
        """Raise `ProviderUnavailable` while the provider is left alone, or with this session."""
        if self._clock() < max(self._again_at, self._of_sessions.get(session_id, 0.0)):
            raise ProviderUnavailable(PROVIDER_UNREACHABLE, "still left alone", retry_after=BACKOFF_SECONDS)

    def begin(self, session_id: str | None) -> None:
        """Leave the provider alone with one session, or altogether."""
        again_at = self._clock() + BACKOFF_SECONDS
        if session_id is None:
            self._again_at = again_at
            return
        self._of_sessions.pop(session_id, None)
        self._of_sessions[session_id] = again_at
        while len(self._of_sessions) > MAX_SESSIONS:
            self._of_sessions.popitem(last=False)
