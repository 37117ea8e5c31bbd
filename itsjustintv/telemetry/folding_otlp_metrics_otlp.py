"""
Metrics in the terms of OpenTelemetry's SDK, whose exporters send them.

They are cumulative: each says how much there has been since the start of the process.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    DataT,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from itsjustintv.telemetry.folding_families_instruments import HistogramValue, Kind, Reading

__all__ = ["metrics_data"]

_CUMULATIVE = AggregationTemporality.CUMULATIVE
_NANO = 1_000_000_000


def metrics_data(
    readings: Sequence[Reading], resource: Resource, scope: InstrumentationScope, started_at: float, now: float
) -> MetricsData:
    """
    Put everything together that was read.

    :param started_at: when counting began, in seconds since the epoch.
    :param now: when it was read.
    """
    begun, moment = int(started_at * _NANO), int(now * _NANO)
    metrics = [
        Metric(reading.family.name, reading.family.help, reading.family.unit, _data(reading, begun, moment))
        for reading in readings
        if reading.points
    ]
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(scope, metrics, "")], "")])


def _data(reading: Reading, begun: int, moment: int) -> DataT:
    family = reading.family
    numbers: list[NumberDataPoint] = []
    histograms: list[HistogramDataPoint] = []
    for labels, value in reading.points:
        attributes = dict(zip(family.labels, labels, strict=True))
        if isinstance(value, HistogramValue):
            histograms.append(
                HistogramDataPoint(
                    attributes=attributes,
                    start_time_unix_nano=begun,
                    time_unix_nano=moment,
                    count=sum(value.counts),
                    sum=value.sum,
                    bucket_counts=value.counts,
                    explicit_bounds=family.bounds,
                    # Neither is known, and neither is required.
                    min=None,  # type: ignore[arg-type]
                    max=None,  # type: ignore[arg-type]
                )
            )
        else:
            whole = int(value) if value == int(value) else value
            numbers.append(NumberDataPoint(attributes, begun, moment, whole))
    if family.kind is Kind.HISTOGRAM:
        return Histogram(histograms, _CUMULATIVE)
    if family.kind is Kind.COUNTER:
        return Sum(numbers, _CUMULATIVE, is_monotonic=True)
    return Gauge(numbers)
