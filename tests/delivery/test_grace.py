"""
Tests of what becomes of deliveries whose destination or streamer is not configured any more.
"""

from __future__ import annotations

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.removal_grace import DESTINATIONS, STREAMERS, RemovalGrace
from itsjustintv.config.sections import Retry
from itsjustintv.delivery.queue import DeliveryQueue, QueueLimits
from itsjustintv.model import Attempt, Delivery, Destination, State
from tests import examples
from tests.delivery.test_queue import BUSY, NOW, OK, QueueTestCase, delivery
from tests.doubles import MemoryJournal, MemoryLastKnown

GRACE = 600.0
REMOVED = (State.CANCELLED, "destination removed")


class GraceTests(QueueTestCase):
    """
    What a reload takes away stops at once, ends after the grace, and continues if it returns before that.
    """

    def setUp(self) -> None:
        self.last_known = MemoryLastKnown()
        self.grace = GRACE
        self.gone: set[str] = set()
        super().setUp()
        self.receivers.answers["home"] = lambda _: BUSY

    def make(self) -> DeliveryQueue:
        """
        Another queue on the same journal, with what remembers the moments.
        """
        self.absences = RemovalGrace(
            DESTINATIONS, self.last_known, self.clock, lambda name: name in self.unknown, lambda: self.grace
        )
        self.streamers = RemovalGrace(
            STREAMERS, self.last_known, self.clock, lambda key: key in self.gone, lambda: self.grace
        )
        return DeliveryQueue(
            journal=self.journal,
            send=self.receivers,
            resolve=lambda name, _key="": (
                None if name in self.unknown else Destination(name=name, url="https://example.org/")
            ),
            policy=lambda: self.retry,
            sinks=[self.outcomes],
            clock=self.clock,
            random=lambda: 0.5,
            limits=self.limits,
            grace_end=self.absences.ends,
            forget=self.absences.forget,
            orphaned=lambda each: self.streamers.ends(each.streamer) if each.streamer in self.gone else None,
        )

    def start(self) -> None:
        """
        Start everything, the remembering first.
        """
        for absences in (self.absences, self.streamers):
            absences.startService()
            self.addCleanup(absences.stopService)
        super().start()

    def reload(self, *unknown: str, gone: str = "") -> None:
        """
        Take up a configuration without these destinations and that streamer.
        """
        self.unknown, self.gone = set(unknown), {gone} - {""}
        self.absences.refresh()
        self.streamers.refresh()
        self.queue.refresh()

    def restart(self) -> None:
        """
        Another process, after a crash.
        """
        self.queue.stopService()
        self.absences.stopService()
        self.streamers.stopService()
        self.queue = self.make()
        self.start()

    def test_it_stops_at_once_and_ends_after_the_grace(self) -> None:
        """
        Without an attempt meanwhile, however often one would have been due.
        """
        self.start()
        self.submit(delivery("a"))
        self.reload("home")
        self.advance(599)
        self.assertEqual(self.state("a"), (State.PENDING, "http_503"))
        self.advance(1)
        self.assertEqual(self.state("a"), REMOVED)
        self.assertEqual(len(self.receivers.sent), 1)
        self.assertEqual(self.last_known.values[DESTINATIONS], {})

    def test_it_continues_when_it_returns(self) -> None:
        """
        At once if its time is over, with the attempts it had, and without waiting for the end of the grace.
        """
        self.start()
        self.submit(delivery("a"))
        self.reload("home")
        self.advance(300)
        self.receivers.answers["home"] = lambda _: OK
        self.reload()
        self.assertEqual(self.state("a"), (State.DELIVERED, "delivered"))
        self.assertEqual([at for at, _, _ in self.receivers.sent], [0, 300])
        self.assertEqual(self.journal.deliveries["a"].attempts, 2)

    def test_a_receiver_that_asked_for_a_pause_gets_it_after_the_return(self) -> None:
        """
        An accident of a minute does not make it forgotten.
        """
        self.receivers.answers["home"] = lambda _: evolve(BUSY, status=429, retry_after=300.0)
        self.start()
        self.submit(delivery("a"))
        self.reload("home")
        self.advance(60)
        self.reload()
        self.advance(239)
        self.assertEqual(len(self.receivers.sent), 1)
        self.advance(1)
        self.assertEqual(len(self.receivers.sent), 2)

    def test_a_crash_within_the_grace(self) -> None:
        """
        Neither ends it early nor prolongs it, however often.
        """
        self.start()
        self.submit(delivery("a"))
        self.reload("home")
        for _ in range(5):
            self.advance(110)
            self.restart()
            self.assertEqual(self.state("a"), (State.PENDING, "http_503"))
        self.advance(50)
        self.assertEqual(self.state("a"), REMOVED)

    def test_a_start_with_a_shorter_file(self) -> None:
        """
        The grace counts from that start.
        """
        self.journal.put(delivery("a"), delivery("b", "other"))
        self.receivers.answers["other"] = lambda _: OK
        self.unknown = {"home"}
        self.start()
        self.advance(599)
        self.assertEqual((self.state("a")[0], self.state("b")[0]), (State.PENDING, State.DELIVERED))
        self.advance(1)
        self.assertEqual(self.state("a"), REMOVED)

    def test_a_backlog_larger_than_memory(self) -> None:
        """
        All of it is kept, without being fetched meanwhile, and all of it ends.
        """
        self.limits = QueueLimits(window=5)
        self.queue = self.make()
        self.journal.put(*(delivery(f"{number:03}", at=NOW + number) for number in range(50)))
        self.unknown = {"home"}
        self.start()
        self.advance(599)
        self.assertEqual({self.state(each)[0] for each in self.journal.deliveries}, {State.PENDING})
        self.assertNotIn("load", self.journal.calls)
        self.advance(1)
        self.assertEqual({self.state(each) for each in self.journal.deliveries}, {REMOVED})
        self.assertEqual(self.receivers.sent, [])

    def test_an_attempt_under_way(self) -> None:
        """
        Goes on; what fails waits for the return, what succeeds is delivered.
        """
        del self.receivers.answers["home"]
        self.start()
        self.submit(delivery("a"), delivery("b"))
        self.reload("home")
        self.receivers.answer("a", OK)
        self.receivers.answer("b", BUSY)
        self.advance(60)
        self.assertEqual((self.state("a")[0], self.state("b")[0]), (State.DELIVERED, State.PENDING))
        self.reload()
        self.assertEqual(self.receivers.ids(), ["a", "b", "b"])

    def test_what_was_prepared_during_the_reload(self) -> None:
        """
        A delivery that is handed over for a destination that has just gone waits like any other.
        """
        self.start()
        self.reload("home")
        self.submit(delivery("a"))
        self.advance(100)
        self.assertEqual((self.receivers.sent, self.state("a")[0]), ([], State.PENDING))
        self.advance(500)
        self.assertEqual(self.state("a"), REMOVED)

    def test_a_requeued_one_has_a_grace_of_its_own(self) -> None:
        """
        What ended because of a reload can be requeued before its destination returns.
        """
        self.start()
        self.submit(delivery("a"))
        self.reload("home")
        self.advance(700)
        self.assertEqual(self.state("a"), REMOVED)
        self.journal.operator("a", state=State.PENDING, reason="", attempts=0, next_attempt_at=self.clock.seconds())
        self.advance(500)
        self.assertEqual(self.state("a")[0], State.PENDING)
        self.receivers.answers["home"] = lambda _: OK
        self.reload()
        self.assertEqual(self.state("a")[0], State.DELIVERED)

    def test_without_a_grace_it_ends_at_once(self) -> None:
        """
        As an operator may want it.
        """
        self.grace = 0.0
        self.start()
        self.submit(delivery("a"))
        self.reload("home")
        self.advance(0)
        self.assertEqual(self.state("a"), REMOVED)

    def test_the_log_says_what_ends_and_when(self) -> None:
        """
        Once, and once that it continues.
        """
        self.start()
        self.submit(delivery("a"), delivery("b"))
        with capturedLogs() as logs:
            self.reload("home")
            self.advance(100)
            self.reload("home")
            self.reload()
        lines = [formatEvent(each) for each in logs if "configured" in each["log_format"]]
        self.assertEqual(
            lines,
            [
                (
                    "destination home was removed from the configuration; its deliveries (2) are suspended, and end at"
                    " 2023-11-14T22:23:20Z unless it is configured again"
                ),
                "destination home is configured again; its deliveries continue",
            ],
        )

    def test_a_streamer_who_shares_a_destination(self) -> None:
        """
        Nothing of a streamer who is not configured any more is sent, though its destination is there for others; it
        continues soon after the return, and ends after the grace.
        """
        self.start()
        self.submit(delivery("a"), delivery("b", streamer="bar"), delivery("c"))
        self.reload(gone="foo")
        self.advance(300)
        self.assertEqual([each for at, _, each in self.receivers.sent if at], ["b"] * 3)
        self.journal.operator("c", state=State.CANCELLED, reason="by hand")
        self.receivers.answers["home"] = lambda _: OK
        self.reload()
        self.advance(60)
        self.assertEqual(self.state("a")[0], State.DELIVERED)
        self.receivers.answers["home"] = lambda _: BUSY
        self.submit(delivery("d"))
        self.reload(gone="foo")
        self.advance(640)
        self.assertEqual(self.state("d"), (State.CANCELLED, "streamer removed from the configuration"))

    def test_a_removed_streamers_delivery_ends_with_the_grace(self) -> None:
        """
        Which began with the first check; not at the next of the checks, which are half a minute apart.
        """
        self.grace = 610.0
        self.start()
        self.submit(delivery("a"))
        self.reload(gone="foo")
        self.advance(639)
        self.assertEqual(self.state("a")[0], State.PENDING)
        self.advance(1)
        self.assertEqual(self.state("a"), (State.CANCELLED, "streamer removed from the configuration"))


class ReloadMachine(RuleBasedStateMachine):
    """
    Destinations that go and return, receivers that fail, and crashes, in any mixture.
    """

    names = st.sampled_from(("a", "b", "c"))

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.clock.advance(NOW)
        self.journal, self.last_known = MemoryJournal(), MemoryLastKnown()
        self.removed: dict[str, float] = {}
        self.failing: set[str] = set()
        self.taken: list[str] = []
        self.wrong: list[str] = []
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """
        A new process.
        """
        self.absences = RemovalGrace(
            DESTINATIONS, self.last_known, self.clock, lambda name: name in self.removed, lambda: GRACE
        )
        self.queue = DeliveryQueue(
            journal=self.journal,
            send=self.attempt,
            resolve=lambda name, _key="": (
                None if name in self.removed else Destination(name=name, url="https://example.org/")
            ),
            policy=lambda: Retry(jitter=0.0),
            sinks=[],
            clock=self.clock,
            random=lambda: 0.5,
            limits=QueueLimits(window=4),
            grace_end=self.absences.ends,
            forget=self.absences.forget,
        )
        self.absences.startService()
        self.queue.startService()

    def attempt(self, what: Delivery, destination: Destination) -> Deferred[Attempt]:
        """
        A receiver that answers at once.
        """
        if destination.name in self.removed:
            self.wrong.append(f"{what.id} was sent to {destination.name}, which is not configured")
        if destination.name in self.failing:
            return succeed(BUSY)
        self.taken.append(what.id)
        return succeed(OK)

    def reload(self) -> None:
        """
        Let the parts take note of another configuration.
        """
        self.absences.refresh()
        self.queue.refresh()

    @rule(name=names, count=st.sampled_from((1, 1, 9)))
    def news(self, name: str, count: int) -> None:
        """
        Something is to be sent, if the destination is configured.
        """
        for _ in range(count if name not in self.removed else 0):
            self.number += 1
            now = self.clock.seconds()
            fresh = delivery(f"{self.number:03}", name, now, accepted_at=now)
            self.journal.put(fresh)
            self.queue.submit(fresh)

    @rule(name=names)
    def remove(self, name: str) -> None:
        """
        A reload without the destination.
        """
        self.removed.setdefault(name, self.clock.seconds())
        self.reload()

    @rule(name=names)
    def add(self, name: str) -> None:
        """
        A reload with it.
        """
        self.removed.pop(name, None)
        self.reload()

    @rule(name=names)
    def fail(self, name: str) -> None:
        """
        A receiver is down.
        """
        self.failing ^= {name}

    @rule(seconds=st.sampled_from((1.0, 30.0, 299.0, 599.0, 601.0)))
    def wait(self, seconds: float) -> None:
        """
        Time passes.
        """
        before = {each.id: each.state for each in self.journal.deliveries.values()}
        self.clock.pump([1.0] * int(seconds))
        for each in self.journal.deliveries.values():
            if each.state is State.CANCELLED and before[each.id] is State.PENDING:
                self.ended_in_time(each)

    def ended_in_time(self, each: Delivery) -> None:
        """
        A delivery was cancelled: its destination must have been away for as long as the grace.
        """
        assert each.destination in self.removed, f"{each.id} is cancelled, though {each.destination} is configured"
        assert self.clock.seconds() - self.removed[each.destination] >= GRACE, f"{each.id} is cancelled too early"

    @rule(away=st.booleans())
    def crash(self, *, away: bool) -> None:
        """
        The process ends, and another one begins, with another file perhaps.
        """
        self.queue.stopService()
        self.absences.stopService()
        if away:
            self.removed.setdefault("a", self.clock.seconds())
        self.begin()

    @invariant()
    def nothing_is_sent_while_removed(self) -> None:
        """
        Nor is anything sent twice, or lost.
        """
        assert self.wrong == []
        assert len(self.taken) == len(set(self.taken)), "sent twice"
        balance = self.journal.accounting_now()
        assert balance.imbalance == 0
        assert balance.wanted == self.number
        states = {each.id: each.state for each in self.journal.deliveries.values()}
        assert all(states[each] is State.DELIVERED for each in self.taken)

    @invariant()
    def what_is_away_for_long_has_ended(self) -> None:
        """
        No restart keeps it for ever: the grace, and the seconds of a look.
        """
        long_ago = self.clock.seconds() - GRACE - 5
        away = {name for name, since in self.removed.items() if since <= long_ago}
        assert not [
            each for each in self.journal.deliveries.values() if not each.state.is_final and each.destination in away
        ]

    def teardown(self) -> None:
        """
        In the end everything is configured and works, and every delivery has ended.
        """
        self.removed.clear()
        self.failing.clear()
        self.reload()
        self.clock.pump([60.0] * 60 * 25)
        states = {each.state for each in self.journal.deliveries.values()}
        assert states <= {State.DELIVERED, State.CANCELLED, State.EXPIRED}, states
        assert self.last_known.values.get(DESTINATIONS, {}) == {}
        self.queue.stopService()
        self.absences.stopService()


class MachineTests(SynchronousTestCase):
    """
    Every interleaving of reloads, crashes and time.
    """

    def test_reloads(self) -> None:
        """
        Exactly one end for each delivery, nothing lost, nothing sent while removed, nothing cancelled early.
        """
        run_state_machine_as_test(
            ReloadMachine, settings=settings(max_examples=examples(40), stateful_step_count=25, deadline=None)
        )
