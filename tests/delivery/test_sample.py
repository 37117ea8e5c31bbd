"""
Tests of :mod:`itsjustintv.delivery.sample`.
"""

from __future__ import annotations

import json

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.delivery.sample import SampleSender
from itsjustintv.destinations.payload import build_payload
from itsjustintv.errors import OperationRefused
from itsjustintv.model import Attempt, Delivery, Destination, Streamer
from tests.journal.values import attempt

TANUKI = Streamer(key="tanuki", user_id="42", login="tanuki_live", destinations=("streamers.tanuki",))


class SampleTests(SynchronousTestCase):
    """
    A test of a destination.
    """

    def setUp(self) -> None:
        self.sent: list[tuple[Delivery, Destination, Deferred[Attempt]]] = []
        self.sample = SampleSender(
            self.send, lambda notice, _: build_payload(notice), self.resolve, lambda: [TANUKI], lambda: "abc", Clock()
        )

    def send(self, delivery: Delivery, destination: Destination) -> Deferred[Attempt]:
        """
        Note what is to be sent.
        """
        self.sent.append((delivery, destination, Deferred()))
        return self.sent[-1][2]

    def resolve(self, name: str, _key: str = "") -> Destination | None:
        """
        Every destination but one is there.
        """
        return None if name == "nowhere" else Destination(name=name, url="https://hooks.example.org/x")

    def begin(self, name: str) -> Deferred[Attempt | None]:
        """
        Begin a test.
        """
        return Deferred.fromCoroutine(self.sample.send(name))

    def test_a_notification_that_says_what_it_is(self) -> None:
        """
        What is sent looks like the news of a streamer who is announced there, and says in three places that it is none.
        """
        answer = self.begin("streamers.tanuki")
        [(delivery, destination, ended)] = self.sent
        payload = json.loads(delivery.body)
        self.assertEqual(destination.name, "streamers.tanuki")
        self.assertEqual(
            (payload["streamer_login"], payload["streamer_id"], payload["event"]),
            ("tanuki_live", "42", "stream.online"),
        )
        self.assertEqual((payload["id"], payload["test"]), ("test-abc", True))
        self.assertIn("test", payload["stream"]["title"])
        ended.callback(attempt(ok=True))
        self.assertEqual(self.successResultOf(answer), attempt(ok=True))

    def test_the_receivers_own_words(self) -> None:
        """
        The log line about a test that failed quotes what the receiver said.
        """
        self.begin("a")
        with capturedLogs() as logged:
            self.sent[0][2].callback(attempt(response="no such hook", detail="a answered 404."))
        self.assertIn("a answered 404. It said: 'no such hook'.", formatEvent(logged[-1]))

    def test_a_destination_of_nobody(self) -> None:
        """
        A destination to which nobody is announced is tested with somebody made up.
        """
        self.begin("global_webhook")
        self.assertEqual(json.loads(self.sent[0][0].body)["streamer_login"], "example")

    def test_no_such_destination(self) -> None:
        """
        Of a destination that is not configured, nothing is sent.
        """
        self.assertIsNone(self.successResultOf(self.begin("nowhere")))
        self.assertEqual(self.sent, [])

    def test_one_at_a_time(self) -> None:
        """
        While a test is under way another one to the same destination is declined; afterwards, however it ended, not.
        """
        first = self.begin("a")
        self.failureResultOf(self.begin("a"), OperationRefused)
        self.begin("b")
        first.cancel()
        self.failureResultOf(first)
        self.begin("a")
        self.assertEqual([destination.name for _, destination, _ in self.sent], ["a", "b", "a"])
