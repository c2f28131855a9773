"""Who is told of the work of a gateway that stands alone, as its settings say."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config import Settings
from gateway.metrics.place import make_master_metrics, make_metrics
from gateway.telemetry import Several, Silence, Telemetry
from gateway.tracing import make_tracing, trace_rules


def make_telemetry(settings: Settings, environ: Mapping[str, str]) -> Telemetry:
    """Make what is told, in the process that serves; silence where the settings ask for nothing.

    Raises `ConfigurationError`.
    """
    spans = make_tracing(settings, environ) if trace_rules(settings, environ).takes_part else Silence()
    told = [one for one in (make_metrics(settings.metrics, environ), spans) if not isinstance(one, Silence)]
    return Several(told) if told else Silence()


def make_master_telemetry(settings: Settings, environ: Mapping[str, str]) -> Telemetry:
    """Make what is told in the master, which alone knows of configurations that were refused."""
    return make_master_metrics(settings.metrics, environ)
