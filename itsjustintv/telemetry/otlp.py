"""
The way to OpenTelemetry's collector. It is the only module that imports the SDK, and is itself imported only where
something is to be sent: that takes a fifth of a second and twenty megabytes.

Spans and metrics leave in threads of their own. Whatever the collector does, the reactor waits for nothing, and no more
is kept than a queue of bounded length.
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
from itsjustintv.support.http_client import one_line
from itsjustintv.support.quoted_secrets import QuotedSecrets
from itsjustintv.telemetry import tracing
from itsjustintv.telemetry.instruments import HistogramValue, Kind, Reading
from itsjustintv.telemetry.otlp_settings import Settings
from itsjustintv.telemetry.tracing import Traceparent, parse

__all__ = ["Collector", "OnSent", "metrics_data", "open_collector"]

#: Is told of everything that was sent or could not be: which signal, how many of it, and why not; empty if it was.
#: Called in threads.
OnSent = Callable[[str, int, str], None]

# The share of a processor that the making of messages may take. Beyond that spans wait, and then no more traces are
# begun: what is measured must not be changed by being measured.
_SHARE = 0.03

# So many times longer it rests at the most, however busy the process is.
_CROWDED = 5.0

#: Spans that may wait, unless the environment says otherwise: four times what is usual, for a crowd that goes live at
#: once. They take two kilobytes each.
_CAPACITY = 8192

_KINDS = {
    tracing.SpanKind.INTERNAL: SpanKind.INTERNAL,
    tracing.SpanKind.SERVER: SpanKind.SERVER,
    tracing.SpanKind.CLIENT: SpanKind.CLIENT,
}
_SAMPLED = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
_SCOPE = InstrumentationScope("itsjustintv", __version__)
_NANO = 1_000_000_000

# Characters of a reason at the most.
_QUOTED = 300


class _LastWords(logging.Handler):
    """
    Keeps what the SDK has logged last, instead of letting it log again and again what is the same. The answers of
    collectors are quoted in it.
    """

    text = ""
    quoted = QuotedSecrets(())

    def emit(self, record: logging.LogRecord) -> None:
        """
        Keep it.
        """
        # More is looked at than is kept, so that no secret is cut before it is found.
        said = record.getMessage()[: 4 * _QUOTED].encode("utf-8", "replace")
        self.text = one_line(self.quoted.hide(said).decode("utf-8", "replace"))[:_QUOTED]

    def take(self) -> str:
        """
        What was kept, once.
        """
        text, self.text = self.text, ""
        return text or "it gave no answer"


def _last_words() -> _LastWords:
    logger = logging.getLogger("opentelemetry")
    found = next((each for each in logger.handlers if isinstance(each, _LastWords)), None)
    if found is None:
        found = _LastWords()
        logger.addHandler(found)
        logger.propagate = False
    return found


class _Waiting(ReadableSpan):
    """
    A span in the queue of the batch processor, which only looks at whether it is sampled. It is put into the terms of
    the SDK when it is sent.
    """

    def __init__(self, span: tracing.Span) -> None:
        self._context = _SAMPLED
        self.span = span


class _Spans(SpanExporter):
    """
    Sends spans, with breaks. Lives in the thread of the batch processor, but for ``taken``, which is read by others.

    :ivar taken: how many have been taken out of the queue so far.
    """

    def __init__(self, exporter: SpanExporter, resource: Resource, on_sent: OnSent) -> None:
        self.taken = 0
        self._resource = resource
        self.hurry = Event()
        self._exporter = exporter
        self._on_sent = on_sent
        self._words = _last_words()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """
        Send a batch, and rest in proportion to the work; the longer, the more the process has to do besides.
        """
        self.taken += len(spans)
        began_at, begun = perf_counter(), thread_time()
        readable = [_readable(each.span, self._resource) for each in spans if _is_ours(each)]
        # What is nothing but work takes longer than its work when others want the processor, or the interpreter.
        crowded = (perf_counter() - began_at) / max(thread_time() - begun, 1e-6)
        result = self._exporter.export(readable)
        sent = result is SpanExportResult.SUCCESS
        self._on_sent("spans", len(spans), "" if sent else self._words.take())
        self.hurry.wait((thread_time() - begun) * (1 / _SHARE - 1) * min(max(crowded, 1.0), _CROWDED))
        return result

    def shutdown(self) -> None:
        """
        Send nothing more.
        """
        self._exporter.shutdown()


@define(eq=False)
class Collector:
    """
    Sends spans and metrics.

    :ivar capacity: spans that may wait.
    """

    _sampler: Sampler
    _resource: Resource
    _capacity: int
    _spans: _Spans | None
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
        Decide as ``OTEL_TRACES_SAMPLER`` says. The ids of traces are not random enough for it, since they begin with
        the time.
        """
        return self._spans is not None and self._sampler.should_sample(None, number, "").decision.is_sampled()

    def has_room(self) -> bool:
        """
        Whether the queue is less than half full: the other half is for traces that have begun.
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
        self._processor.on_end(_Waiting(span))
        return True

    def put_metrics(self, readings: Sequence[Reading], started_at: float, now: float) -> None:
        """
        Send metrics, unless the ones before are still under way: these say more than those that would wait.
        """
        if not self._sending:
            self._sending = True
            self._readings.put((readings, started_at, now))

    def close(self) -> None:
        """
        Send what waits, once, and let go of everything. Blocks for as long as the collector takes.
        """
        self._readings.put(None)
        if self._spans is not None and self._processor is not None:
            self._spans.hurry.set()
            self._processor.shutdown()
        self._thread.join()

    @property
    def _waiting(self) -> int:
        return self._put - (0 if self._spans is None else self._spans.taken)

    def _send_metrics(self) -> None:
        words = _last_words()
        while (given := self._readings.get()) is not None:
            try:
                if self._metrics is not None:
                    readings, started_at, now = given
                    data = metrics_data(readings, self._resource, _SCOPE, started_at, now)
                    sent = self._metrics.export(data) is MetricExportResult.SUCCESS
                    self._on_sent("metrics", 1, "" if sent else words.take())
            except Exception:  # noqa: BLE001 - the next ones are tried
                self._on_sent("metrics", 1, "an unexpected error of the exporter")
            finally:
                self._sending = False
        if self._metrics is not None:
            self._metrics.shutdown()


def open_collector(settings: Settings, on_sent: OnSent) -> Collector:
    """
    Make ready to send. Asks nothing of the collector yet. Starts threads, so it belongs after a fork.

    :raises ImportError: gRPC is asked for and not installed.
    :raises ValueError: a variable of the environment cannot be used.
    """
    # The scheme of a header with credentials is no secret.
    _last_words().quoted = QuotedSecrets([unquote(each).rpartition(" ")[2] for each in settings.secrets])
    provider = TracerProvider(shutdown_on_exit=False)
    resource = Resource.create(dict(settings.attributes())).merge(OTELResourceDetector().detect())
    capacity = _capacity(settings)
    spans = _Spans(_span_exporter(settings), resource, on_sent) if settings.exports("traces") else None
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


def _is_ours(span: ReadableSpan) -> TypeGuard[_Waiting]:
    return isinstance(span, _Waiting)


def _readable(span: tracing.Span, resource: Resource) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=_context(parse(span.context)),
        parent=_context(parse(span.parent)),
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
