"""Reads what /metrics renders."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from inplace.runtime.observability.metrics import Metrics


def values(metrics: Metrics) -> dict[str, float]:
    """Sample name and its labels' values to its value, without buckets and times of making."""
    families = text_string_to_metric_families(metrics.render().decode())
    samples = [sample for family in families for sample in family.samples]
    return {" ".join([s.name, *s.labels.values()]): s.value for s in samples if not s.name.endswith(("_bucket", "_created"))}
