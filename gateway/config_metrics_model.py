"""The keys of `metrics:`: where the numbers of the gateway's work are to be had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from gateway.config_authorization_model import Model
from gateway.config_values import split_url

_UNIX = "unix:"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """Where metrics are served: at a host and port, or at the path of a Unix socket; all empty where they are not."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def enabled(self) -> bool:
        """Whether they are served."""
        return bool(self.host or self.path)

    @property
    def where(self) -> str:
        """The place in words, for people."""
        return self.path or f"{self.host}:{self.port}"


def _listen(value: str) -> str:
    if value.startswith(_UNIX):
        if not value.startswith(f"{_UNIX}/") or not value.isprintable() or len(value) > 100:
            raise ValueError("must name a Unix socket by its absolute path: unix:/run/gateway/metrics.sock")
    elif value:
        parts = split_url(f"//{value}")
        if not parts.hostname or not parts.port or parts.netloc != value or "@" in value:
            raise ValueError("must be an address and a port, or a Unix socket: 127.0.0.1:9464")
    return value


class MetricsModel(Model):
    """Metrics for Prometheus, on a listener of their own."""

    listen: Annotated[str, AfterValidator(_listen)] = ""
    """Where GET /metrics is answered, and nothing else: 127.0.0.1:9464, or unix: and a path; empty for nowhere."""


def metrics_of(model: MetricsModel) -> MetricsSettings:
    """Turn the keys of metrics into settings."""
    if model.listen.startswith(_UNIX):
        return MetricsSettings(path=model.listen.removeprefix(_UNIX))
    parts = split_url(f"//{model.listen}")
    return MetricsSettings(host=parts.hostname or "", port=parts.port or 0)
