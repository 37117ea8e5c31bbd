"""
States that the sender publishes at Mosquitto.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from treq.testing import RequestTraversalAgent
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource

from itsjustintv.destinations.kinds import open_destination
from itsjustintv.destinations.mqtt import MQTT_KIND, Mqtt, Settings
from itsjustintv.destinations.mqtt_sender import MqttSender
from itsjustintv.interfaces import SenderTools
from itsjustintv.model import STREAM_OFFLINE, Action, Attempt, Delivery, Destination, Notice, Verdict
from itsjustintv.support.egress import EgressPolicy
from tests.destinations.contract import NOW, notice
from tests.judges.broker import Broker


class BrokerTests(TestCase):
    """
    A broker retains what is published.
    """

    timeout = 60

    def at(self, broker: Broker, **more: Any) -> Destination:
        settings = Settings(**{"host": "127.0.0.1", "port": broker.port, **more})
        return Destination(name="home", url=MQTT_KIND.address(settings), kind="mqtt", settings=settings)

    def send(self, where: Destination, what: Notice, patience: float = 10.0) -> Deferred[Attempt]:
        delivery = Delivery(
            id="1-1",
            event_id="1",
            streamer="tanuki",
            destination="home",
            accepted_at=NOW,
            next_attempt_at=NOW,
            body=open_destination(where).render(what),
            action=what.action,
        )
        sender = MqttSender(self.tools(patience), Mqtt)
        return sender.send(delivery, where).addCallback(lambda made: sender.stop().addCallback(lambda _: made))

    def tools(self, patience: float = 10.0) -> SenderTools:
        return SenderTools(
            reactor=reactor,
            agent=RequestTraversalAgent(Resource()),
            egress=EgressPolicy,
            timeout=lambda: patience,
            wall=lambda: NOW,
        )

    async def test_states(self) -> None:
        """
        State, attributes and sensor are retained, and the newest state counts.
        """
        broker = self.enterContext(Broker(Path(self.mktemp()), users={"tanuki": "secret"}))
        where = self.at(broker, user="tanuki", password="secret")
        attempt = await self.send(where, notice(title="Töpfern 🏺"))
        self.assertEqual((attempt.verdict, attempt.remote), (Verdict.OK, "itsjustintv/tanuki"), attempt.detail)
        await self.send(where, notice(STREAM_OFFLINE, Action.EDIT))
        messages = broker.wait_for(6)
        self.assertTrue(all(each.retained and each.quality == 1 for each in messages))
        self.assertEqual([each.payload for each in messages if each.topic.endswith("/live")], [b"ON", b"OFF"])
        self.assertEqual(orjson.loads(messages[1].payload)["title"], "Töpfern 🏺")
        self.assertEqual(
            sorted(broker.state),
            [
                "homeassistant/binary_sensor/itsjustintv_1/config",
                "itsjustintv/tanuki/attributes",
                "itsjustintv/tanuki/live",
            ],
        )

    async def test_presence(self) -> None:
        """
        While a sender follows a destination its topic is ``online``, also after the broker was started again; as soon
        as the connection has ended, however that was, it is ``offline``.
        """
        broker = Broker(Path(self.mktemp()), users={"tanuki": "secret"})
        sender = MqttSender(self.tools(), Mqtt)

        async def until(payload: bytes) -> None:
            for _ in range(200):
                if broker.state.get("itsjustintv/status") == payload:
                    return
                await deferLater(reactor, 0.05)
            self.fail(f"{broker.state} after {broker.output[-1000:]}")

        for _ in range(2):
            with broker:
                where = self.at(broker, user="tanuki", password="secret")
                sender.follow([where])
                await until(b"online")
        with broker:
            await until(b"online")
            sender.follow([])
            await until(b"offline")
            sender.follow([where])
            await until(b"online")
            await sender.stop()
            await until(b"offline")
        self.assertTrue(all(each.retained and each.quality == 1 for each in broker.messages))

    async def test_a_question(self) -> None:
        """
        The broker is asked by a login alone, and nothing is published.
        """
        broker = self.enterContext(Broker(Path(self.mktemp()), users={"tanuki": "secret"}))
        question = Delivery(
            id="question", event_id="", streamer="", destination="", accepted_at=0, next_attempt_at=0, body=b"{}"
        )
        for password, ok, detail in (
            ("secret", True, "home (mqtt) accepts the login."),
            ("wrong", False, "home does not accept user and password, or does not let the user connect."),
        ):
            sender = MqttSender(self.tools(), Mqtt)
            found = await sender.ask(question, self.at(broker, user="tanuki", password=password))
            self.assertEqual((found.ok, found.final, found.detail), (ok, not ok, detail))
            await sender.stop()
        self.assertEqual(broker.messages, [])

    async def test_refused(self) -> None:
        """
        A wrong password is said to be one; a broker without TLS, or none at all, is tried again.
        """
        broker = self.enterContext(Broker(Path(self.mktemp()), users={"tanuki": "secret"}))
        wrong = await self.send(self.at(broker, user="tanuki", password="wrong"), notice())
        self.assertEqual(wrong.verdict, Verdict.UNAUTHORIZED)
        encrypted = await self.send(self.at(broker, tls=True), notice(), 2.0)
        self.assertEqual(encrypted.verdict, Verdict.RETRY)
        self.assertIn(encrypted.reason, ("tls", "reset", "timeout"))
        absent = await self.send(self.at(broker, port=1), notice())
        self.assertEqual((absent.verdict, absent.reason), (Verdict.RETRY, "refused"))
        self.assertEqual(broker.state, {})
