"""
Two daemons side by side on one conduit, as during an upgrade.
"""

from __future__ import annotations

import os
from pathlib import Path

from attrs import frozen
from twisted.internet.defer import Deferred

from itsjustintv.simulator.loopback import free_port
from itsjustintv.simulator.process import DaemonProcess, environment
from tests.functional.test_conduit import ConduitCase, ConduitStage


@frozen
class Second:
    """
    A further daemon, with a folder and a port of its own.
    """

    folder: Path
    process: DaemonProcess


class TwoDaemonsTests(ConduitCase):
    """
    The second one has the same configuration and state file, and a copy of the journal.
    """

    timeout = 400

    def second(self, stage: ConduitStage) -> Second:
        """
        Make another daemon, which has yet to be started.
        """
        folder = Path(f"{stage.folder}-second")
        (folder / "data").mkdir(parents=True, mode=0o700)
        port = free_port()
        path = folder / "config.toml"
        path.write_text(stage.configuration.replace(f"port = {stage.port}", f"port = {port}", 1), encoding="utf-8")
        state_file = str(stage.folder / "data" / "conduit.json")
        environ = {**environment(os.environ), "ITSJUSTINTV_TWITCH_CONDUIT_STATE_FILE": state_file}
        process = DaemonProcess(stage.reactor, folder, path, f"http://127.0.0.1:{port}", environ)
        self.addCleanup(lambda: Deferred.fromCoroutine(process.stop()))
        return Second(folder, process)

    async def test_the_later_one_announces(self) -> None:
        """
        The second one takes the connections over and announces who goes live, each once; the first one, which has just
        been started and asks once more who is live, announces nothing.
        """
        stage = self.conduit_stage(8)
        first = await stage.started()
        await stage.through_conduit()
        stage.go_live("streamer0")
        await self.delivered(stage, ["streamer0"])
        second = self.second(stage)
        backup = await stage.command("backup", str(second.folder / "data" / "itsjustintv.db"))
        self.assertEqual(backup.status, 0, backup)
        second.process.start()
        await second.process.ready()
        await second.process.said("asked Twitch about")
        await stage.until(lambda: stage.enabled == 2)
        for number in range(1, 7):
            stage.go_live(f"streamer{number}")
        await self.delivered(stage, [f"streamer{number}" for number in range(7)])
        await first.said("another program has taken shard 1")
        await first.stop()
        stage.go_live("streamer7")
        await self.delivered(stage, [f"streamer{number}" for number in range(8)])
        self.assertEqual(len([*stage.twitch.conduits]), 1)
