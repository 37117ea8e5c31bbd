"""
A collector of OpenTelemetry's on loopback: it decodes what it is sent (OTLP over HTTP, protobuf).
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import Any

from attrs import define, field, frozen
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

__all__ = ["CollectorResource", "Kept", "Told"]


@frozen
class Kept:
    """
    A span as it arrived.
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    started_at: float
    ended_at: float
    attributes: Mapping[str, Any]
    failed: bool
    resource: Mapping[str, Any]

    @property
    def traceparent(self) -> str:
        """
        Its identity, as a header has it.
        """
        return f"00-{self.trace_id}-{self.span_id}-01"


@frozen
class Told:
    """
    A metric as it arrived.

    :ivar points: attributes, each as a sorted tuple of pairs, to what is said of them.
    """

    unit: str
    kind: str
    points: Mapping[tuple[tuple[str, str], ...], Any]


@define(eq=False)
class CollectorResource:
    """
    Keeps everything it is sent.

    :ivar status: it answers with, and ``phrase``.
    :ivar hangs: whether it never answers.
    :ivar headers: of the last request.
    :ivar requests: how many there were.
    """

    status: int = 200
    phrase: bytes | None = None
    hangs: bool = False
    spans: list[Kept] = field(factory=list)
    metrics: dict[str, Told] = field(factory=dict)
    headers: dict[str, str] = field(factory=dict)
    requests: int = 0

    def resource(self) -> Resource:
        """
        To be served at the root.
        """
        return _Root(self)

    def take(self, path: str, body: bytes) -> None:
        """
        Take one message.
        """
        if path == "/v1/traces":
            self._take_spans(ExportTraceServiceRequest.FromString(body))
        else:
            self._take_metrics(ExportMetricsServiceRequest.FromString(body))

    def named(self, name: str) -> list[Kept]:
        """
        The spans of a name.
        """
        return [span for span in self.spans if span.name == name]

    def _take_spans(self, message: Any) -> None:
        for one in message.resource_spans:
            resource = _attributes(one.resource.attributes)
            for scope in one.scope_spans:
                self.spans += [_kept(span, resource) for span in scope.spans]

    def _take_metrics(self, message: Any) -> None:
        for one in message.resource_metrics:
            for scope in one.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    points = {
                        tuple(sorted(_attributes(point.attributes).items())): _value(point)
                        for point in getattr(metric, kind).data_points
                    }
                    self.metrics[metric.name] = Told(metric.unit, kind, points)


class _Root(Resource):
    isLeaf = True

    def __init__(self, collector: CollectorResource) -> None:
        super().__init__()
        self._collector = collector

    def render_POST(self, request: Request) -> bytes | int:
        collector = self._collector
        collector.requests += 1
        names = request.requestHeaders.getAllRawHeaders()
        collector.headers = {name.decode().lower(): values[0].decode() for name, values in names}
        if collector.hangs:
            return NOT_DONE_YET
        body = request.content.read()
        if collector.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if collector.status == 200:
            collector.take(request.path.decode(), body)
        request.setResponseCode(collector.status, collector.phrase)
        request.setHeader(b"Content-Type", b"application/x-protobuf")
        return b""


def _kept(span: Any, resource: Mapping[str, Any]) -> Kept:
    return Kept(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.kind,
        span.start_time_unix_nano / 1e9,
        span.end_time_unix_nano / 1e9,
        _attributes(span.attributes),
        span.status.code == span.status.STATUS_CODE_ERROR,
        resource,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _scalar(pair.value) for pair in pairs}


def _scalar(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_scalar(each) for each in value.array_value.values)
    return getattr(value, kind)


def _value(point: Any) -> Any:
    if hasattr(point, "bucket_counts"):
        return (tuple(point.bucket_counts), point.sum, point.count)
    return getattr(point, point.WhichOneof("value"))
