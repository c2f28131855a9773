"""Telemetry that keeps what it is told."""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from gateway.telemetry import Called, Event, Kind, Peer, Served

T = TypeVar("T")

SECONDS: Final = 5.0


class RecordingTelemetry:
    """Keeps all that it is told, in its order."""

    def __init__(self) -> None:
        self.requests: list[Served] = []
        self.events: list[Event] = []
        self.calls: list[Called] = []
        self.numbers: dict[str, Callable[[], float]] = {}
        self._changed = threading.Condition()

    def served(self, served: Served) -> None:
        """Keep a request."""
        self._keep(self.requests, served)

    def happened(self, event: Event) -> None:
        """Keep an event."""
        self._keep(self.events, event)

    def called(self, call: Called) -> None:
        """Keep a call."""
        self._keep(self.calls, call)

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """Keep where a number is read."""
        self.numbers[name] = read

    def request(self, path: str, status: int | None = None) -> Served:
        """Wait for a request of a path, and of a status, to be told of; a client may have its answer before."""
        deadline = time.monotonic() + SECONDS
        with self._changed:
            while time.monotonic() < deadline:
                found = [one for one in self.requests if one.path == path and status in (None, one.status)]
                if found:
                    return found[-1]
                self._changed.wait(0.1)
        raise AssertionError(f"nothing was told of {path}: {self.requests}")

    def of(self, kind: Kind) -> list[Event]:
        """List the events of a kind."""
        return [event for event in self.events if event.kind is kind]

    def operations(self, peer: Peer) -> list[tuple[str, str]]:
        """List the calls to a peer, each with its outcome."""
        return [(call.operation, call.outcome) for call in self.calls if call.peer is peer]

    def _keep(self, kept: list[T], one: T) -> None:
        with self._changed:
            kept.append(one)
            self._changed.notify_all()
