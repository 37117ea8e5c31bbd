"""
What every journal must do, as tests: a database's own test case inherits :class:`JournalContract` beside ``TestCase``.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from itsjustintv.errors import AmbiguousId, DeliveryNotFound, JournalUnavailable, OperationRefused
from itsjustintv.journal.history import HistoryFilter
from itsjustintv.journal.interfaces import IJournal, IOfflineJournal
from itsjustintv.model import Delivery, Due, Owner, State
from itsjustintv.support.clocks import SteadyClock
from tests.journal.values import attempt, deliveries, event

__all__ = ["JournalContract"]

#: What the daemon's clock shows when a test begins.
NOW = 1_800_000_000.0

TTL = 7200.0


class JournalContract:
    """
    Needs four methods: what makes a journal, opens it for a command, breaks its storage and repairs it.
    """

    timeout = 20

    def make_journal(self, reactor: Any, clock: Clock, steady: SteadyClock) -> IJournal:
        """
        Make a journal on the storage of this test, that exists or not.
        """
        raise NotImplementedError

    def open_offline(self, now: float) -> IOfflineJournal:
        """
        Open the journal as a command does.
        """
        raise NotImplementedError

    def break_storage(self) -> None:
        """
        See to it that nothing can be written to the storage.
        """
        raise NotImplementedError

    def repair_storage(self) -> None:
        """
        Undo :meth:`break_storage`.
        """
        raise NotImplementedError

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.ahead = 0.0
        self.steady = SteadyClock(lambda: self.clock.seconds() + self.ahead, self.clock.seconds)
        self.journal = self.start()
        self.addCleanup(self.stop)

    def start(self) -> IJournal:
        journal = self.make_journal(reactor, self.clock, self.steady)
        journal.startService()
        return journal

    def stop(self) -> Deferred[None] | None:
        return self.journal.stopService() if self.journal.running else None

    async def restart(self) -> None:
        await self.journal.stopService()
        self.journal = self.start()

    def accept(self, name: str, *destinations: str, **changes: Any) -> Deferred[bool]:
        news = event(name, received_at=self.clock.seconds(), **changes)
        return self.journal.accept(news, deliveries(news, *destinations), self.clock.seconds() + TTL)

    async def prepare(self, delivery_id: str, body: bytes = b"{}", **more: Any) -> bool:
        return await self.journal.prepare(delivery_id, body, None, self.clock.seconds(), **more)

    async def settle(self, delivery_id: str, state: State, next_attempt_at: float | None = None) -> Delivery:
        now = self.clock.seconds()
        tried = attempt(ok=state is State.DELIVERED, started_at=now)
        return await self.journal.settle(delivery_id, state, "why", now, tried, next_attempt_at)

    async def unprepared(self) -> list[str]:
        return [delivery.id for _, delivery in await self.journal.unprepared(self.clock.seconds(), 99)]

    async def assert_refused(self, error: type[Exception], answer: Deferred[Any], *texts: str) -> None:
        refusal = await self.assertFailure(answer, error)
        for text in texts:
            self.assertIn(text, str(refusal))

    # Accepting

    def test_interface(self) -> None:
        """
        It provides the whole of the interface.
        """
        verifyObject(IJournal, self.journal)
        self.assertIsNone(self.journal.problem())
        self.assertIsNone(self.journal.fatal_problem())

    async def test_accepted_once(self) -> None:
        """
        An event is stored with its deliveries; one that shares a key with it is refused whole, until the key expires.
        """
        self.assertTrue(await self.accept("e1", "a", "b"))
        again = event("e2", stream_id="stream of e1", received_at=NOW)
        self.assertFalse(await self.journal.accept(again, deliveries(again, "a"), NOW + TTL))
        self.assertEqual(await self.unprepared(), ["e1-1", "e1-2"])
        [(found, delivery), _] = await self.journal.unprepared(NOW, 2)
        news = event("e1", received_at=NOW, trace="trace of e1")
        self.assertEqual((found, delivery), (news, deliveries(news, "a")[0]))
        self.assertEqual(dict(await self.journal.seen(NOW)), dict.fromkeys(news.keys, NOW + TTL))
        self.assertEqual(await self.journal.seen(NOW + TTL), [])
        self.clock.advance(TTL)
        again = event("e3", stream_id="stream of e1", received_at=NOW + TTL)
        self.assertTrue(await self.journal.accept(again, [], NOW + 2 * TTL))

    async def test_accepted_together(self) -> None:
        """
        Of many at the same time, copies among them, each is judged as if it were alone.
        """
        names = [f"e{number:02}" for number in range(20)]
        asked = [self.accept(name, "a") for name in names]
        asked += [self.accept(f"copy{name}", "a", stream_id=f"stream of {name}") for name in names]
        self.assertEqual(await gatherResults(asked), [True] * 20 + [False] * 20)
        self.assertEqual(await self.unprepared(), [f"{name}-1" for name in names])

    async def test_an_abandoned_answer(self) -> None:
        """
        Cancelling abandons the answer, not the write.
        """
        asked = self.accept("e1", "a")
        asked.cancel()
        await self.assertFailure(asked, CancelledError)
        self.assertFalse(await self.accept("e1", "a"))

    async def test_after_a_restart(self) -> None:
        """
        What was accepted, what it became and what is remembered are there after a restart.
        """
        await self.accept("e1", "a", "b")
        await self.prepare("e1-1", b"payload")
        before = await self.journal.load("e1-1")
        await self.journal.remember("ids", "tanuki", 42, NOW)
        await self.restart()
        self.assertEqual(await self.journal.load("e1-1"), before)
        self.assertEqual(await self.unprepared(), ["e1-2"])
        self.assertFalse(await self.accept("e1"))
        self.assertEqual(await self.journal.recall("ids", "tanuki"), (42, NOW))

    # Preparing and sending

    async def test_prepared_once(self) -> None:
        """
        A payload makes an accepted delivery pending; one that is no longer accepted keeps what it has.
        """
        await self.accept("e1", "a", "b")
        self.assertTrue(await self.journal.prepare("e1-1", b"payload", b"png", NOW + 1))
        self.assertFalse(await self.journal.prepare("e1-1", b"other", None, NOW + 2))
        self.assertFalse(await self.journal.prepare("nothing", b"other", None, NOW + 2))
        loaded = await self.journal.load("e1-1")
        self.assertEqual(
            (loaded.state, loaded.body, loaded.picture, loaded.next_attempt_at, loaded.broadcaster_id),
            (State.PENDING, b"payload", b"png", NOW + 1, "1337"),
        )
        self.assertIsNone(await self.journal.load("nothing"))

    async def test_held(self) -> None:
        """
        A delivery that is held is not listed before its time, and a pending one is not held.
        """
        await self.accept("e1", "a", "b")
        await self.prepare("e1-2")
        await self.journal.hold("e1-1", NOW + 30, "no tags")
        await self.journal.hold("e1-2", NOW + 30, "no tags")
        self.assertEqual(await self.unprepared(), [])
        self.assertEqual((await self.journal.load("e1-2")).next_attempt_at, NOW)
        self.clock.advance(30)
        self.assertEqual(await self.unprepared(), ["e1-1"])

    async def test_due_in_order(self) -> None:
        """
        Pending deliveries of a destination are listed by time, from any place on.
        """
        await self.accept("e1", "a", "b", "a")
        for number, at in ((1, NOW + 2), (2, NOW), (3, NOW + 1)):
            await self.journal.prepare(f"e1-{number}", b"{}", None, at)
        self.assertEqual(sorted(await self.journal.destinations()), ["a", "b"])
        first, second = Due(NOW + 1, "e1-3"), Due(NOW + 2, "e1-1")
        self.assertEqual(await self.journal.due("a", None, 9), [first, second])
        self.assertEqual(await self.journal.due("a", None, 1), [first])
        self.assertEqual(await self.journal.due("a", first, 9), [second])
        self.assertEqual(await self.journal.next_due(lambda name: name == "a"), NOW + 1)
        self.assertEqual(await self.journal.next_due(lambda _: True), NOW)

    async def test_settled(self) -> None:
        """
        Attempts are counted and stored, a later one is scheduled, and the end is final unless it was delivered.
        """
        await self.accept("e1", "a", "b")
        await self.prepare("e1-1")
        after = await self.settle("e1-1", State.PENDING, NOW + 30)
        self.assertEqual((after.state, after.attempts, after.next_attempt_at), (State.PENDING, 1, NOW + 30))
        await self.journal.cancel("e1-1")
        self.assertEqual((await self.settle("e1-1", State.DEAD)).state, State.CANCELLED)
        self.assertEqual((await self.settle("e1-1", State.DELIVERED)).state, State.DELIVERED)
        self.assertEqual((await self.settle("e1-1", State.PENDING)).attempts, 4)
        ended = await self.journal.settle("e1-2", State.FILTERED, "no tag", NOW)
        self.assertEqual((ended.state, ended.reason, ended.attempts), (State.FILTERED, "no tag", 0))
        self.assertEqual(await self.journal.destinations(), [])
        await self.assert_refused(LookupError, self.journal.settle("nothing", State.DEAD, "", NOW))

    async def test_outcomes(self) -> None:
        """
        The last deliveries with an attempt are listed, oldest first, each with its last attempt.
        """
        await self.accept("e1", "a", "b", "c")
        for number in (1, 2, 3, 1):
            await self.prepare(f"e1-{number}")
            self.clock.advance(1)
            await self.settle(f"e1-{number}", State.PENDING, NOW)
        self.assertEqual([each.delivery.id for each in await self.journal.outcomes(9)], ["e1-2", "e1-3", "e1-1"])
        [last] = await self.journal.outcomes(1)
        self.assertEqual((last.delivery.attempts, last.at, last.attempt.started_at), (2, NOW + 4, NOW + 4))

    async def test_accounts_balance(self) -> None:
        """
        Every delivery is in one state, whatever happened to it.
        """
        await self.accept("e1", "a", "b", "c", "d")
        await self.prepare("e1-1")
        await self.settle("e1-1", State.DELIVERED)
        await self.prepare("e1-2")
        await self.settle("e1-2", State.DEAD)
        await self.prepare("e1-3")
        account = await self.journal.accounting()
        self.assertEqual(
            (account.wanted, account.delivered, account.dead, account.pending, account.accepted, account.imbalance),
            (4, 1, 1, 1, 1, 0),
        )
        self.assertEqual(await self.journal.undelivered(), 1)
        census = await self.journal.census()
        self.assertEqual((census.accounting, census.pending, census.dead), (account, {"c": 1}, 1))
        self.assertEqual((census.oldest_at, census.newest_at), (NOW, NOW))

    async def test_owners(self) -> None:
        """
        A destination that is not configured has an owner while something waits for it.
        """
        await self.accept("e1", "a", "b")
        owner = Owner("1337", "cool_user", frozenset({"cool"}))
        self.assertEqual(await self.journal.owners("b".__eq__), {"a": owner})
        await self.journal.cancel("e1-1")
        self.assertEqual(await self.journal.owners("b".__eq__), {})

    # Small numbers

    async def test_key_values(self) -> None:
        """
        Numbers are stored by kind and key, replaced, and removed.
        """
        await self.journal.remember_all("ids", {"a": 1, "b": 2}, NOW)
        await self.journal.remember("ids", "b", 3, NOW + 1)
        await self.journal.remember("followers", "a", 4, NOW)
        self.assertEqual(await self.journal.recall_all("ids"), {"a": (1, NOW), "b": (3, NOW + 1)})
        await self.journal.forget("ids", ["a", "nothing"])
        self.assertIsNone(await self.journal.recall("ids", "a"))
        self.assertEqual(await self.journal.recall("followers", "a"), (4, NOW))

    # What an operator sees and does

    async def test_history_of_an_event(self) -> None:
        """
        An event is found by its id, a prefix, or a delivery's; with title, category, deliveries and attempts.
        """
        await self.accept("e1aaaaaaaa", "a", "b")
        await self.accept("e1aaaaaabb", "a")
        await self.prepare("e1aaaaaaaa-1", b'{"x":1}', title="Pottery", category="Art")
        await self.settle("e1aaaaaaaa-1", State.DELIVERED)
        for name in ("e1aaaaaaaa", "e1aaaaaaa", "e1aaaaaaaa-1"):
            found = await self.journal.find_event(name)
            self.assertEqual((found.event.id, found.title, found.category), ("e1aaaaaaaa", "Pottery", "Art"), name)
            self.assertEqual([each.delivery.state for each in found.deliveries], [State.DELIVERED, State.ACCEPTED])
            self.assertEqual([len(each.attempts) for each in found.deliveries], [1, 0])
        await self.assert_refused(AmbiguousId, self.journal.find_event("e1aaaaaa"), "e1aaaaaaaa, e1aaaaaabb")
        self.assertIsNone(await self.journal.find_event("nothing"))
        [one] = (await self.journal.find_delivery("e1aaaaaaa-1")).deliveries
        self.assertEqual((one.delivery.id, one.payload, one.finished_at), ("e1aaaaaaaa-1", {"x": 1}, NOW))
        self.assertIsNone(await self.journal.find_delivery("nothing"))

    async def test_lists_go_on(self) -> None:
        """
        Lists of events and deliveries are read in parts, and filtered.
        """
        for number in range(1, 6):
            await self.accept(f"e{number}", "a", "b")
            self.clock.advance(1)
        await self.journal.cancel("e2-1")
        await self.prepare("e3-1")
        found, place = [], None
        while True:
            part, place = await self.journal.list_events(place, 2)
            found += [each.event.id for each in part]
            if place is None:
                break
        self.assertEqual(found, ["e5", "e4", "e3", "e2", "e1"])
        part, _ = await self.journal.list_events(None, 9, HistoryFilter(states=(State.CANCELLED,), destination="a"))
        self.assertEqual([each.event.id for each in part], ["e2"])
        part, place = await self.journal.list_deliveries(None, 3)
        rest, _ = await self.journal.list_deliveries(place, 9)
        self.assertEqual([each.delivery.id for each in part], ["e5-2", "e5-1", "e4-2"])
        self.assertEqual(len(rest), 7)
        part, _ = await self.journal.list_deliveries(None, 9, HistoryFilter(states=(State.PENDING,)))
        self.assertEqual([(each.delivery.id, each.delivery.body) for each in part], [("e3-1", b"")])
        [backlog] = await self.journal.backlogs()
        self.assertEqual((backlog.destination, backlog.count, backlog.next_at), ("a", 1, NOW + 5))

    async def test_every_change_shows(self) -> None:
        """
        The version of the history differs after each change, and only then.
        """
        seen = [await self.journal.history_version()]
        for change in (
            lambda: self.accept("e1", "a"),
            lambda: Deferred.fromCoroutine(self.prepare("e1-1")),
            lambda: Deferred.fromCoroutine(self.settle("e1-1", State.DEAD)),
            lambda: self.journal.retry("e1-1"),
            lambda: self.journal.cancel("e1-1"),
        ):
            self.clock.advance(1)
            await change()
            version = await self.journal.history_version()
            self.assertNotIn(version, seen)
            self.assertEqual(await self.journal.history_version(), version)
            seen.append(version)

    async def test_operations(self) -> None:
        """
        An operator cancels, requeues and resends; what makes no sense is refused with the reason.
        """
        await self.accept("e1", "a")
        self.assertEqual((await self.journal.cancel("e1-1")).state, State.CANCELLED)
        await self.assert_refused(OperationRefused, self.journal.cancel("e1-1"), "cancelled already")
        self.assertEqual((await self.journal.retry("e1-1")).state, State.ACCEPTED)
        await self.assert_refused(OperationRefused, self.journal.retry("e1-1"), "need not be requeued")
        await self.assert_refused(OperationRefused, self.journal.resend("e1-1"), "accepted already")
        await self.prepare("e1-1", b"payload")
        await self.settle("e1-1", State.DELIVERED)
        await self.assert_refused(OperationRefused, self.journal.retry("e1-1"), "resend")
        again = await self.journal.resend("e1-1")
        self.assertEqual((again.id, again.state, again.body, again.attempts), ("e1-2", State.PENDING, b"payload", 0))
        await self.assert_refused(OperationRefused, self.journal.resend("e1-1"), "as e1-2")
        found = [await self.journal.find_delivery(each) for each in ("e1-1", "e1-2")]
        self.assertEqual([each.deliveries[0].resent for each in found], [False, True])
        account = await self.journal.accounting()
        self.assertEqual((account.wanted, account.imbalance), (2, 0))
        for ask in (self.journal.retry, self.journal.resend, self.journal.cancel):
            await self.assert_refused(DeliveryNotFound, ask("nothing"), "nothing")

    async def test_commands(self) -> None:
        """
        A command changes the journal while the daemon runs, which learns that it has changed, once.
        """
        await self.accept("e1", "a", "b")
        self.assertFalse(await self.journal.changed())
        offline = self.open_offline(self.clock.seconds())
        verifyObject(IOfflineJournal, offline)
        offline.cancel("e1-1")
        self.assertTrue(await self.journal.changed())
        self.assertFalse(await self.journal.changed())
        self.assertEqual((await self.journal.load("e1-1")).state, State.CANCELLED)
        self.assertEqual([each.id for each in offline.list()], ["e1-2", "e1-1"])
        self.assertEqual(offline.count(), {State.ACCEPTED: 1, State.CANCELLED: 1})
        self.assertEqual(offline.retry_all(offline.ended(State.CANCELLED)), 1)
        self.assertEqual(offline.accounting(), await self.journal.accounting())
        self.assertEqual(offline.find_event("message of e1").event.id, "e1")
        self.assertEqual((offline.streamers(), offline.destinations()), (["cool"], ["a", "b"]))
        offline.remember_all("ids", {"tanuki": 7})
        self.assertEqual((await self.journal.recall("ids", "tanuki"))[0], 7)

    async def test_open_posts(self) -> None:
        """
        A post that was created is listed with its streamer and the start of its broadcast, for the daemon and for a
        command.
        """
        news = event("e1", received_at=self.clock.seconds())
        delivery = evolve(deliveries(news, "main")[0], broadcast=news.id)
        await self.journal.accept(news, [delivery], self.clock.seconds() + TTL)
        self.assertEqual(await self.journal.open_posts(), [])
        await self.prepare(delivery.id, shown="a")
        done = evolve(attempt(ok=True, started_at=self.clock.seconds()), remote="99", place="p")
        await self.journal.settle(delivery.id, State.DELIVERED, "delivered", self.clock.seconds(), done, None)
        [post] = await self.journal.open_posts()
        self.assertEqual(
            (post.destination, post.streamer, post.started_at), ("main", delivery.streamer, news.started_at)
        )
        offline = self.open_offline(self.clock.seconds())
        self.assertEqual(([each.destination for each in offline.open_posts()], offline.places()), (["main"], {}))

    async def test_times_are_shown_by_the_machines_clock(self) -> None:
        """
        After the machine's clock was set, an operator sees its times, and the deliveries keep theirs.
        """
        await self.accept("e1", "a")
        self.ahead = 3600.0
        await self.journal.note_clock(self.ahead)
        found = await self.journal.find_event("e1")
        self.assertEqual((found.event.received_at, found.stored_at), (NOW + 3600, NOW + 3600))
        self.assertEqual((await self.journal.load("e1-1")).accepted_at, NOW)

    # Storage

    async def test_closed(self) -> None:
        """
        What was asked before a stop is done; afterwards everything is refused.
        """
        asked = self.accept("e1", "a")
        stopped = self.journal.stopService()
        self.assertTrue(await asked)
        await stopped
        self.assertIsNotNone(self.journal.problem())
        await self.assert_refused(JournalUnavailable, self.accept("e2", "a"))
        await self.assert_refused(JournalUnavailable, self.journal.load("e1-1"))
        self.journal = self.start()
        self.assertFalse(await self.accept("e1", "a"))

    async def test_failing_storage(self) -> None:
        """
        While nothing can be stored every write fails, and the problem is told; afterwards the same event is stored.
        """
        await self.accept("e1", "a")
        self.break_storage()
        results = await gatherResults(
            [self.accept(f"e{number}", "a").addErrback(lambda failure: failure.type) for number in range(2, 7)]
        )
        self.assertEqual(results, [JournalUnavailable] * 5)
        self.assertIsNotNone(self.journal.problem())
        self.assertIsNone(self.journal.fatal_problem())
        self.repair_storage()
        self.assertTrue(await self.accept("e2", "a"))
        self.assertIsNone(self.journal.problem())
        self.assertEqual(await self.unprepared(), ["e1-1", "e2-1"])

    async def test_one_failure_is_its_own(self) -> None:
        """
        A write that makes no sense fails alone among those that are stored with it.
        """
        first, wrong, last = (
            self.accept("e1", "a"),
            self.journal.settle("nothing", State.DEAD, "", NOW),
            self.accept("e2", "a"),
        )
        await self.assertFailure(wrong, LookupError)
        self.assertEqual((await first, await last), (True, True))
