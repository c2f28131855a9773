"""Sessions in a store that sees only sealed bytes under hashed names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from gateway.backends.base import TAG_BYTES, Backend
from gateway.cookies import HANDLE_BYTES
from gateway.envelope import Card, Envelope, pack, unpack
from gateway.errors import SESSION_REVOKED, GatewayError
from gateway.local_cache import LocalCache
from gateway.loss import REMEMBERED_SECONDS, Loss, loss_note
from gateway.oidc.messages import Entropy, base64url
from gateway.revocation import (
    Mark,
    MarkNames,
    everyone_name,
    is_over,
    mark_from_bytes,
    mark_names,
    mark_to_bytes,
)
from gateway.sealing import KeyRing, seal, unseal
from gateway.session import Lifetimes, Session, from_bytes, to_bytes

Clock = Callable[[], float]
"""Seconds since the epoch."""

_MARK_GRACE_SECONDS = 60
"""How much longer a mark stands than any session that it ended could have lived."""

_MARK_BYTES = 12
_ID_DIGITS = 32
_SESSIONS, _MARKS, _LOGINS = "session:", "mark:", "login:"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSession:
    """A session together with the handle that its browser holds; the handle opens it, so it never leaves us.

    `tag` is that of the write which it was read from, so that only what was known is written over. `made` is what was
    made of this very session for its requests, and goes with it.
    """

    handle: bytes = field(repr=False)
    session: Session
    tag: bytes = field(default=b"", repr=False, compare=False)
    made: dict[tuple[object, ...], tuple[bytes, int] | None] = field(
        init=False, default_factory=dict, repr=False, compare=False
    )


class SessionStore:
    """Sessions over one backend; every method raises `StoreUnavailable` when the backend does.

    `realm` says whose sessions they are: one that was sealed in another realm is none here, whoever shares the secret.
    `local_cache` is for how many seconds a worker may trust its own copy.
    """

    def __init__(
        self,
        *,
        backend: Backend,
        ring: KeyRing,
        realm: str,
        lifetimes: Lifetimes,
        clock: Clock,
        entropy: Entropy,
        local_cache: float = 0,
    ) -> None:
        self._backend = backend
        self._ring = ring
        self.realm = hashlib.sha256(realm.encode("utf-8")).hexdigest()
        self._purpose = f"session {self.realm}"
        self._lifetimes = lifetimes
        self._clock = clock
        self._entropy = entropy
        self.copies: LocalCache[HeldSession] = LocalCache(local_cache, clock)

    def copy(self, handle: bytes) -> HeldSession | None:
        """Return this worker's copy of a session where it may still be trusted."""
        held = self.copies.get(session_id(handle))
        return None if held is None or held.session.expired(self._now(), self._lifetimes) else held

    def recall(self, handle: bytes) -> HeldSession | None:
        """Return what `copy` returns, or `load`."""
        return self.copy(handle) or self.load(handle)

    def load(self, handle: bytes) -> HeldSession | None:
        """Open the session of a handle; None if there is none, or none that lives, or none that opens."""
        return self.load_many([handle])[handle]

    def load_many(self, handles: Collection[bytes]) -> dict[bytes, HeldSession | None]:
        """Open the sessions of handles as `load` does, all in two questions to the backend."""
        names = {handle: session_id(handle) for handle in handles}
        for name in names.values():
            self.copies.drop(name)
        ticket = self.copies.ticket()
        entries = self._entries([_SESSIONS + name for name in names.values()])
        opened: dict[bytes, HeldSession] = {}
        for handle, name in names.items():
            entry = entries[_SESSIONS + name]
            held = None if entry is None else self._opened(entry, handle)
            if held is not None and held.session.id == name and not held.session.expired(self._now(), self._lifetimes):
                opened[handle] = held
        marks = {handle: self._marks_of(held.session).all() for handle, held in opened.items()}
        standing = self._entries([_MARKS + mark for noted in marks.values() for mark in noted])
        for handle, noted in marks.items():
            held = opened[handle]
            if is_over(held.session.marks, [mark_from_bytes(standing[_MARKS + mark]) for mark in noted]):
                self._backend.delete(_SESSIONS + names[handle])
                self.note(loss_note(names[handle], Loss.REVOKED), REMEMBERED_SECONDS)
                del opened[handle]
            else:
                self.copies.put(names[handle], held, len(entries[_SESSIONS + names[handle]] or b""), ticket)
        return {handle: opened.get(handle) for handle in handles}

    def create(self, make: Callable[[str], Session], *, began_at: float) -> HeldSession:
        """Write a new session under a new handle; `make` is given its id.

        `began_at` is when the login began. Raises `session_revoked` where the user was signed out since.
        """
        handle = self._entropy(HANDLE_BYTES)
        session = make(session_id(handle))
        names = self._marks_of(session)
        ticket = self.copies.ticket()
        standing = self._standing(names)
        # To the second, which is what the beginning of a login is known to.
        if any(mark is not None and int(mark.set_at) > began_at for mark in standing):
            raise GatewayError(SESSION_REVOKED, "signed out while the login was under way")
        session = replace(session, marks=tuple("" if mark is None else mark.value for mark in standing))
        held = HeldSession(handle=handle, session=session, tag=self._entropy(TAG_BYTES))
        self._backend.set(_LOGINS + names.login, b"", max(1, session.ends_at - self._now()))
        entry = self._packed(held)
        self._backend.set(_SESSIONS + session.id, entry, self._seconds(session))
        self.copies.put(session.id, held, len(entry), ticket)
        return held

    def replace(self, held: HeldSession) -> HeldSession | None:
        """Write a session anew; None if it was ended or written by another since it was read, and then that stands."""
        session = held.session
        written = replace(held, tag=self._entropy(TAG_BYTES))
        entry = self._packed(written)
        self.copies.drop(session.id)
        ticket = self.copies.ticket()
        if not self._backend.replace(_SESSIONS + session.id, held.tag, entry, self._seconds(session)):
            return None
        self.copies.put(session.id, written, len(entry), ticket)
        return written

    def end(self, session_id: str) -> None:
        """End a session for good: whoever holds a copy cannot write it back."""
        self.copies.end(session_id)
        self._backend.delete(_SESSIONS + session_id)
        self.copies.end(session_id)

    def mark(self, name: str, cause: str = "") -> None:
        """End all sessions that have a mark of that name, here at once and elsewhere within `local_cache`.

        Setting it again for the same `cause` ends nothing that began in between, while no other has set it.
        """
        standing = mark_from_bytes(self._backend.get(_MARKS + name)) if cause else None
        if standing is None or standing.cause != cause:
            mark = Mark(value=base64url(self._entropy(_MARK_BYTES)), set_at=self._clock(), cause=cause)
            self._backend.set(_MARKS + name, mark_to_bytes(mark), self._lifetimes.absolute + _MARK_GRACE_SECONDS)
        self.copies.end_all()

    def was_revoked(self, issuer: str, subject: str, sid: str | None, *, since: float) -> bool:
        """Tell whether a user, or the login of a `sid`, was signed out since a time: to the second, in our favour."""
        names = mark_names(self.realm, issuer, subject, sid)
        return any(mark is not None and mark.set_at >= since for mark in self._standing(names))

    def knows_login(self, name: str) -> bool:
        """Tell whether a session has begun from the provider's login whose mark has that name."""
        return self._backend.get(_LOGINS + name) is not None

    def forget_login(self, name: str) -> None:
        """Forget the login whose mark has that name."""
        self._backend.delete(_LOGINS + name)

    def was_noted(self, value: str) -> bool:
        """Tell whether a value was noted."""
        return self._backend.get(self._note_key(value)) is not None

    def note(self, value: str, seconds: int) -> None:
        """Note a value for a while."""
        self._backend.set(self._note_key(value), b"", seconds)

    def is_written(self, session_id: str) -> bool:
        """Tell whether there is an entry for a session, whether it opens or not."""
        return self._backend.get(_SESSIONS + session_id) is not None

    def keep(self, purpose: str, handle: bytes, value: bytes, seconds: int) -> None:
        """Write what is no session, sealed so that only its handle opens it."""
        sealed = seal(self._ring, f"{purpose} {self.realm}", value, entropy=self._entropy, binding=handle)
        self._backend.set(f"{purpose}:{session_id(handle)}", sealed, seconds)

    def kept(self, purpose: str, handle: bytes) -> bytes | None:
        """Open what was kept under a handle; None if there is none, or none that opens."""
        sealed = self._backend.get(f"{purpose}:{session_id(handle)}")
        return None if sealed is None else unseal(self._ring, f"{purpose} {self.realm}", sealed, binding=handle)

    def card(self, session_id: str) -> Card | None:
        """Tell what can be told of one living session without opening it."""
        entry = self._backend.get(_SESSIONS + session_id)
        envelope = None if entry is None else unpack(entry)
        return envelope.card if envelope is not None and self._is_listed(envelope.card) else None

    def cards(self) -> Iterator[Card]:
        """Yield what can be told of the living sessions without opening them; raises `UnlistableStore`."""
        for entry in self._backend.scan(_SESSIONS):
            envelope = unpack(entry)
            if envelope is not None and self._is_listed(envelope.card):
                yield envelope.card

    def lives(self, card: Card) -> bool:
        """Tell whether no mark has ended the session of a card."""
        names = MarkNames(everyone=everyone_name(self.realm), subject=card.subject, login=card.login)
        return not is_over(card.marks, self._standing(names))

    def lock(self, session_id: str) -> AbstractContextManager[None]:
        """Hold the session's lock; raises `LockBusy` at once when another thread or process does."""
        return self._backend.lock(f"session:{session_id}")

    def claim(self, value: str, seconds: int) -> bool:
        """Tell the first caller, and no other, that a value of one-time use is its own."""
        return self._backend.claim(f"claim:{_digest(value)}", seconds)

    def check(self) -> None:
        """Write, read and delete a probe."""
        self._backend.check()

    def _is_listed(self, card: Card) -> bool:
        return card.realm == self.realm and card.ends_at > self._now()

    def _opened(self, entry: bytes, handle: bytes) -> HeldSession | None:
        envelope = unpack(entry)
        plaintext = None if envelope is None else unseal(self._ring, self._purpose, envelope.sealed, binding=handle)
        session = None if plaintext is None else from_bytes(plaintext)
        if envelope is None or session is None:
            return None
        return HeldSession(handle=handle, session=session, tag=envelope.tag)

    def _packed(self, held: HeldSession) -> bytes:
        session, names = held.session, self._marks_of(held.session)
        card = Card(
            realm=self.realm,
            id=session.id,
            provider=session.provider,
            subject=names.subject,
            login=names.login,
            marks=session.marks,
            created_at=session.created_at,
            seen_at=session.seen_at,
            ends_at=session.expires_at(self._lifetimes),
        )
        sealed = seal(self._ring, self._purpose, to_bytes(session), entropy=self._entropy, binding=held.handle)
        return pack(Envelope(tag=held.tag, card=card, sealed=sealed))

    def _marks_of(self, session: Session) -> MarkNames:
        sid = session.claims.get("sid")
        return mark_names(self.realm, session.issuer, session.subject, sid if isinstance(sid, str) else None)

    def _entries(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        # Each is asked for once: there are backends that refuse a key twice.
        distinct = list(dict.fromkeys(keys))
        return dict(zip(distinct, self._backend.get_many(distinct) if distinct else [], strict=True))

    def _standing(self, names: MarkNames) -> list[Mark | None]:
        return [mark_from_bytes(found) for found in self._backend.get_many([_MARKS + name for name in names.all()])]

    def _note_key(self, value: str) -> str:
        return f"note:{_digest(f'{self.realm} {value}')}"

    def _seconds(self, session: Session) -> int:
        return session.remaining(self._now(), self._lifetimes)

    def _now(self) -> int:
        return int(self._clock())


def session_id(handle: bytes) -> str:
    """Derive a session's public name from its handle; the way back is a hash's.

    Letters and digits alone, which no command line takes for an option.
    """
    return hashlib.sha256(b"gateway session id" + handle).hexdigest()[:_ID_DIGITS]


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
