"""What all processes have counted, in the text that Prometheus reads."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from itertools import accumulate
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from gateway.metrics.families import BUCKETS, BUILD, FAMILIES, SUM, WORKERS, Family, Kind
from gateway.metrics.sink import SEPARATOR, Metrics
from gateway.metrics.tally import Reading, read_tallies

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

WORKER = "worker"
"""What processes are called that serve."""

_BOUNDS = (*map(str, BUCKETS), "+Inf")
_OWN_COUNT = "process_cpu_seconds"
_Labels = tuple[str, ...]
_Cells = tuple[float, ...]


def exposition(metrics: Metrics) -> bytes:
    """Write down what this process and its siblings have counted; raises `OSError`."""
    metrics.refresh()
    return generate_latest(_Readings(read_tallies(metrics.directory)))


def metrics_app(metrics: Metrics) -> WSGIApplication:
    """Make a WSGI app that answers GET and HEAD with the metrics, for who mounts it where no user comes."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Length", "0")])
            return []
        text = exposition(metrics)
        start_response("200 OK", [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(text)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [text]

    return app


class _Readings(Collector):
    """What was read of all processes, as Prometheus's client library wants it."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        """Yield each metric."""
        yield from _families(self._readings)
        yield GaugeMetricFamily(WORKERS.name, WORKERS.help, value=self._workers())
        build = GaugeMetricFamily(BUILD.name, BUILD.help, labels=BUILD.labels)
        build.add_metric([version("gateway"), platform.python_version()], 1.0)
        yield build
        yield from _processes(self._readings)

    def _workers(self) -> int:
        return sum(1 for reading in self._readings if reading.is_alive and reading.name.startswith(WORKER))


def _families(readings: Sequence[Reading]) -> Iterator[Metric]:
    found: dict[str, dict[_Labels, _Cells]] = {name: {} for name in FAMILIES}
    for reading in readings:
        for key, cells in reading.rows:
            name, *labels = key.split(SEPARATOR)
            family = FAMILIES.get(name)
            # A worker of another version, during an upgrade, may have counted something else by that name.
            if family is not None and (len(labels), len(cells)) == (len(family.labels), family.cells):
                _merge(found[name], family, tuple(labels), cells, is_alive=reading.is_alive)
    yield from (_metric(FAMILIES[name], rows) for name, rows in found.items())


def _merge(rows: dict[_Labels, _Cells], family: Family, labels: _Labels, cells: _Cells, *, is_alive: bool) -> None:
    before = rows.get(labels, (0.0,) * len(cells))
    if family.kind is Kind.STATE and not is_alive:
        return
    combine = max if family.kind is Kind.LATEST else _plus
    rows[labels] = tuple(map(combine, before, cells))


def _plus(one: float, other: float) -> float:
    return one + other


def _metric(family: Family, rows: Mapping[_Labels, _Cells]) -> Metric:
    if family.kind is Kind.SECONDS:
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for labels, cells in rows.items():
            buckets = list(zip(_BOUNDS, accumulate(cells[:SUM]), strict=True))
            histogram.add_metric(labels, buckets, cells[SUM])
        return histogram
    single = CounterMetricFamily if family.kind is Kind.COUNT else GaugeMetricFamily
    metric = single(family.name, family.help, labels=family.labels)
    for labels, (value,) in rows.items():
        metric.add_metric(labels, value)
    return metric


def _processes(readings: Sequence[Reading]) -> Iterator[Metric]:
    merged: dict[str, Metric] = {}
    for reading in readings:
        if not reading.is_alive:
            continue
        for metric in ProcessCollector(pid=partial(int, reading.pid), registry=None).collect():
            if metric.name == _OWN_COUNT:
                continue  # Counted by each process itself, so that it goes on where one ends.
            one = merged.setdefault(metric.name, GaugeMetricFamily(metric.name, metric.documentation))
            for sample in metric.samples:
                one.add_sample(sample.name, {"process": reading.name}, sample.value)
    yield from merged.values()
