"""
Metrics and traces of the real daemon, as Prometheus and a collector get them.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from itertools import groupby
from time import time

import treq
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.web.client import ResponseNeverReceived

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.loopback import Listening, free_port, listen
from itsjustintv.simulator.process import DaemonProcess
from itsjustintv.telemetry.catalogue import ALL
from itsjustintv.tls.certificate import KEY_TYPES, format_key
from tests.documents import ROOT, Document
from tests.functional.stage import Stage, StageCase, tool
from tests.otlp import CollectorResource, Kept
from tests.tls.authority import Issuer

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
        self.listening: Listening = listen(stage.reactor, collector.resource())
        self.addCleanup(lambda: Deferred.fromCoroutine(self.listening.stop()))
        stage.settings += f'[telemetry]\nenabled = true\nendpoint = "{self.listening.url}"\n'
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
            for span in collector.spans:
                self.assertLessEqual(set(span.attributes), documented(span.name), span.name)
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

    def test_a_collector_that_hangs_changes_nothing(self) -> Deferred[None]:
        """
        While the collector answers nobody, and once it is gone, everything is accepted and delivered as ever; a stop
        waits for it, but not for long.
        """

        async def scenario() -> None:
            stage = self.stage()
            collector = self.collecting(stage)
            collector.hangs = True
            stage.add_streamer("tanuki")
            daemon = await self.started(stage, {"OTEL_EXPORTER_OTLP_TIMEOUT": "60"})
            await stage.subscribed()
            for number in (1, 2, 3):
                [posted] = (await stage.twitch.announce(stage.twitch.world.go_live("tanuki")))[0].tries
                self.assertEqual(posted.status, 200)
                await stage.receiver.delivery("/tanuki", number)
                if number == 2:
                    await stage.until(lambda: collector.requests)
                    await self.listening.stop()
            account = await stage.settled(stage.reactor)
            self.assertEqual((account.delivered, account.imbalance), (3, 0))
            begun = time()
            self.assertEqual(await daemon.stop(), 0)
            # Two seconds are its due, the rest is for a machine that is busy with other things.
            self.assertLess(time() - begun, 2.0 + 8.0)

        return Deferred.fromCoroutine(scenario())

    def test_followed_while_it_runs(self) -> Deferred[None]:
        """
        A reload begins to send, and ends it; a collector that takes nothing is named in the log, once.
        """

        async def scenario() -> None:
            stage = self.stage()
            stage.add_streamer("tanuki")
            daemon = await self.started(stage)
            collector = self.collecting(stage)
            stage.configure()
            await stage.until(lambda: collector.metrics)
            collector.status = 401
            await daemon.said("does not accept metrics: ")
            stage.settings = ""
            stage.configure()
            await stage.until(lambda: daemon.output.count("configuration reloaded") == 2)
            self.assertEqual(daemon.output.count("does not accept metrics"), 1)

        return Deferred.fromCoroutine(scenario())


def documented(name: str) -> set[str]:
    """
    The attributes that docs/telemetry.md gives a span.
    """
    for row in Document(ROOT / "docs" / "telemetry.md").tables("span", "kind", "parent"):
        if f"`{name}`" in row["span"]:
            found = set(re.findall(r"`([^`]+)`", row["attributes"]))
            return found | {"itsjustintv.streamer", *({"server.address", "server.port"} if "server.*" in found else ())}
    raise AssertionError(f"{name} is not documented")


class MetricsTests(TelemetryCase):
    """
    What Prometheus reads.
    """

    timeout = 180

    def setUp(self) -> None:
        self.promtool = tool("promtool")
        self.port = free_port()

    @property
    def admin(self) -> str:
        """
        The part of the configuration that opens the door for Prometheus.
        """
        return f'[admin]\nenabled = true\nlisten = "127.0.0.1:{self.port}"\ntoken = "a-token-for-prometheus"\n'

    async def scrape(self) -> Mapping[str, Mapping[str, float]]:
        """
        Read everything, as Prometheus does, and let its own tool look at it.

        :return: by family, the value of each series.
        """
        text = await self.text()
        checked = subprocess.run(
            [self.promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, "", ""))
        series = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        names = {
            f"{family.prometheus}{end}": family.prometheus
            for family in ALL.values()
            for end in ("", "_bucket", "_sum", "_count")
        }
        families = groupby(series, key=lambda one: names[one[0].partition("{")[0]])
        return {family: {name: float(value) for name, value in lines} for family, lines in families}

    async def text(self) -> str:
        """
        What ``/metrics`` answers.
        """
        answer = await treq.get(
            f"http://127.0.0.1:{self.port}/metrics",
            headers={"Authorization": "Bearer a-token-for-prometheus"},
            persistent=False,
        )
        text = await answer.text()
        self.assertEqual(answer.code, 200, text)
        return text

    def test_strangers_see_nothing(self) -> Deferred[None]:
        """
        Without the token there are no metrics, nor at the callback's port.
        """

        async def scenario() -> None:
            stage = self.stage(settings=self.admin)
            stage.add_streamer("tanuki")
            await stage.started()
            for url, status in ((f"http://127.0.0.1:{self.port}", 401), (stage.url, 404)):
                answer = await treq.get(f"{url}/metrics", persistent=False)
                self.assertNotIn("itsjustintv_", await answer.text())
                self.assertEqual(answer.code, status)

        return Deferred.fromCoroutine(scenario())

    def test_everything_moves(self) -> Deferred[None]:
        """
        On an eventful day every metric says something else than in the morning, but for those about certificates and
        about a conduit, the balance of the books, and what never changes.
        """

        async def scenario() -> None:
            # One attempt is waited for all day, so that there is one dead letter however long the day is.
            retry = '[retry]\nmax_attempts = 1\ntimeout = "10m"\n'
            stage = self.stage(settings=f"{self.admin}{retry}[catch_up]\nenabled = true\n")
            self.collecting(stage)
            for login in ("tanuki", "kitsune", "inari"):
                stage.add_streamer(login)
            stage.receiver.script.plan("/kitsune", then=Behaviour(status=503))
            stage.receiver.script.plan("/inari", then=Behaviour(hang=True))
            stage.twitch.eventsub.resend_after = ()
            # What nobody tells of is found at the start.
            stage.twitch.world.go_live("tanuki")
            # In the morning Twitch has not answered yet.
            answering: Deferred[None] = Deferred()
            stage.twitch.faults.plan("token", then=Behaviour(after=answering))
            daemon = await self.started(stage)
            morning = await self.scrape()
            stage.twitch.faults.plan("token")
            answering.callback(None)
            await stage.subscribed()
            await self.live(stage)
            evening = await self.scrape()
            still = [name for name, values in evening.items() if values == morning.get(name)]
            self.assertEqual(
                sorted(still),
                [
                    "itsjustintv_accounting_imbalance",
                    "itsjustintv_build_info",
                    "itsjustintv_clock_sets_total",
                    "itsjustintv_conduit_assignments_total",
                    "itsjustintv_conduit_gap_seconds_total",
                    "itsjustintv_conduit_sessions_lost_total",
                    "itsjustintv_conduit_sessions_moved_total",
                    "itsjustintv_conduit_shards",
                    "itsjustintv_events_held",
                    "itsjustintv_helix_points_limit",
                    "itsjustintv_start_timestamp_seconds",
                ],
            )
            self.assertEqual(evening["itsjustintv_accounting_imbalance"], {"itsjustintv_accounting_imbalance": 0})
            self.assertEqual(
                sorted({family.prometheus for family in ALL.values()} - set(evening)),
                [
                    "itsjustintv_certificate_expiry_timestamp_seconds",
                    "itsjustintv_certificate_orders_total",
                    "itsjustintv_conduit_last_frame_age_seconds",
                    "itsjustintv_posts_possible_doubles_total",
                ],
            )
            messages = evening["itsjustintv_messages_total"]
            for outcome in ("accepted", "duplicate", "ignored", "challenge", "revocation", "forged", "stale"):
                self.assertGreater(messages[f'itsjustintv_messages_total{{outcome="{outcome}"}}'], 0, outcome)
            await daemon.kill()

        return Deferred.fromCoroutine(scenario())

    def test_certificates_too(self) -> Deferred[None]:
        """
        When a certificate expires can be read, and that another one could not be ordered.
        """

        async def line(stage: Stage, text: str) -> None:
            while True:
                try:
                    if f"\n{text}\n" in await self.text():
                        return
                except (ConnectError, ResponseNeverReceived):
                    pass  # not open yet
                await deferLater(stage.reactor, 0.1)

        async def scenario() -> None:
            stage = self.stage()
            stage.incoming_webhook_url = "https://a.example.test/twitch"
            stage.add_streamer("tanuki")
            key, expires = KEY_TYPES["p256"](), int(time()) + 90 * 86400
            issuer = Issuer()
            leaf = issuer.issue(["a.example.test"], key.public_key(), time() - 86400, expires)
            (stage.folder / "served.pem").write_bytes(format_key(key) + b"\n" + issuer.chain(leaf))
            tls = '[server.tls]\nenabled = true\ndomains = ["a.example.test"]\nhttp_listen = ""\n'
            files = 'mode = "files"\ncert_file = "served.pem"\nkey_file = "served.pem"\n'
            stage.settings = f"{self.admin}{tls}{files}"
            stage.daemon().start()
            await line(stage, f'itsjustintv_certificate_expiry_timestamp_seconds{{name="a.example.test"}} {expires}')
            nowhere = f'directory = "https://127.0.0.1:{free_port()}/"\nchallenge = "tls-alpn-01"\n'
            stage.settings = f"{self.admin}{tls}agree_to_terms = true\n{nowhere}"
            stage.configure()
            await line(stage, 'itsjustintv_certificate_orders_total{name="a.example.test",outcome="failed"} 1')

        return Deferred.fromCoroutine(scenario())

    async def live(self, stage: Stage) -> None:
        """
        Let a day be eventful.
        """
        world, eventsub = stage.twitch.world, stage.twitch.eventsub
        await stage.receiver.delivery("/tanuki")
        stage.twitch.faults.plan("channels", then=Behaviour(status=500))
        tanuki = world.go_live("tanuki")
        message = stage.message(tanuki)
        for how in ({}, {}, {"forged": True}, {"age": 700.0}):
            await eventsub.send(message, **how)
        stranger = world.add_streamer("stranger")
        await eventsub.send(stage.message(world.go_live(stranger.login)))
        await stage.receiver.delivery("/tanuki", 2)
        for login in ("kitsune", "inari"):
            await eventsub.send(stage.message(world.go_live(login)))
            await stage.receiver.delivery(f"/{login}")
        [gone] = [each for each in stage.twitch.subscriptions if each.broadcaster_id == tanuki.channel.id]
        await stage.twitch.revoke(gone, "authorization_revoked")
        await treq.post(stage.callback, data=b"x" * 300_000, persistent=False)
        stage.settings += "nonsense = 1\n"
        stage.configure()
        await connectProtocol(TCP4ClientEndpoint(stage.reactor, "127.0.0.1", stage.port), Protocol())
        for line in ("itsjustintv_config_last_reload_successful 0", "itsjustintv_dead_letters 1"):
            while f"\n{line}\n" not in await self.text():
                await deferLater(stage.reactor, 0.1)
