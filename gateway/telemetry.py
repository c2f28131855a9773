"""What the gateway tells of its work: requests served, what happened to sessions, calls made; never a secret."""

from __future__ import annotations

import contextlib
import enum
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from gateway.unforeseen import log_unforeseen

_log = logging.getLogger("gateway")

T = TypeVar("T")

OK = "ok"
"""The outcome of what went well; any other is the stable code of a problem."""


class Decision(enum.Enum):
    """What became of a request."""

    ALLOW = "allow"
    LOGIN = "login"
    STEP_UP = "step_up"
    REFUSE = "refuse"
    ENDPOINT = "endpoint"


class Kind(enum.Enum):
    """What may happen to a session, or to the gateway."""

    LOGIN = "login"
    REFRESH = "refresh"
    LOGOUT = "logout"
    REFUSAL = "refusal"
    STEP_UP = "step_up"
    REVOCATION = "revocation"
    CONFIGURATION = "configuration"


class Peer(enum.Enum):
    """Whom the gateway calls."""

    STORE = "store"
    PROVIDER = "provider"
    UPSTREAM = "upstream"


# Tuples, since there is one of each for every request: a frozen dataclass takes six times as long to make.


class Tag(NamedTuple):
    """By what a request is known in all that is told of it.

    `trace` is the `traceparent` of our span of it, `parent` that of the span which asked; each is empty where there is
    none (W3C Trace Context).
    """

    request_id: str
    trace: str = ""
    parent: str = ""


NO_TAG = Tag(request_id="")


class Served(NamedTuple):
    """A request that was answered.

    `path` is as it came, encoded, and without its query, which may hold a code. `route` is the path of the rule that
    held or of our own endpoint, `code` that of the problem that was answered. `began_at` is in seconds since the
    epoch; `seconds` is all of the time until the answer had gone out, `upstream_seconds` how much of it passed until
    the upstream had begun its answer. `sent` is in octets of the body.
    """

    tag: Tag
    method: str
    path: str
    host: str
    client: str
    route: str
    decision: Decision
    code: str
    issuer: str
    subject: str
    provider: str
    upstream: str
    status: int
    sent: int
    began_at: float
    seconds: float
    upstream_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a session, or to the gateway itself.

    `way` is how: of a logout `sign_out`, `back_channel`, `front_channel`, `administration`, `provider`. `detail` is for
    the log, as that of a `GatewayError`.
    """

    kind: Kind
    outcome: str = OK
    way: str = ""
    provider: str = ""
    issuer: str = field(default="", repr=False)
    subject: str = field(default="", repr=False)
    route: str = ""
    client: str = ""
    detail: str = ""


class Called(NamedTuple):
    """A call that was made: to whom and by which name, what came of it, and when, in seconds since the epoch.

    `name` is the provider's or the upstream's, `operation` one of a few words; `tag` is of the request that it was for.
    """

    peer: Peer
    name: str
    operation: str
    outcome: str
    began_at: float
    seconds: float
    tag: Tag = NO_TAG


class Telemetry:
    """Is told of the gateway's work, from any thread; it neither waits nor raises.

    Whoever wants to hear of something has a method of that name in the place of one of these, which forget it.
    """

    @property
    def hears_requests(self) -> bool:
        """Whether it wants to hear of each request."""
        return type(self).served is not Telemetry.served

    @property
    def hears_calls(self) -> bool:
        """Whether it wants to hear of each call."""
        return type(self).called is not Telemetry.called

    def served(self, served: Served) -> None:
        """Take note of a request that was answered."""

    def happened(self, event: Event) -> None:
        """Take note of an event."""

    def called(self, call: Called) -> None:
        """Take note of a call."""

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """Take note of where a number is to be read that changes: of a count that only grows, or of a state."""


class Silence(Telemetry):
    """Is told, and tells nobody."""


class Several(Telemetry):
    """Tells several; what one of them cannot take, the others are told all the same."""

    def __init__(self, told: Sequence[Telemetry]) -> None:
        self._told = told
        self._of_requests = [one.served for one in told if one.hears_requests]
        self._of_calls = [one.called for one in told if one.hears_calls]

    @property
    def hears_requests(self) -> bool:
        """Whether one of them wants to hear of requests."""
        return bool(self._of_requests)

    @property
    def hears_calls(self) -> bool:
        """Whether one of them wants to hear of calls."""
        return bool(self._of_calls)

    def served(self, served: Served) -> None:
        """Tell of a request."""
        _tell(self._of_requests, served)

    def happened(self, event: Event) -> None:
        """Tell of an event."""
        _tell([one.happened for one in self._told], event)

    def called(self, call: Called) -> None:
        """Tell of a call."""
        _tell(self._of_calls, call)

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """Tell where to read."""
        for one in self._told:
            one.watch(name, read)


def _tell(all_told: Iterable[Callable[[T], None]], what: T) -> None:
    for tell in all_told:
        try:
            tell(what)
        except Exception as error:  # noqa: BLE001 - a request is not refused for what cannot be written down of it.
            log_unforeseen(_log, "telemetry failed", error)


_tag: ContextVar[Tag] = ContextVar("gateway.tag", default=NO_TAG)


def current_tag() -> Tag:
    """Return the tag of the request that this thread works for, or `NO_TAG`."""
    return _tag.get()


def ended_call(peer: Peer, name: str, operation: str, outcome: str, *, began_at: float, now: float) -> Called:
    """Make what is told of a call that has just ended, for the request that this thread works for."""
    return Called(
        peer=peer,
        name=name,
        operation=operation,
        outcome=outcome,
        began_at=began_at,
        seconds=max(0.0, now - began_at),
        tag=current_tag(),
    )


def untagged() -> Context:
    """Make the context of what is for no request, or for another one, than this thread works for."""
    return Context()


@contextlib.contextmanager
def tagged(tag: Tag) -> Iterator[None]:
    """Have what is told within the block be known by a tag."""
    token = _tag.set(tag)
    try:
        yield
    finally:
        _tag.reset(token)
