"""How long a client is waited for that takes nothing of what it was sent."""

from __future__ import annotations

STALL_SECONDS = 60.0
"""How long a client may be silent in the middle of a request, or take nothing of its answer."""


class Patience:
    """Looks at what is unsent, again and again; `now` is in seconds."""

    __slots__ = ("_taken_at", "unsent")

    def __init__(self, now: float) -> None:
        self.unsent = 0
        self._taken_at = now

    def is_over(self, unsent: int, now: float) -> bool:
        """Tell whether nothing was taken for too long, of the octets that are unsent."""
        if not unsent or unsent < self.unsent:
            self._taken_at = now
        self.unsent = unsent
        return bool(unsent) and now - self._taken_at > STALL_SECONDS
