"""What was broken, when, and which failures that explains."""

import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.backends.lease import LEASE_SECONDS

UPSTREAM_SECONDS: Final = 2
"""How long the gateways wait for an upstream that says nothing."""

PROVIDER_SECONDS: Final = 2
"""How long they wait for a provider that says nothing."""

LATE_SECONDS: Final = 0.5
WATCH_SECONDS: Final = 0.1
"""A machine that has us wait so much longer is too busy: answers of the provider are late, and are lost."""

RECOVERY_SECONDS: Final = 10.0
"""Within this time of the last fault, everything works for everybody."""


class Kind(Enum):
    """What is broken."""

    WORKER = "worker"
    RELOAD = "reload"
    REDIS = "redis"
    PROVIDER = "provider"
    KEYS = "keys"
    UPSTREAM = "upstream"
    LATE = "late"


TAILS: Final[Mapping[Kind, float]] = {
    Kind.WORKER: 1.0,
    Kind.RELOAD: 0.0,
    Kind.REDIS: 1.0,
    # A failing provider is left alone for 5 seconds, and for 10 after the second failure.
    Kind.PROVIDER: RECOVERY_SECONDS + PROVIDER_SECONDS,
    Kind.KEYS: 0.0,
    Kind.UPSTREAM: 0.0,
    Kind.LATE: PROVIDER_SECONDS,
}
"""For how many seconds after its end a fault may still be felt by a request that is asked then."""

_AWAY: Final = frozenset({Kind.REDIS})
_NOT_RENEWED: Final = frozenset({Kind.PROVIDER, Kind.LATE})
_BROKEN: Final = frozenset({Kind.UPSTREAM})
EXPLAINED_BY: Final[Mapping[str, Collection[Kind]]] = {
    "store_down": _AWAY,
    "session_token_expired": _NOT_RENEWED,
    "provider_unreachable": _NOT_RENEWED,
    "provider_answer_invalid": _NOT_RENEWED,
    "metadata_invalid": _NOT_RENEWED,
    "metadata_issuer_mismatch": _NOT_RENEWED,
    "token_answer_invalid": _NOT_RENEWED,
    "token_refused": _NOT_RENEWED,
    "session_busy": frozenset({Kind.PROVIDER, Kind.REDIS}),
    "upstream_unreachable": _BROKEN,
    "upstream_connect_timeout": _BROKEN,
    "upstream_read_timeout": _BROKEN,
    "upstream_answer_invalid": _BROKEN,
}
"""By the code of the failure that was answered."""

LOST_BY: Final[Collection[Kind]] = frozenset({Kind.WORKER})
CUT_BY: Final[Collection[Kind]] = frozenset({Kind.WORKER, Kind.UPSTREAM})
LEASE_TAIL: Final = LEASE_SECONDS + 1.0
"""How long after a worker was killed a session may be busy that it was renewing."""


@dataclass(kw_only=True, slots=True)
class Fault:
    """One fault; times are those of `time.monotonic`, `ended_at` is None while it lasts."""

    kind: Kind
    what: str
    began_at: float
    ended_at: float | None = None


class FaultLog:
    """All faults of a run, told as they come."""

    def __init__(self) -> None:
        self.began_at = time.monotonic()
        self.faults: list[Fault] = []

    @contextmanager
    def during(self, kind: Kind, what: str) -> Iterator[None]:
        """Note that something is broken to the end of the block."""
        fault = Fault(kind=kind, what=what, began_at=time.monotonic())
        self.faults.append(fault)
        try:
            yield
        finally:
            fault.ended_at = time.monotonic()
            self.tell(fault.began_at, f"{what} ({fault.ended_at - fault.began_at:.1f} s)")

    def tell(self, at: float, what: str) -> None:
        """Print what happened at a time."""
        print(f"    {at - self.began_at:6.1f} s  {what}", flush=True)

    @contextmanager
    def watching_time(self) -> Iterator[None]:
        """Note when this process, in which clients and provider are, has to wait for the machine."""
        ended = threading.Event()
        watch = threading.Thread(target=self._watch_time, args=[ended], daemon=True)
        watch.start()
        try:
            yield
        finally:
            ended.set()
            watch.join()

    def _watch_time(self, ended: threading.Event) -> None:
        began_at = time.monotonic()
        while not ended.wait(WATCH_SECONDS):
            now = time.monotonic()
            if now - began_at > LATE_SECONDS:
                fault = Fault(kind=Kind.LATE, what="the machine is busy", began_at=began_at, ended_at=now)
                self.faults.append(fault)
                self.tell(began_at, f"{fault.what} ({now - began_at:.1f} s)")
            began_at = now

    def explain(self, kinds: Collection[Kind], since: float, until: float, tail: float | None = None) -> bool:
        """Tell whether one of these faults lasted, or was still felt, between two times."""
        return any(
            fault.began_at <= until
            and (fault.ended_at is None or fault.ended_at + (TAILS[fault.kind] if tail is None else tail) >= since)
            for fault in self.faults
            if fault.kind in kinds
        )
