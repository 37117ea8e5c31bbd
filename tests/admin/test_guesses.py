"""
Tests of :mod:`itsjustintv.admin.auth`.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.admin.auth import Guesses


class GuessesTests(SynchronousTestCase):
    """
    Who has to wait.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_767_323_046)
        self.guesses = Guesses(self.clock, burst=3, pause=10.0, most=4)

    def guess(self, client: str = "a", times: int = 1) -> int:
        """
        Be wrong as often as is allowed; answers how often that was.
        """
        allowed = [self.guesses.seconds_left(client) or self.guesses.count_wrong(client) for _ in range(times)]
        return allowed.count(None)

    def test_some_and_then_one_by_one(self) -> None:
        """
        Some are looked at at once, and then one in so many seconds; after a while of silence it is some again.
        """
        self.assertEqual(self.guess(times=9), 3)
        self.assertEqual(self.guesses.seconds_left("a"), 10)
        self.clock.advance(9)
        self.assertEqual((self.guess(), self.guesses.seconds_left("a")), (0, 1))
        self.clock.advance(1)
        self.assertEqual(self.guess(times=9), 1)
        self.clock.advance(30)
        self.assertEqual(self.guess(times=9), 3)

    def test_others_do_not_wait(self) -> None:
        """
        However often one is wrong, another one does not wait.
        """
        self.guess("a", 1000)
        self.assertEqual((self.guesses.seconds_left("b"), self.guess("b")), (0, 1))

    def test_it_is_bounded(self) -> None:
        """
        Of many clients those that were wrong last are remembered.
        """
        self.guess("a", 3)
        for each in "bcd":
            self.guess(each, 1)
        self.assertGreater(self.guesses.seconds_left("a"), 0)
        self.guess("e", 1)
        self.assertEqual(self.guesses.seconds_left("a"), 0)

    @given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(-1e6, 1e6)), max_size=60))
    def test_any_clock(self, steps: list[tuple[str, float]]) -> None:
        """
        However the clock jumps, nobody waits longer than all that is to be made up for, and little is remembered.
        """
        self.setUp()
        for client, lapse in steps:
            self.clock.rightNow += lapse
            self.guess(client, 5)
            self.assertLessEqual(self.guesses.seconds_left(client), 30)
            self.assertLessEqual(len(self.guesses._until), 4)
