"""
Tests for :mod:`itsjustintv.delivery.retry_policy`.
"""

from __future__ import annotations

from random import Random

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import Retry
from itsjustintv.delivery.retry_policy import Next, decide_next, delay, is_too_old, pause_after
from itsjustintv.model import Attempt, State

RETRY = Retry()
PLAIN = Retry(jitter=0.0)
NOW = 1_700_000_000.0

FAILED = Attempt(ok=False, reason="http_503", detail="", started_at=NOW, duration=0.5, status=503)
DELIVERED = evolve(FAILED, ok=True, reason="delivered", status=204)
GONE = evolve(FAILED, reason="gone", status=410, final=True)


def middle() -> float:
    """
    A random number that moves nothing.
    """
    return 0.5


def decide(attempt: Attempt, attempts: int, age: float = 0.0, retry: Retry = PLAIN) -> Next:
    """
    Decide about a delivery of some age.
    """
    return decide_next(attempt, attempts, accepted_at=NOW - age, now=NOW, retry=retry, random=middle)


class DelayTests(SynchronousTestCase):
    """
    The delay grows, and has an upper bound.
    """

    def test_published_schedule(self) -> None:
        """
        After the first attempt 30 s, then twice as long each time, and never more than half an hour.
        """
        self.assertEqual(
            [delay(PLAIN, attempts, middle) for attempts in range(1, 11)],
            [30, 60, 120, 240, 480, 960, 1800, 1800, 1800, 1800],
        )

    def test_million_attempts(self) -> None:
        """
        No number of attempts, and no factor, makes the delay overflow.
        """
        self.assertEqual(delay(PLAIN, 10**6, middle), 1800)
        self.assertEqual(delay(evolve(PLAIN, backoff_factor=1e300), 10**6, middle), 1800)

    @given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0, 1))
    def test_jitter_bounds(self, attempts: int, jitter: float, chance: float) -> None:
        """
        A delay is never further from its nominal value than the share that is configured.
        """
        nominal = delay(PLAIN, attempts, middle)
        actual = delay(evolve(RETRY, jitter=jitter), attempts, lambda: chance)
        self.assertLessEqual(abs(actual - nominal), nominal * jitter + 1e-9)

    def test_no_herd(self) -> None:
        """
        A thousand deliveries that fail together come back spread over more than a third of the delay.
        """
        random = Random(1)
        delays = [delay(RETRY, 1, random.random) for _ in range(1000)]
        self.assertGreater(max(delays) - min(delays), 0.35 * 30)


class AfterTests(SynchronousTestCase):
    """
    Every attempt leads to exactly one decision.
    """

    def test_success(self) -> None:
        """
        A delivery that was taken is delivered, however late and at whichever attempt.
        """
        self.assertEqual(decide(DELIVERED, 10, age=10**6), Next(state=State.DELIVERED, reason="delivered"))

    def test_gone(self) -> None:
        """
        410 ends a delivery at the first attempt.
        """
        self.assertEqual(decide(GONE, 1), Next(state=State.DEAD, reason="gone"))

    def test_the_last_attempt_of_a_kind(self) -> None:
        """
        A failure after which its kind makes no further attempt ends a delivery as if its attempts were used up.
        """
        self.assertEqual(decide(evolve(FAILED, final=True), 4), Next(state=State.DEAD, reason="exhausted"))

    def test_failure_is_retried(self) -> None:
        """
        A failure is tried again after the delay, and keeps its reason.
        """
        self.assertEqual(decide(FAILED, 2), Next(state=State.PENDING, reason="http_503", at=NOW + 60))

    def test_exhausted(self) -> None:
        """
        The last attempt that is configured is the last one.
        """
        bounded = evolve(PLAIN, max_attempts=10)
        self.assertEqual(decide(FAILED, 9, retry=bounded).state, State.PENDING)
        self.assertEqual(decide(FAILED, 10, retry=bounded), Next(state=State.DEAD, reason="exhausted"))

    def test_no_number_of_attempts_ends_it(self) -> None:
        """
        Unless a number is configured, the age of a delivery alone ends it.
        """
        self.assertEqual(decide(FAILED, 10**6), Next(state=State.PENDING, reason="http_503", at=NOW + 1800))

    def test_a_day(self) -> None:
        """
        With the defaults a receiver that is away gets attempts for a day: half an hour apart at the most, 60 at the
        most, and the last one within the last quarter of an hour.
        """
        for seed in range(100):
            random, now, made = Random(seed), NOW, [NOW]
            while (
                at := decide_next(FAILED, len(made), accepted_at=NOW, now=now, retry=RETRY, random=random.random).at
            ) is not None:
                self.assertLessEqual(at - now, 1800 * 1.2)
                now = at
                made.append(at)
            self.assertLessEqual(len(made), 60)
            self.assertGreater(now, NOW + 86400 - 1080 - 60)
            self.assertLess(now, NOW + 86400)

    def test_the_last_attempt_is_made_in_time(self) -> None:
        """
        Where the delay leads beyond the end, the last attempt is made before it; a receiver that asked to be left alone
        until after the end gets none.
        """
        self.assertEqual(decide(FAILED, 10, age=86400 - 1000).at, NOW + 940)
        self.assertEqual(decide(evolve(FAILED, retry_after=500.0), 10, age=86400 - 1000).at, NOW + 940)
        self.assertEqual(decide(evolve(FAILED, retry_after=1200.0), 10, age=86400 - 1000).state, State.EXPIRED)
        self.assertEqual(decide(FAILED, 10, age=86400 - 940).state, State.EXPIRED)
        brief = evolve(PLAIN, max_age=300.0)
        self.assertEqual(decide(FAILED, 4, age=150.0, retry=brief).at, NOW + 147)

    def test_an_impatient_schedule_has_a_limit(self) -> None:
        """
        Where nothing but the age ends it, attempts beyond the tenth are half a minute apart, however short the delay.
        """
        hasty = evolve(PLAIN, initial_delay=0.1, max_delay=0.1)
        self.assertEqual(decide(FAILED, 9, retry=hasty).at, NOW + 0.1)
        self.assertEqual(decide(FAILED, 10, retry=hasty).at, NOW + 30)
        self.assertEqual(decide(FAILED, 10, retry=evolve(hasty, max_attempts=11)).at, NOW + 0.1)

    def test_expires_at_once(self) -> None:
        """
        A delivery whose next attempt would be too late for news expires now, not when that time comes.
        """
        self.assertEqual(decide(FAILED, 1, age=86400 - 31).state, State.PENDING)
        self.assertEqual(decide(FAILED, 1, age=86400 - 30), Next(state=State.EXPIRED, reason="too old to be news"))

    def test_retry_after_is_exact(self) -> None:
        """
        A receiver that asks for a certain time gets it, more than our own delay or less.
        """
        for asked in (0.0, 0.376, 1.0, 120.0, 3600.0):
            with self.subTest(asked):
                self.assertEqual(decide(evolve(FAILED, retry_after=asked), 1).at, NOW + asked)

    def test_retry_after_is_bounded(self) -> None:
        """
        Nobody is left alone for more than an hour, nor beyond the age of news.
        """
        self.assertEqual(decide(evolve(FAILED, retry_after=1e300), 1).at, NOW + 3600)
        self.assertEqual(decide(evolve(FAILED, retry_after=1e300), 1, age=83000.0).state, State.EXPIRED)

    def test_impatience_does_not_exhaust(self) -> None:
        """
        A receiver that always asks for no delay at all does not use up all attempts at once.
        """
        impatient = evolve(FAILED, retry_after=0.0)
        self.assertEqual([decide(impatient, n).at for n in (1, 2, 3, 4, 5)], [NOW, NOW, NOW, NOW + 240, NOW + 480])
        self.assertEqual(decide(evolve(FAILED, retry_after=1000.0), 4).at, NOW + 1000)

    @given(
        st.integers(1, 10**6),
        st.floats(0, 10**6),
        st.none() | st.floats(0, allow_infinity=False, allow_nan=False),
        st.floats(0, 1),
        st.booleans(),
    )
    def test_total(self, attempts: int, age: float, asked: float | None, chance: float, final: bool) -> None:
        """
        A failure is either pending with a time that is neither past nor too late, or at an end with a reason.
        """
        decision = decide_next(
            evolve(FAILED, retry_after=asked, final=final),
            attempts,
            accepted_at=NOW - age,
            now=NOW,
            retry=RETRY,
            random=lambda: chance,
        )
        if decision.state is State.PENDING:
            assert decision.at is not None
            self.assertGreaterEqual(decision.at, NOW)
            self.assertFalse(is_too_old(RETRY, NOW - age, decision.at))
        else:
            self.assertIsNone(decision.at)
            self.assertIn(decision.state, (State.DEAD, State.EXPIRED))
        self.assertTrue(decision.reason)


class PauseTests(SynchronousTestCase):
    """
    What a receiver asks for is for all of its deliveries.
    """

    def test_pause(self) -> None:
        """
        A failure with Retry-After pauses its destination, for an hour at most.
        """
        self.assertEqual(pause_after(FAILED), 0)
        self.assertEqual(pause_after(evolve(FAILED, retry_after=7.5)), 7.5)
        self.assertEqual(pause_after(evolve(FAILED, retry_after=1e9)), 3600)

    def test_success_pauses_nothing(self) -> None:
        """
        An answer that takes a delivery does not hold back the next one.
        """
        self.assertEqual(pause_after(evolve(DELIVERED, retry_after=60.0)), 0)
