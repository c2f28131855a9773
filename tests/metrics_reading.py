"""Reads metrics as Prometheus does."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: bytes) -> Samples:
    """Return all samples by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode("utf-8"))
        for sample in family.samples
    }


def sample(text: bytes, name: str, **labels: str) -> float:
    """Return one sample, 0 where there is none."""
    return samples(text).get((name, frozenset(labels.items())), 0.0)
