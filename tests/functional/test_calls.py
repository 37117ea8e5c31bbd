"""
How much work the daemon does for one message, counted in function calls: time depends on the machine, calls do not.
"""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

from itsjustintv.simulator.process import DaemonProcess
from tests.functional.stage import Stage, StageCase

#: Calls in the reactor's thread, those in C included, from the bytes of a message to its answer and the stored end of
#: its delivery. Who makes them fewer lowers the figure; who needs more raises it, knowingly.
FILTERED = 1600
DELIVERED = 9070

#: Messages of which the one with the fewest calls counts: beside others a timer of the daemon may fire.
MESSAGES = 12


class CallTests(StageCase):
    """
    Work does not creep in.
    """

    async def fewest(self, stage: Stage, daemon: DaemonProcess, kind: str) -> int:
        """
        The calls for one broadcast of a kind.
        """
        counts = []
        for number in range(MESSAGES + 1):
            if number:
                message = stage.message(stage.twitch.world.go_live("tanuki", kind=kind))
                self.assertTrue((await stage.twitch.eventsub.send(message)).acknowledged)
                await stage.settled(stage.reactor)
            before = daemon.output.count("calls ")
            daemon.send_signal(signal.SIGUSR1)
            await stage.until(lambda before=before: daemon.output.count("calls ") > before)
            counts.append(int(re.findall(r"calls (\d+)", daemon.output)[-1]))
        return min(counts[1:])

    async def test_a_message_takes_no_more_calls_than_it_took(self) -> None:
        """
        A message that is acknowledged and filtered, and one that is enriched and delivered, each take at most a quarter
        more calls than the figures above.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        daemon = stage.daemon(wrapper=[sys.executable, str(Path(__file__).with_name("counted.py"))])
        daemon.start()
        await daemon.ready()
        await stage.subscribed()
        filtered = await self.fewest(stage, daemon, "rerun")
        delivered = await self.fewest(stage, daemon, "live")
        for name, found, known in (("FILTERED", filtered, FILTERED), ("DELIVERED", delivered, DELIVERED)):
            self.assertLessEqual(found, 1.25 * known, f"{name}: {found} calls instead of {known}")
