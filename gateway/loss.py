"""Why a session is no more, for as long as its browser may come back over it."""

from __future__ import annotations

from enum import Enum

REMEMBERED_SECONDS = 120
"""For how long it is remembered why a session was ended."""


class Loss(Enum):
    """Why a session was ended that the user has not ended: its renewal was refused, or it was revoked."""

    REFUSED = "refused"
    REVOKED = "revoked"


def loss_note(session_id: str, loss: Loss) -> str:
    """Word the note that a store keeps of the end of a session."""
    return f"{loss.value} {session_id}"
