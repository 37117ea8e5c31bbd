"""
Metrics and traces of the real daemon, as Prometheus and a collector get them.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.loopback import listen
from itsjustintv.simulator.process import DaemonProcess
from tests.functional.stage import Stage, StageCase
from tests.otlp import CollectorResource, Kept

QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_METRIC_EXPORT_INTERVAL": "200"}

#: What is asked about a streamer who is not known yet.
CALLS = {"GET /users", "GET /channels", "GET /streams", "GET /channels/followers"}


class TelemetryCase(StageCase):
    """
    A stage with a collector, and a daemon that sends to it.
    """

    def collecting(self, stage: Stage) -> CollectorResource:
        """
        A collector that the daemon is told of.
        """
        collector = CollectorResource()
        listening = listen(stage.reactor, collector.resource())
        self.addCleanup(lambda: Deferred.fromCoroutine(listening.stop()))
        stage.settings += f'[telemetry]\nenabled = true\nendpoint = "{listening.url}"\n'
        return collector

    async def started(self, stage: Stage, env: dict[str, str] | None = None) -> DaemonProcess:
        """
        A daemon that is ready.
        """
        daemon = stage.daemon(env={**QUICK, **(env or {})})
        daemon.start()
        await daemon.ready()
        return daemon


class TraceTests(TelemetryCase):
    """
    One trace for one event.
    """

    def assert_joined(self, spans: list[Kept]) -> Kept:
        """
        All spans are of one trace, each within another that is there, but for the first.

        :return: the first.
        """
        self.assertEqual(len({span.trace_id for span in spans}), 1)
        [root] = [span for span in spans if not span.parent_id]
        known = {span.span_id for span in spans}
        self.assertEqual([span.name for span in spans if span is not root and span.parent_id not in known], [])
        return root

    def test_one_event_is_one_trace(self) -> Deferred[None]:
        """
        From Twitch's message through the journal, what is asked about it, and each attempt: one trace, which the
        receiver is told.
        """

        async def scenario() -> None:
            stage = self.stage(settings='[retry]\ninitial_delay = "50ms"\n')
            collector = self.collecting(stage)
            stage.add_streamer("tanuki")
            stage.receiver.script.plan("/tanuki", Behaviour(status=503))
            daemon = await self.started(stage, {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=stage"})
            await stage.subscribed()
            await stage.twitch.announce(stage.twitch.world.go_live("tanuki"))
            told = [await stage.receiver.delivery("/tanuki", number) for number in (1, 2)]
            await stage.until(lambda: len(collector.named("POST")) == 2 and collector.named("enrich"))
            root = self.assert_joined(collector.spans)
            self.assertEqual((root.name, root.trace_id), ("POST /twitch", root.attributes["itsjustintv.event.id"]))
            self.assertEqual(
                {span.name for span in collector.spans}, {root.name, "journal accept", "enrich", "POST", *CALLS}
            )
            [enrich] = collector.named("enrich")
            for name in CALLS:
                self.assertEqual([span.parent_id for span in collector.named(name)], [enrich.span_id], name)
            first, second = sorted(collector.named("POST"), key=lambda span: span.started_at)
            self.assertEqual([each.headers["traceparent"] for each in told], [first.traceparent, second.traceparent])
            self.assertEqual((first.failed, second.failed), (True, False))
            self.assertEqual(second.attributes["http.request.resend_count"], 1)
            self.assertEqual(root.resource["service.name"], "itsjustintv")
            self.assertEqual(root.resource["deployment.environment.name"], "stage")
            self.assertNotIn(stage.hook, repr(collector.spans))
            self.assertEqual(await daemon.stop(), 0)

        return Deferred.fromCoroutine(scenario())

    def test_a_trace_goes_on_after_a_crash(self) -> Deferred[None]:
        """
        An attempt that a new process makes is in the trace of the event that the one before it has accepted.
        """

        async def scenario() -> None:
            stage = self.stage(settings='[retry]\ninitial_delay = "1s"\n')
            collector = self.collecting(stage)
            stage.add_streamer("tanuki")
            stage.receiver.script.plan("/tanuki", then=Behaviour(status=503))
            daemon = await self.started(stage)
            await stage.subscribed()
            await stage.twitch.announce(stage.twitch.world.go_live("tanuki"))
            await stage.until(lambda: collector.named("POST") and collector.named("POST /twitch"))
            await daemon.kill()
            stage.receiver.script.plan("/tanuki")
            await self.started(stage)
            [told] = await stage.until(lambda: [each for each in stage.receiver.at("/tanuki") if each.status == 200])
            [last] = await stage.until(lambda: [span for span in collector.named("POST") if not span.failed])
            root = self.assert_joined([*collector.named("POST"), *collector.named("POST /twitch")])
            self.assertEqual((last.parent_id, last.traceparent), (root.span_id, told.headers["traceparent"]))
            self.assertNotEqual(
                last.resource["service.instance.id"], root.resource["service.instance.id"], "the same process"
            )

        return Deferred.fromCoroutine(scenario())
