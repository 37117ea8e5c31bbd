"""
Tests of :mod:`itsjustintv.twitch.api.rate_limit`.
"""

from __future__ import annotations

from math import ceil

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.support.http_response import Response
from itsjustintv.twitch.api.rate_limit import Cost, RateBucket
from tests.twitch.fake import NOW


def answer(limit: object = None, remaining: object = None, reset: object = None) -> Response:
    """
    An answer with the headers that are given.
    """
    headers = Headers()
    for name, value in (("Limit", limit), ("Remaining", remaining), ("Reset", reset)):
        if value is not None:
            headers.setRawHeaders(f"Ratelimit-{name}", [str(value)])
    return Response(200, headers, b"")


class RateBucketTests(SynchronousTestCase):
    """
    When a request may set out.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.bucket = RateBucket(self.clock)

    def take(self, points: int = 1, spare: int = 0) -> Cost:
        """
        Set out now.
        """
        return self.successResultOf(self.bucket.take(points, spare))

    def leave(self, points: int) -> None:
        """
        Have Helix say that so many points are left.
        """
        self.bucket.answered(self.take(), answer(800, points, int(NOW) + 60))

    def test_a_server_that_says_nothing_is_asked_800_times_a_minute(self) -> None:
        """
        Without headers 800 requests may leave at once, and after that 800 a minute.
        """
        for _ in range(800):
            self.bucket.answered(self.take(), answer())
        late = [self.bucket.take() for _ in range(800)]
        self.assertNoResult(late[0])
        self.clock.pump([0.25] * 120)
        self.assertEqual(sum(each.called for each in late), 400)
        self.clock.pump([0.25] * 121)
        self.assertEqual(sum(each.called for each in late), 800)

    def test_what_helix_says_is_believed(self) -> None:
        """
        When somebody else has used the bucket up, requests wait until it has refilled by a point.
        """
        self.leave(0)
        waiting = self.bucket.take()
        self.clock.advance(60 / 800 - 0.001)
        self.assertNoResult(waiting)
        self.clock.pump([0.01] * 2)
        self.successResultOf(waiting)

    def test_a_larger_limit_is_used(self) -> None:
        """
        The limit is whatever Helix says it is.
        """
        self.bucket.answered(self.take(), answer(5000, 4999, int(NOW) + 1))
        self.assertEqual(self.bucket.limit, 5000)
        self.assertTrue(self.bucket.can_spare(4999, 0))
        self.assertFalse(self.bucket.can_spare(5000, 0))

    def test_an_answer_does_not_know_what_went_beside_it(self) -> None:
        """
        Requests whose way crossed that of an answer are subtracted from what it says, whether sent before it or after.
        """
        before, self_, after = self.take(), self.take(), self.take()
        self.bucket.lost(before)
        self.bucket.answered(self_, answer(800, 10))
        self.assertTrue(self.bucket.can_spare(8, 0))
        self.assertFalse(self.bucket.can_spare(9, 0))
        self.bucket.lost(after)

    def test_headers_that_make_no_sense_are_not_believed(self) -> None:
        """
        Missing, negative, absurd or unreadable numbers change nothing.
        """
        for headers in (
            answer(0, 0),
            answer(800, -5),
            answer(800, 801),
            answer("many", 3),
            answer(800, "few"),
            answer(None, 3),
            answer("٨٠٠", 3),
        ):
            self.bucket.answered(self.take(), headers)
        self.assertEqual(self.bucket.limit, 800)
        self.assertTrue(self.bucket.can_spare(793, 0))

    def test_a_refusal_closes_the_bucket_until_it_is_refilled(self) -> None:
        """
        After a 429 nothing leaves before Ratelimit-Reset, however much there seems to be.
        """
        self.assertEqual(self.bucket.refused(self.take(), answer(800, 0, int(NOW) + 20)), 20)
        waiting = self.bucket.take()
        self.assertFalse(self.bucket.can_spare(1, 0))
        self.clock.advance(19.9)
        self.assertNoResult(waiting)
        self.clock.advance(0.2)
        self.successResultOf(waiting)

    def test_clocks_that_disagree_close_it_for_a_second_to_a_minute(self) -> None:
        """
        A reset that is past, far away or missing is taken as the nearest that can be.
        """
        for reset, delay in ((int(NOW) - 3600, 1), (int(NOW) + 3600, 60), (None, 1)):
            bucket = RateBucket(self.clock)
            self.assertEqual(
                bucket.refused(self.successResultOf(bucket.take()), answer(800, 0, reset)),
                delay,
            )

    def test_a_reset_far_away_does_not_starve(self) -> None:
        """
        If Helix's clock is an hour ahead, the bucket is reckoned to refill at half the documented rate, not slower.
        """
        self.bucket.answered(self.take(), answer(800, 0, int(NOW) + 3600))
        waiting = self.bucket.take()
        self.clock.advance(2 * 60 / 800 + 0.001)
        self.successResultOf(waiting)

    def test_who_leaves_nothing_to_others_goes_first(self) -> None:
        """
        A request that must leave points to others waits behind those that need not.
        """
        self.leave(0)
        low, high = self.bucket.take(spare=100), self.bucket.take()
        self.clock.advance(0.1)
        self.successResultOf(high)
        self.assertNoResult(low)
        self.clock.pump([0.5] * 16)
        self.successResultOf(low)

    def test_a_reserve_larger_than_the_bucket_does_not_wait_for_ever(self) -> None:
        """
        A full bucket is all there can be.
        """
        self.take(1, 5000)

    def test_a_cancelled_wait_costs_nothing(self) -> None:
        """
        Its place in line goes to the next, and without anybody waiting nothing is scheduled.
        """
        self.leave(0)
        first, second = self.bucket.take(), self.bucket.take()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.clock.advance(0.1)
        self.successResultOf(second)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody_is_spared_while_others_wait(self) -> None:
        """
        A queue means that there is nothing to spare.
        """
        self.leave(50)
        self.bucket.take(spare=500)
        self.assertFalse(self.bucket.can_spare(1, 0))

    def test_a_clock_that_is_set_back_loses_nothing(self) -> None:
        """
        Time that runs backwards takes no points away.
        """
        self.take()
        self.clock.rightNow -= 3600
        self.assertTrue(self.bucket.can_spare(798, 0))


@define(eq=False)
class Server:
    """
    Helix's side: refuses what its bucket cannot pay.
    """

    clock: Clock
    limit: int
    points: float = field(init=False)
    since: float = field(init=False)
    refusals: int = 0

    def __attrs_post_init__(self) -> None:
        self.points, self.since = float(self.limit), self.clock.seconds()

    def handle(self) -> Response:
        """
        Let one request pay.
        """
        now = self.clock.seconds()
        self.points = min(self.limit, self.points + (now - self.since) * self.limit / 60)
        self.since = now
        if self.points < 1 - 1e-6:
            self.refusals += 1
        else:
            self.points -= 1
        full = ceil(now + (self.limit - self.points) * 60 / self.limit)
        return answer(self.limit, max(0, int(self.points)), full)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(1, 12)),
        st.tuples(st.just("handle"), st.integers(0, 50)),
        st.tuples(st.just("return"), st.integers(0, 50)),
        st.tuples(st.just("lose"), st.integers(0, 50)),
        st.tuples(st.just("wait"), st.sampled_from([0, 10, 300, 5_000, 60_000])),
        st.tuples(st.just("give up"), st.integers(0, 50)),
    ),
    max_size=80,
)


class NeverOverdrawnTests(SynchronousTestCase):
    """
    The bucket beside the real one.
    """

    @given(STEPS, st.sampled_from([3, 10, 30]), st.booleans())
    def test_helix_never_has_to_refuse(self, steps: list[tuple[str, int]], limit: int, headers: bool) -> None:
        """
        In whatever order requests are made, handled, answered and given up, every one that sets out can be paid for;
        and when all is quiet everybody has set out.
        """
        clock = Clock()
        clock.advance(NOW)
        bucket, server = RateBucket(clock, limit=limit), Server(clock, limit)
        waiting: list[Deferred[Cost]] = []
        sent: list[Cost] = []
        handled: list[tuple[Cost, Response]] = []

        def collect() -> None:
            for each in list(waiting):
                if each.called:
                    waiting.remove(each)
                    sent.append(self.successResultOf(each))

        def act(what: str, number: int) -> None:
            match what:
                case "ask":
                    waiting.extend(bucket.take() for _ in range(number))
                case "handle" if sent:
                    handled.append((fare := sent.pop(number % len(sent)), server.handle()))
                    del fare
                case "return" if handled:
                    fare, said = handled.pop(number % len(handled))
                    bucket.answered(fare, said if headers else answer())
                case "lose" if handled:
                    bucket.lost(handled.pop(number % len(handled))[0])
                case "wait":
                    clock.advance(number / 1000)
                case "give up" if waiting:
                    each = waiting.pop(number % len(waiting))
                    each.addErrback(lambda failure: failure.trap(CancelledError))
                    each.cancel()
            collect()

        for what, number in steps:
            act(what, number)
        while sent:
            act("handle", 0)
        while handled:
            act("return", 0)
            while sent:
                act("handle", 0)
        for _ in range(5000):
            if not waiting:
                break
            clock.advance(1)
            collect()
            while sent or handled:
                act("handle", 0)
                act("return", 0)
        self.assertEqual((server.refusals, waiting, clock.getDelayedCalls()), (0, [], []))
