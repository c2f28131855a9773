"""The keys of `tracing:`: whether requests leave spans, and whose trace is believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.config_authorization_model import Model
from gateway.trace_context import Trust


class TracingModel(Model):
    """Traces of requests, by OpenTelemetry."""

    enabled: bool = False
    """Whether requests and their calls leave spans, and upstreams get a traceparent of ours (docs/tracing.md)."""
    trust_incoming: Literal["never", "proxies", "always"] = "proxies"
    """Whose traceparent is continued: nobody's, that of `trusted_proxies` or behind `trusted_hops`, or any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings:
    """Whether requests leave spans, and whose `traceparent` they continue."""

    enabled: bool
    trust: Trust


def tracing_of(model: TracingModel) -> TracingSettings:
    """Turn the keys of tracing into settings."""
    return TracingSettings(enabled=model.enabled, trust=Trust(model.trust_incoming))
