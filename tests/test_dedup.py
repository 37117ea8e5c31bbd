"""
What was announced already, in memory.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.dedup import Seen, SeenEvents

KEYS = ("broadcast", "message")


class SeenEventsTests(SynchronousTestCase):
    """
    New, pending, known, and new again.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = 1000.0
        self.seen = SeenEvents(self.clock)

    def test_claimed_is_pending(self) -> None:
        """
        From its claim on, a copy by either key is pending, and others are new.
        """
        self.assertIs(self.seen.state(KEYS), Seen.NEW)
        self.seen.claim(KEYS)
        self.assertIs(self.seen.state(("broadcast", "another message")), Seen.PENDING)
        self.assertIs(self.seen.state(("another broadcast", "message")), Seen.PENDING)
        self.assertIs(self.seen.state(("another broadcast", "another message")), Seen.NEW)

    def test_confirmed_is_known_until_it_expires(self) -> None:
        """
        What was committed is known by either key until its expiry, and then it is forgotten.
        """
        self.seen.claim(KEYS)
        self.seen.confirm(KEYS, 1010.0)
        self.assertIs(self.seen.state(("broadcast", "another message")), Seen.KNOWN)
        self.clock.advance(9.9)
        self.assertIs(self.seen.state(("another broadcast", "message")), Seen.KNOWN)
        self.assertEqual(len(self.seen), 2)
        self.clock.advance(0.1)
        self.assertIs(self.seen.state(KEYS), Seen.NEW)
        self.assertEqual(len(self.seen), 0)

    def test_released_is_new(self) -> None:
        """
        What could not be committed was never seen.
        """
        self.seen.claim(KEYS)
        self.seen.release(KEYS)
        self.assertIs(self.seen.state(KEYS), Seen.NEW)
        self.seen.claim(KEYS)

    def test_claimed_once(self) -> None:
        """
        Two cannot commit one event, and the second one's attempt leaves nothing behind.
        """
        self.seen.claim(KEYS)
        self.assertRaises(ValueError, self.seen.claim, ("another broadcast", "message"))
        self.assertIs(self.seen.state(("another broadcast",)), Seen.NEW)

    def test_loaded_is_known(self) -> None:
        """
        What the journal remembers is known, what has expired meanwhile is not.
        """
        self.seen.load([("old", 1000.0), ("young", 1001.0)])
        self.assertIs(self.seen.state(("young",)), Seen.KNOWN)
        self.assertIs(self.seen.state(("old",)), Seen.NEW)

    def test_last_expiry_counts(self) -> None:
        """
        A key that is confirmed again expires when it was told last, sooner or later.
        """
        self.seen.confirm(("longer",), 1010.0)
        self.seen.confirm(("longer",), 1020.0)
        self.seen.confirm(("shorter",), 1020.0)
        self.seen.confirm(("shorter",), 1010.0)
        self.clock.advance(15.0)
        self.assertIs(self.seen.state(("longer",)), Seen.KNOWN)
        self.assertIs(self.seen.state(("shorter",)), Seen.NEW)

    def test_a_copy_waits_for_the_end_of_the_claim(self) -> None:
        """
        Whoever waits hears of the end of the claim, well or badly, after the state has changed; without a claim, at
        once.
        """
        self.successResultOf(self.seen.settled(KEYS))
        for end in (self.seen.release, lambda keys: self.seen.confirm(keys, 1010.0)):
            self.seen.claim(KEYS)
            heard: list[Seen] = []
            waiting = self.seen.settled(("another broadcast", "message"))
            waiting.addCallback(lambda _, heard=heard: heard.append(self.seen.state(KEYS)))
            self.assertNoResult(waiting)
            end(KEYS)
            self.successResultOf(waiting)
            self.assertNotEqual(heard, [Seen.PENDING])

    def test_one_copy_takes_over(self) -> None:
        """
        When a commit fails, the first copy that waits can claim, and the next one finds that claim.
        """
        self.seen.claim(KEYS)
        first, second = self.seen.settled(KEYS), self.seen.settled(KEYS)
        found: list[Seen] = []
        first.addCallback(lambda _: self.seen.claim(KEYS))
        second.addCallback(lambda _: found.append(self.seen.state(KEYS)))
        self.seen.release(KEYS)
        self.successResultOf(first)
        self.assertEqual(found, [Seen.PENDING])

    def test_a_wait_can_be_cancelled(self) -> None:
        """
        Who stops waiting disturbs neither the claim nor the others.
        """
        self.seen.claim(KEYS)
        first, second = self.seen.settled(KEYS), self.seen.settled(KEYS)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertIs(self.seen.state(KEYS), Seen.PENDING)
        self.seen.release(KEYS)
        self.successResultOf(second)

    @given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 20), st.floats(0, 5))))
    def test_never_twice_within_the_time_to_live(self, arrivals: list[tuple[str, float, float]]) -> None:
        """
        A key is known exactly until the expiry it was last given.
        """
        clock = Clock()
        seen = SeenEvents(clock)
        expiries: dict[str, float] = {}
        for key, ttl, pause in arrivals:
            clock.advance(pause)
            known = expiries.get(key, 0.0) > clock.seconds()
            self.assertIs(seen.state((key,)), Seen.KNOWN if known else Seen.NEW)
            if not known:
                expiries[key] = clock.seconds() + ttl
                seen.claim((key,))
                seen.confirm((key,), expiries[key])
            self.assertEqual(len(seen), sum(at > clock.seconds() for at in expiries.values()))
