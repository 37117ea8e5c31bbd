"""
Tests of :mod:`itsjustintv.web.http2.flow_limit`.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.web.http2.flow_limit import AbuseBudget


class PatienceTests(SynchronousTestCase):
    """
    How much of it there is.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.patience = AbuseBudget(self.clock)

    def test_is_worn_out_in_the_end(self) -> None:
        """
        And there again after a while.
        """
        self.patience.spend(1000)
        self.assertFalse(self.patience.exhausted)
        self.patience.spend(1)
        self.assertTrue(self.patience.exhausted)
        self.clock.advance(0.5)
        self.patience.spend(49)
        self.assertFalse(self.patience.exhausted)

    def test_is_not_gathered_without_end(self) -> None:
        """
        Neither by a quiet day nor by good deeds.
        """
        self.clock.advance(86_400)
        self.patience.spend(0)
        self.patience.restore(5000)
        self.patience.spend(1001)
        self.assertTrue(self.patience.exhausted)

    def test_a_clock_that_is_set_back_costs_none(self) -> None:
        """
        Nor does it give any.
        """
        self.clock.rightNow -= 900
        self.patience.spend(1000)
        self.assertFalse(self.patience.exhausted)
        self.patience.spend(1)
        self.assertTrue(self.patience.exhausted)
