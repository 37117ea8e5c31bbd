"""
Tests for :mod:`itsjustintv.journal.sqlite.timeline`.
"""

from __future__ import annotations

from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config import removal_grace
from itsjustintv.journal.sqlite import reads, timeline, writes
from itsjustintv.journal.sqlite.database import connect, create
from itsjustintv.journal.sqlite.offline_journal import SQLiteOfflineJournal
from itsjustintv.model import Delivery, State
from itsjustintv.support.clocks import SteadyClock, boot_id, uptime
from tests.journal.sqlite.values import accept
from tests.journal.values import attempt, deliveries, event
from tests.support.test_clocks import NOON, Machine

TTL = 7200.0


class TimelineTests(SynchronousTestCase):
    """
    A journal from one daemon to the next, on a machine whose clock is set.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "journal.db"
        self.connection = create(self.path)
        self.addCleanup(self.connection.close)
        self.machine = Machine()
        self.clock = self.start()
        news = event("e1")
        now = self.clock.seconds()
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            accept(self.connection, news, self.accepted(now), now + TTL, now)
            writes.prepare(self.connection, "e1-1", b"{}", None, now)
            writes.settle(self.connection, "e1-1", State.PENDING, "5xx", now, attempt(), now + 30.0)
            writes.remember(self.connection, "followers", "1", 5, now)

    def accepted(self, now: float) -> list[Delivery]:
        return [evolve(each, accepted_at=now, next_attempt_at=now) for each in deliveries(event("e1"), "a")]

    def start(self, boot: str = "boot") -> SteadyClock:
        """
        Let a daemon start now.
        """
        clock = self.machine.clock(boot)
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            self.by = timeline.resume(self.connection, clock)
        return clock

    def standing(self, clock: SteadyClock) -> tuple[float, float, float, float]:
        """
        For how long the delivery has been accepted, when it is due, when its keys expire, and how old what is
        remembered is, all in seconds from now.
        """
        delivery = reads.get(self.connection, "e1-1")
        assert delivery is not None
        now = clock.seconds()
        keys = reads.seen(self.connection, -1.0)
        known = reads.recall(self.connection, "followers", "1")
        assert known is not None
        return tuple(  # type: ignore[return-value]
            round(each, 3)
            for each in (
                now - delivery.accepted_at,
                delivery.next_attempt_at - now,
                min(at for _, at in keys) - now,
                now - known[1],
            )
        )

    def test_a_restart_changes_nothing(self) -> None:
        """
        While nobody sets the clock, no time is touched.
        """
        self.machine.pass_by(10.0)
        self.assertEqual(self.standing(self.start()), (10.0, 20.0, TTL - 10.0, 10.0))
        self.assertEqual(self.by, 0.0)

    def test_set_while_the_daemon_ran_and_was_killed(self) -> None:
        """
        Back or forward: after a restart, ages, due times and expiries are what they would be without that, though the
        last daemon had no time to write anything down.
        """
        for by in (-2 * 3600.0, 24 * 3600.0, -30 * 86400.0):
            self.machine.wall += by
            clock = self.start()
            self.assertAlmostEqual(self.by, by)
            self.assertEqual(self.standing(clock), (0.0, 30.0, TTL, 0.0))
            self.assertEqual(clock.seconds(), self.machine.wall)

    def test_set_while_nothing_ran(self) -> None:
        """
        The uptime of the machine tells how long it really was between the two daemons.
        """
        self.machine.pass_by(5.0)
        self.machine.wall += 86400.0
        self.machine.pass_by(5.0)
        self.assertEqual(self.standing(self.start()), (10.0, 20.0, TTL - 10.0, 10.0))

    def test_a_machine_that_starts_anew(self) -> None:
        """
        What was noted of a jump counts after the machine was started anew, and how long it was off.
        """
        self.machine.wall += 86400.0
        with self.connection:
            timeline.note(self.connection, self.clock.ahead(), self.clock.seconds())
        self.machine.pass_by(15.0)
        self.machine.up = 1.0
        self.assertEqual(self.standing(self.start("another boot")), (15.0, 15.0, TTL - 15.0, 15.0))

    def test_a_machine_without_a_battery(self) -> None:
        """
        A clock that shows less than what is in the journal at the start of the machine makes nothing wait; when it is
        set right and the daemon starts again, nothing is older for that.
        """
        self.machine.wall -= 30 * 86400.0
        self.machine.up = 1.0
        self.assertEqual(self.standing(self.start("another boot")), (0.0, 30.0, TTL, 0.0))
        self.machine.pass_by(20.0)
        self.machine.wall = NOON + 100.0
        self.assertEqual(self.standing(self.start("another boot")), (20.0, 10.0, TTL - 20.0, 20.0))

    def test_a_journal_of_before(self) -> None:
        """
        One that does not say by which clock it was written is taken as it is.
        """
        self.connection.execute("DELETE FROM known WHERE kind = 'clock'")
        self.machine.pass_by(10.0)
        self.assertEqual(self.standing(self.start()), (10.0, 20.0, TTL - 10.0, 10.0))

    def test_no_second_correction(self) -> None:
        """
        A daemon that starts, and is killed, again and again corrects once.
        """
        self.machine.wall -= 7200.0
        self.start()
        for _ in range(3):
            self.assertEqual(self.standing(self.start()), (0.0, 30.0, TTL, 0.0))
            self.assertEqual(self.by, 0.0)

    def test_all_or_nothing(self) -> None:
        """
        Killed before the commit, the start leaves the journal as it was.
        """
        self.machine.wall += 86400.0
        other = connect(self.path)
        other.execute("BEGIN IMMEDIATE")
        timeline.resume(other, self.machine.clock("boot"))
        other.close()
        self.assertEqual(self.standing(self.start()), (0.0, 30.0, TTL, 0.0))

    def test_every_time_there_is_moves(self) -> None:
        """
        There is no column of moments that a correction leaves out: those of type REAL, but for durations and for what
        Twitch and receivers wrote.
        """
        of_twitch = ("occurred_at", "seen_at", "offline_at")
        moments = {
            (table, row["name"])
            for (table,) in self.connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            for row in self.connection.execute(f"PRAGMA table_info({table})")
            if row["type"] == "REAL" and row["name"] not in ("duration", "retry_after", *of_twitch)
        }
        shifted = {
            (shift.split()[1], part.split("=")[0].split()[-1])
            for shift in timeline._SHIFTS
            for part in shift.split("SET")[1].split(",")
        }
        self.assertEqual(moments, shifted)

    def test_moments_among_the_small_numbers(self) -> None:
        """
        Since when something has been missing from the configuration moves too; other numbers stay.
        """
        self.assertEqual(
            set(timeline.TIME_KINDS), {removal_grace.DESTINATIONS, removal_grace.STREAMERS, removal_grace.CHANNELS}
        )
        writes.remember(self.connection, removal_grace.STREAMERS, "tanuki", int(NOON) - 60, NOON)
        self.machine.wall += 86400.0
        clock = self.start()
        self.assertEqual(
            reads.recall(self.connection, removal_grace.STREAMERS, "tanuki"), (int(NOON) - 60 + 86400, clock.seconds())
        )
        self.assertEqual(reads.recall(self.connection, "followers", "1"), (5, clock.seconds()))


class CommandTests(SynchronousTestCase):
    """
    What an operator's command makes of a journal whose daemon began before the clock was set.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "journal.db"
        self.connection = create(self.path)
        self.addCleanup(self.connection.close)
        # The commands ask the machine itself how long it has been up.
        self.wall = NOON
        self.daemon = SteadyClock(lambda: self.wall, uptime, boot_id() or "unknown")
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            timeline.resume(self.connection, self.daemon)
            accept(self.connection, event("e1"), deliveries(event("e1"), "a"), NOON + TTL, NOON)
            writes.prepare(self.connection, "e1-1", b"{}", None, NOON)
            writes.settle(self.connection, "e1-1", State.DEAD, "exhausted", NOON, attempt())

    def test_a_retry_is_due_at_once(self) -> None:
        """
        Whatever the clock shows by now, the daemon finds a delivery that was just requeued due, and just accepted.
        """
        if not boot_id():
            self.skipTest("the system does not name its boots")
        for by in (-7200.0, 86400.0):
            with self.subTest(by):
                self.wall = NOON + by
                journal = SQLiteOfflineJournal.open(self.path, lambda: self.wall + (uptime() - self.daemon.uptime()))
                writes.settle(self.connection, "e1-1", State.DEAD, "exhausted", NOON, attempt())
                journal.retry("e1-1")
                found = reads.get(self.connection, "e1-1")
                assert found is not None
                self.assertLess(abs(found.next_attempt_at - self.daemon.seconds()), 1.0)
                self.assertLess(abs(found.accepted_at - self.daemon.seconds()), 1.0)

    def test_times_are_shown_by_the_clock_on_the_wall(self) -> None:
        """
        A command shows when something was by the clock that its reader looks at.
        """
        if not boot_id():
            self.skipTest("the system does not name its boots")
        old = SQLiteOfflineJournal.open(self.path, lambda: self.wall).show("e1-1")
        self.wall = NOON + 86400.0
        new = SQLiteOfflineJournal.open(self.path, lambda: self.wall).show("e1-1")
        [before], [after] = old.deliveries, new.deliveries
        for moment in ("accepted_at", "next_attempt_at"):
            difference = getattr(after.delivery, moment) - getattr(before.delivery, moment)
            self.assertLess(abs(difference - 86400.0), 1.0)
        self.assertLess(abs(new.event.received_at - old.event.received_at - 86400.0), 1.0)
        self.assertLess(abs(after.attempts[0].started_at - before.attempts[0].started_at - 86400.0), 1.0)
        self.assertEqual(after.attempts[0].duration, before.attempts[0].duration)
