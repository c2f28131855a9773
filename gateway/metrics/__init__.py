"""Numbers of the gateway's work for Prometheus, of all its processes together (docs/metrics.md).

Around an app of your own: `open_metrics()` makes what counts, `Outside(telemetry=...)` takes it, and `metrics_app`
makes what you mount where no user comes.
"""

from gateway.metrics.exposition import metrics_app
from gateway.metrics.place import open_metrics

__all__ = ["metrics_app", "open_metrics"]
