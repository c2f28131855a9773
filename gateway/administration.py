"""Looking after sessions from outside: list them and end them, without being able to open any."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from gateway.envelope import Card
from gateway.errors import PARAMETER_REFUSED, GatewayError
from gateway.loss import REMEMBERED_SECONDS, Loss, loss_note
from gateway.revocation import everyone_name, sid_name, subject_name
from gateway.store import SessionStore
from gateway.telemetry import Event, Kind, Silence, Telemetry

MAX_LISTED = 1000

_log = logging.getLogger("gateway.administration")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which sessions are meant: those of a user, of a login at the provider, one by its own id, or all of them."""

    sub: str = ""
    sid: str = ""
    id: str = ""
    everyone: bool = False

    def __post_init__(self) -> None:
        if sum(map(bool, (self.sub, self.sid, self.id, self.everyone))) != 1:
            raise GatewayError(PARAMETER_REFUSED, "one of sub, sid, id and all must be named, and not two")


class Administration:
    """The verbs of who runs the gateway; `issuers` are the providers that a user or a login may be of."""

    def __init__(self, *, store: SessionStore, issuers: Sequence[str], telemetry: Telemetry | None = None) -> None:
        self._store = store
        self._issuers = issuers
        self._telemetry = telemetry or Silence()

    def sessions(self, wanted: Wanted) -> list[Card]:
        """List living sessions, at most MAX_LISTED; raises `StoreUnavailable` and `UnlistableStore`."""
        return list(islice(self._found(wanted), MAX_LISTED))

    def revoke(self, wanted: Wanted) -> None:
        """End sessions, whether there are any or not; raises `StoreUnavailable`.

        Here at once, and on every other worker within `local_cache`. What is begun afterwards lives.
        """
        if wanted.id and self._store.card(wanted.id) is not None:
            self._store.end(wanted.id)  # One of another gateway that shares the store is not ours to end.
            self._store.note(loss_note(wanted.id, Loss.REVOKED), REMEMBERED_SECONDS)
        for name in self._mark_names(wanted):
            self._store.mark(name)
        _log.warning("sessions were revoked: %s", _words(wanted))
        self._telemetry.happened(
            Event(kind=Kind.REVOCATION, way="administration", subject=wanted.sub, detail=_words(wanted))
        )

    def _found(self, wanted: Wanted) -> Iterator[Card]:
        names = set(self._mark_names(wanted))
        found = [self._store.card(wanted.id)] if wanted.id else self._store.cards()
        for card in found:
            fits = card is not None and (wanted.id or wanted.everyone or names & {card.subject, card.login})
            if card is not None and fits and self._store.lives(card):
                yield card

    def _mark_names(self, wanted: Wanted) -> list[str]:
        realm = self._store.realm
        if wanted.everyone:
            return [everyone_name(realm)]
        subjects = [subject_name(realm, issuer, wanted.sub) for issuer in self._issuers if wanted.sub]
        return [*subjects, *(sid_name(realm, issuer, wanted.sid) for issuer in self._issuers if wanted.sid)]


def _words(wanted: Wanted) -> str:
    if wanted.everyone:
        return "all"
    return "by sub" if wanted.sub else "by sid" if wanted.sid else f"session {wanted.id[:8]!r}"


def card_members(card: Card) -> dict[str, object]:
    """Write a card down for people and programs; `user` is the same for all sessions of a user."""
    return {
        "id": card.id,
        "provider": card.provider,
        "user": card.subject[:12],
        "created_at": card.created_at,
        "seen_at": card.seen_at,
        "ends_at": card.ends_at,
    }
