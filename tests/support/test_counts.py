"""
Tests for :mod:`itsjustintv.support.counts`.
"""

from __future__ import annotations

import json

from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.support.counts import Counted, count, inflect


class CountTests(SynchronousTestCase):
    """
    One and many.
    """

    def test_numbers_and_nouns_agree(self) -> None:
        """
        One of a thing is singular, and whatever else there is of it is plural, with the verb that goes with it.
        """
        self.assertEqual([count(each, "streamer") for each in (0, 1, 2)], ["0 streamers", "1 streamer", "2 streamers"])
        self.assertEqual([count(each, "delivery") for each in (1, 1234)], ["1 delivery", "1234 deliveries"])
        self.assertEqual(
            [count(2, each) for each in ("address", "key", "match")], ["2 addresses", "2 keys", "2 matches"]
        )
        self.assertEqual(count(1, "delivery", ("waits", "wait")), "1 delivery waits")
        self.assertEqual(count(0, "delivery", ("waits", "wait")), "0 deliveries wait")
        self.assertEqual([inflect(each, "delivery") for each in (1, 2)], ["delivery", "deliveries"])

    def test_in_the_log(self) -> None:
        """
        A sentence has the words, and a program the number.
        """
        number = Counted(1, "connection")
        self.assertEqual(formatEvent({"log_format": "cut {count}", "count": number}), "cut 1 connection")
        self.assertEqual((json.dumps({"count": number}), number + 1, f"{number:d}"), ('{"count": 1}', 2, "1"))
