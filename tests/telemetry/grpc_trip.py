"""
Sends a span and a metric by gRPC to a server in the same process, and says what arrived. A process of its own, since
gRPC keeps threads that must not see the forks of other tests.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from itsjustintv.telemetry.catalogue import ALL
from itsjustintv.telemetry.instruments import Reading
from itsjustintv.telemetry.otlp import open_collector
from itsjustintv.telemetry.otlp_settings import Settings
from itsjustintv.telemetry.tracing import Span, SpanKind, format_traceparent

ARRIVED: dict[str, list[str]] = {"spans": [], "metrics": []}


class Traces(trace_service_pb2_grpc.TraceServiceServicer):
    """
    Takes spans.
    """

    def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                ARRIVED["spans"] += [f"{span.name} {span.trace_id.hex()}" for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    """
    Takes metrics.
    """

    def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                ARRIVED["metrics"] += [metric.name for metric in scope.metrics]
        return metrics_service_pb2.ExportMetricsServiceResponse()


def main() -> None:
    """
    Go there and back.
    """
    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    settings = Settings(enabled=True, endpoint=f"http://127.0.0.1:{port}", environ=dict(os.environ))
    collector = open_collector(settings, lambda *_: None)
    context = format_traceparent(0xABC, 0xDEF, sampled=True)
    collector.put(
        Span(
            context=context,
            name="POST",
            kind=SpanKind.CLIENT,
            parent="",
            started_at=1000.25,
            ended_at=1000.75,
            attributes={},
        )
    )
    collector.put_metrics((Reading(ALL["itsjustintv.oldest_pending.age"], (((), 2.5),)),), 900.0, 1000.0)
    collector.close()
    server.stop(None).wait()
    print(json.dumps(ARRIVED))  # noqa: T201 - whoever started it reads it


if __name__ == "__main__":
    main()
