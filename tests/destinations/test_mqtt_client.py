"""
Tests for :mod:`itsjustintv.destinations.mqtt_client`, before a broker that is a script.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.destinations.mqtt_client import ACCEPTED, Broker, MqttConnection, NotMqtt

BROKER = Broker(host="broker.test", port=1883, tls=False, user="", password="")
CONNACK = bytes.fromhex("20020000")


class MqttClientTests(SynchronousTestCase):
    """
    Packets are as the protocol has them.
    """

    def begin(self, broker: Broker = BROKER, *messages: tuple[str, str]) -> Deferred[int]:
        self.connection = MqttConnection()
        self.transport = StringTransport()
        self.connection.makeConnection(self.transport)
        return Deferred.fromCoroutine(self.publish(broker, messages or [("a/b", "ON")]))

    async def publish(self, broker: Broker, messages: Sequence[tuple[str, str]]) -> int:
        code = await self.connection.log_in(broker, "c1")
        if code == ACCEPTED:
            await self.connection.publish(messages)
        return code

    def said(self) -> bytes:
        said = self.transport.value()
        self.transport.clear()
        return said

    def test_a_message(self) -> None:
        """
        A message is published once the broker takes the connection, to be retained, and the broker says that it has it.
        """
        done = self.begin(BROKER, ("a/b", "ON"), ("ü", "x" * 200))
        self.assertEqual(self.said(), bytes.fromhex("100e 0004 4d515454 04 02 003c 0002 6331"))
        self.connection.dataReceived(CONNACK)
        self.assertEqual(self.said(), bytes.fromhex("3309 0003 612f62 0001 4f4e"))
        self.assertNoResult(done)
        self.connection.dataReceived(bytes.fromhex("40020001"))
        # 206 bytes: 78 + 128.
        self.assertEqual(self.said(), bytes.fromhex("33ce01 0002 c3bc 0002") + b"x" * 200)
        self.connection.dataReceived(bytes.fromhex("40020002"))
        self.assertEqual(self.successResultOf(done), 0)
        self.connection.leave()
        self.assertEqual(self.said(), bytes.fromhex("e000"))
        self.assertTrue(self.transport.disconnecting)

    def test_a_login(self) -> None:
        """
        User and password are sent if there are any; a refusal is returned, and nothing published.
        """
        done = self.begin(evolve(BROKER, user="ada", password="x"))
        self.assertEqual(self.said(), bytes.fromhex("1016 0004 4d515454 04 c2 003c 0002 6331 0003 616461 0001 78"))
        self.connection.dataReceived(bytes.fromhex("20020005"))
        self.assertEqual((self.successResultOf(done), self.said()), (5, b""))

    def test_a_will(self) -> None:
        """
        The last will is retained, of quality 1, and stands before user and password.
        """
        self.begin()
        self.said()
        Deferred.fromCoroutine(self.connection.log_in(evolve(BROKER, user="ada"), "c1", ("a/s", "off")))
        self.assertEqual(
            self.said(), bytes.fromhex("101d 0004 4d515454 04 ae 003c 0002 6331 0003 612f73 0003 6f6666 0003 616461")
        )

    def test_a_ping(self) -> None:
        """
        A ping waits for its answer; anything else is none.
        """
        for answer, is_good in (("d000", True), ("40020001", False)):
            self.begin()
            self.connection.dataReceived(CONNACK + bytes.fromhex("40020001"))
            self.said()
            done = Deferred.fromCoroutine(self.connection.ping())
            self.assertEqual(self.said(), bytes.fromhex("c000"))
            self.assertNoResult(done)
            self.connection.dataReceived(bytes.fromhex(answer))
            if is_good:
                self.assertIsNone(self.successResultOf(done))
            else:
                self.failureResultOf(done, NotMqtt)

    def test_in_pieces(self) -> None:
        """
        Packets may come in pieces, or several at once.
        """
        done = self.begin()
        for each in CONNACK:
            self.connection.dataReceived(bytes([each]))
        self.connection.dataReceived(bytes.fromhex("400200"))
        self.connection.dataReceived(bytes.fromhex("01"))
        self.assertEqual(self.successResultOf(done), 0)
        done = self.begin()
        self.connection.dataReceived(CONNACK + bytes.fromhex("40020001"))
        self.assertEqual(self.successResultOf(done), 0)

    @given(st.binary(max_size=60))
    def test_something_else_answers(self, data: bytes) -> None:
        """
        Whatever answers, the attempt ends, at the latest with the connection; only a broker can take a message.
        """
        done = self.begin()
        self.connection.dataReceived(data)
        self.connection.connectionLost(Failure(ConnectionDone()))
        outcome: list[object] = []
        done.addBoth(outcome.append)
        if isinstance(outcome[0], Failure):
            self.assertTrue(outcome[0].check(NotMqtt, ConnectionDone))
        else:
            self.assertEqual(data[:3], CONNACK[:3])

    def test_http_answers(self) -> None:
        """
        A web server is left at once.
        """
        done = self.begin()
        self.connection.dataReceived(b"HTTP/1.1 400 Bad Request\r\n" * 20)
        self.failureResultOf(done, NotMqtt)

    def test_the_wrong_acknowledgement(self) -> None:
        """
        An acknowledgement of something else is none.
        """
        for answer in (bytes.fromhex("40020002"), bytes.fromhex("d000")):
            done = self.begin()
            self.connection.dataReceived(CONNACK + answer)
            self.failureResultOf(done, NotMqtt)

    def test_cancelled(self) -> None:
        """
        What comes after the end of the wait does no harm.
        """
        done = self.begin()
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.connection.dataReceived(CONNACK)
        self.connection.abort()
        self.assertTrue(self.transport.disconnected)
