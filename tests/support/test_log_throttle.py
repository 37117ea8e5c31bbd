"""
Tests of :mod:`itsjustintv.support.log_throttle`.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.support.log_throttle import LogOnChange, LogThrottle


class LogThrottleTests(SynchronousTestCase):
    """
    A line for each interval.
    """

    def test_count(self) -> None:
        """
        The first event of a kind is logged; the next line stands for all since, and kinds do not hinder each other.
        """
        clock = Clock()
        throttle = LogThrottle(clock, 10.0)
        self.assertEqual([throttle.count("a"), throttle.count("a"), throttle.count("b")], [1, 0, 1])
        clock.advance(9.0)
        self.assertEqual(throttle.count("a"), 0)
        clock.advance(1.0)
        self.assertEqual([throttle.count("a"), throttle.count("a")], [3, 0])


class LogOnChangeTests(SynchronousTestCase):
    """
    A line for each change.
    """

    def test_changes(self) -> None:
        """
        The same state is logged once for each subject, another one again, and after a reset the same one too.
        """
        lines = LogOnChange()
        self.assertEqual([lines.is_new(each) for each in ("full", "full", "away", "full")], [True, False, True, True])
        self.assertEqual([lines.is_new("full", each) for each in ("disk", "disk")], [True, False])
        lines.reset("disk")
        self.assertEqual([lines.is_new("full"), lines.is_new("full", "disk")], [False, True])
        lines.reset("never logged")
