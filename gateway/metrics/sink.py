"""Counts what the gateway tells of its work."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from gateway import errors
from gateway.back_channel import FAILED, REFUSED
from gateway.backends.told import BUSY
from gateway.background import Background
from gateway.metrics.families import (
    BUCKETS,
    CPU_SECONDS,
    DROPPED,
    KEYS_FETCHED,
    LOGINS,
    LOGOUTS,
    OWN_SECONDS,
    PROCESSES_STARTED,
    PROVIDER_CALLS,
    PROVIDER_SECONDS,
    REFRESHES,
    RELOADS,
    REQUEST_SECONDS,
    REQUESTS,
    REVOCATIONS,
    SESSIONS_STARTED,
    STEP_UPS,
    STORE_CALLS,
    STORE_SECONDS,
    SUM,
    UPSTREAM_CALLS,
    UPSTREAM_SECONDS,
    WATCHED,
    Family,
    Kind,
)
from gateway.metrics.tally import Tally
from gateway.problem import Problem
from gateway.telemetry import OK, Called, Event, Peer, Served
from gateway.telemetry import Kind as Happening

OTHER = "other"
"""Stands for a code that is not among ours."""

CODES = frozenset(
    {"", OK, BUSY, REFUSED, FAILED, *(one.code for one in vars(errors).values() if isinstance(one, Problem))}
)

SEPARATOR = "\x1f"
"""Stands in a key between the name of the metric and each label."""

KEYS_OPERATION = "jwks"
_UPSTREAM = Peer.UPSTREAM  # To look it up in its class costs as much as to count.
READ_SECONDS = 1.0
"""How old a number may be that is read where it is, in another process."""


_RequestKey = tuple[str, str, int, int, str]
_CallKey = tuple[int, str, str, str]


class _RequestPlaces(NamedTuple):
    counter: int
    whole: int
    own: int
    upstream: int


class _CallPlaces(NamedTuple):
    counter: int
    seconds: int
    latest: int


@dataclass(slots=True, kw_only=True)
class _Watched:
    place: int
    base: float
    reads: list[Callable[[], float]] = field(default_factory=list)


class Metrics:
    """A `Telemetry` that counts into the tally of this process; it is made in the process that it counts for."""

    def __init__(self, tally: Tally, directory: Path) -> None:
        self.directory = directory
        self._tally = tally
        self._guard = threading.Lock()
        self._served: dict[_RequestKey, _RequestPlaces] = {}
        self._called: dict[_CallKey, _CallPlaces] = {}
        self._watched: dict[str, _Watched] = {}
        self._dropped = self._place(DROPPED)
        self._add(self._place(PROCESSES_STARTED))
        for outcome in (OK, REFUSED):  # From 0, so that a first refusal is seen as one more.
            self._place(RELOADS, outcome)
        self._watch("cpu", CPU_SECONDS, (tally.name,), time.process_time)
        self._reading = Background("gateway-metrics", self._read_again)

    def served(self, served: Served) -> None:
        """Count a request, and how long it took."""
        # By the identity of the decision, which costs less than its hash.
        key = (served.route, served.code, served.status, id(served.decision), served.upstream)
        seconds, upstream_seconds = served.seconds, served.upstream_seconds
        own_seconds = seconds - upstream_seconds if seconds > upstream_seconds else 0.0
        self._guard.acquire()  # Half the time of a `with`.
        try:
            count, whole, own, upstream = self._served.get(key) or self._request_places(key, served)
            cells = self._tally.cells
            cells[count] += 1
            cells[whole + bisect_left(BUCKETS, seconds)] += 1
            cells[whole + SUM] += seconds
            cells[own + bisect_left(BUCKETS, own_seconds)] += 1
            cells[own + SUM] += own_seconds
            if upstream:
                cells[upstream + bisect_left(BUCKETS, upstream_seconds)] += 1
                cells[upstream + SUM] += upstream_seconds
        finally:
            self._guard.release()

    def happened(self, event: Event) -> None:
        """Count an event; a refusal is counted with the request that was refused."""
        with self._guard:
            self._count_event(event, _code(event.outcome))

    def called(self, call: Called) -> None:
        """Count a call, and how long it took."""
        # Towards an upstream the operation is the method, for which a client may have any word.
        operation = "" if call.peer is _UPSTREAM else call.operation
        key = (id(call.peer), call.name, operation, call.outcome)
        self._guard.acquire()
        try:
            count, seconds, latest = self._called.get(key) or self._call_places(key, call)
            cells = self._tally.cells
            cells[count] += 1
            if seconds:
                cells[seconds + bisect_left(BUCKETS, call.seconds)] += 1
                cells[seconds + SUM] += call.seconds
            if latest:
                cells[latest] = call.began_at + call.seconds
        finally:
            self._guard.release()

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """Read a number each second and whenever metrics are asked for; several of one name are added up."""
        known = WATCHED.get(name)
        if known is not None:
            self._watch(name, *known, read)
            self._reading.wake()

    def refresh(self) -> None:
        """Read the numbers that are watched."""
        # Not under the guard: who is read may hold a lock of its own while telling us something.
        values = [(watched, sum(read() for read in watched.reads)) for watched in list(self._watched.values())]
        with self._guard:
            for watched, value in values:
                self._tally.cells[watched.place] = watched.base + value

    def _read_again(self) -> float:
        self.refresh()
        return READ_SECONDS

    def _watch(self, name: str, family: Family, labels: tuple[str, ...], read: Callable[[], float]) -> None:
        with self._guard:
            if name not in self._watched:
                place = self._place(family, *labels)
                # What a process counted that had this tally before us is not lost; its state is.
                base = self._tally.cells[place] if family.kind is Kind.COUNT else 0.0
                self._watched[name] = _Watched(place=place, base=base)
            self._watched[name].reads.append(read)

    def _request_places(self, key: _RequestKey, served: Served) -> _RequestPlaces:
        labels = (served.route, served.decision.value, _code(served.code), _status_class(served.status))
        places = _RequestPlaces(
            counter=self._place(REQUESTS, *labels),
            whole=self._place(REQUEST_SECONDS, served.route),
            own=self._place(OWN_SECONDS, served.route),
            upstream=self._place(UPSTREAM_SECONDS, served.route) if served.upstream else 0,
        )
        if places.counter != self._tally.spill:
            self._served[key] = places
        return places

    def _count_event(self, event: Event, outcome: str) -> None:
        match event.kind:
            case Happening.LOGIN:
                self._add(self._place(LOGINS, event.provider, outcome))
                if outcome == OK:
                    self._add(self._place(SESSIONS_STARTED, event.provider))
            case Happening.REFRESH:
                self._add(self._place(REFRESHES, event.provider, outcome))
            case Happening.LOGOUT:
                self._add(self._place(LOGOUTS, event.way, outcome))
            case Happening.STEP_UP:
                self._add(self._place(STEP_UPS, event.provider, outcome))
            case Happening.REVOCATION:
                self._add(self._place(REVOCATIONS, event.way, outcome))
            case Happening.CONFIGURATION:
                self._add(self._place(RELOADS, OK if outcome == OK else REFUSED))
            case Happening.REFUSAL:
                pass

    def _call_places(self, key: _CallKey, call: Called) -> _CallPlaces:
        name, operation, outcome = call.name, call.operation, _code(call.outcome)
        latest = 0
        match call.peer:
            case Peer.STORE:
                count = self._place(STORE_CALLS, operation, outcome)
                seconds = self._place(STORE_SECONDS, operation)
            case Peer.PROVIDER:
                count = self._place(PROVIDER_CALLS, name, operation, outcome)
                seconds = self._place(PROVIDER_SECONDS, name, operation)
                if operation == KEYS_OPERATION and outcome == OK:
                    latest = self._place(KEYS_FETCHED, name)
            case Peer.UPSTREAM:
                count = self._place(UPSTREAM_CALLS, name, outcome)
                seconds = 0  # With the request that it was for, by its route.
        places = _CallPlaces(counter=count, seconds=seconds, latest=latest)
        if count != self._tally.spill:
            self._called[key] = places
        return places

    def _place(self, family: Family, *labels: str) -> int:
        key = SEPARATOR.join((family.name, *(label.replace(SEPARATOR, " ") for label in labels)))
        place = self._tally.row(key, family.cells)
        if place is None:
            self._add(self._dropped)
            return self._tally.spill
        return place

    def _add(self, place: int) -> None:
        self._tally.cells[place] += 1


def _code(code: str) -> str:
    return code if code in CODES else OTHER


def _status_class(status: int) -> str:
    return f"{status // 100}xx" if 100 <= status < 600 else OTHER
