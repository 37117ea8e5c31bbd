"""
Tests for :mod:`itsjustintv.destinations.mqtt_presence`, before a broker that is a script.
"""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field
from treq.testing import RequestTraversalAgent
from twisted.internet.error import ConnectionDone, ConnectionRefusedError  # noqa: A004 - what an endpoint fails with
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from itsjustintv.destinations.mqtt_client import Broker, MqttConnection
from itsjustintv.destinations.mqtt_presence import MqttPresence, Shown
from itsjustintv.destinations.mqtt_sender import _classify
from itsjustintv.interfaces import SenderTools
from itsjustintv.support.egress import EgressPolicy

SHOWN = Shown(Broker(host="broker.test", port=1883, tls=False, user="", password=""), "itsjustintv/status")
CONNACK, PUBACK, PONG = (bytes.fromhex(each) for each in ("20020000", "40020001", "d000"))
ONLINE = bytes.fromhex("331c 0012") + b"itsjustintv/status" + bytes.fromhex("0001") + b"online"


@define(eq=False)
class Wire:
    """
    Connects at once, unless the broker is down.
    """

    is_down: bool = False
    opened: list[MqttConnection] = field(factory=list)

    async def open(self, connection: MqttConnection, host: str, port: int, *, tls: bool) -> MqttConnection:
        self.opened.append(connection)
        if self.is_down:
            raise ConnectionRefusedError
        connection.makeConnection(StringTransport())
        return connection


class MqttPresenceTests(SynchronousTestCase):
    """
    A broker shows that the daemon runs.
    """

    def setUp(self) -> None:
        self.clock, self.wire = Clock(), Wire()
        tools = SenderTools(
            reactor=self.clock,
            agent=RequestTraversalAgent(Resource()),
            egress=EgressPolicy,
            timeout=lambda: 5.0,
            wall=lambda: 0.0,
        )
        wire: Any = self.wire
        self.presence = MqttPresence("home", SHOWN, tools, wire, _classify)
        self.addCleanup(self.presence.stop)

    def said(self) -> bytes:
        transport: Any = self.wire.opened[-1].transport
        said: bytes = transport.value()
        transport.clear()
        return said

    def answer(self, *packets: bytes) -> None:
        for each in packets:
            self.wire.opened[-1].dataReceived(each)

    def lose(self) -> None:
        self.wire.opened[-1].connectionLost(Failure(ConnectionDone()))

    def test_it_stays(self) -> None:
        """
        The login has the will; then the state is published, and a ping follows every half minute.
        """
        self.presence.start()
        self.assertIn(b"itsjustintv/status\x00\x07offline", self.said())
        self.answer(CONNACK)
        self.assertEqual(self.said(), ONLINE)
        self.answer(PUBACK)
        for _ in range(3):
            self.assertEqual(self.said(), b"")
            self.clock.advance(30)
            self.assertEqual(self.said(), bytes.fromhex("c000"))
            self.answer(PONG)
        self.assertEqual(len(self.wire.opened), 1)

    def test_a_connection_that_ends(self) -> None:
        """
        Its end is noticed at once, and the next connection is a second later; the client has the same name.
        """
        self.presence.start()
        first = self.said()
        self.answer(CONNACK, PUBACK)
        self.lose()
        self.clock.advance(0.9)
        self.assertEqual(len(self.wire.opened), 1)
        self.clock.advance(0.1)
        self.assertEqual((len(self.wire.opened), self.said()), (2, first))

    def test_no_answer(self) -> None:
        """
        A broker that answers neither a login nor a ping is left after the time of an attempt.
        """
        self.presence.start()
        self.clock.advance(5)
        self.assertTrue(self.wire.opened[0].transport.disconnected)
        self.clock.advance(1)
        self.answer(CONNACK, PUBACK)
        self.clock.advance(30)
        self.clock.advance(5)
        self.assertTrue(self.wire.opened[1].transport.disconnected)

    def test_pauses_grow(self) -> None:
        """
        While the broker is down the pauses grow to five minutes, and the log says it once; afterwards the next outage
        is said again.
        """
        self.wire.is_down = True
        with capturedLogs() as logs:
            self.presence.start()
            pauses = []
            for _ in range(12):
                before, [call] = len(self.wire.opened), self.clock.getDelayedCalls()
                pauses.append(call.getTime() - self.clock.seconds())
                self.clock.advance(pauses[-1])
                self.assertEqual(len(self.wire.opened), before + 1)
            self.assertEqual(pauses[:4] + pauses[-1:], [1, 2, 4, 8, 300])
            self.wire.is_down = False
            self.clock.advance(300)
            self.answer(CONNACK, PUBACK)
            self.wire.is_down = True
            self.lose()
        lines = [each["detail"] for each in logs if each["log_level"] is LogLevel.warn]
        self.assertEqual(len(lines), 2, lines)
        self.assertTrue(lines[0].startswith("home "), lines)

    def test_a_refused_login(self) -> None:
        """
        A broker that does not let the user connect is said to do so, and is tried again.
        """
        with capturedLogs() as logs:
            self.presence.start()
            self.answer(bytes.fromhex("20020005"))
        [line] = logs
        self.assertEqual(line["detail"], "home does not accept user and password.")
        self.assertNotIn(b"online", self.said())
        self.clock.advance(1)
        self.assertEqual(len(self.wire.opened), 2)

    def test_stopped(self) -> None:
        """
        At the end the connection is closed without a farewell, in whatever state it is, and nothing follows.
        """
        for moment in range(4):
            with self.subTest(moment):
                presence = evolve(self.presence)
                self.wire.is_down = moment == 3
                presence.start()
                if moment < 3:
                    self.answer(*(CONNACK, PUBACK)[:moment])
                    self.said()
                presence.stop()
                if moment < 3:
                    self.assertEqual(self.said(), b"")
                    self.assertTrue(self.wire.opened[-1].transport.disconnected)
                self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_broker_that_ends_it_while_it_is_asked(self) -> None:
        """
        A connection that ends during a ping is replaced as well.
        """
        self.presence.start()
        self.answer(CONNACK, PUBACK)
        self.clock.advance(30)
        self.lose()
        self.clock.advance(1)
        self.assertEqual(len(self.wire.opened), 2)
