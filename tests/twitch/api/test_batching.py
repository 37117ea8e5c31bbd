"""
Tests of :mod:`itsjustintv.twitch.api.batching`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import TwitchUnavailable
from itsjustintv.telemetry.tracing import on_behalf_of, requesters
from itsjustintv.twitch.api.batching import BatchedLookup


@define(eq=False)
class Oracle:
    """
    Knows the square of every number but of multiples of seven, and takes its time.
    """

    clock: Clock
    latency: float = 0.0
    calls: list[tuple[float, list[int]]] = field(factory=list)
    answers: list[Deferred[None]] = field(factory=list)
    broken: bool = False

    async def __call__(self, keys: Sequence[int]) -> Mapping[int, int]:
        self.calls.append((self.clock.seconds(), list(keys)))
        if self.latency:
            waiting: Deferred[None] = Deferred()
            self.clock.callLater(self.latency, waiting.callback, None)
            await waiting
        if self.broken:
            raise TwitchUnavailable("broken")
        return {key: key * key for key in keys if key % 7}


class BatchTests(SynchronousTestCase):
    """
    Which look-ups travel together, and when.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.oracle = Oracle(self.clock)
        self.interval = 0.25
        self.batch: BatchedLookup[int, int] = BatchedLookup(self.oracle, self.clock, interval=lambda: self.interval)

    def test_one_alone_waits_only_for_company(self) -> None:
        """
        A look-up leaves after five milliseconds.
        """
        answer = self.batch.get(3)
        self.clock.advance(0.0049)
        self.assertNoResult(answer)
        self.clock.advance(0.0002)
        self.assertEqual(self.successResultOf(answer), 9)

    def test_those_wanted_together_travel_together(self) -> None:
        """
        Several keys cost one call; a key wanted twice is asked for once, and both get its answer.
        """
        answers = [self.batch.get(key) for key in (1, 2, 2, 3)]
        self.clock.advance(0.005)
        self.assertEqual([self.successResultOf(each) for each in answers], [1, 4, 4, 9])
        self.assertEqual([keys for _, keys in self.oracle.calls], [[1, 2, 3]])

    def test_a_key_under_way_is_not_asked_for_again(self) -> None:
        """
        Who comes while a key is being looked up gets that answer.
        """
        self.oracle.latency = 2
        first = self.batch.get(5)
        self.clock.advance(0.005)
        self.clock.advance(1)
        second = self.batch.get(5)
        self.clock.advance(1)
        self.assertEqual((self.successResultOf(first), self.successResultOf(second)), (25, 25))
        self.assertEqual(len(self.oracle.calls), 1)

    def test_an_unknown_key_is_none(self) -> None:
        """
        What the answer does not mention does not exist.
        """
        answer = self.batch.get(7)
        self.clock.advance(0.005)
        self.assertIsNone(self.successResultOf(answer))

    def test_calls_keep_their_distance(self) -> None:
        """
        The next call leaves a quarter of a second after the last one, at once if that has passed.
        """
        left = []
        for wait in (0.0, 0.1, 5.0):
            self.clock.advance(wait)
            asked = self.clock.seconds()
            self.batch.get(1)
            while len(self.oracle.calls) == len(left):
                self.clock.advance(0.001)
            left.append(self.oracle.calls[-1][0] - asked)
        self.assertEqual([round(each, 2) for each in left], [0.01, 0.15, 0.01])

    def test_the_distance_is_asked_for_each_time(self) -> None:
        """
        When calls may follow each other closely from now on, the next one does.
        """
        self.batch.get(1)
        self.clock.advance(0.005)
        self.batch.get(2)
        self.clock.advance(0.1)
        self.assertEqual(len(self.oracle.calls), 1)
        self.clock.advance(0.15)
        self.assertEqual(len(self.oracle.calls), 2)
        self.interval = 0.02
        self.batch.get(3)
        self.clock.advance(0.02)
        self.assertEqual(len(self.oracle.calls), 3)

    def test_a_full_load_leaves_at_once(self) -> None:
        """
        A hundred keys wait for nothing, and the hundred and first for the interval.
        """
        answers = [self.batch.get(key) for key in range(101)]
        self.assertEqual([len(keys) for _, keys in self.oracle.calls], [100])
        self.assertEqual(sum(each.called for each in answers), 100)
        self.clock.advance(0.25)
        self.assertEqual([len(keys) for _, keys in self.oracle.calls], [100, 1])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_failed_call_fails_those_who_wait_for_it(self) -> None:
        """
        The next call is another one.
        """
        self.oracle.broken = True
        failing = [self.batch.get(key) for key in (1, 2)]
        self.clock.advance(0.005)
        for each in failing:
            self.failureResultOf(each, TwitchUnavailable)
        self.oracle.broken = False
        fine = self.batch.get(1)
        self.clock.advance(0.25)
        self.assertEqual(self.successResultOf(fine), 1)

    def test_nobody_asks_for_what_nobody_waits_for(self) -> None:
        """
        A key is dropped when all who wanted it gave up, and a call that would be empty is not made.
        """
        given_up = [self.batch.get(1), self.batch.get(1)]
        for each in given_up:
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.clock.advance(0.005)
        self.assertEqual(self.oracle.calls, [])
        self.batch.get(1).addErrback(lambda _: None).cancel()
        kept, other = self.batch.get(1), self.batch.get(2)
        self.clock.advance(0.005)
        self.assertEqual((self.successResultOf(kept), self.successResultOf(other)), (1, 4))

    def test_a_wait_given_up_under_way_harms_nobody(self) -> None:
        """
        The call goes on for the others, and even if it fails with nobody left nothing is complained of.
        """
        self.oracle.latency = 1
        first, second = self.batch.get(2), self.batch.get(2)
        self.clock.advance(0.005)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(second), 4)
        self.oracle.broken = True
        last = self.batch.get(3)
        self.clock.advance(0.25)
        last.addErrback(lambda failure: failure.trap(CancelledError))
        last.cancel()
        self.clock.advance(1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_clock_that_is_set_back_does_not_stop_it(self) -> None:
        """
        However long ago the last call seems to be in the future, the next one waits for an interval at the most.
        """
        self.batch.get(1)
        self.clock.advance(0.005)
        self.clock.rightNow -= 500
        answer = self.batch.get(2)
        self.clock.advance(0.25)
        self.assertEqual(self.successResultOf(answer), 4)

    def test_a_call_is_made_for_everybody_who_waits_for_it(self) -> None:
        """
        It is on behalf of all who came before it left, each once, and of nobody who comes later.
        """
        made: list[tuple[str, ...]] = []

        async def ask(keys: Sequence[int]) -> Mapping[int, int]:
            made.append(requesters())
            await Deferred()
            return {}

        batch: BatchedLookup[int, int] = BatchedLookup(ask, self.clock, interval=lambda: 0.25)
        for spans, key in ((["a"], 1), (["b", "a"], 2), (["c"], 1)):
            with on_behalf_of(spans):
                batch.get(key)
        self.clock.advance(0.005)
        with on_behalf_of(["d"]):
            batch.get(1)
        with on_behalf_of(["e"]):
            batch.get(3)
        self.clock.advance(0.25)
        self.assertEqual(made, [("a", "b", "c"), ("e",)])

    @given(
        st.lists(st.tuples(st.sampled_from([0.0, 0.001, 0.005, 0.1, 0.3]), st.integers(0, 40)), max_size=150),
        st.sampled_from([0.0, 0.01, 0.7]),
        st.integers(1, 20),
    )
    def test_everybody_gets_his_own_answer(self, asks: list[tuple[float, int]], latency: float, size: int) -> None:
        """
        Whenever keys are wanted, each gets exactly its own answer, within the interval and the call's own time; no call
        is too large, and their number is bounded by the time and the load.
        """
        clock = Clock()
        oracle = Oracle(clock, latency)
        batch: BatchedLookup[int, int] = BatchedLookup(oracle, clock, interval=lambda: 0.25, size=size)
        answers = []
        for wait, key in asks:
            clock.advance(wait)
            answers.append((key, batch.get(key)))
        took = clock.seconds()
        clock.advance(0.25)
        clock.advance(latency)
        for key, answer in answers:
            self.assertEqual(self.successResultOf(answer), key * key if key % 7 else None)
        self.assertTrue(all(len(keys) <= size and len(set(keys)) == len(keys) for _, keys in oracle.calls))
        self.assertLessEqual(len(oracle.calls), ceil((took + 0.25) / 0.25) + len(asks) // size)
        self.assertEqual(clock.getDelayedCalls(), [])
