"""
Tests of :mod:`itsjustintv.telemetry.otlp` and :mod:`itsjustintv.telemetry.otlp`: with OpenTelemetry's SDK,
over a socket.
"""

from __future__ import annotations

import json
import os
import sys
from base64 import b64encode
from html import escape
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from itsjustintv.simulator.loopback import listen
from itsjustintv.telemetry.catalogue import ALL
from itsjustintv.telemetry.instruments import HistogramValue, Reading
from itsjustintv.telemetry.otlp import Collector, open_collector
from itsjustintv.telemetry.otlp_settings import Settings
from itsjustintv.telemetry.tracing import Span, SpanKind, format_traceparent
from tests.functional.run import run, until
from tests.otlp import CollectorResource

ROOT = format_traceparent(0xABC, 0xDEF, sampled=True)
CHILD = format_traceparent(0xABC, 0x123, sampled=True)


def a_span(context: str = ROOT, **changes: Any) -> Span:
    """
    Something that was done.
    """
    values: dict[str, Any] = {
        "name": "POST",
        "kind": SpanKind.CLIENT,
        "parent": "",
        "started_at": 1000.25,
        "ended_at": 1000.75,
        "attributes": {"a": "b", "n": 3, "many": ("x", "y")},
        **changes,
    }
    return Span(context=context, **values)


class CollectorTests(TestCase):
    """
    What arrives, and what becomes of what does not.
    """

    timeout = 60

    def setUp(self) -> None:
        self.there = CollectorResource()
        self.listening = listen(reactor, self.there.resource())
        self.addCleanup(lambda: Deferred.fromCoroutine(self.listening.stop()))
        self.told: list[tuple[str, int, str]] = []

    def opened(self, *secrets: str, **environ: str) -> Collector:
        """
        A way to the collector. The SDK reads the environment by itself.
        """
        before = dict(os.environ)

        def restore() -> None:
            os.environ.clear()
            os.environ.update(before)

        os.environ.update({"OTEL_BSP_SCHEDULE_DELAY": "20", **environ})
        self.addCleanup(restore)
        settings = Settings(
            enabled=True,
            endpoint=self.listening.url,
            service_version="7",
            environ=dict(os.environ),
            secrets=secrets,
        )
        collector = open_collector(settings, lambda *told: self.told.append(told))
        self.addCleanup(lambda: deferToThread(collector.close))
        return collector

    async def until(self, condition: Any) -> None:
        """
        Wait for something that a thread does.
        """
        await until(reactor, condition)

    async def test_spans(self) -> None:
        """
        A span arrives as it was: identity, parent, kind, times, attributes and failure, and whose it is.
        """
        collector = self.opened(OTEL_RESOURCE_ATTRIBUTES="host.name=tanuki", OTEL_SERVICE_NAME="mine")
        self.assertTrue(collector.put(a_span(CHILD, parent=ROOT, error="it failed")))
        self.assertTrue(collector.put(a_span(name="enrich", kind=SpanKind.INTERNAL)))
        self.assertTrue(collector.put(a_span(name="POST /twitch", kind=SpanKind.SERVER)))
        await self.until(lambda: len(self.there.spans) == 3)
        first, second, third = self.there.spans
        self.assertEqual((first.traceparent, second.traceparent), (CHILD, ROOT))
        self.assertEqual((first.parent_id, second.parent_id), (ROOT[36:52], ""))
        self.assertEqual((first.kind, second.kind, third.kind), (3, 1, 2))
        self.assertEqual((first.started_at, first.ended_at), (1000.25, 1000.75))
        self.assertEqual(first.attributes, {"a": "b", "n": 3, "many": ("x", "y")})
        self.assertEqual((first.failed, second.failed), (True, False))
        self.assertEqual(
            [first.resource[name] for name in ("service.name", "service.version", "host.name")],
            ["mine", "7", "tanuki"],
        )
        self.assertIn("service.instance.id", first.resource)
        await self.until(lambda: self.told)
        self.assertEqual({(signal, reason) for signal, _, reason in self.told}, {("spans", "")})
        self.assertEqual(sum(count for _, count, _ in self.told), 3)

    async def test_metrics(self) -> None:
        """
        Each kind of metric arrives as what it is, with its unit and its labels.
        """
        collector = self.opened()
        attempts, pending, duration = (
            ALL[f"itsjustintv.{name}"] for name in ("attempts", "oldest_pending.age", "attempt.duration")
        )
        counts = (2, *(0 for _ in duration.bounds[1:]), 1)
        readings = (
            Reading(attempts, ((("a", "failed"), 3.0), (("a", "delivered"), 4.0))),
            Reading(pending, (((), 2.5),)),
            Reading(duration, (((), HistogramValue(counts, 60.5)),)),
            Reading(ALL["itsjustintv.certificate.orders"], ()),
        )
        collector.put_metrics(readings, 900.0, 1000.0)
        await self.until(lambda: self.there.metrics)
        self.assertEqual(
            set(self.there.metrics),
            {"itsjustintv." + each for each in ("attempts", "oldest_pending.age", "attempt.duration")},
        )
        told = self.there.metrics["itsjustintv.attempts"]
        self.assertEqual((told.kind, told.unit), ("sum", "{attempt}"))
        self.assertEqual(told.points[("destination", "a"), ("outcome", "failed")], 3)
        told = self.there.metrics["itsjustintv.oldest_pending.age"]
        self.assertEqual((told.kind, told.unit, told.points[()]), ("gauge", "s", 2.5))
        told = self.there.metrics["itsjustintv.attempt.duration"]
        self.assertEqual((told.kind, told.points[()]), ("histogram", (counts, 60.5, 3)))

    async def test_a_secret_of_the_environment(self) -> None:
        """
        Headers and compression are those of the environment, and the path is that of the signal.
        """
        collector = self.opened(OTEL_EXPORTER_OTLP_HEADERS="api-key=a-secret", OTEL_EXPORTER_OTLP_COMPRESSION="gzip")
        collector.put(a_span())
        await self.until(lambda: self.there.spans)
        self.assertEqual(self.there.headers["api-key"], "a-secret")
        self.assertEqual(self.there.headers["content-type"], "application/x-protobuf")
        self.assertEqual(self.there.headers["content-encoding"], "gzip")

    async def test_a_collector_that_refuses(self) -> None:
        """
        It is told why, in one line, and what is refused is gone.
        """
        self.there.status = 401
        collector = self.opened()
        collector.put(a_span())
        collector.put_metrics((), 900.0, 1000.0)
        await self.until(lambda: len(self.told) == 2)
        for _, count, reason in self.told:
            self.assertEqual(count, 1)
            self.assertIn("401", reason)
            self.assertNotIn("\n", reason)

    async def test_a_collector_that_quotes_its_secret(self) -> None:
        """
        No piece of it is in the reason, in whatever notation, nor where the reason is cut; and the reason is readable.
        """
        secret = "x7Kp-92/qLm&4Zt"
        self.there.status, collector = 401, self.opened(f"Bearer {secret}")
        for notation in (secret, b64encode(secret.encode()).decode(), quote(secret, safe=""), escape(secret)):
            for padding in (0, 240, 290):
                self.told.clear()
                self.there.phrase = f"{'.' * padding}\x1b no: Bearer {notation} is unknown".encode()
                collector.put_metrics((), 900.0, 1000.0)
                await self.until(lambda: self.told)
                [(_, _, reason)] = self.told
                self.assertIn("401", reason)
                self.assertNotIn("\x1b", reason)
                self.assertLessEqual(len(reason), 300)
                for at in range(len(notation) - 9):
                    self.assertNotIn(notation[at : at + 10], reason)
                if not padding:
                    self.assertIn("Bearer [redacted] is unknown", reason)

    async def test_a_collector_that_hangs(self) -> None:
        """
        No more spans wait than there is room for, the door is shut for new traces at half of it, and nothing waits.
        """
        self.there.hangs = True
        collector = self.opened(
            OTEL_BSP_MAX_QUEUE_SIZE="8", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="2", OTEL_EXPORTER_OTLP_TIMEOUT="1"
        )
        self.assertTrue(collector.has_room())
        taken = [collector.put(a_span()) for _ in range(20)]
        self.assertFalse(collector.has_room())
        self.assertLessEqual(taken.count(True), 8 + 2)
        self.assertGreaterEqual(taken.count(True), 8)
        self.assertFalse(taken[-1])
        for _ in range(3):
            collector.put_metrics((), 900.0, 1000.0)
        await self.until(lambda: self.there.requests >= 2)
        self.there.hangs = False

    async def test_metrics_that_would_have_to_wait_are_not_sent(self) -> None:
        """
        While some are under way newer ones are left out: those after them say more.
        """
        self.there.hangs = True
        collector = self.opened(OTEL_TRACES_EXPORTER="none", OTEL_EXPORTER_OTLP_TIMEOUT="1")
        for _ in range(5):
            collector.put_metrics((), 900.0, 1000.0)
        await self.until(lambda: self.there.requests)
        await self.listening.stop()
        await self.until(lambda: self.told)
        await deferToThread(collector.close)
        self.assertEqual(len(self.told), 1)

    async def test_the_sampler_of_the_environment(self) -> None:
        """
        Traces are sampled as the environment says, and by nothing but chance.
        """
        collector = self.opened(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.5")
        self.assertTrue(collector.samples(1))
        self.assertFalse(collector.samples((1 << 64) - 1))

    async def test_one_signal_only(self) -> None:
        """
        Where no traces are wanted none is begun, and nothing is put anywhere; likewise with metrics.
        """
        collector = self.opened(OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="none")
        self.assertFalse(collector.samples(1))
        self.assertFalse(collector.put(a_span()))
        collector.put_metrics((), 900.0, 1000.0)
        await deferToThread(collector.close)
        self.assertEqual((self.there.requests, self.told), (0, []))

    async def test_closing_sends_the_rest(self) -> None:
        """
        What waits is sent at once when it is closed, without the breaks.
        """
        collector = self.opened(OTEL_BSP_SCHEDULE_DELAY="60000")
        for number in range(1, 1200):
            collector.put(a_span(format_traceparent(0xABC, number, sampled=True)))
        await deferToThread(collector.close)
        self.assertEqual(len(self.there.spans), 1199)

    async def test_metrics_that_cannot_be_written(self) -> None:
        """
        A defect is told like a failure, and the next ones are sent.
        """
        collector = self.opened()
        collector.put_metrics((None,), 900.0, 1000.0)  # type: ignore[arg-type]
        await self.until(lambda: self.told)
        self.assertEqual(self.told, [("metrics", 1, "unexpected error in the exporter")])
        await self.until(lambda: not collector._sending)
        collector.put_metrics((), 900.0, 1000.0)
        await self.until(lambda: len(self.told) == 2)
        self.assertEqual(self.told[1], ("metrics", 1, ""))

    async def test_grpc_is_an_extra(self) -> None:
        """
        Without the extra gRPC cannot be had, for either signal.
        """
        for signal, module in (("TRACES", "trace_exporter"), ("METRICS", "metric_exporter")):
            absent = patch.dict(sys.modules, {f"opentelemetry.exporter.otlp.proto.grpc.{module}": None})
            other = {"TRACES": "METRICS", "METRICS": "TRACES"}[signal]
            with absent, self.assertRaises(ImportError):
                self.opened(**{f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL": "grpc", f"OTEL_{other}_EXPORTER": "none"})
            del os.environ[f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"], os.environ[f"OTEL_{other}_EXPORTER"]

    async def test_by_grpc(self) -> None:
        """
        With it, both arrive by gRPC.
        """
        environ = {**os.environ, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", "tests.telemetry.grpc_trip"]
        ended = await run(reactor, command, Path(), environ, patience=50.0)
        self.assertEqual(ended.status, 0, ended)
        arrived = json.loads(ended.out.splitlines()[-1])
        self.assertEqual(
            arrived, {"spans": [f"POST {ROOT[3:35]}"], "metrics": ["itsjustintv.oldest_pending.age"]}, ended
        )
