"""Whether requests are traced, by the configuration and by OpenTelemetry's own environment variables."""

from __future__ import annotations

import importlib
import secrets
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol
from urllib.parse import urlsplit

from gateway.config import Settings
from gateway.config_sources import ConfigurationError
from gateway.oidc.messages import Entropy
from gateway.telemetry import Telemetry
from gateway.trace_context import NO_TRACES, Sampler, TraceRules

_SAMPLER = "OTEL_TRACES_SAMPLER"
_ARGUMENT = "OTEL_TRACES_SAMPLER_ARG"
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"

_ALL, _NONE = Sampler(ratio=1.0, follows_parent=False), Sampler(ratio=0.0, follows_parent=False)
_SAMPLERS: Mapping[str, Callable[[float], Sampler]] = MappingProxyType(
    {
        "always_on": lambda _: _ALL,
        "always_off": lambda _: _NONE,
        "traceidratio": lambda ratio: Sampler(ratio=ratio, follows_parent=False),
        "parentbased_always_on": lambda _: Sampler(ratio=1.0),
        "parentbased_always_off": lambda _: Sampler(ratio=0.0),
        "parentbased_traceidratio": lambda ratio: Sampler(ratio=ratio),
    }
)


class Spans(Telemetry, Protocol):
    """A sink of telemetry that sends spans, until it is closed."""

    def close(self) -> None:
        """Send what waits, for some seconds at most."""


def read_sampler(environ: Mapping[str, str]) -> Sampler:
    """Read which requests are recorded, as OpenTelemetry's variables say it; raises `ConfigurationError`."""
    name = environ.get(_SAMPLER, "").strip() or "parentbased_always_on"
    if name not in _SAMPLERS:
        raise ConfigurationError([f"{_SAMPLER}: must be one of {', '.join(_SAMPLERS)}"])
    return _SAMPLERS[name](_ratio(environ) if name.endswith("traceidratio") else 1.0)


def trace_rules(settings: Settings, environ: Mapping[str, str]) -> TraceRules:
    """Make the rules by which the traces of requests begin; raises `ConfigurationError`."""
    if not settings.tracing.enabled:
        return NO_TRACES
    return TraceRules(takes_part=True, trust=settings.tracing.trust, sampler=read_sampler(environ))


def check_tracing(settings: Settings, environ: Mapping[str, str]) -> None:
    """Check that spans can be made as configured, without making what sends them; raises `ConfigurationError`."""
    if settings.tracing.enabled:
        _check_protocol(environ)
        read_sampler(environ)
        _connect()


def make_tracing(settings: Settings, environ: Mapping[str, str], entropy: Entropy = secrets.token_bytes) -> Spans:
    """Make what sends spans, in the process that serves: it has a thread, and is closed when the process ends.

    Raises `ConfigurationError` if the packages it needs are not installed, or a variable says what they cannot do.
    """
    check_tracing(settings, environ)
    return _connect()(urlsplit(settings.public_url).scheme, entropy)


def _connect() -> Callable[[str, Entropy], Spans]:
    try:
        connect: Callable[[str, Entropy], Spans] = importlib.import_module("gateway.spans").connect
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "opentelemetry":
            raise
        missing = "tracing.enabled: needs OpenTelemetry's packages: pip install 'gateway[otel]'"
        raise ConfigurationError([missing]) from None
    return connect


def _ratio(environ: Mapping[str, str]) -> float:
    text = environ.get(_ARGUMENT, "").strip() or "1"
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0.0 <= ratio <= 1.0:
        raise ConfigurationError([f"{_ARGUMENT}: must be a number from 0 to 1"])
    return ratio


def _check_protocol(environ: Mapping[str, str]) -> None:
    for name in _PROTOCOLS:
        if environ.get(name, "").strip() not in ("", _PROTOCOL):
            raise ConfigurationError([f"{name}: must be {_PROTOCOL}, or unset"])
