"""The gateway that stands alone before its upstreams; `create_app` is for servers."""

from __future__ import annotations

import os
from dataclasses import replace

from gateway.app import Gateway
from gateway.assembly import Outside
from gateway.config import Settings, load_standalone_settings
from gateway.logs import log_to_stderr
from gateway.sinks import make_telemetry
from gateway.tracing import trace_rules


def create_app() -> Gateway:
    """Make the gateway that stands alone before its upstreams, from the environment and the file that it names.

    Raises `ConfigurationError`.
    """
    return stand_alone(load_standalone_settings(None, os.environ), Outside())


def stand_alone(settings: Settings, outside: Outside) -> Gateway:
    """Make the gateway that stands alone, in the process that serves, and have it log."""
    log_to_stderr(settings)
    told, traces = make_telemetry(settings, os.environ), trace_rules(settings, os.environ)
    return Gateway(settings, None, replace(outside, telemetry=told, traces=traces))
