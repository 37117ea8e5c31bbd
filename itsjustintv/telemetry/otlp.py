"""
Sends spans and metrics to an OpenTelemetry collector. The only module that imports the SDK, and itself imported only
when telemetry is enabled: the import takes a fifth of a second and twenty megabytes.

Spans and metrics are sent in threads of their own, from queues of bounded length. The reactor never waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Event, Thread
from time import perf_counter, thread_time
from typing import TypeGuard
from urllib.parse import unquote

from attrs import define, field
from opentelemetry.sdk.environment_variables import OTEL_BSP_MAX_QUEUE_SIZE
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    DataT,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from itsjustintv import __version__
from itsjustintv.support.http_response import one_line
from itsjustintv.support.quoted_secrets import QuotedSecrets
from itsjustintv.telemetry import tracing
from itsjustintv.telemetry.instruments import HistogramValue, Kind, Reading
from itsjustintv.telemetry.otlp_settings import Settings
from itsjustintv.telemetry.tracing import Traceparent, parse_traceparent

__all__ = ["Collector", "OnSent", "metrics_data", "open_collector"]

#: Called in threads for everything sent or failed: the signal, the number, and the reason of a failure, or an empty
#: text.
OnSent = Callable[[str, int, str], None]

# The share of a processor that encoding spans may take. Beyond it spans wait, and then no new traces are recorded:
# measuring must not slow down what is measured.
_SHARE = 0.03

# The largest factor by which a pause grows when the process is busy.
_CROWDED = 5.0

#: The default length of the queue of spans: four times the SDK's, for many streamers that go live at once. A span takes
#: two kilobytes.
_CAPACITY = 8192

_KINDS = {
    tracing.SpanKind.INTERNAL: SpanKind.INTERNAL,
    tracing.SpanKind.SERVER: SpanKind.SERVER,
    tracing.SpanKind.CLIENT: SpanKind.CLIENT,
    tracing.SpanKind.CONSUMER: SpanKind.CONSUMER,
}
_SAMPLED = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
_SCOPE = InstrumentationScope("itsjustintv", __version__)
_NANO = 1_000_000_000

# The longest reason, in characters.
_QUOTED = 300


class _LastMessage(logging.Handler):
    """
    Stores the last log message of the SDK, which would otherwise log the same at every attempt. It quotes the answers
    of collectors.
    """

    text = ""
    quoted = QuotedSecrets(())

    def emit(self, record: logging.LogRecord) -> None:
        # Redact more than is stored, so that no secret is cut before it is found.
        said = record.getMessage()[: 4 * _QUOTED].encode("utf-8", "replace")
        self.text = one_line(self.quoted.hide(said).decode("utf-8", "replace"))[:_QUOTED]

    def take(self) -> str:
        """
        Return the message, and forget it.
        """
        text, self.text = self.text, ""
        return text or "no answer"


def _last_message() -> _LastMessage:
    logger = logging.getLogger("opentelemetry")
    found = next((each for each in logger.handlers if isinstance(each, _LastMessage)), None)
    if found is None:
        found = _LastMessage()
        logger.addHandler(found)
        logger.propagate = False
    return found


class _QueuedSpan(ReadableSpan):
    """
    A span in the queue of the batch processor, which reads only the sampled flag. It is converted when it is sent.
    """

    def __init__(self, span: tracing.Span) -> None:
        self._context = _SAMPLED
        self.span = span


class _PacedExporter(SpanExporter):
    """
    Sends spans with pauses. Runs in the thread of the batch processor, except for ``taken``, which others read.

    :ivar taken: the number of spans taken out of the queue so far.
    """

    def __init__(self, exporter: SpanExporter, resource: Resource, on_sent: OnSent) -> None:
        self.taken = 0
        self._resource = resource
        self.is_closing = Event()
        self._exporter = exporter
        self._on_sent = on_sent
        self._message = _last_message()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """
        Send a batch, and pause in proportion to the work: longer when the process is busy.
        """
        self.taken += len(spans)
        began_at, begun = perf_counter(), thread_time()
        readable = [_readable(each.span, self._resource) for each in spans if _is_ours(each)]
        # Computing takes longer than its processor time when other threads or processes compete.
        crowded = (perf_counter() - began_at) / max(thread_time() - begun, 1e-6)
        result = self._exporter.export(readable)
        sent = result is SpanExportResult.SUCCESS
        self._on_sent("spans", len(spans), "" if sent else self._message.take())
        self.is_closing.wait((thread_time() - begun) * (1 / _SHARE - 1) * min(max(crowded, 1.0), _CROWDED))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


@define(eq=False)
class Collector:
    """
    Sends spans and metrics.

    :ivar capacity: the length of the queue of spans.
    """

    _sampler: Sampler
    _resource: Resource
    _capacity: int
    _spans: _PacedExporter | None
    _processor: BatchSpanProcessor | None
    _metrics: MetricExporter | None
    _on_sent: OnSent
    _put: int = field(default=0, init=False)
    _readings: SimpleQueue[tuple[Sequence[Reading], float, float] | None] = field(factory=SimpleQueue, init=False)
    _sending: bool = field(default=False, init=False)
    _thread: Thread = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._thread = Thread(target=self._send_metrics, name="telemetry-metrics", daemon=True)
        self._thread.start()

    def samples(self, number: int) -> bool:
        """
        Decide by ``OTEL_TRACES_SAMPLER``. Takes random bits, since trace ids start with the time.
        """
        return self._spans is not None and self._sampler.should_sample(None, number, "").decision.is_sampled()

    def has_room(self) -> bool:
        """
        Whether the queue is less than half full: the other half is for traces that have started.
        """
        return self._waiting < self._capacity // 2

    def put(self, span: tracing.Span) -> bool:
        """
        Queue a span.

        :return: ``False`` when the queue is full.
        """
        if self._processor is None or self._waiting >= self._capacity:
            return False
        self._put += 1
        self._processor.on_end(_QueuedSpan(span))
        return True

    def put_metrics(self, readings: Sequence[Reading], started_at: float, now: float) -> None:
        """
        Queue metrics, unless the previous ones are still being sent: later ones are newer.
        """
        if not self._sending:
            self._sending = True
            self._readings.put((readings, started_at, now))

    def close(self) -> None:
        """
        Send what is queued, and release everything. Blocks until the collector has answered.
        """
        self._readings.put(None)
        if self._spans is not None and self._processor is not None:
            self._spans.is_closing.set()
            self._processor.shutdown()
        self._thread.join()

    @property
    def _waiting(self) -> int:
        return self._put - (0 if self._spans is None else self._spans.taken)

    def _send_metrics(self) -> None:
        message = _last_message()
        while (queued := self._readings.get()) is not None:
            try:
                if self._metrics is not None:
                    readings, started_at, now = queued
                    data = metrics_data(readings, self._resource, _SCOPE, started_at, now)
                    sent = self._metrics.export(data) is MetricExportResult.SUCCESS
                    self._on_sent("metrics", 1, "" if sent else message.take())
            except Exception:  # noqa: BLE001 - the next ones are tried
                self._on_sent("metrics", 1, "unexpected error in the exporter")
            finally:
                self._sending = False
        if self._metrics is not None:
            self._metrics.shutdown()


def open_collector(settings: Settings, on_sent: OnSent) -> Collector:
    """
    Open a collector, without a request yet. Starts threads, so call it after a fork.

    :raises ImportError: gRPC is configured and not installed.
    :raises ValueError: an environment variable is invalid.
    """
    # Only the credentials in a header are secret, not their scheme.
    _last_message().quoted = QuotedSecrets([unquote(each).rpartition(" ")[2] for each in settings.secrets])
    provider = TracerProvider(shutdown_on_exit=False)
    resource = Resource.create(dict(settings.attributes())).merge(OTELResourceDetector().detect())
    capacity = _capacity(settings)
    spans = _PacedExporter(_span_exporter(settings), resource, on_sent) if settings.exports("traces") else None
    return Collector(
        provider.sampler,
        resource,
        capacity,
        spans,
        None if spans is None else BatchSpanProcessor(spans, max_queue_size=capacity),
        _metric_exporter(settings) if settings.exports("metrics") else None,
        on_sent,
    )


def _capacity(settings: Settings) -> int:
    text = settings.environ.get(OTEL_BSP_MAX_QUEUE_SIZE, "")
    return int(text) if text.isdecimal() and int(text) else _CAPACITY


def _span_exporter(settings: Settings) -> SpanExporter:
    target = settings.target("traces")
    if settings.uses_grpc("traces"):
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415 - an extra
            OTLPSpanExporter as GrpcSpanExporter,
        )

        return GrpcSpanExporter(target)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    return OTLPSpanExporter(target)


def _metric_exporter(settings: Settings) -> MetricExporter:
    target = settings.target("metrics")
    if settings.uses_grpc("metrics"):
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415 - an extra
            OTLPMetricExporter as GrpcMetricExporter,
        )

        return GrpcMetricExporter(target)
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415

    return OTLPMetricExporter(target)


def _is_ours(span: ReadableSpan) -> TypeGuard[_QueuedSpan]:
    return isinstance(span, _QueuedSpan)


def _readable(span: tracing.Span, resource: Resource) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=_context(parse_traceparent(span.context)),
        parent=_context(parse_traceparent(span.parent)),
        resource=resource,
        attributes=span.attributes,
        kind=_KINDS[span.kind],
        instrumentation_scope=_SCOPE,
        status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
        start_time=int(span.started_at * _NANO),
        end_time=int(span.ended_at * _NANO),
    )


def _context(identity: Traceparent | None) -> SpanContext | None:
    if identity is None:
        return None
    flags = TraceFlags(TraceFlags.SAMPLED if identity.sampled else TraceFlags.DEFAULT)
    return SpanContext(identity.trace_id, identity.span_id, is_remote=False, trace_flags=flags)


_CUMULATIVE = AggregationTemporality.CUMULATIVE


def metrics_data(
    readings: Sequence[Reading], resource: Resource, scope: InstrumentationScope, started_at: float, now: float
) -> MetricsData:
    """
    Convert a reading for the SDK.

    :param started_at: when counting started, in seconds since the epoch.
    :param now: the time of the reading.
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
                    # Unknown, and not required.
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
