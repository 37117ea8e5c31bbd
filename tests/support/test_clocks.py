"""
Tests for :mod:`itsjustintv.support.clocks`.
"""

from __future__ import annotations

import time

from attrs import define, evolve, frozen
from twisted.internet.base import ReactorBase
from twisted.internet.task import Clock, LoopingCall
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.support.clocks import SteadyClock, WallClock, boot_id, shift_times, uptime

NOON = 1_800_000_000.0


@define(eq=False)
class Machine:
    """
    A machine whose clock can be set.
    """

    wall: float = NOON
    up: float = 500.0

    def clock(self, boot: str = "boot") -> SteadyClock:
        """
        The clock of a process that starts now.
        """
        return SteadyClock(lambda: self.wall, lambda: self.up, boot)

    def pass_by(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.wall += seconds
        self.up += seconds


class SteadyClockTests(SynchronousTestCase):
    """
    Time that cannot be set.
    """

    def test_begins_with_the_time_of_the_machine(self) -> None:
        """
        At first both clocks agree, and while nobody sets one they go on to.
        """
        machine = Machine()
        clock = machine.clock()
        self.assertEqual((clock.seconds(), clock.ahead()), (NOON, 0.0))
        machine.pass_by(3600.0)
        self.assertEqual((clock.seconds(), clock.ahead()), (NOON + 3600.0, 0.0))

    def test_passes_evenly_whatever_is_done_to_the_other(self) -> None:
        """
        A clock that is set back or forward is ahead by as much, and a second takes a second.
        """
        for by in (-7200.0, -1.5, 1.5, 86400.0):
            with self.subTest(by):
                machine = Machine()
                clock = machine.clock()
                machine.wall += by
                machine.pass_by(10.0)
                self.assertEqual((clock.seconds(), clock.ahead()), (NOON + 10.0, by))

    def test_a_process_that_stood_still_is_no_jump(self) -> None:
        """
        Stopped between its looks at the two clocks, a process looks again.
        """
        machine = Machine()
        clock = machine.clock()
        looks = iter((0.0, 30.0))

        def wall() -> float:
            machine.pass_by(next(looks, 0.0))
            return machine.wall

        clock.wall = wall
        self.assertEqual(clock.ahead(), 0.0)
        self.assertAlmostEqual(clock.ahead(), 0.0)

    def test_the_machine_tells_both(self) -> None:
        """
        The uptime never goes back, and the name of the boot is the same each time.
        """
        first = uptime()
        self.assertGreaterEqual(uptime(), first)
        if hasattr(time, "CLOCK_BOOTTIME"):
            # The one that goes on while the machine is suspended.
            self.assertLess(abs(time.clock_gettime(time.CLOCK_BOOTTIME) - first), 5.0)
        self.assertEqual(boot_id(), boot_id())


class ReactorTests(SynchronousTestCase):
    """
    A reactor that goes by the steady clock, as that of the daemon does.
    """

    def test_timers_do_not_care_about_the_clock(self) -> None:
        """
        Timers, those of loops included, are due after the seconds they were asked for, though the clock was set back or
        forward meanwhile.
        """
        for by in (-7200.0, 86400.0):
            with self.subTest(by):
                machine = Machine()
                reactor = _Reactor()
                reactor.seconds = machine.clock().seconds  # type: ignore[method-assign]
                fired: list[str] = []
                reactor.callLater(5.0, fired.append, "timer")
                loop = LoopingCall(fired.append, "loop")
                loop.clock = reactor  # type: ignore[assignment]
                loop.start(10.0, now=False)
                machine.wall += by
                reactor.runUntilCurrent()
                self.assertEqual((fired, reactor.timeout()), ([], 5.0))
                machine.pass_by(5.0)
                reactor.runUntilCurrent()
                self.assertEqual((fired, reactor.timeout()), (["timer"], 5.0))
                machine.pass_by(5.0)
                reactor.runUntilCurrent()
                self.assertEqual(fired, ["timer", "loop"])
                loop.stop()


class _Reactor(ReactorBase):
    """
    Twisted's timers without anything to wait for.
    """

    def installWaker(self) -> None:
        pass


class WallClockTests(SynchronousTestCase):
    """
    The time of the machine, with timers.
    """

    def test_tells_the_time_and_waits_by_the_reactor(self) -> None:
        """
        It jumps with the clock of the machine; a timer takes its seconds.
        """
        machine, reactor = Machine(), Clock()
        clock = WallClock(lambda: machine.wall, reactor)
        fired: list[int] = []
        clock.callLater(5.0, fired.append, 1)
        machine.wall -= 7200.0
        self.assertEqual(clock.seconds(), NOON - 7200.0)
        self.assertEqual(len(clock.getDelayedCalls()), 1)
        reactor.advance(5.0)
        self.assertEqual(fired, [1])


@frozen
class Step:
    """
    A value with moments, and with a duration.
    """

    at: float
    took: float
    finished_at: float | None = None


class ShiftTests(SynchronousTestCase):
    """
    Moments of values.
    """

    def test_moments_and_nothing_else(self) -> None:
        """
        What is nested moves too; durations, texts and what is not known stay.
        """
        step, ended = Step(NOON, 3.0), Step(NOON, 3.0, NOON)
        self.assertEqual(
            shift_times([(step, 5.0), ended], 60.0),
            [(evolve(step, at=NOON + 60.0), 5.0), Step(NOON + 60.0, 3.0, NOON + 60.0)],
        )
        self.assertEqual(shift_times(evolve(step, at=0.0), 60.0).at, 0.0)
        self.assertIs(shift_times(step, 0.5), step)
