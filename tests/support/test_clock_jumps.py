"""
Tests for :mod:`itsjustintv.support.clock_jumps`.
"""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import JournalUnavailable
from itsjustintv.support.clock_jumps import ClockJumps
from tests.support.test_clocks import Machine


@define(eq=False)
class Notes:
    """
    A journal that remembers what was written down, unless it is away.
    """

    away: bool = False
    ahead: list[float] = field(factory=list)

    def note(self, ahead: float) -> Deferred[None]:
        if self.away:
            return fail(JournalUnavailable("the disk is full"))
        self.ahead.append(ahead)
        return succeed(None)


class JumpsTests(SynchronousTestCase):
    """
    A clock that is set while the daemon runs.
    """

    def setUp(self) -> None:
        self.machine, self.reactor, self.notes = Machine(), Clock(), Notes()
        self.jumps = ClockJumps(self.machine.clock(), self.reactor, self.notes.note)
        self.told = 0
        self.jumps.add_listener(self.hear)
        self.lines: list[str] = []

        def observe(event: LogEvent) -> None:
            if event["log_namespace"] == "itsjustintv.support.clock_jumps.ClockJumps":
                self.lines.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.jumps.startService()
        self.addCleanup(self.jumps.stopService)

    def hear(self) -> None:
        self.told += 1

    def look(self) -> None:
        self.machine.pass_by(1.0)
        self.reactor.advance(1.0)

    def test_time_that_passes_is_no_jump(self) -> None:
        """
        Nothing is said while the clocks agree, nor of what keeps a clock right.
        """
        self.look()
        self.machine.wall += 0.4
        self.look()
        self.assertEqual((self.jumps.count, self.told, self.lines, self.notes.ahead), (0, 0, [], []))

    def test_a_jump_is_said_counted_noted_and_passed_on(self) -> None:
        """
        Once for each, with its size and its direction.
        """
        for number, (by, told) in enumerate(((-7200.0, "back by 2 h:"), (86400.0, "forward by 1 day:")), 1):
            self.machine.wall += by
            self.look()
            self.look()
            self.assertEqual((self.jumps.count, self.told, len(self.lines)), (number, number, number))
            self.assertIn(f"the clock of this machine was set {told}", self.lines[-1])
        self.assertEqual([round(each, 3) for each in self.notes.ahead], [-7200.0, 79200.0])
        self.assertAlmostEqual(self.jumps.ahead, 79200.0)

    def test_small_steps_add_up(self) -> None:
        """
        A clock that is moved by less than a second again and again is noticed when it comes to a second.
        """
        for _ in range(3):
            self.machine.wall += 0.4
            self.look()
        self.assertEqual((self.jumps.count, [round(each, 3) for each in self.notes.ahead]), (1, [1.2]))

    def test_a_clock_that_is_set_all_the_time_does_not_fill_the_log(self) -> None:
        """
        After a few lines the steps of ten minutes are one line, which has their number and their sum; every one is
        noted and passed on at once.
        """
        for _ in range(600):
            self.machine.wall -= 1.5
            self.look()
        self.assertEqual((self.jumps.count, self.told, len(self.notes.ahead), len(self.lines)), (600, 600, 600, 5))
        self.look()
        self.assertIn("was set 595 times in a short while, back by 14 min 53 s in all;", self.lines[-1])
        self.assertEqual(len(self.lines), 6)

    def test_a_journal_that_is_away(self) -> None:
        """
        The note is tried again until it is there; the jump itself is said once.
        """
        self.notes.away = True
        self.machine.wall += 60.0
        self.look()
        self.look()
        self.notes.away = False
        self.look()
        self.look()
        self.assertEqual((len(self.lines), [round(each, 3) for each in self.notes.ahead]), (1, [60.0]))

    def test_a_listener_that_fails(self) -> None:
        """
        The others hear of the jump all the same, and the next one is noticed too.
        """

        def defect() -> None:
            raise RuntimeError("a defect")

        self.jumps._listeners.insert(0, defect)
        for number in (1, 2):
            self.machine.wall += 60.0
            self.look()
            self.assertEqual(self.told, number)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)
