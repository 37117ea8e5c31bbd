"""
How services count requests.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.fakes.rate_limits import Quota


class QuotaTests(SynchronousTestCase):
    """
    Points in windows of time.
    """

    def test_a_window_begins_with_the_first_point(self) -> None:
        """
        The last point is there, the next is not until the window that began with the first one ends.
        """
        quota = Quota(2, 60)
        self.assertEqual([quota.take("a", now) for now in (10, 40, 69.9, 70)], [True, True, False, True])
        self.assertEqual((quota.remaining("a", 70), quota.reset("a", 70)), (1, 130))

    def test_an_aligned_window_begins_at_a_multiple_of_its_length(self) -> None:
        """
        The point after the end of the clock's minute is there.
        """
        quota = Quota(1, 60, aligned=True)
        self.assertEqual([quota.take("a", now) for now in (59, 59.9, 60)], [True, False, True])
        self.assertEqual(quota.reset("a", 61), 120)

    def test_keys_do_not_share(self) -> None:
        """
        What one key took is left to another.
        """
        quota = Quota(1, 60)
        self.assertEqual([quota.take(key, 0) for key in ("a", "b", "a")], [True, True, False])
