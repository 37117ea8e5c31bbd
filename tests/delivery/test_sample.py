"""
Tests of :mod:`itsjustintv.delivery.sample`.
"""

from __future__ import annotations

import json

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.delivery.sample import SampleSender
from itsjustintv.destinations.payload import build_payload
from itsjustintv.errors import OperationRefused
from itsjustintv.model import Action, Attempt, Delivery, Destination, DestinationPolicy, Notice, Streamer
from tests.journal.values import attempt

MAIN = "streamers.tanuki"

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


class PostTests(SynchronousTestCase):
    """
    A test where there are posts.
    """

    def setUp(self) -> None:
        self.sent: list[tuple[Action, str, str]] = []
        self.notices: list[Notice] = []
        self.remote = "99"
        policy = DestinationPolicy(events=("online", "offline", "update"), on_offline="delete", mention=("everyone",))
        self.main = Destination(name=MAIN, url="https://chat.example.org/x", keeps_posts=True, policy=policy)
        self.sample = SampleSender(
            self.send, self.render, lambda *_: self.main, lambda: [TANUKI], lambda: "abc", Clock()
        )

    def send(self, delivery: Delivery, _: Destination) -> Deferred[Attempt]:
        """
        Let everything succeed.
        """
        self.sent.append((delivery.action, delivery.remote, delivery.broadcast))
        remote = self.remote if delivery.action is Action.CREATE else ""
        return succeed(evolve(attempt(ok=True), remote=remote))

    def render(self, notice: Notice, _: str) -> bytes:
        self.notices.append(notice)
        return b"{}"

    def test_the_life_of_a_post(self) -> None:
        """
        The test of a change changes the last test, by its id, as the destination is configured; after it was deleted,
        another one begins anew.
        """
        for event in ("online", "update", "offline", "online"):
            self.assertTrue(self.successResultOf(Deferred.fromCoroutine(self.sample.send(MAIN, event))).ok)
        self.assertEqual(
            self.sent,
            [
                (Action.CREATE, "", "test-abc"),
                (Action.EDIT, "99", "test-abc"),
                (Action.DELETE, "99", "test-abc"),
                (Action.CREATE, "", "test-abc"),
            ],
        )

    def test_a_change_without_a_post(self) -> None:
        """
        Before the first change, a test is posted.
        """
        Deferred.fromCoroutine(self.sample.send(MAIN, "update"))
        self.assertEqual([action for action, *_ in self.sent], [Action.CREATE, Action.EDIT])

    def test_an_id_that_is_not_known(self) -> None:
        """
        What cannot be named is not changed, and the answer says so.
        """
        self.remote = ""
        answer = self.successResultOf(Deferred.fromCoroutine(self.sample.send(MAIN, "offline")))
        self.assertFalse(answer.ok)
        self.assertIn("gave no id", answer.detail)
        self.assertEqual(len(self.sent), 1)

    def test_marked_and_without_a_mention(self) -> None:
        """
        Every notice is marked as a test, also in the name, the one text that a template may show alone, and mentions no
        one, whatever is configured.
        """
        for event in ("online", "update", "offline"):
            Deferred.fromCoroutine(self.sample.send(MAIN, event))
        for notice in self.notices:
            self.assertTrue(notice.test)
            self.assertFalse(notice.mention)
            self.assertEqual(notice.event.broadcaster_name, "tanuki_live (test)")
            self.assertIn("test notification", notice.enrichment.stream.title)
