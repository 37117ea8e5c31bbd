"""
Tests of :mod:`itsjustintv.journal.sqlite.connections`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import JournalUnavailable
from itsjustintv.journal.operation_thread import Operation
from itsjustintv.journal.sqlite.connections import TimedBatch


class Answers:
    """
    A batch that answers as it is told.
    """

    def __init__(self, *results: object) -> None:
        self.results = results
        self.closed = False

    def perform(self, operations: Sequence[Operation[Any]]) -> Sequence[object]:
        return self.results

    def close(self) -> None:
        self.closed = True


class TimedTests(SynchronousTestCase):
    """
    What is told of a transaction.
    """

    def told(self, *results: object) -> list[tuple[int, float]]:
        """
        Have a batch performed that takes two seconds.
        """
        told: list[tuple[int, float]] = []
        seconds: Iterator[int] = count(0, 2)
        batch = Answers(*results)
        timed = TimedBatch(batch, lambda *figures: told.append(figures), lambda: float(next(seconds)))
        self.assertEqual(timed.perform([]), results)
        timed.close()
        self.assertTrue(batch.closed)
        return told

    def test_kept(self) -> None:
        """
        How many operations were kept, and how long it took; those that failed do not count.
        """
        failure = Failure(LookupError())
        self.assertEqual(self.told(None, True, failure), [(2, 2.0)])

    def test_not_kept(self) -> None:
        """
        Of a transaction that kept nothing nothing is told.
        """
        self.assertEqual(self.told(Failure(JournalUnavailable("full"))), [])
