"""What a session's entry looks like in the store: a tag, a card that anyone may read, and the sealed session."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass

from gateway.backends.base import TAG_BYTES

_LENGTH = struct.Struct(">H")
_NO_TIME = 2**37
"""More seconds since the epoch than a calendar can show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What can be told of a session without opening it; times are seconds since the epoch.

    `subject` and `login` are the names of two of its revocation marks, which tell who it is only to a guess; `marks`
    are the values that it noted when it began.
    """

    realm: str
    id: str
    provider: str
    subject: str
    login: str
    marks: tuple[str, ...]
    created_at: int
    seen_at: int
    ends_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """An entry taken apart; `tag` tells this write of it from every other."""

    tag: bytes
    card: Card
    sealed: bytes


def pack(envelope: Envelope) -> bytes:
    """Write an entry."""
    card = json.dumps(asdict(envelope.card), separators=(",", ":")).encode("ascii")
    return envelope.tag + _LENGTH.pack(len(card)) + card + envelope.sealed


def unpack(entry: bytes) -> Envelope | None:
    """Take an entry apart; None for anything that this version did not write."""
    start = TAG_BYTES + _LENGTH.size
    if len(entry) < start:
        return None
    end = start + _LENGTH.unpack_from(entry, TAG_BYTES)[0]
    try:
        members = json.loads(entry[start:end])
        card = Card(**{**members, "marks": tuple(members["marks"])})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    texts: tuple[object, ...] = (card.realm, card.id, card.provider, card.subject, card.login, *card.marks)
    times = (card.created_at, card.seen_at, card.ends_at)
    # Whoever can write to the store writes to the terminal of who lists it, and would choose the colours.
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        return None
    if not all(type(time) is int and 0 <= time < _NO_TIME for time in times):
        return None
    return Envelope(tag=entry[:TAG_BYTES], card=card, sealed=entry[end:])
