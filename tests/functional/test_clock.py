"""
What the real daemon makes of a clock that is set while it runs, or was wrong when it started.
"""

from __future__ import annotations

import os
from pathlib import Path

from attrs import define

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.eventsub import Message
from itsjustintv.simulator.process import DaemonProcess, environment
from tests.functional.stage import Stage, StageCase

HOUR = 3600.0
DAY = 24 * HOUR

AWAY = Behaviour(status=503)

# Python imports this before anything else, so the process knows no other time; only that on the wall is moved.
SET = """
import os, time

def set_by(real=time.time, path=os.environ["CLOCK_SET_BY"]):
    with open(path) as file:
        return real() + float(file.read() or 0)

time.time = set_by
"""


@define(eq=False)
class WallClock:
    """
    The time of the machine as a daemon sees it, to be set without that anything else does.
    """

    folder: Path

    def __attrs_post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "sitecustomize.py").write_text(SET, encoding="utf-8")
        self.set(0.0)

    def set(self, seconds: float) -> None:
        """
        Let it be so many seconds ahead.
        """
        fresh = self.folder / "fresh"
        fresh.write_text(str(seconds), encoding="ascii")
        fresh.replace(self.folder / "by")

    def daemon(self, stage: Stage) -> DaemonProcess:
        """
        A daemon that goes by it; it has yet to be started.
        """
        path = os.pathsep.join((str(self.folder), environment(os.environ).get("PYTHONPATH", "")))
        return stage.daemon(env={"PYTHONPATH": path, "CLOCK_SET_BY": str(self.folder / "by")})


class ClockTests(StageCase):
    """
    Waits and ages are what they would be if nobody had touched the clock.
    """

    def begin(self) -> tuple[Stage, WallClock]:
        stage = self.stage(settings='[retry]\ninitial_delay = "1s"\nmax_delay = "1s"\njitter = 0\nmax_age = "6h"\n')
        stage.add_streamer("tanuki")
        return stage, WallClock(Path(self.mktemp()).absolute())

    async def started(self, stage: Stage, clock: WallClock) -> DaemonProcess:
        daemon = clock.daemon(stage)
        daemon.start()
        await daemon.ready()
        return daemon

    async def tell(self, stage: Stage, age: float = 0.0) -> int | None:
        """
        Let somebody go live, and answer what the daemon answered.
        """
        message: Message = stage.message(stage.twitch.world.go_live("tanuki"))
        stage.twitch.world.go_offline("tanuki")
        report = await stage.twitch.eventsub.send(message, again=False, age=age)
        return report.tries[-1].status

    async def moved(self, by: float, told: str) -> None:
        """
        Let a delivery be pending while the clock is set, send another event, kill the daemon, and start it again.
        """
        stage, clock = self.begin()
        daemon = await self.started(stage, clock)
        stage.receiver.script.plan("/tanuki", AWAY, AWAY)
        self.assertEqual(await self.tell(stage), 200)
        await stage.receiver.delivery("/tanuki", 1)
        clock.set(by)
        self.assertEqual(await self.tell(stage, age=-by), 200)
        await stage.receiver.delivery("/tanuki", 4)
        await stage.settled(stage.reactor, patience=5.0)
        await daemon.said(told)

        stage.receiver.script.plan("/tanuki", AWAY, AWAY)
        self.assertEqual(await self.tell(stage, age=-by), 200)
        await stage.receiver.delivery("/tanuki", 5)
        await daemon.kill()
        await self.started(stage, clock)
        await stage.receiver.delivery("/tanuki", 7)
        account = await stage.settled(stage.reactor, patience=5.0)
        self.assertEqual((account.wanted, account.delivered), (3, 3))

    async def test_set_back_by_two_hours(self) -> None:
        """
        What waits for a retry, and what is accepted afterwards, is delivered as if nothing had happened, after a kill
        and a restart too; the log says by how much the clock was set back.
        """
        await self.moved(-2 * HOUR, "the clock of this machine was set back by 2 h")

    async def test_set_forward_by_a_day(self) -> None:
        """
        Nothing that was accepted a moment ago is too old, neither then nor after a kill and a restart.
        """
        await self.moved(DAY, "the clock of this machine was set forward by 1 day")

    async def test_a_start_thirty_days_behind(self) -> None:
        """
        A daemon that starts with a clock that was never set refuses every message and says why; once the clock is set
        right it takes them, without a restart, and subscribes at once, though the challenges were refused before.
        """
        stage, clock = self.begin()
        clock.set(-30 * DAY)
        daemon = await self.started(stage, clock)
        await daemon.said("this machine's clock is 30 days behind Twitch's: every message from Twitch is rejected")
        self.assertEqual(await self.tell(stage), 403)
        await daemon.said("from now (limit 10 min): check this machine's clock")
        clock.set(0.0)
        await daemon.said("this machine's clock agrees with Twitch's again")
        await stage.subscribed()
        self.assertEqual(await self.tell(stage), 200)
        await stage.receiver.delivery("/tanuki", 1)
        account = await stage.settled(stage.reactor, patience=5.0)
        self.assertEqual((account.wanted, account.delivered), (1, 1))
