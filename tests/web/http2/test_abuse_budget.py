"""
Tests of :mod:`itsjustintv.web.http2.flow_limit`.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.web.http2.flow_limit import AbuseBudget


class AbuseBudgetTests(SynchronousTestCase):
    """
    How much of it there is.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.budget = AbuseBudget(self.clock)

    def test_is_worn_out_in_the_end(self) -> None:
        """
        And there again after a while.
        """
        self.budget.spend(1000)
        self.assertFalse(self.budget.is_exhausted)
        self.budget.spend(1)
        self.assertTrue(self.budget.is_exhausted)
        self.clock.advance(0.5)
        self.budget.spend(49)
        self.assertFalse(self.budget.is_exhausted)

    def test_is_not_gathered_without_end(self) -> None:
        """
        Neither by a quiet day nor by good deeds.
        """
        self.clock.advance(86_400)
        self.budget.spend(0)
        self.budget.restore(5000)
        self.budget.spend(1001)
        self.assertTrue(self.budget.is_exhausted)

    def test_a_clock_that_is_set_back_costs_none(self) -> None:
        """
        Nor does it give any.
        """
        self.clock.rightNow -= 900
        self.budget.spend(1000)
        self.assertFalse(self.budget.is_exhausted)
        self.budget.spend(1)
        self.assertTrue(self.budget.is_exhausted)
