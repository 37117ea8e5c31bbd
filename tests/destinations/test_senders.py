"""
Tests for :mod:`itsjustintv.destinations.senders`.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, evolve, field
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request
from zope.interface import implementer
from zope.interface.verify import verifyObject

from itsjustintv.destinations.senders import Senders
from itsjustintv.destinations.webhook import WEBHOOK
from itsjustintv.interfaces import ISender, SenderTools
from itsjustintv.model import Attempt, Delivery, Destination
from itsjustintv.support.egress import EgressPolicy

WHAT = Delivery(
    id="1-1", event_id="1", streamer="ada", destination="x", accepted_at=0.0, next_attempt_at=0.0, body=b"{}"
)


class Receiver(Resource):
    """
    Takes everything.
    """

    isLeaf = True

    def render(self, request: Request) -> bytes:
        return b""


@implementer(ISender)
@define(eq=False)
class Pigeon:
    """
    A sender that only notes what it was given.
    """

    sent: list[str] = field(factory=list)
    followed: list[list[str]] = field(factory=list)
    stopped: Deferred[None] | None = None

    def send(self, delivery: Delivery, destination: Destination) -> Deferred[Attempt]:
        self.sent.append(destination.name)
        return succeed(Attempt(ok=True, reason="delivered", detail="It flew.", started_at=0.0, duration=0.0))

    def follow(self, destinations: Sequence[Destination]) -> None:
        self.followed.append([each.name for each in destinations])

    def stop(self) -> Deferred[None]:
        self.stopped = Deferred()
        return self.stopped


class SendersTests(SynchronousTestCase):
    """
    The sender of a kind sends what is of its kind.
    """

    def setUp(self) -> None:
        self.made: list[Pigeon] = []

        def make(_tools: SenderTools) -> Pigeon:
            self.made.append(Pigeon())
            return self.made[-1]

        self.tools = tools = SenderTools(
            reactor=Clock(),
            agent=RequestTraversalAgent(Receiver()),
            egress=EgressPolicy,
            timeout=lambda: 5.0,
            wall=lambda: 0.0,
        )
        pigeon = evolve(WEBHOOK, name="pigeon", make_sender=make)
        self.senders = Senders({"webhook": WEBHOOK, "pigeon": pigeon}, tools)
        self.senders.startService()

    def send(self, kind: str, name: str) -> Attempt:
        where = Destination(name=name, url="http://example.org/", kind=kind)
        return self.successResultOf(self.senders.send(WHAT, where))

    def test_interface(self) -> None:
        """
        The usual sender and the special one provide the whole interface.
        """
        self.send("pigeon", "loft")
        for each in (self.made[0], self.senders._http):
            verifyObject(ISender, each)

    def test_http_unless_the_kind_says_otherwise(self) -> None:
        """
        A kind without a sender of its own sends one HTTP request, and makes no other sender.
        """
        self.assertEqual(self.send("webhook", "home").status, 200)
        self.assertEqual(self.made, [])

    def test_one_for_each_kind(self) -> None:
        """
        The sender of a kind is made when it is needed, once for all destinations of the kind.
        """
        self.assertEqual(self.send("pigeon", "loft").detail, "It flew.")
        self.send("pigeon", "tower")
        self.assertEqual([each.sent for each in self.made], [["loft", "tower"]])

    def test_stopped_with_the_daemon(self) -> None:
        """
        A stop waits until each sender that was made has stopped.
        """
        self.send("pigeon", "loft")
        stopping = self.senders.stopService()
        self.assertNoResult(stopping)
        stopped = self.made[0].stopped
        assert stopped is not None
        stopped.callback(None)
        self.assertIsNone(self.successResultOf(stopping))

    def test_a_sender_that_follows(self) -> None:
        """
        From the start on it knows the destinations of its kind, without a delivery, and after the last one has gone
        that there is none. A kind that is not configured gets no sender.
        """
        made: list[Pigeon] = []
        now = [Destination(name=name, url="", kind=kind) for name, kind in (("a", "stork"), ("b", "pigeon"))]

        def make(_tools: SenderTools) -> Pigeon:
            made.append(Pigeon())
            return made[-1]

        kinds = {
            name: evolve(WEBHOOK, name=name, make_sender=make, follows=follows)
            for name, follows in (("stork", True), ("owl", True), ("pigeon", False))
        }
        senders = Senders(kinds, self.tools, lambda: now)
        senders.startService()
        now.pop(0)
        senders.refresh()
        [stork] = made
        self.assertEqual(stork.followed, [["a"], []])
