"""Leaving a provider alone for a while: for all that we ask, or for one session."""

from __future__ import annotations

import threading
from collections import OrderedDict

from gateway.errors import (
    PROVIDER_UNREACHABLE,
    TOKEN_ANSWER_INVALID,
    TOKEN_REFUSED,
    GatewayError,
    ProviderBusy,
    ProviderUnavailable,
    TooManyRequests,
)
from gateway.kept import BACKOFF_SECONDS, Clock, Pause

MAX_SESSIONS = 10_000
"""How many sessions are remembered; of more, the oldest are forgotten, and asked about again."""

LONGEST_SECONDS = 30
"""How long a provider is left alone that goes on failing."""

SHED_SECONDS = 5
SHED_SESSIONS = 5
"""For how long nothing but 503 was answered, and to how many sessions, before that is an outage.

A provider that sheds load answers others meanwhile, if only in the next second.
"""


class Backoff:
    """Remembers until when nothing is asked; each failure soon after another makes that twice as long.

    A call that was not taken, 429 or 503, is about one session. 503 to several, and no answer to anybody between, is
    an outage like any other.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._pause = Pause()
        self._failures = 0
        self._failing = False
        self._of_sessions: OrderedDict[str, Pause] = OrderedDict()
        self._shed: set[str] = set()
        self._shed_since = 0.0

    def check(self, session_id: str = "") -> None:
        """Raise `ProviderUnavailable` while the provider is left alone, or with this session, where there is one."""
        now = self._clock()
        left = max(self._pause.left(now), self._of_sessions.get(session_id, Pause()).left(now))
        if left > 0:
            raise ProviderUnavailable(PROVIDER_UNREACHABLE, "still left alone", retry_after=max(1, int(left)))

    def begin(self) -> bool:
        """Leave the provider alone, and tell whether this is the first failure after all was well."""
        with self._guard:
            return self._begin()

    def note(self, error: GatewayError, session_id: str) -> bool:
        """Leave the provider alone after a failure, or with one session where it says nothing about others.

        Tells whether this is the first failure of an outage.
        """
        with self._guard:
            if isinstance(error, ProviderBusy):
                self._leave_alone(session_id, error.retry_after)
                return self._sheds_all(session_id) and self._begin(error.retry_after or 0)
            if isinstance(error, TooManyRequests) or error.problem in (TOKEN_REFUSED, TOKEN_ANSWER_INVALID):
                self._leave_alone(session_id, error.retry_after if isinstance(error, TooManyRequests) else None)
                return False
            return self._begin()

    def end(self) -> bool:
        """Note that the provider has answered, and tell whether there was an outage before."""
        with self._guard:
            self._shed.clear()
            had_failed, self._failing, self._failures = self._failing, False, 0
            return had_failed

    def _begin(self, at_least: int = 0) -> bool:
        now = self._clock()
        if not self._pause.is_over(now):
            return False  # Whoever was on the way to it when it failed counts as one with the first.
        soon = now < self._pause.began_at + self._pause.seconds + LONGEST_SECONDS
        self._failures = self._failures + 1 if soon else 1
        seconds = min(BACKOFF_SECONDS * 2 ** (self._failures - 1), LONGEST_SECONDS)
        self._pause = Pause(began_at=now, seconds=max(seconds, at_least))
        first, self._failing = not self._failing, True
        return first

    def _leave_alone(self, session_id: str, seconds: int | None) -> None:
        self._of_sessions.pop(session_id, None)
        self._of_sessions[session_id] = Pause(began_at=self._clock(), seconds=seconds or BACKOFF_SECONDS)
        while len(self._of_sessions) > MAX_SESSIONS:
            self._of_sessions.popitem(last=False)

    def _sheds_all(self, session_id: str) -> bool:
        if not self._shed:
            self._shed_since = self._clock()
        if len(self._shed) < SHED_SESSIONS:
            self._shed.add(session_id)
        lasts = not 0 <= self._clock() - self._shed_since < SHED_SECONDS
        return lasts and len(self._shed) >= SHED_SESSIONS
