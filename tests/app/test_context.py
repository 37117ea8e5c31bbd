"""
Names for events.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.app.context import EventIds


class EventIdsTests(SynchronousTestCase):
    """
    What an id is good for.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = 1_767_323_046.789
        self.ids = EventIds(self.clock, "a1b2c3d4e5f6")

    def test_sort_by_time(self) -> None:
        """
        A later id is a greater one, within a millisecond too.
        """
        made = [self.ids() for _ in range(300)]
        self.clock.advance(0.001)
        made += [self.ids() for _ in range(300)]
        self.assertEqual(sorted(set(made)), made)

    def test_differ_after_a_restart(self) -> None:
        """
        Another process makes others, at the same moment too.
        """
        self.assertNotEqual(self.ids(), EventIds(self.clock, "0a0b0c0d0e0f")())

    def test_form(self) -> None:
        """
        They are as long as ever, and hold nothing that Standard Webhooks would take for a separator.
        """
        self.assertRegex(self.ids(), "^[0-9a-f]{32}$")
