"""
Tests of :mod:`itsjustintv.admin.live_updates`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from itsjustintv.admin.live_updates import EventsResource, LiveUpdates
from tests.admin.values import House


class Stream(DummyRequest):
    """
    An answer that somebody may cease to read.
    """

    producer: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer
        assert streaming

    def unregisterProducer(self) -> None:
        self.producer = None

    def finish(self) -> None:
        # As Twisted's own requests demand.
        assert self.producer is None
        super().finish()

    def loseConnection(self) -> None:
        self.processingFailed(Failure(ConnectionDone()))


class PulseTests(SynchronousTestCase):
    """
    A stream that says when to look again.
    """

    def setUp(self) -> None:
        self.house, self.clock = House(), Clock()
        self.looks = 0
        self.pulse = LiveUpdates(self.mark, self.clock, "p", most=4, each=3)
        self.pulse.startService()
        self.client = "one"
        self.resource = EventsResource(self.pulse, lambda _: self.client)

    async def mark(self) -> object:
        self.looks += 1
        if self.house.hold is not None:
            await self.house.hold
        return await self.house.mark()

    def listen(self, since: str = "", last: str = "", method: bytes = b"GET") -> Any:
        """
        Somebody begins to listen.
        """
        request: Any = Stream([b"events"])
        request.method = method
        request.args = {b"since": [since.encode()]} if since else {}
        if last:
            request.requestHeaders.setRawHeaders("Last-Event-ID", [last])
        self.resource.render(request)
        return request

    def said(self, request: Any) -> list[str]:
        """
        The ids of the events that somebody has heard.
        """
        text = b"".join(request.written).decode()
        return [line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: ")]

    def leave(self, request: Any) -> None:
        """
        Somebody hangs up.
        """
        request.processingFailed(Failure(ConnectionDone()))

    def test_changes_are_told_once(self) -> None:
        """
        Within a second of a change everybody hears of it, and nobody hears of it twice.
        """
        one, other = self.listen("p.0"), self.listen("p.1")
        self.assertEqual((self.said(one), self.said(other)), (["p.1"], []))
        self.clock.pump([1.0] * 5)
        self.house.version += 1
        self.clock.pump([1.0] * 5)
        self.assertEqual((self.said(one), self.said(other)), (["p.1", "p.2"], ["p.2"]))

    def test_the_form_of_an_event(self) -> None:
        """
        It begins with how soon to come again, and each event has an id, a name and its data.
        """
        request = self.listen("p.7")
        self.assertEqual(request.written[:2], [b"retry: 2000\n\n", b"id: p.0\nevent: change\ndata: p.0\n\n"])
        self.assertEqual(request.responseHeaders.getRawHeaders("Content-Type"), ["text/event-stream"])

    def test_coming_back(self) -> None:
        """
        Whoever comes back hears at once if he has missed something, also from another process, and else nothing.
        """
        first = self.listen()
        self.assertEqual(self.said(self.listen(since="p.0", last="p.1")), [])
        self.assertEqual(self.said(self.listen(since="p.1", last="q.1")), ["p.1"])
        self.leave(first)

    def test_nobody_listens(self) -> None:
        """
        Nothing is looked at while nobody listens, and what happened meanwhile is told to whoever comes then.
        """
        self.clock.advance(60)
        self.assertEqual(self.looks, 0)
        self.leave(self.listen())
        before = self.looks
        self.clock.advance(60)
        self.assertEqual(self.looks, before)
        version, self.house.version = self.pulse.version, 1
        self.assertEqual(self.said(self.listen(version)), ["p.2"])

    def test_signs_of_life(self) -> None:
        """
        A stream on which nothing happens says so from time to time, or a proxy would end it.
        """
        request = self.listen()
        self.clock.pump([1.0] * 40)
        self.assertEqual(request.written.count(b": nothing new\n\n"), 2)

    def test_too_many(self) -> None:
        """
        So many may listen; the next one is asked to come later, until somebody leaves.
        """
        listening = [self.listen() for _ in range(3)]
        refused = self.listen()
        self.assertEqual(refused.responseCode, 503)
        self.assertEqual(refused.responseHeaders.getRawHeaders("Retry-After"), ["10"])
        self.leave(listening[0])
        self.assertIsNone(self.listen().responseCode)

    def test_too_many_of_one_client(self) -> None:
        """
        One client takes so many places, and no more, so that there are some for others.
        """
        listening = [self.listen() for _ in range(1000)]
        self.assertEqual([each.responseCode for each in listening[:4]], [None, None, None, 503])
        self.assertEqual(sum(each.responseCode == 503 for each in listening), 997)
        self.client = "another"
        self.assertIsNone(self.listen().responseCode)
        self.assertEqual(self.listen().responseCode, 503)
        self.leave(listening[0])
        self.assertIsNone(self.listen().responseCode)

    def test_somebody_who_does_not_read(self) -> None:
        """
        Whoever takes nothing of what he is told is hung up on when no more can wait for him; the others go on.
        """
        deaf, other = self.listen("p.0"), self.listen("p.1")
        deaf.producer.resumeProducing()
        deaf.producer.pauseProducing()
        deaf.producer.stopProducing()
        self.house.version += 1
        self.clock.advance(1)
        self.assertEqual((self.said(deaf), self.said(other)), (["p.1"], ["p.2"]))

    def test_another_method(self) -> None:
        """
        A stream is only read.
        """
        self.assertEqual(self.listen(method=b"POST").responseCode, 405)

    def test_the_journal_is_away(self) -> None:
        """
        That the journal goes away, and comes back, are changes too.
        """
        request = self.listen("p.1")
        self.house.away = True
        self.clock.pump([1.0] * 3)
        self.house.away = False
        self.clock.pump([1.0] * 3)
        self.assertEqual(self.said(request)[-3:], ["p.1", "p.2", "p.3"])

    def test_a_defect(self) -> None:
        """
        A defect of a part is logged, and the looking goes on.
        """
        request = self.listen("p.1")
        self.patch(House, "mark", lambda _: 1 / 0)
        self.clock.advance(1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.patch(House, "mark", _other)
        self.clock.advance(1)
        self.assertEqual(self.said(request)[-1], "p.2")

    def test_a_look_that_takes_long(self) -> None:
        """
        While one look is waited for there is no other.
        """
        self.house.hold = Deferred()
        self.listen()
        self.clock.pump([1.0] * 10)
        self.assertEqual(self.looks, 1)

    def test_dismissed(self) -> None:
        """
        When the token has changed everybody is sent away; a stop does the same, and gives up the look under way.
        """
        request = self.listen()
        self.pulse.dismiss()
        self.assertEqual(request.finished, 1)
        given_up: list[object] = []
        self.house.hold = Deferred(given_up.append)
        request = self.listen()
        self.pulse.stopService()
        self.assertEqual((request.finished, len(given_up)), (1, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])


async def _other(_: House) -> object:
    return "something else"
