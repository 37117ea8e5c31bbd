"""
Tests for :mod:`itsjustintv.journal.operation_thread`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from itsjustintv.errors import JournalUnavailable
from itsjustintv.journal.operation_thread import Operation, OperationThread
from itsjustintv.journal.sqlite.journal import SQLiteJournal
from tests.journal.sqlite.test_journal import JournalCase


class Broken:
    """
    A batch with a defect.
    """

    def perform(self, operations: Sequence[Operation[Any]]) -> Sequence[object]:
        """
        Raise, which no batch may.
        """
        raise ZeroDivisionError

    def close(self) -> None:
        """
        Have nothing to let go of.
        """


class Counted:
    """
    A batch that counts what it is given, and answers with nothing.
    """

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def perform(self, operations: Sequence[Operation[Any]]) -> Sequence[object]:
        """
        Count.
        """
        self.sizes.append(len(operations))
        return [None for _ in operations]

    def close(self) -> None:
        """
        Have nothing to let go of.
        """


class GatheringTests(TestCase):
    """
    What is a batch.
    """

    timeout = 20

    def test_nothing_is_handed_over_within_a_turn(self) -> None:
        """
        What is asked in one turn of the reactor reaches the thread in one piece, once the turn is over.
        """
        later: list[Callable[[], None]] = []
        thread = OperationThread(SimpleNamespace(callFromThread=later.append), Counted())  # type: ignore[arg-type]
        for _ in range(3):
            thread.submit(lambda _: None)
        self.assertTrue(thread._queue.empty())
        for call in later:
            call()
        self.assertEqual(len(thread._queue.get_nowait() or ()), 3)
        self.assertTrue(thread._queue.empty())

    async def test_one_turn_is_one_batch(self) -> None:
        """
        What is asked in one turn of the reactor is performed together, at the very end too.
        """
        batch = Counted()
        thread = OperationThread(reactor, batch)
        thread.start("counted")
        await gatherResults([thread.submit(lambda _: None) for _ in range(50)])
        last = gatherResults([thread.submit(lambda _: None) for _ in range(50)])
        await thread.stop()
        await last
        self.assertEqual(batch.sizes, [50, 50])


class DeathTests(TestCase):
    """
    A thread that ends without being asked to.
    """

    timeout = 20

    async def test_nobody_waits_for_a_dead_thread(self) -> None:
        """
        What was asked of it fails, what is asked later fails at once, and a stop does not wait.
        """
        thread = OperationThread(reactor, Broken())
        thread.start("broken")
        self.assertIsNone(thread.died)
        await self.assertFailure(thread.submit(lambda _: None), JournalUnavailable)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.failureResultOf(thread.submit(lambda _: None), JournalUnavailable)
        self.assertIn("restart", str(thread.died))
        await thread.stop()


class HealthTests(JournalCase):
    """
    What a dead thread means to the journal.
    """

    async def test_a_journal_with_a_dead_thread_is_not_well(self) -> None:
        """
        The journal names the problem when its writer, or its reader, has ended.
        """
        for name in ("_writing", "_reading"):
            journal: SQLiteJournal = self.make()
            journal.startService()
            self.assertIsNone(journal.problem())
            thread: OperationThread = getattr(journal, name)
            thread._batch = Broken()
            await self.assertFailure(thread.submit(lambda _: None), JournalUnavailable)
            self.assertIn("restart", str(journal.problem()))
            await journal.stopService()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
