"""Leaving a provider alone for a while: for all that we ask, or for one session."""

from __future__ import annotations

import threading
from collections import OrderedDict

from gateway.errors import PROVIDER_UNREACHABLE, ProviderUnavailable
from gateway.kept import BACKOFF_SECONDS, Clock, Pause

MAX_SESSIONS = 10_000
"""How many sessions are remembered; of more, the oldest are forgotten, and asked about again."""

LONGEST_SECONDS = 30
"""How long a provider is left alone that goes on failing."""


class Backoff:
    """Remembers until when nothing is asked; each failure soon after another makes that twice as long."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._pause = Pause()
        self._failures = 0
        self._failing = False
        self._of_sessions: OrderedDict[str, Pause] = OrderedDict()

    def check(self, session_id: str = "") -> None:
        """Raise `ProviderUnavailable` while the provider is left alone, or with this session, where there is one."""
        now = self._clock()
        left = max(self._pause.left(now), self._of_sessions.get(session_id, Pause()).left(now))
        if left > 0:
            raise ProviderUnavailable(PROVIDER_UNREACHABLE, "still left alone", retry_after=max(1, int(left)))

    def begin(self) -> bool:
        """Leave the provider alone, and tell whether this is the first failure after all was well."""
        with self._guard:
            now = self._clock()
            if not self._pause.is_over(now):
                return False  # Whoever was on the way to it when it failed counts as one with the first.
            soon = now < self._pause.began_at + self._pause.seconds + LONGEST_SECONDS
            self._failures = self._failures + 1 if soon else 1
            seconds = min(BACKOFF_SECONDS * 2 ** (self._failures - 1), LONGEST_SECONDS)
            self._pause = Pause(began_at=now, seconds=seconds)
            first, self._failing = not self._failing, True
            return first

    def begin_with(self, session_id: str) -> None:
        """Leave the provider alone with one session."""
        with self._guard:
            self._of_sessions.pop(session_id, None)
            self._of_sessions[session_id] = Pause(began_at=self._clock(), seconds=BACKOFF_SECONDS)
            while len(self._of_sessions) > MAX_SESSIONS:
                self._of_sessions.popitem(last=False)

    def end(self) -> bool:
        """Note that the provider has answered, and tell whether it had failed before."""
        with self._guard:
            had_failed, self._failing, self._failures = self._failing, False, 0
            return had_failed
