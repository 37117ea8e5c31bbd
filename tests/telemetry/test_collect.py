"""
Tests of :mod:`itsjustintv.telemetry.collect` and :mod:`itsjustintv.telemetry.prometheus`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import NOT_DONE_YET
from twisted.web.test.requesthelper import DummyRequest

from itsjustintv.errors import JournalUnavailable
from itsjustintv.model import Accounting, Census
from itsjustintv.telemetry.collect import Collection
from itsjustintv.telemetry.instruments import Family, Kind, Registry
from itsjustintv.telemetry.prometheus import MetricsResource

WANTED = Family(name="wanted", kind=Kind.GAUGE, help="Wanted.")


def census(wanted: int) -> Census:
    """
    A journal that wanted so many.
    """
    accounting = Accounting(
        wanted=wanted, accepted=0, pending=0, delivered=wanted, dead=0, expired=0, filtered=0, cancelled=0
    )
    return Census(accounting=accounting, pending={}, oldest_at=None, dead=0, undelivered=0, newest_at=None)


class CollectionCase(SynchronousTestCase):
    """
    A journal that answers when it is told to, and one gauge of what it said.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.asked: list[Deferred[Census]] = []
        registry = Registry()
        self.collection = Collection(registry, self.ask, self.clock, maybeDeferred)
        registry.observe_one(
            WANTED, lambda: None if self.collection.census is None else self.collection.census.accounting.wanted
        )

    def ask(self) -> Deferred[Census]:
        """
        Begin to count.
        """
        self.asked.append(Deferred())
        return self.asked[-1]

    def wanted(self, text: bytes) -> list[str]:
        """
        What a text says of the gauge.
        """
        return [line for line in text.decode().splitlines() if not line.startswith("#")]


class CollectionTests(CollectionCase):
    """
    What is read, and how fresh it is.
    """

    def test_the_journal_is_asked_first(self) -> None:
        """
        What the journal says is in the same text.
        """
        text = self.collection.text()
        self.assertNoResult(text)
        self.asked[0].callback(census(7))
        self.assertEqual(self.wanted(self.successResultOf(text)), ["wanted 7"])

    def test_many_readers_are_one_question(self) -> None:
        """
        Whoever comes meanwhile shares the answer, and so does whoever comes within a second.
        """
        texts = [self.collection.text() for _ in range(3)]
        self.asked[0].callback(census(7))
        self.assertEqual([self.wanted(self.successResultOf(text)) for text in texts], [["wanted 7"]] * 3)
        self.clock.advance(0.9)
        self.successResultOf(self.collection.text())
        self.assertEqual(len(self.asked), 1)
        self.clock.advance(0.2)
        later = self.collection.text()
        self.asked[1].callback(census(8))
        self.assertEqual(self.wanted(self.successResultOf(later)), ["wanted 8"])

    def test_a_clock_that_was_set_back(self) -> None:
        """
        It does not make old numbers young.
        """
        first = self.collection.text()
        self.asked[0].callback(census(7))
        self.successResultOf(first)
        self.clock.rightNow -= 500.0
        self.collection.text()
        self.assertEqual(len(self.asked), 2)

    def test_a_journal_that_does_not_answer(self) -> None:
        """
        After two seconds what it said before will do; it is asked once only, and its answer counts when it comes.
        """
        first = self.collection.text()
        self.asked[0].callback(census(7))
        self.successResultOf(first)
        self.clock.advance(10.0)
        for _ in range(2):
            late = self.collection.text()
            self.clock.advance(1.9)
            self.assertNoResult(late)
            self.clock.advance(0.2)
            self.assertEqual(self.wanted(self.successResultOf(late)), ["wanted 7"])
        self.assertEqual(len(self.asked), 2)
        self.asked[1].callback(census(9))
        self.assertEqual(self.wanted(self.successResultOf(self.collection.text())), ["wanted 9"])

    def test_a_journal_that_cannot_be_read(self) -> None:
        """
        That hides nothing else, and is not said here: the journal says it.
        """
        text = self.collection.text()
        self.asked[0].errback(JournalUnavailable("full"))
        self.assertEqual(self.wanted(self.successResultOf(text)), [])

    def test_a_journal_that_is_closed(self) -> None:
        """
        It refuses at once, and that is no defect.
        """
        self.ask = lambda: fail(JournalUnavailable("closed"))  # type: ignore[method-assign]
        collection = Collection(Registry(), self.ask, self.clock, maybeDeferred)
        for _ in range(2):
            self.assertEqual(self.successResultOf(collection.text()), b"")

    def test_a_defect_of_the_journal(self) -> None:
        """
        A defect is logged, and hides nothing else.
        """
        text = self.collection.text()
        self.asked[0].errback(RuntimeError("a defect"))
        self.assertEqual(self.wanted(self.successResultOf(text)), [])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_reader_that_leaves(self) -> None:
        """
        The others get their answer.
        """
        gone, text = self.collection.text(), self.collection.text()
        gone.cancel()
        self.failureResultOf(gone)
        self.asked[0].callback(census(7))
        self.assertEqual(self.wanted(self.successResultOf(text)), ["wanted 7"])


class ResourceTests(SynchronousTestCase):
    """
    ``/metrics``.
    """

    def ask(self, text: Deferred[bytes], method: bytes = b"GET") -> Any:
        """
        Ask for the metrics.
        """
        request: Any = DummyRequest([b"metrics"])
        request.method = method
        self.assertEqual(MetricsResource(lambda: text).render(request), NOT_DONE_YET)
        return request

    def test_answered(self) -> None:
        """
        The text comes with its kind and length.
        """
        request = self.ask(succeed(b"up 1\n"))
        self.assertEqual((request.written, request.finished), ([b"up 1\n"], 1))
        headers = {name: values[0] for name, values in request.responseHeaders.getAllRawHeaders()}
        self.assertEqual(headers[b"Content-Type"], b"text/plain; version=0.0.4; charset=utf-8")
        self.assertEqual(headers[b"Content-Length"], b"5")

    def test_head(self) -> None:
        """
        HEAD is answered like GET, without the text.
        """
        request = self.ask(succeed(b"up 1\n"), b"HEAD")
        self.assertEqual(request.written, [b""])

    def test_a_reader_that_leaves(self) -> None:
        """
        Nothing is written to nobody.
        """
        text: Deferred[bytes] = Deferred()
        request = self.ask(text)
        request.processingFailed(ConnectionError())
        self.assertTrue(text.called)
        self.assertEqual((request.written, request.responseCode), ([], None))

    def test_a_defect(self) -> None:
        """
        It is logged, and answered with 500.
        """
        request = self.ask(fail(RuntimeError("a defect")))
        self.assertEqual((request.responseCode, request.finished), (500, 1))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
