"""
Weeks of deliveries in virtual time, against receivers, a journal and an operator with moods of their own.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import Retry
from itsjustintv.delivery.queue import DeliveryQueue, QueueLimits
from itsjustintv.model import Attempt, Delivery, Destination, Outcome, State
from tests.doubles import MemoryJournal

START = 1_700_000_000.0
DAY = 86400.0
DESTINATIONS = [f"d{number}" for number in range(6)]


@define(eq=False)
class World:
    """
    A queue and everything around it, from one seed.

    :ivar sent: how often each delivery was sent while its receiver took it.
    :ivar begun: when each destination's attempts under way began.
    """

    seed: int
    clock: Clock = field(factory=Clock)
    journal: MemoryJournal = field(factory=MemoryJournal)
    taken: Counter[str] = field(factory=Counter)
    abandoned: set[str] = field(factory=set)
    under_way: Counter[str] = field(factory=Counter)
    attempting: set[str] = field(factory=set)
    broken: list[str] = field(factory=list)
    quiet_until: dict[str, float] = field(factory=dict)
    outcomes: list[Outcome] = field(factory=list)
    retry: Retry = field(factory=Retry)
    limits: QueueLimits = field(factory=lambda: QueueLimits(shared=8, ceiling=10, window=12))
    every: float = 1.0
    random: Random = field(init=False)
    queue: DeliveryQueue = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.random = Random(self.seed)
        self.clock.advance(START)
        self.journal.clock = self.clock
        self.journal.latency = lambda: self.random.choice([0.0, 0.001, 0.3])
        self.queue = self.make()

    def make(self) -> DeliveryQueue:
        """
        A queue, as after a restart.
        """
        return DeliveryQueue(
            journal=self.journal,
            send=self.attempt,
            resolve=lambda name, _key="": Destination(name=name, url="https://example.org/"),
            policy=lambda: self.retry,
            sinks=[self],
            clock=self.clock,
            random=self.random.random,
            limits=self.limits,
            poll_interval=self.every,
        )

    def record(self, outcome: Outcome) -> None:
        """
        Take note of an outcome.
        """
        self.outcomes.append(outcome)

    def attempt(self, delivery: Delivery, destination: Destination) -> Deferred[Attempt]:
        """
        Answer after a while, in one of the ways that receivers have.
        """
        now = self.clock.seconds()
        name = destination.name
        self.under_way[name] += 1
        for rule, kept in {
            "no more at once than configured": self.under_way[name] <= self.retry.concurrency,
            "no more in all than allowed": sum(self.under_way.values()) <= self.limits.ceiling,
            "only news": now - delivery.accepted_at < self.retry.max_age,
            "not too early": now >= delivery.next_attempt_at,
            "quiet when the receiver asks for it": now >= self.quiet_until.get(name, 0.0),
            "one attempt at a time": delivery.id not in self.attempting,
        }.items():
            # The queue would survive an exception here, as it should.
            if not kept:
                self.broken.append(rule)
        self.attempting.add(delivery.id)

        def cancelled(_: object) -> None:
            self.under_way[name] -= 1
            self.attempting.discard(delivery.id)
            self.abandoned.add(delivery.id)

        answer: Deferred[Attempt] = Deferred(cancelled)
        mood = self.random.random()
        bad = name in ("d0", "d1")
        attempt = Attempt(ok=False, reason="http_500", detail="no.", started_at=now, duration=1.0, status=500)
        if mood < (0.1 if bad else 0.7):
            attempt = evolve(attempt, ok=True, reason="delivered", status=200)
        elif mood < 0.75:
            attempt = evolve(attempt, retry_after=self.random.choice([0.0, 0.376, 120.0, 3600.0, 1e9]))
        elif mood < 0.77:
            attempt = evolve(attempt, reason="gone", status=410, final=True)

        def ended() -> None:
            if answer.called:
                return
            self.under_way[name] -= 1
            self.attempting.discard(delivery.id)
            if attempt.ok:
                self.taken[delivery.id] += 1
            elif attempt.retry_after is not None:
                quiet = self.clock.seconds() + min(attempt.retry_after, 3600.0)
                self.quiet_until[name] = max(quiet, self.quiet_until.get(name, 0.0))
            answer.callback(attempt)

        self.clock.callLater(self.random.choice([0.0, 0.02, 0.5, 15.0]), ended)
        return answer

    def news(self, number: int) -> None:
        """
        Something happens that everybody wants to hear.
        """
        now = self.clock.seconds()
        for destination in DESTINATIONS:
            delivery = Delivery(
                id=f"{number}-{destination}",
                event_id=str(number),
                streamer="foo",
                destination=destination,
                accepted_at=now,
                next_attempt_at=now,
                state=State.PENDING,
                body=b"{}",
            )
            self.journal.put(delivery)
            self.queue.submit(delivery)

    def check(self) -> None:
        """
        Assert what must be true at every moment.
        """
        assert self.broken == []
        balance = self.journal.accounting_now()
        assert balance.imbalance == 0
        assert balance.wanted == len(self.journal.deliveries)
        assert self.queue.problem() in (None, "not running")
        for delivery_id, times in self.taken.items():
            state = self.journal.deliveries[delivery_id].state
            assert times == 1 or delivery_id in self.abandoned, "told twice"
            # What was taken is delivered, or about to be recorded as such.
            assert state in (State.DELIVERED, State.PENDING, State.CANCELLED), f"{delivery_id} is {state}"

    def live(self, days: float, events: int, restarts: int) -> None:
        """
        Let time pass with news, a journal that is away now and then, an operator, and restarts.
        """
        moments = sorted(
            [(self.random.uniform(0, days * DAY), "news") for _ in range(events)]
            + [(self.random.uniform(0, days * DAY), "restart") for _ in range(restarts)]
            + [(self.random.uniform(0, days * DAY), "away") for _ in range(restarts)]
            + [(self.random.uniform(0, days * DAY), "operator") for _ in range(restarts)]
        )
        self.queue.startService()
        for number, (at, what) in enumerate(moments):
            self.pass_until(START + at)
            getattr(self, f"do_{what}")(number)
            self.check()
        self.pass_until(START + days * DAY + self.retry.max_age + DAY)
        self.check()

    def pass_until(self, moment: float) -> None:
        """
        Jump from one scheduled call to the next, checking after each of those that are not just the queue's polling.
        """
        while calls := [call.getTime() for call in self.clock.getDelayedCalls() if call.getTime() <= moment]:
            before = len(self.outcomes)
            self.clock.advance(max(0.0, min(calls) - self.clock.seconds()))
            if len(self.outcomes) > before:
                self.check()
        self.clock.advance(max(0.0, moment - self.clock.seconds()))

    def do_news(self, number: int) -> None:
        """
        One event, or a burst that is larger than the window.
        """
        for each in range(self.random.choice([1, 1, 1, 1, 40])):
            self.news(number * 1000 + each)

    def do_restart(self, _: int) -> None:
        """
        Stop, which abandons what hangs, and start another.
        """
        stopping = self.queue.stopService()
        self.pass_until(self.clock.seconds() + self.limits.stop)
        assert stopping.called
        # What a receiver took while the disk was full and was not recorded before patience ended.
        self.abandoned.update(each for each in self.taken if self.journal.deliveries[each].state is not State.DELIVERED)
        self.quiet_until.clear()
        self.queue = self.make()
        self.queue.startService()

    def do_away(self, _: int) -> None:
        """
        The disk is full for a while.
        """
        self.journal.broken = "disk full"
        self.pass_until(self.clock.seconds() + self.random.uniform(0.0, 120.0))
        self.journal.broken = None

    def do_operator(self, _: int) -> None:
        """
        Somebody cancels something that is pending and revives something that is not.
        """
        for each in list(self.journal.deliveries.values())[-30:]:
            mood = self.random.random()
            if each.state is State.PENDING and mood < 0.2 and not self.under_way[each.destination]:
                self.journal.operator(each.id, state=State.CANCELLED, reason="by hand")
            elif each.state is State.DEAD and mood < 0.5:
                now = self.clock.seconds()
                self.journal.operator(
                    each.id, state=State.PENDING, attempts=0, reason="", next_attempt_at=now, accepted_at=now
                )


class VirtualTimeTests(SynchronousTestCase):
    """
    Whatever happens, every delivery comes to one end, and is told once.
    """

    def live(self, world: World, days: float, events: int, restarts: int) -> World:
        """
        Live through it, naming the seed if something is wrong.
        """
        seed = world.seed
        try:
            world.live(days, events, restarts)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        states = Counter(each.state for each in world.journal.deliveries.values())
        self.assertEqual(states[State.PENDING], 0, f"seed {seed}: {states}")
        for each in world.journal.deliveries.values():
            if each.id not in world.abandoned:
                self.assertEqual(world.taken[each.id], each.state is State.DELIVERED, f"seed {seed}: {each}")
        return world

    def test_calm_weeks(self) -> None:
        """
        In three weeks without a crash nothing is lost and nothing is told twice.
        """
        world = self.live(World(1, every=600.0), days=21, events=20, restarts=0)
        self.assertEqual(world.abandoned, set())
        self.assertGreater(sum(each.delivery.state is State.DEAD for each in world.outcomes), 10)

    def test_hard_days(self) -> None:
        """
        Days full of restarts, full disks and operators lose nothing, and only what a stop abandoned is told again.
        """
        for seed in range(2, 6):
            self.live(World(seed, every=20.0), days=0.2, events=10, restarts=6)
