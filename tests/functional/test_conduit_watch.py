"""
What the real daemon shows of its conduit while connections break.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import treq
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.loopback import free_port, listen
from tests.functional.test_conduit import ConduitCase, ConduitStage
from tests.functional.test_telemetry import QUICK, documented
from tests.otlp import CollectorResource

TOKEN = "an-admin-token-of-the-stage"


class WatchTests(ConduitCase):
    """
    ``/health``, ``/readyz``, the API, ``/metrics`` and ``itsjustintv explain``, of one daemon.
    """

    def setUp(self) -> None:
        super().setUp()
        self.port = free_port()

    def watched_stage(self) -> ConduitStage:
        """
        A stage with the admin page.
        """
        admin = f'[admin]\nenabled = true\nlisten = "127.0.0.1:{self.port}"\ntoken = "{TOKEN}"\n'
        return self.conduit_stage(settings=f"{admin}[catch_up]\nenabled = true\n")

    async def ask(self, path: str) -> Any:
        """
        Ask the admin site.
        """
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = await treq.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, persistent=False)
        text = await answer.text()
        self.assertEqual(answer.code, 200, text)
        return json.loads(text) if path.startswith("/api") else text

    async def metrics(self) -> dict[str, float]:
        """
        Every series about the conduit.
        """
        lines = (await self.ask("/metrics")).splitlines()
        found = [
            line.rpartition(" ") for line in lines if line.startswith(("itsjustintv_conduit", "itsjustintv_events"))
        ]
        return {name.removeprefix("itsjustintv_"): float(value) for name, _, value in found}

    async def probe(self, stage: ConduitStage, path: str) -> tuple[int, dict[str, str], Any]:
        """
        Status, reasons by check, and all of the answer.
        """
        answer = await treq.get(f"{stage.url}{path}", persistent=False)
        content = await answer.json()
        return answer.code, {each["check"]: each["reason"] for each in content.get("reasons", ())}, content

    async def comes_to(self, stage: ConduitStage, path: str, accepts: Callable[[dict[str, str]], bool]) -> None:
        """
        Wait until the reasons of a probe are as they should be.
        """
        until = stage.reactor.seconds() + 30.0
        while not accepts(reasons := (await self.probe(stage, path))[1]):
            if stage.reactor.seconds() > until:
                self.fail(f"still {reasons}")
            await deferLater(stage.reactor, 0.05)

    async def test_what_is_shown_while_connections_break(self) -> None:
        """
        With both shards everything is well; with one it is degraded, and ready; with none it is deaf and not ready, yet
        alive and not to be restarted; and everywhere the reason is the same.
        """
        stage = self.watched_stage()
        await stage.started()
        await stage.through_conduit()
        await self.comes_to(stage, "/readyz", lambda reasons: not reasons)
        await self.is_well(stage)

        stage.twitch.faults.plan("ws", then=Behaviour(status=503))
        first, second = stage.sessions
        stage.twitch.sessions.sever(first.id, "close", 4006)
        await self.comes_to(stage, "/health", lambda reasons: "conduit" in reasons)
        status, reasons, _ = await self.probe(stage, "/health")
        self.assertEqual((status, reasons.keys()), (200, {"conduit"}))
        self.assertTrue(reasons["conduit"].startswith("1 of 2 shards enabled: "), reasons)
        self.assertEqual((await self.probe(stage, "/readyz"))[0], 200)

        stage.twitch.sessions.sever(second.id, "rst")
        await self.comes_to(stage, "/readyz", bool)
        await self.is_deaf(stage)

        stage.twitch.faults.plan("ws", then=Behaviour())
        await stage.through_conduit()
        await self.comes_to(stage, "/readyz", lambda reasons: not reasons)
        self.assertEqual((await self.metrics())['conduit_assignments_total{outcome="succeeded"}'], 4)

    async def is_well(self, stage: ConduitStage) -> None:
        """
        Everything says that messages arrive.
        """
        status, reasons, content = await self.probe(stage, "/health")
        self.assertEqual((status, reasons), (200, {}))
        self.assertEqual(content["conduit"], {"shards": 2, "enabled": 2, "standing_by": 0, "held": 0})
        view = await self.ask("/api/v1/transport")
        self.assertEqual((view["method"], view["used"], view["problem"]), ("conduit", ["conduit"], None))
        self.assertEqual([each["state"] for each in view["shards"]], ["enabled", "enabled"])
        explained = await stage.command("explain", "streamer0")
        self.assertIn("messages:     arrive: 2 of 2 shards are enabled", explained.out)
        self.assertIn("next:         nothing: the subscription works", explained.out)

    async def is_deaf(self, stage: ConduitStage) -> None:
        """
        Everything says that none arrives, and why.
        """
        status, reasons, _ = await self.probe(stage, "/readyz")
        self.assertEqual((status, reasons), (503, {"conduit": "no message arrives"}))
        status, reasons, content = await self.probe(stage, "/health")
        self.assertEqual((status, content["status"]), (200, "degraded"))
        self.assertRegex(reasons["conduit"], r"^deaf since \d{4}-\d\d-\d\dT[\d:]{8}Z because no shard is enabled: ")
        self.assertEqual((await self.probe(stage, "/livez"))[0], 200)
        found = await self.metrics()
        self.assertEqual(found['conduit_shards{state="configured"}'], 2)
        self.assertEqual(found['conduit_shards{state="enabled"}'], 0)
        self.assertEqual(found['conduit_sessions_lost_total{code="4006"}'], 1)
        self.assertEqual(found['conduit_sessions_lost_total{code="none"}'], 1)
        self.assertEqual(found['conduit_assignments_total{outcome="succeeded"}'], 2)
        self.assertGreater(found["conduit_gap_seconds_total"], 0)
        self.assertIn('conduit_last_frame_age_seconds{shard="0"}', found)
        said = await stage.command("health")
        self.assertEqual((said.status, said.out.splitlines()[0]), (0, "degraded"))
        self.assertIn("conduit: deaf since ", said.out)
        explained = await stage.command("explain", "streamer0")
        self.assertIn("messages:     do not arrive now: deaf since ", explained.out)
        self.assertIn("next:         itsjustintv doctor", explained.out)
        page = await self.ask("/")
        self.assertIn("0 of 2 enabled", page)

    async def test_a_change_that_cannot_be_completed(self) -> None:
        """
        While no connection to Twitch can be made after a change to a conduit, webhooks still arrive: the daemon stays
        ready, so that a proxy goes on to pass them to it, and says what is wrong.
        """
        stage = self.watched_stage()
        stage.conduit = False
        daemon = await stage.started()
        await stage.subscribed()
        await self.comes_to(stage, "/readyz", lambda reasons: not reasons)
        stage.twitch.faults.plan("ws", then=Behaviour(status=503))
        stage.conduit = True
        stage.configure()
        daemon.send_signal(signal.SIGHUP)
        still = "messages still arrive by webhook, and not through the conduit: deaf since "
        await self.comes_to(stage, "/health", lambda reasons: reasons.get("conduit", "").startswith(still))
        self.assertEqual((await self.probe(stage, "/readyz"))[0], 200)
        view = await self.ask("/api/v1/transport")
        self.assertEqual((view["method"], view["used"]), ("conduit", ["webhook"]))
        self.assertIn("Messages still arrive by webhook", await self.ask("/"))
        stage.go_live("streamer0")
        await self.delivered(stage, ["streamer0"])
        stage.twitch.faults.plan("ws", then=Behaviour())
        await stage.through_conduit()
        await self.comes_to(stage, "/health", lambda reasons: not reasons)

    async def test_webhooks_have_no_conduit(self) -> None:
        """
        By webhook nothing is said of one: not by ``/health``, not by ``explain``, and the numbers are 0.
        """
        stage = self.watched_stage()
        stage.conduit = False
        await stage.started()
        await stage.subscribed()
        _, _, content = await self.probe(stage, "/health")
        self.assertNotIn("conduit", content)
        self.assertEqual({value for name, value in (await self.metrics()).items()}, {0.0})
        self.assertNotIn("messages:", (await stage.command("explain", "streamer0")).out)
        view = await self.ask("/api/v1/transport")
        self.assertEqual((view["method"], view["shards"], view["problem"]), ("webhook", [], None))
        self.assertNotIn('id="conduit"', await self.ask("/"))


class TraceTests(ConduitCase):
    """
    One trace for one event.
    """

    async def test_an_event_from_a_conduit_has_the_same_trace(self) -> None:
        """
        The first span is that of a message instead of a request; all others are within it, as with a webhook, and each
        attribute is documented.
        """
        # What is found live would be another trace.
        stage = self.conduit_stage(settings="")
        collector = CollectorResource()
        listening = listen(stage.reactor, collector.resource())
        self.addCleanup(lambda: Deferred.fromCoroutine(listening.stop()))
        stage.settings += f'[telemetry]\nenabled = true\nendpoint = "{listening.url}"\n'
        daemon = stage.daemon(env=QUICK)
        daemon.start()
        await daemon.ready()
        await stage.through_conduit()
        stage.go_live("streamer0")
        await self.delivered(stage, ["streamer0"])
        await stage.until(lambda: collector.named("POST") and collector.named("enrich"))
        [root] = [span for span in collector.spans if not span.parent_id]
        self.assertEqual((root.name, root.trace_id), ("process eventsub", root.attributes["itsjustintv.event.id"]))
        self.assertEqual(root.attributes["network.protocol.name"], "websocket")
        self.assertEqual({span.trace_id for span in collector.spans}, {root.trace_id})
        self.assertLessEqual({"journal accept", "enrich", "POST"}, {span.name for span in collector.spans})
        for name in ("journal accept", "enrich", "POST"):
            self.assertEqual({span.parent_id for span in collector.named(name)}, {root.span_id}, name)
        for span in collector.spans:
            self.assertLessEqual(set(span.attributes), documented(span.name), span.name)
