"""
Tests for :mod:`itsjustintv.delivery.queue`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf

from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from itsjustintv.config.sections import Retry
from itsjustintv.delivery.queue import DeliveryQueue, QueueLimits
from itsjustintv.errors import JournalUnavailable
from itsjustintv.interfaces import IDeliveryJournal, IOutcomeSink
from itsjustintv.model import Attempt, Delivery, Destination, Outcome, State
from tests.doubles import MemoryJournal, Outcomes

NOW = 1_700_000_000.0

OK = Attempt(ok=True, reason="delivered", detail="fine.", started_at=NOW, duration=0.1, status=204)
BUSY = evolve(OK, ok=False, reason="http_503", detail="busy.", status=503)
HANGING = evolve(OK, ok=False, reason="timeout", detail="silent.", status=None)


def delivery(delivery_id: str, destination: str = "home", at: float = NOW, **more: object) -> Delivery:
    """
    A pending delivery.
    """
    return evolve(
        Delivery(
            id=delivery_id,
            event_id=f"event-{delivery_id}",
            streamer="foo",
            destination=destination,
            accepted_at=NOW,
            next_attempt_at=at,
            state=State.PENDING,
            body=b"{}",
        ),
        **more,
    )


@define(eq=False)
class Receivers:
    """
    Receivers that answer as they are told, by the name of the destination.

    :ivar answers: what a destination answers; one without an answer hangs.
    :ivar sent: (time, destination, delivery) of every attempt that was begun.
    :ivar open: attempts that hang.
    """

    clock: Clock
    answers: dict[str, Callable[[Delivery], Attempt]] = field(factory=dict)
    sent: list[tuple[float, str, str]] = field(factory=list)
    open: dict[str, Deferred[Attempt]] = field(factory=dict)
    cancelled: list[str] = field(factory=list)

    def __call__(self, what: Delivery, destination: Destination) -> Deferred[Attempt]:
        self.sent.append((self.clock.seconds() - NOW, destination.name, what.id))
        if destination.name in self.answers:
            return succeed(self.answers[destination.name](what))
        hanging: Deferred[Attempt] = Deferred(lambda _: self.cancelled.append(what.id))
        self.open[what.id] = hanging
        return hanging

    def answer(self, delivery_id: str, attempt: Attempt) -> None:
        """
        Let a hanging attempt end.
        """
        self.open.pop(delivery_id).callback(attempt)

    def ids(self) -> list[str]:
        """
        What was attempted, in order.
        """
        return [each for _, _, each in self.sent]


class QueueTestCase(SynchronousTestCase):
    """
    A queue on a clock, a journal in memory and receivers that do as they are told.
    """

    retry = Retry(jitter=0.0)
    limits = QueueLimits()
    latency: float | None = None

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.journal = MemoryJournal()
        self.receivers = Receivers(self.clock)
        self.outcomes = Outcomes()
        self.unknown: set[str] = set()
        self.ends: dict[str, float] = {}
        self.queue = self.make()

    def make(self) -> DeliveryQueue:
        """
        Another queue on the same journal, as after a restart.
        """
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
            grace_end=self.grace_end,
        )

    def grace_end(self, name: str) -> float:
        """
        The end of a destination's grace: there is none, unless a test says when.
        """
        return self.ends.get(name, 0.0)

    def start(self) -> None:
        """
        Start it, and stop it when the test is over.
        """
        self.queue.startService()
        self.addCleanup(self.stopped)

    def stopped(self) -> None:
        """
        Stop it the hard way.
        """
        if self.queue.running:
            stopping = self.queue.stopService()
            self.clock.advance(self.limits.stop)
            self.successResultOf(stopping)

    def submit(self, *deliveries: Delivery) -> None:
        """
        Prepare deliveries and hand them over.
        """
        self.journal.put(*deliveries)
        for each in deliveries:
            self.queue.submit(each)

    def advance(self, seconds: float, step: float = 1.0) -> None:
        """
        Let time pass, in small steps.
        """
        end = self.clock.seconds() + seconds
        while (left := end - self.clock.seconds()) > 0:
            self.clock.advance(min(step, left))

    def state(self, delivery_id: str) -> tuple[State, str]:
        """
        Where a delivery stands in the journal.
        """
        found = self.journal.deliveries[delivery_id]
        return found.state, found.reason


class DoublesTests(SynchronousTestCase):
    """
    The doubles are what they stand for.
    """

    def test_interfaces(self) -> None:
        """
        They provide the interfaces that they claim to.
        """
        verifyObject(IDeliveryJournal, MemoryJournal())
        verifyObject(IOutcomeSink, Outcomes())


class DeliveryTests(QueueTestCase):
    """
    A delivery's way to its end.
    """

    def test_first_attempt_is_at_once(self) -> None:
        """
        A fresh delivery is sent within the call that submits it, without being read again.
        """
        self.receivers.answers["home"] = lambda _: OK
        self.start()
        self.submit(delivery("a"))
        self.assertEqual(self.receivers.sent, [(0.0, "home", "a")])
        self.assertEqual(self.state("a"), (State.DELIVERED, "delivered"))
        self.assertEqual(self.outcomes.states, [("a", State.DELIVERED, "delivered")])
        self.assertNotIn("load", self.journal.calls)

    def test_retries_follow_the_schedule(self) -> None:
        """
        A receiver that fails is tried again after 30 s, 60 s and so on, until it takes the delivery.
        """
        answers = iter([BUSY, BUSY, OK])
        self.receivers.answers["home"] = lambda _: next(answers)
        self.start()
        self.submit(delivery("a"))
        self.advance(200)
        self.assertEqual([at for at, _, _ in self.receivers.sent], [0.0, 30.0, 90.0])
        self.assertEqual([state for _, state, _ in self.outcomes.states], [State.PENDING] * 2 + [State.DELIVERED])
        self.assertEqual(self.journal.deliveries["a"].attempts, 3)

    def test_exhausted_is_dead(self) -> None:
        """
        After the last attempt a delivery is dead, and the log says how to bring it back.
        """
        self.retry = Retry(jitter=0.0, max_attempts=3)
        self.receivers.answers["home"] = lambda _: BUSY
        self.start()
        with capturedLogs() as logs:
            self.submit(delivery("a"))
            self.advance(86400, 30)
        self.assertEqual(len(self.receivers.sent), 3)
        self.assertEqual(self.state("a"), (State.DEAD, "exhausted"))
        (line,) = [event for event in logs if event["log_level"] is LogLevel.warn and "is dead" in event["log_format"]]
        self.assertIn("itsjustintv deliveries retry {delivery}", line["log_format"])
        self.assertEqual((line["delivery"], line["destination"], line["reason"]), ("a", "home", "http_503"))

    def test_same_failure_is_told_once(self) -> None:
        """
        A delivery that goes on failing in the same way warns once; when the reason changes, it warns again.
        """
        answers = iter([BUSY, BUSY, HANGING, OK])
        self.receivers.answers["home"] = lambda _: next(answers)
        self.start()
        with capturedLogs() as logs:
            self.submit(delivery("a"))
            self.advance(400, 10)
        levels = [(event["reason"], event["log_level"].name) for event in logs if "delivery" in event]
        self.assertEqual(
            levels, [("http_503", "warn"), ("http_503", "debug"), ("timeout", "warn"), ("delivered", "info")]
        )

    def test_too_old_is_not_sent(self) -> None:
        """
        A delivery that has become too old while it waited expires without a request.
        """
        self.journal.put(delivery("a", accepted_at=NOW - 86400))
        self.start()
        self.assertEqual(self.receivers.sent, [])
        self.assertEqual(self.state("a"), (State.EXPIRED, "too old to be news"))
        self.assertIsNone(self.outcomes.seen[0].attempt)

    def test_removed_destination_cancels(self) -> None:
        """
        A delivery to a destination that is not configured any more is cancelled, and not sent anywhere.
        """
        self.unknown.add("home")
        self.start()
        self.submit(delivery("a"))
        self.assertEqual(self.receivers.sent, [])
        self.assertEqual(self.state("a"), (State.CANCELLED, "destination removed"))

    def test_restart_goes_on(self) -> None:
        """
        What is pending in the journal at start is attempted when its time comes, in the order of its time.
        """
        self.receivers.answers["home"] = lambda _: OK
        self.journal.put(
            delivery("late", at=NOW + 50), delivery("b", at=NOW - 1), delivery("a", at=NOW - 5), delivery("c", "other")
        )
        self.receivers.answers["other"] = lambda _: OK
        self.start()
        self.assertEqual(self.receivers.ids(), ["a", "b", "c"])
        self.advance(51)
        self.assertEqual(self.receivers.sent[-1], (50.0, "home", "late"))

    def test_already_in_line(self) -> None:
        """
        A delivery that was found in the journal before it is submitted is attempted once.
        """
        fresh = delivery("a")
        self.journal.put(fresh)
        self.start()
        self.queue.submit(fresh)
        self.assertEqual(self.receivers.ids(), ["a"])

    def test_submitted_when_stopped(self) -> None:
        """
        What is submitted to a queue that does not run stays in the journal.
        """
        self.submit(delivery("a"))
        self.assertEqual(self.receivers.sent, [])
        self.assertEqual(self.state("a")[0], State.PENDING)


class OperatorTests(QueueTestCase):
    """
    Another process may change the journal.
    """

    def test_cancelled_meanwhile_is_not_sent(self) -> None:
        """
        A delivery that an operator cancels while it waits is not attempted again.
        """
        self.receivers.answers["home"] = lambda _: BUSY
        self.start()
        self.submit(delivery("a"))
        self.journal.operator("a", state=State.CANCELLED, reason="by hand")
        self.advance(3600, 30)
        self.assertEqual(len(self.receivers.sent), 1)
        self.assertEqual(self.state("a"), (State.CANCELLED, "by hand"))

    def test_cancelled_during_the_attempt(self) -> None:
        """
        An attempt that fails after an operator has cancelled the delivery brings no other.
        """
        self.start()
        self.submit(delivery("a"))
        self.journal.operator("a", state=State.CANCELLED, reason="by hand")
        self.receivers.answer("a", BUSY)
        self.advance(3600, 30)
        self.assertEqual(len(self.receivers.sent), 1)
        self.assertEqual(self.outcomes.states, [("a", State.CANCELLED, "by hand")])

    def test_replayed_within_a_second(self) -> None:
        """
        A dead delivery that an operator makes pending again is attempted at the next look at the journal.
        """
        self.receivers.answers["home"] = lambda _: OK
        self.journal.put(delivery("a", state=State.DEAD))
        self.start()
        self.journal.operator("a", state=State.PENDING)
        self.advance(1)
        self.assertEqual(self.receivers.ids(), ["a"])

    def test_postponed_meanwhile(self) -> None:
        """
        What the journal says when the time has come counts, not what it said before.
        """
        self.receivers.answers["home"] = lambda _: OK
        self.journal.put(delivery("a", at=NOW + 10))
        self.start()
        self.journal.put(delivery("a", at=NOW + 70))
        self.advance(69)
        self.assertEqual(self.receivers.sent, [])
        self.advance(1)
        self.assertEqual(self.receivers.ids(), ["a"])


class ReloadTests(QueueTestCase):
    """
    The configuration changes while deliveries are on their way.
    """

    def test_a_retry_goes_to_the_destination_of_the_moment(self) -> None:
        """
        Each attempt is made with the address and the secret that are configured when it begins.
        """
        used: list[str] = []
        current = Destination(name="home", url="https://old.example/", secret="old")

        def attempt(_: Delivery, destination: Destination) -> Deferred[Attempt]:
            used.append(f"{destination.url} {destination.secret}")
            return succeed(BUSY)

        self.queue = DeliveryQueue(
            self.journal, attempt, lambda _name, _key: current, lambda: self.retry, [], self.clock, lambda: 0.5
        )
        self.start()
        self.submit(delivery("a"))
        current = Destination(name="home", url="https://new.example/", secret="new")
        self.queue.refresh()
        self.advance(30)
        self.assertEqual(used, ["https://old.example/ old", "https://new.example/ new"])

    def test_a_removed_destination_cancels_at_once(self) -> None:
        """
        What waits for its next attempt, or because the receiver asked for that, is cancelled when the destination
        goes; other destinations are left alone.
        """
        answers = {"a": BUSY, "b": evolve(BUSY, status=429, retry_after=3600.0)}
        for name in ("home", "other"):
            self.receivers.answers[name] = lambda what: answers.get(what.id, BUSY)
        self.start()
        self.submit(delivery("a"), delivery("b"), delivery("c"), delivery("d", "other"))
        self.unknown.add("home")
        self.queue.refresh()
        for each in ("a", "b", "c"):
            self.assertEqual(self.state(each), (State.CANCELLED, "destination removed"))
        self.assertEqual(self.state("d"), (State.PENDING, "http_503"))
        self.assertEqual(len(self.outcomes.seen), 6, "two attempts failed, one more elsewhere, and three are cancelled")

    def test_a_backlog_of_a_removed_destination_is_cancelled(self) -> None:
        """
        That holds for what only the journal knows, too, whenever it would have been due.
        """
        self.limits = QueueLimits(window=5)
        self.queue = self.make()
        self.journal.put(*(delivery(f"{number:03}", at=NOW + 60 + number) for number in range(50)))
        self.start()
        self.unknown.add("home")
        self.queue.refresh()
        self.assertEqual({each.state for each in self.journal.deliveries.values()}, {State.CANCELLED})
        self.assertEqual(self.receivers.sent, [])

    def test_an_attempt_under_way_is_not_cancelled(self) -> None:
        """
        An attempt that has begun goes on when its destination is removed. If it succeeds the delivery is delivered; if
        not, there is no other.
        """
        self.start()
        self.submit(delivery("a"), delivery("b"))
        self.unknown.add("home")
        self.queue.refresh()
        self.assertEqual(self.receivers.cancelled, [])
        self.receivers.answer("a", OK)
        self.receivers.answer("b", BUSY)
        self.assertEqual(self.state("a"), (State.DELIVERED, "delivered"))
        self.assertEqual(self.state("b"), (State.CANCELLED, "destination removed"))

    def test_a_destination_that_comes_back_waits_for_its_time(self) -> None:
        """
        What was not cancelled yet when the destination came back is attempted when it is due, and not before.
        """
        self.receivers.answers["home"] = lambda _: BUSY
        self.start()
        self.submit(delivery("a"))
        self.journal.broken = "disk full"
        self.unknown.add("home")
        self.queue.refresh()
        self.unknown.clear()
        self.queue.refresh()
        self.journal.broken = None
        self.advance(29)
        self.assertEqual(len(self.receivers.sent), 1)
        self.advance(1)
        self.assertEqual(len(self.receivers.sent), 2)

    def test_a_removed_destination_does_not_spin_while_the_journal_is_away(self) -> None:
        """
        When a cancellation cannot be kept it is tried again after a pause, not at once.
        """
        self.receivers.answers["home"] = lambda _: BUSY
        self.start()
        self.submit(delivery("a"))
        self.journal.broken = "disk full"
        self.unknown.add("home")
        before = len(self.journal.calls)
        self.queue.refresh()
        self.advance(10)
        self.assertLess(len(self.journal.calls) - before, 50)
        self.journal.broken = None
        self.advance(2)
        self.assertEqual(self.state("a"), (State.CANCELLED, "destination removed"))

    def test_an_end_that_is_not_known_yet_is_asked_for_again(self) -> None:
        """
        While the end of the grace of a removed destination is unknown, the queue asks for it at each poll.
        """
        self.receivers.answers["home"] = lambda _: BUSY
        self.ends["home"] = inf
        self.start()
        self.submit(delivery("a"))
        self.unknown.add("home")
        self.queue.refresh()
        self.ends["home"] = self.clock.seconds()
        self.advance(4, step=0.5)
        self.assertEqual(self.state("a"), (State.CANCELLED, "destination removed"))

    def test_a_higher_concurrency_is_used_at_once(self) -> None:
        """
        Raising the limit begins attempts that waited for it, without waiting for another to end; lowering it lets
        those under way end.
        """
        self.start()
        self.submit(*(delivery(str(number)) for number in range(6)))
        self.assertEqual(self.receivers.ids(), ["0", "1"])
        self.retry = Retry(jitter=0.0, concurrency=4)
        self.queue.refresh()
        self.assertEqual(self.receivers.ids(), ["0", "1", "2", "3"])
        self.retry = Retry(jitter=0.0, concurrency=1)
        self.queue.refresh()
        self.assertEqual(self.receivers.cancelled, [])
        for number in range(3):
            self.receivers.answer(str(number), OK)
        self.assertEqual(self.receivers.ids(), ["0", "1", "2", "3"])
        self.receivers.answer("3", OK)
        self.assertEqual(self.receivers.ids(), ["0", "1", "2", "3", "4"])

    def test_lanes_of_removed_destinations_are_dropped(self) -> None:
        """
        Destinations that come and go leave nothing in memory.
        """
        for number in range(100):
            name = f"home-{number}"
            self.receivers.answers[name] = lambda _: OK
            if number == 0:
                self.start()
            self.submit(delivery(name, name))
            self.unknown.add(name)
            self.queue.refresh()
        self.assertLess(len(self.queue._lanes), 3)

    def test_a_refresh_without_running(self) -> None:
        """
        A queue that has stopped has nothing to refresh.
        """
        self.journal.put(delivery("a"))
        self.unknown.add("home")
        self.queue.refresh()
        self.assertEqual(self.state("a"), (State.PENDING, ""))


class FairnessTests(QueueTestCase):
    """
    Nobody waits for somebody else's receiver.
    """

    limits = QueueLimits(shared=64, ceiling=70)

    def test_two_at_once(self) -> None:
        """
        A destination has no more attempts under way than are configured, and gets the next one when one ends.
        """
        self.start()
        self.submit(*(delivery(each) for each in "abcd"))
        self.assertEqual(self.receivers.ids(), ["a", "b"])
        self.receivers.answer("b", OK)
        self.assertEqual(self.receivers.ids(), ["a", "b", "c"])

    def test_blackholes_starve_nobody(self) -> None:
        """
        While destinations that never answer hold every slot and have more to do, the others are delivered to at once.
        """
        holes = self.limits.shared // self.retry.concurrency + 1
        self.start()
        for number in range(holes):
            self.submit(*(delivery(f"hole-{number}-{each}", f"hole-{number}") for each in range(5)))
        for number in range(20):
            self.receivers.answers[f"well-{number}"] = lambda _: OK
            self.submit(*(delivery(f"well-{number}-{each}", f"well-{number}") for each in range(5)))
        states = [self.state(f"well-{number}-{each}")[0] for number in range(20) for each in range(5)]
        self.assertEqual(Counter(states), {State.DELIVERED: 100}, "deliveries to healthy destinations")
        self.assertEqual(self.queue.under_way, self.limits.shared + 1, "attempts at blackholes")

    def test_second_attempts_are_rationed(self) -> None:
        """
        Even when all slots are taken by blackholes, a healthy destination is served at once; blackholes that are new
        get one slot each, and only those that came early hold two.
        """
        self.start()
        for number in range(33):
            self.submit(*(delivery(f"hole-{number}-{each}", f"hole-{number}") for each in range(3)))
        self.assertEqual(self.queue.under_way, 65, "attempts under way")
        self.receivers.answers["well"] = lambda _: OK
        self.submit(delivery("w", "well"))
        self.assertEqual(self.state("w")[0], State.DELIVERED)
        self.receivers.answer("hole-0-0", HANGING)
        self.receivers.answer("hole-1-0", HANGING)
        self.assertEqual(self.receivers.ids()[-1], "hole-32-1")
        self.assertEqual(self.queue.under_way, 64, "attempts under way")

    def test_ceiling(self) -> None:
        """
        The ceiling holds, and whoever waits for it is served in the order of waiting.
        """
        self.start()
        self.submit(*(delivery(f"d-{number:02}", f"hole-{number}") for number in range(75)))
        self.assertEqual(self.queue.under_way, 70, "attempts under way")
        self.receivers.answer("d-00", BUSY)
        self.receivers.answer("d-13", BUSY)
        self.assertEqual(self.receivers.ids()[70:], ["d-70", "d-71"])
        self.assertEqual(self.queue.under_way, 70, "attempts under way")

    def test_fresh_overtakes_within_bounds(self) -> None:
        """
        Fresh deliveries go before those that were attempted, but after four of them one of those has its turn.
        """
        self.retry = Retry(jitter=0.0, concurrency=1)
        self.journal.put(*(delivery(f"due-{number}", at=NOW - 10 + number) for number in range(3)))
        self.start()
        self.submit(*(delivery(f"fresh-{number}") for number in range(9)))
        self.receivers.answers["home"] = lambda _: OK
        self.receivers.answer("due-0", OK)
        self.assertEqual(
            [each.replace("fresh-", "") for each in self.receivers.ids()],
            ["due-0", "0", "1", "2", "3", "due-1", "4", "5", "6", "7", "due-2", "8"],
        )

    def test_retry_after_pauses_the_destination(self) -> None:
        """
        A destination that asks to be left alone is, with all of its deliveries; the others are not affected.
        """
        answers = iter([evolve(BUSY, retry_after=120.0)])
        self.receivers.answers["home"] = lambda _: next(answers, OK)
        self.receivers.answers["other"] = lambda _: OK
        self.start()
        self.submit(delivery("a"))
        self.advance(60)
        self.submit(delivery("b"), delivery("c", "other"))
        self.assertEqual(self.queue.paused(), ["home"])
        self.advance(200)
        self.assertEqual(self.queue.paused(), [])
        self.assertEqual(
            self.receivers.sent, [(0.0, "home", "a"), (60.0, "other", "c"), (120.0, "home", "b"), (120.0, "home", "a")]
        )

    def test_a_pause_holds_for_what_is_being_read(self) -> None:
        """
        A delivery that was being read from the journal when the receiver asked to wait is not attempted either.
        """
        answers = iter([evolve(BUSY, retry_after=120.0)])
        self.receivers.answers["home"] = lambda _: next(answers, OK)
        self.journal.put(delivery("a"), delivery("b"))
        self.journal.clock = self.clock
        self.start()
        self.advance(100)
        self.assertEqual(self.receivers.ids(), ["a"])
        self.advance(60)
        self.assertEqual(sorted(self.receivers.ids()), ["a", "a", "b"])


class MemoryTests(QueueTestCase):
    """
    What waits, waits in the journal.
    """

    limits = QueueLimits(window=8)

    def test_backlog_drains_in_order(self) -> None:
        """
        A backlog much larger than the window is brought to its end completely, oldest first, and read in pieces.
        """
        self.journal.put(*(delivery(f"{number:03}", at=NOW - 500 + number) for number in range(300)))
        self.receivers.answers["home"] = lambda _: OK
        self.start()
        self.assertEqual(self.receivers.ids(), [f"{number:03}" for number in range(300)])
        self.assertTrue(all(each.state is State.DELIVERED for each in self.journal.deliveries.values()))

    def test_overflow_of_fresh_deliveries(self) -> None:
        """
        More fresh deliveries than memory has room for are all sent once.
        """
        self.start()
        self.submit(*(delivery(f"{number:03}") for number in range(100)))
        self.receivers.answers["home"] = lambda _: OK
        self.receivers.answer("000", OK)
        self.receivers.answer("001", OK)
        self.advance(1)
        self.assertEqual(sorted(self.receivers.ids()), [f"{number:03}" for number in range(100)])
        self.assertEqual(self.receivers.ids()[:4], [f"{number:03}" for number in range(4)])

    def test_failures_of_a_backlog(self) -> None:
        """
        Retries beyond the window are left to the journal and found again when their time comes.
        """
        failed: set[str] = set()

        def once(what: Delivery) -> Attempt:
            if what.id in failed:
                return OK
            failed.add(what.id)
            return BUSY

        self.journal.put(*(delivery(f"{number:03}", at=NOW - 500 + number) for number in range(100)))
        self.receivers.answers["home"] = once
        self.start()
        self.advance(29)
        self.assertEqual(len(self.receivers.sent), 100)
        self.advance(1)
        self.assertEqual(len(self.receivers.sent), 200)
        self.assertTrue(all(each.state is State.DELIVERED for each in self.journal.deliveries.values()))


class TroubleTests(QueueTestCase):
    """
    The journal and the parts may fail.
    """

    def test_outcome_is_not_forgotten(self) -> None:
        """
        A delivery that was delivered while the disk was full is recorded when there is room, and not sent again.
        """
        self.start()
        self.submit(delivery("a"))
        self.journal.broken = "disk full"
        with capturedLogs() as logs:
            self.receivers.answer("a", OK)
            self.advance(300)
        self.assertEqual(self.state("a")[0], State.PENDING)
        self.assertEqual(self.outcomes.seen, [])
        self.assertLess(len([event for event in logs if "waits for" in event["log_format"]]), 4)
        self.journal.broken = None
        self.advance(30)
        self.assertEqual(self.state("a")[0], State.DELIVERED)
        self.assertEqual(self.receivers.ids(), ["a"])

    def test_slot_is_held_meanwhile(self) -> None:
        """
        While an outcome cannot be recorded, its slot is not given to another.
        """
        self.start()
        self.submit(delivery("a"), delivery("b"), delivery("c"))
        self.journal.broken = "disk full"
        self.receivers.answer("a", OK)
        self.receivers.answer("b", OK)
        self.advance(10)
        self.assertEqual(self.receivers.ids(), ["a", "b"])
        self.journal.broken = None
        self.advance(30)
        self.assertEqual(self.receivers.ids(), ["a", "b", "c"])

    def test_defect_of_the_journal(self) -> None:
        """
        An outcome that the journal fails to record for a reason of its own is kept too, and the failure is logged.
        """
        self.start()
        self.submit(delivery("a"))
        settle = self.journal.settle
        self.patch(self.journal.__class__, "settle", lambda *_, **__: fail(RuntimeError("defect")))
        self.receivers.answer("a", OK)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.patch(self.journal.__class__, "settle", settle.__func__)
        self.advance(1)
        self.assertEqual(self.state("a")[0], State.DELIVERED)
        self.assertEqual(self.receivers.ids(), ["a"])

    def test_journal_away_at_start(self) -> None:
        """
        A journal that cannot be read at start is asked again until it answers, and that is said once.
        """
        self.receivers.answers["home"] = lambda _: OK
        self.journal.put(delivery("a"))
        self.journal.broken = "locked"
        with capturedLogs() as logs:
            self.start()
            self.advance(10)
        self.assertEqual([event["reason"] for event in logs], ["locked"])
        self.assertIsNone(self.queue.problem())
        self.journal.broken = None
        self.advance(1)
        self.assertEqual(self.receivers.ids(), ["a"])

    def test_journal_away_when_due(self) -> None:
        """
        A delivery that cannot be fetched when its time comes is attempted soon after the journal is back.
        """
        self.receivers.answers["home"] = lambda _: OK
        self.journal.put(delivery("a", at=NOW + 10))
        self.start()
        self.advance(5)
        self.journal.broken = "locked"
        self.advance(10)
        self.journal.broken = None
        self.advance(2)
        self.assertEqual(self.receivers.ids(), ["a"])

    def test_journal_away_when_the_window_is_read(self) -> None:
        """
        A window that cannot be read is read a little later, and why is logged.
        """
        self.receivers.answers["home"] = lambda _: OK
        self.journal.put(delivery("a"))
        due = self.journal.due
        self.patch(self.journal.__class__, "due", lambda *_: fail(RuntimeError("defect")))
        self.start()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.patch(self.journal.__class__, "due", lambda *_: fail(JournalUnavailable("locked")))
        with capturedLogs() as logs:
            self.advance(1)
        self.assertEqual([event["reason"] for event in logs], ["locked"])
        self.assertEqual(self.receivers.sent, [])
        self.patch(self.journal.__class__, "due", due.__func__)
        self.advance(1)
        self.assertEqual(self.receivers.ids(), ["a"])

    def test_defect_does_not_end_the_loop(self) -> None:
        """
        Whatever is raised while looking at the journal, the queue looks again.
        """
        self.start()
        changed = self.journal.changed
        self.patch(self.journal.__class__, "changed", lambda *_: fail(RuntimeError("defect")))
        self.advance(1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.patch(self.journal.__class__, "changed", changed.__func__)
        self.receivers.answers["home"] = lambda _: OK
        self.journal.put(delivery("a", state=State.DEAD))
        self.journal.operator("a", state=State.PENDING)
        self.advance(1)
        self.assertEqual(self.receivers.ids(), ["a"])

    def test_defect_of_an_attempt(self) -> None:
        """
        An attempt that raises is logged and made again, without haste and without taking others with it.
        """
        answers: list[Callable[[], Attempt]] = [lambda: OK, lambda: OK, self.raise_defect]
        self.receivers.answers["home"] = lambda _: answers.pop()()
        self.start()
        with capturedLogs() as logs:
            self.submit(delivery("event-1"))
        self.assertEqual([(event["delivery"], event["event_id"]) for event in logs], [("event-1", "event")])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.submit(delivery("b"))
        self.assertEqual(self.receivers.ids(), ["event-1"])
        self.advance(30)
        self.assertEqual(sorted(self.receivers.ids()), ["b", "event-1", "event-1"])

    def test_defect_elsewhere(self) -> None:
        """
        A lane that cannot be served for a defect elsewhere is served later, and whoever submits does not suffer.
        """
        self.start()
        self.submit(delivery("a"))
        policy = self.queue._policy
        self.queue._policy = self.raise_defect
        self.submit(delivery("b"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.queue._policy = policy
        self.advance(30)
        self.assertEqual(self.receivers.ids(), ["a", "b"])

    def test_sink_that_raises(self) -> None:
        """
        A sink with a defect keeps nobody from hearing of an outcome.
        """

        class Broken:
            def record(self, outcome: Outcome) -> None:
                raise RuntimeError("defect")

        self.queue._runner._sinks = [Broken(), self.outcomes]
        self.receivers.answers["home"] = lambda _: OK
        self.start()
        self.submit(delivery("a"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.outcomes.states, [("a", State.DELIVERED, "delivered")])

    def raise_defect(self) -> Retry:
        """
        Fail.
        """
        raise RuntimeError("defect")


class LifeCycleTests(QueueTestCase):
    """
    Starting and stopping.
    """

    def test_idle_stop_leaves_nothing(self) -> None:
        """
        A queue that has deliveries waiting for their time stops at once and leaves no call behind.
        """
        self.receivers.answers["home"] = lambda _: BUSY
        self.queue.startService()
        self.submit(delivery("a"))
        self.assertIsNone(self.queue.problem())
        self.successResultOf(self.queue.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.queue.problem(), "not running")
        self.successResultOf(self.queue.stopService())

    def test_one_timer_a_lane(self) -> None:
        """
        However many deliveries wait, a lane has one timer, beside the one for looking at the journal.
        """
        self.receivers.answers["home"] = lambda _: BUSY
        self.start()
        self.submit(*(delivery(f"{number}") for number in range(50)))
        self.assertEqual(len(self.clock.getDelayedCalls()), 2)

    def test_stop_waits_for_attempts(self) -> None:
        """
        Attempts under way are waited for and recorded; what waits behind them is not begun.
        """
        self.queue.startService()
        self.submit(delivery("a"), delivery("b"), delivery("c"))
        stopping = self.queue.stopService()
        self.receivers.answer("a", OK)
        self.assertNoResult(stopping)
        self.receivers.answer("b", BUSY)
        self.successResultOf(stopping)
        self.assertEqual(self.state("a")[0], State.DELIVERED)
        self.assertEqual(self.state("b"), (State.PENDING, "http_503"))
        self.assertEqual(self.receivers.ids(), ["a", "b"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_abandons_in_the_end(self) -> None:
        """
        An attempt that does not end in 20 s is abandoned and not recorded, and the next run makes it again.
        """
        self.queue.startService()
        self.submit(delivery("a"))
        stopping = self.queue.stopService()
        self.advance(19)
        self.assertNoResult(stopping)
        self.advance(1)
        self.successResultOf(stopping)
        self.assertEqual(self.receivers.cancelled, ["a"])
        self.assertEqual(self.outcomes.seen, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.queue = self.make()
        self.start()
        self.assertEqual(self.receivers.ids(), ["a", "a"])

    def test_stop_while_an_outcome_waits(self) -> None:
        """
        An outcome that still cannot be recorded when patience ends does not keep the queue from stopping.
        """
        self.queue.startService()
        self.submit(delivery("a"))
        self.journal.broken = "disk full"
        self.receivers.answer("a", OK)
        stopping = self.queue.stopService()
        self.advance(20)
        self.successResultOf(stopping)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_while_reading(self) -> None:
        """
        A queue that is waiting for the journal when it is stopped begins nothing afterwards.
        """
        self.journal.clock = self.clock
        self.journal.put(delivery("a"), delivery("b", "other"))
        self.journal.latency = lambda: 0.25
        for passed in (0.0, 0.25, 0.5):
            with self.subTest(passed):
                self.queue = self.make()
                self.queue.startService()
                self.advance(passed, 0.25)
                stopping = self.queue.stopService()
                self.advance(1)
                self.successResultOf(stopping)
                self.assertEqual(self.receivers.sent, [])
                self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_while_recording(self) -> None:
        """
        A journal that does not answer at all does not keep the queue from stopping.
        """
        self.queue.startService()
        self.submit(delivery("a"))
        self.patch(self.journal.__class__, "settle", lambda *_, **__: Deferred())
        self.receivers.answer("a", OK)
        stopping = self.queue.stopService()
        self.advance(20)
        self.successResultOf(stopping)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_started_again(self) -> None:
        """
        A queue that was stopped can be started again, and goes on from the journal alone.
        """
        self.queue.startService()
        self.submit(delivery("a"), delivery("b"), delivery("c"))
        stopping = self.queue.stopService()
        self.receivers.answer("a", OK)
        self.receivers.answer("b", OK)
        self.successResultOf(stopping)
        self.start()
        self.assertEqual(self.receivers.ids(), ["a", "b", "c"])
        self.assertEqual(self.queue.under_way, 1, "attempts under way")

    def test_loop_that_ended(self) -> None:
        """
        A queue that does not poll the journal any more says so.
        """
        self.start()
        self.assertIsNone(self.queue.problem())
        self.queue._poll._loop.stop()
        self.assertEqual(self.queue.problem(), "the loop has ended")

    def test_reading_that_is_cancelled(self) -> None:
        """
        A reading that somebody else cancels is done again.
        """
        self.receivers.answers["home"] = lambda _: OK
        self.journal.put(delivery("a"))
        due = self.journal.due
        self.patch(self.journal.__class__, "due", lambda *_: fail(CancelledError()))
        self.start()
        self.patch(self.journal.__class__, "due", due.__func__)
        self.advance(1)
        self.assertEqual(self.receivers.ids(), ["a"])

    def test_cancelled_by_somebody_else(self) -> None:
        """
        An attempt that is cancelled though the queue is running is made again.
        """
        self.start()
        self.submit(delivery("a"))
        self.receivers.open.pop("a").cancel()
        self.receivers.answers["home"] = lambda _: OK
        self.advance(1)
        self.assertEqual(self.state("a")[0], State.DELIVERED)
