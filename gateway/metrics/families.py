"""Every metric: its name, its labels, and how the numbers of several processes become one."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds in seconds; beyond the last there is one more."""

SUM = len(BUCKETS) + 1
"""Which cell of a histogram has the sum; those before it count what fell into each bucket."""


class Kind(enum.Enum):
    """What a number is."""

    COUNT = "count"
    """Only grows, and goes on where a process ends: the sum of all that were."""
    STATE = "state"
    """Is over when its process ends: the sum of those that live."""
    LATEST = "latest"
    """A time, of which the latest counts."""
    SECONDS = "seconds"
    """How long something took, as a histogram."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A metric; `cells` is how many numbers it needs for each set of labels."""

    name: str
    kind: Kind
    labels: tuple[str, ...] = ()
    help: str

    @property
    def cells(self) -> int:
        """How many numbers a set of labels has."""
        return SUM + 1 if self.kind is Kind.SECONDS else 1


def _count(name: str, labels: str, text: str) -> Family:
    return Family(name=f"gateway_{name}_total", kind=Kind.COUNT, labels=tuple(labels.split()), help=text)


def _seconds(name: str, labels: str, text: str) -> Family:
    return Family(name=f"gateway_{name}_seconds", kind=Kind.SECONDS, labels=tuple(labels.split()), help=text)


def _state(name: str, text: str) -> Family:
    return Family(name=f"gateway_{name}", kind=Kind.STATE, help=text)


REQUESTS = _count(
    "requests", "route decision code status", "Requests that were answered; status is the class, such as 2xx."
)
REQUEST_SECONDS = _seconds("request", "route", "From a request's first octet until its answer had gone out.")
UPSTREAM_SECONDS = _seconds("upstream", "route", "Until the upstream had begun its answer.")
OWN_SECONDS = _seconds("own", "route", "What the upstream had no part in: the gateway, and sending the answer.")
LOGINS = _count("logins", "provider outcome", "Sign-ins that were completed; outcome is ok or the code of a failure.")
SESSIONS_STARTED = _count("sessions_started", "provider", "Sessions that have begun.")
LOGOUTS = _count("logouts", "way outcome", "Sign-outs, by what asked for them.")
REFRESHES = _count("refreshes", "provider outcome", "Renewals of access tokens.")
STEP_UPS = _count("step_ups", "provider outcome", "Stronger sign-ins that were asked for.")
REVOCATIONS = _count("revocations", "way outcome", "Sessions that the operator ended, once for each command.")
RELOADS = _count("configuration_reloads", "outcome", "Configurations that were taken over (ok), or refused.")
STORE_CALLS = _count("store_calls", "operation outcome", "Calls to the store of sessions.")
STORE_SECONDS = _seconds("store", "operation", "How long calls to the store took.")
PROVIDER_CALLS = _count("provider_calls", "provider operation outcome", "Calls to providers.")
PROVIDER_SECONDS = _seconds("provider", "provider operation", "How long calls to providers took.")
UPSTREAM_CALLS = _count("upstream_calls", "upstream outcome", "Requests that were passed on to upstreams.")
KEYS_FETCHED = Family(
    name="gateway_provider_keys_fetched_timestamp_seconds",
    kind=Kind.LATEST,
    labels=("provider",),
    help="When a provider's keys were last fetched, since the epoch.",
)
LOCAL_CACHE = _count("local_cache", "outcome", "Sessions that were looked for in a worker's own copies: hit, miss.")
FORWARDED = _state("forwarded_requests", "Requests that upstreams are asked by the event loop.")
TUNNELS = _state("tunnels", "WebSockets that are open.")
CONNECTIONS = _state("connections", "Connections of clients that are open.")
PROCESSES_STARTED = _count("processes_started", "", "Processes that have begun to count, workers above all.")
DROPPED = _count("metrics_dropped", "", "Not 0 where there were too many routes or upstreams to count them all.")
CPU_SECONDS = Family(
    name="process_cpu_seconds_total",
    kind=Kind.COUNT,
    labels=("process",),
    help="Seconds of user and system time, of all processes that had that place.",
)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            REQUESTS, REQUEST_SECONDS, UPSTREAM_SECONDS, OWN_SECONDS, LOGINS, SESSIONS_STARTED, LOGOUTS, REFRESHES,
            STEP_UPS, REVOCATIONS, RELOADS, STORE_CALLS, STORE_SECONDS, PROVIDER_CALLS, PROVIDER_SECONDS,
            UPSTREAM_CALLS, KEYS_FETCHED, LOCAL_CACHE, FORWARDED, TUNNELS, CONNECTIONS, PROCESSES_STARTED,
            DROPPED, CPU_SECONDS,
        )
    }
)  # fmt: skip
"""All that processes count, by name, in the order in which they are shown."""

WORKERS = _state("workers", "Workers that are alive.")
BUILD = Family(name="gateway_build_info", kind=Kind.STATE, labels=("version", "python"), help="What runs; always 1.")

WATCHED: Mapping[str, tuple[Family, tuple[str, ...]]] = MappingProxyType(
    {
        "local_cache_hits": (LOCAL_CACHE, ("hit",)),
        "local_cache_misses": (LOCAL_CACHE, ("miss",)),
        "forwarded_requests": (FORWARDED, ()),
        "tunnels": (TUNNELS, ()),
        "connections": (CONNECTIONS, ()),
    }
)
"""Numbers that are read where they are, by the names that `Telemetry.watch` is given."""
