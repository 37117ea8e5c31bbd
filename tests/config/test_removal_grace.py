"""
Tests of :mod:`itsjustintv.config.removal_grace`.
"""

from __future__ import annotations

from math import inf

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.removal_grace import DESTINATIONS, RemovalGrace
from tests.doubles import MemoryLastKnown

NOW = 1_700_000_000.0


class AbsencesTests(SynchronousTestCase):
    """
    The moment from which a grace counts outlives the process.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.last_known = MemoryLastKnown()
        self.configured: set[str] = set()
        self.grace = 600.0
        self.absences = self.started()

    def started(self) -> RemovalGrace:
        """
        As in a new process.
        """
        absences = RemovalGrace(
            DESTINATIONS, self.last_known, self.clock, lambda name: name not in self.configured, lambda: self.grace
        )
        absences.startService()
        self.addCleanup(absences.stopService)
        return absences

    def stored(self) -> list[str]:
        """
        The names that are in the journal.
        """
        return sorted(self.last_known.values.get(DESTINATIONS, {}))

    def test_the_grace_begins_with_the_first_question(self) -> None:
        """
        However often it is asked, and whatever else is missing.
        """
        self.assertEqual(self.absences.ends("a"), NOW + 600)
        self.clock.advance(100)
        self.assertEqual(self.absences.ends("a"), NOW + 600)
        self.assertEqual(self.absences.ends("b"), NOW + 700)

    def test_a_restart_neither_shortens_nor_prolongs_it(self) -> None:
        """
        However the process before has ended, and however many there are.
        """
        self.absences.ends("a")
        for _ in range(5):
            self.clock.advance(100)
            self.absences = self.started()
            self.assertEqual(self.absences.ends("a"), NOW + 600)

    def test_the_length_is_that_of_the_moment(self) -> None:
        """
        A grace that is configured anew holds for what is missing already.
        """
        self.absences.ends("a")
        self.grace = 3600.0
        self.assertEqual(self.absences.ends("a"), NOW + 3600)

    def test_what_returns_has_another_grace_the_next_time(self) -> None:
        """
        And nothing of the first is left in the journal.
        """
        self.absences.ends("a")
        self.assertEqual(self.stored(), ["a"])
        self.configured.add("a")
        self.absences.refresh()
        self.assertEqual(self.stored(), [])
        self.configured.clear()
        self.clock.advance(300)
        self.assertEqual(self.absences.ends("a"), NOW + 900)

    def test_what_returned_while_the_daemon_was_down(self) -> None:
        """
        A name that is configured at the start was not missing.
        """
        self.absences.ends("a")
        self.configured.add("a")
        self.absences = self.started()
        self.assertEqual(self.stored(), [])

    def test_what_is_found_long_after_the_end_has_a_grace_of_its_own(self) -> None:
        """
        A daemon that did not run for days ends nothing at its start.
        """
        self.absences.ends("a")
        self.clock.advance(86400)
        self.absences = self.started()
        self.assertEqual(self.absences.ends("a"), NOW + 86400 + 600)

    def test_nothing_waits_any_more(self) -> None:
        """
        What is requeued afterwards has a grace of its own.
        """
        self.absences.ends("a")
        self.clock.advance(600)
        self.absences.forget("a")
        self.assertEqual(self.stored(), [])
        self.assertEqual(self.absences.ends("a"), NOW + 1200)

    def test_nothing_ends_before_the_journal_was_read(self) -> None:
        """
        As long as it cannot be, there is no end; then the stored moment counts.
        """
        self.absences.ends("a")
        self.last_known.broken = "disk full"
        self.absences = self.started()
        self.clock.advance(3)
        self.assertEqual(self.absences.ends("a"), inf)
        self.last_known.broken = None
        self.clock.advance(5)
        self.assertEqual(self.absences.ends("a"), NOW + 600)

    def test_what_cannot_be_stored_is_tried_again(self) -> None:
        """
        A full disk delays the storing, not the grace.
        """
        self.last_known.broken = "disk full"
        self.assertEqual(self.absences.ends("a"), NOW + 600)
        self.assertEqual(self.stored(), [])
        self.last_known.broken = None
        self.clock.advance(5)
        self.assertEqual(self.stored(), ["a"])

    def test_a_clock_that_was_set_back(self) -> None:
        """
        A moment in the future counts from now: the grace is never longer than it says.
        """
        self.absences.ends("a")
        self.clock = Clock()
        self.clock.advance(NOW - 86400)
        self.absences = self.started()
        self.assertEqual(self.absences.ends("a"), NOW - 86400 + 600)

    def test_a_stop_leaves_nothing_behind(self) -> None:
        """
        Whatever could not be stored.
        """
        self.last_known.broken = "disk full"
        self.absences.ends("a")
        self.absences.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
