"""W3C Trace Context: which request of which trace this is, and what is said of that to whom we call."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

Fields = list[tuple[str, str]]
"""Field names in lower case with their values, in order."""

MAX_STATE_MEMBERS = 32

_IDS = r"([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})"
# Versions to come may say more behind a dash (3.2.3); a comma there is where a second field was joined to the first.
_TRACEPARENT = re.compile(rf"(?:00-{_IDS}|(?!00|ff)[0-9a-f]{{2}}-{_IDS}(?:-[^,]*)?)")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
_SAMPLED = 1

_STATE_MEMBER = re.compile(
    r"(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
    r"=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)


# Tuples, as is what each request is told by.


class Span(NamedTuple):
    """One piece of work within a trace: the ids are lower-case hexadecimal; `sampled` says whether it is recorded."""

    trace_id: str
    span_id: str
    sampled: bool


class Trace(NamedTuple):
    """The `traceparent` of our span of a request, and that of the span which asked; empty where there is none."""

    ours: str = ""
    parent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """Decides which requests are recorded: `ratio` of them, but where `follows_parent`, those whose caller is."""

    ratio: float = 1.0
    follows_parent: bool = True

    def is_sampled(self, trace_id: str, parent: Span | None) -> bool:
        """Decide by the trace alone, so that all who have the same ratio decide the same."""
        if self.follows_parent and parent is not None:
            return parent.sampled
        return int(trace_id[16:], 16) < round(self.ratio * 2**64)


ALL = Sampler()


class Trust(enum.Enum):
    """Whose `traceparent` is continued."""

    NEVER = "never"
    PROXIES = "proxies"
    ALWAYS = "always"


def parse_traceparent(value: str) -> Span | None:
    """Read a `traceparent`; None for one that is invalid, or that came several times (W3C Trace Context 3.2)."""
    match = _TRACEPARENT.fullmatch(value.strip(" \t"))
    if match is None:
        return None
    trace_id, span_id, flags = match.groups()[:3] if match[1] else match.groups()[3:]
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return Span(trace_id=trace_id, span_id=span_id, sampled=bool(int(flags, 16) & _SAMPLED))


def format_traceparent(span: Span) -> str:
    """Write a `traceparent` of version 00, the only one that we know, with the only flag that it has (3.2.2)."""
    return f"00-{span.trace_id}-{span.span_id}-{'01' if span.sampled else '00'}"


def is_tracestate(value: str) -> bool:
    """Tell whether a `tracestate` may go on: its members are members, and not more than 32 (3.3)."""
    members = [member for member in (part.strip(" \t") for part in value.split(",")) if member]
    return 0 < len(members) <= MAX_STATE_MEMBERS and all(map(_STATE_MEMBER.fullmatch, members))


def begin_trace(incoming: str, entropy: Callable[[int], bytes], sampler: Sampler = ALL) -> Trace:
    """Begin our span of a request: in the trace of a `traceparent` that is valid and believed, else in a new one.

    `incoming` is empty where none came, or none is believed.
    """
    parent = parse_traceparent(incoming) if incoming else None
    trace_id = _new_id(16, entropy) if parent is None else parent.trace_id
    sampled = sampler.is_sampled(trace_id, parent)
    ours = Span(trace_id=trace_id, span_id=_new_id(8, entropy), sampled=sampled)
    return Trace(ours=format_traceparent(ours), parent="" if parent is None else format_traceparent(parent))


def new_child(of: Span, entropy: Callable[[int], bytes]) -> Span:
    """Make a span of the same trace with an id of its own."""
    return Span(trace_id=of.trace_id, span_id=_new_id(8, entropy), sampled=of.sampled)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRules:
    """Whether requests get spans of ours, whose trace they continue, and which of them are recorded."""

    takes_part: bool = False
    trust: Trust = Trust.PROXIES
    sampler: Sampler = ALL

    def begin(self, incoming: str, entropy: Callable[[int], bytes], *, from_proxy: bool) -> Trace:
        """Begin the trace of a request with the `traceparent` that came, if any, from one of our proxies or not.

        Where we take no part there is none, and what came goes on unchanged (4.1).
        """
        if not self.takes_part:
            return Trace()
        believed = self.trust is Trust.ALWAYS or (self.trust is Trust.PROXIES and from_proxy)
        return begin_trace(incoming if believed else "", entropy, self.sampler)


NO_TRACES = TraceRules()


def passed_on(headers: Fields, parent: str) -> Fields:
    """Keep of what came that which goes on beside our own `traceparent`: all but the one that came.

    `tracestate` belongs to that of the caller, and ends where a new trace began (3.3, 4.3); so does one that is
    malformed or too long. `baggage` is the application's, and goes on.
    """
    state = ",".join(value for name, value in headers if name == "tracestate")
    dropped = {"traceparent"} if parent and is_tracestate(state) else {"traceparent", "tracestate"}
    return [pair for pair in headers if pair[0] not in dropped]


def _new_id(octets: int, entropy: Callable[[int], bytes]) -> str:
    # All zeros is no id; the last bit is the least that is lost.
    made = entropy(octets).hex()
    return made if made.strip("0") else f"{made[:-1]}1"
