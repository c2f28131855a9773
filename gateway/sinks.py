"""Who is told of the work of a gateway, as its settings say."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config import Settings
from gateway.logs import make_event_log, make_log_telemetry
from gateway.metrics.place import make_master_metrics, make_metrics
from gateway.telemetry import Several, Silence, Telemetry
from gateway.tracing import make_tracing, trace_rules


def make_telemetry(settings: Settings, environ: Mapping[str, str]) -> Telemetry:
    """Make what is told, in the process that serves; silence where the settings ask for nothing.

    Raises `ConfigurationError`.
    """
    told = [make_metrics(settings.metrics, environ), _log_of(settings)]
    if trace_rules(settings, environ).takes_part:
        told.append(make_tracing(settings, environ))
    return _all_of(told)


def make_wrapping_telemetry(settings: Settings) -> Telemetry:
    """Make what is told around an app, whose own logging decides what becomes of the records."""
    return _all_of([_log_of(settings)])


def make_master_telemetry(settings: Settings, environ: Mapping[str, str]) -> Telemetry:
    """Make what is told in the master, which alone knows of configurations that were refused."""
    return _all_of([make_master_metrics(settings.metrics, environ), make_event_log()])


def _log_of(settings: Settings) -> Telemetry:
    return make_log_telemetry(settings) if settings.logs.access or settings.logs.audit else Silence()


def _all_of(told: list[Telemetry]) -> Telemetry:
    heard = [one for one in told if not isinstance(one, Silence)]
    return Several(heard) if heard else Silence()
