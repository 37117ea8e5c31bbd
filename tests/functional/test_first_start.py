"""
The first way of the README and of docs/install.md, as it is printed: no domain, and nothing to open.
"""

from __future__ import annotations

import os
import sys
import tomllib

from twisted.internet.defer import Deferred

from itsjustintv.config.sections import CONDUIT
from itsjustintv.simulator.process import DaemonProcess, environment
from tests.documents import ROOT, Document
from tests.functional.run import run
from tests.functional.stage import Stage, StageCase
from tests.functional.terminal import Terminal
from tests.functional.test_ports import listening

PRINTED = ("$ .venv/bin/itsjustintv init", "$ .venv/bin/itsjustintv run")


class FirstStartTests(StageCase):
    """
    Typed by a person who has an application at Twitch, and a receiver.
    """

    timeout = 180

    def environ(self, stage: Stage) -> dict[str, str]:
        """
        What leads the commands to the simulated Twitch, and to a port that is free.
        """
        variables = {
            "TWITCH_API_URL": f"{stage.twitch_url}/helix",
            "TWITCH_AUTH_URL": f"{stage.twitch_url}/oauth2",
            "TWITCH_CONDUIT_WEBSOCKET_URL": stage.websocket_url,
            "SERVER_PORT": str(stage.port),
        }
        return {**environment(os.environ), **{f"ITSJUSTINTV_{name}": value for name, value in variables.items()}}

    async def initialized(self, stage: Stage) -> None:
        """
        Answer the questions of ``itsjustintv init``; press Enter where it asks for a domain.
        """
        terminal = Terminal(stage.reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(terminal.kill()))
        terminal.start([sys.executable, "-m", "itsjustintv", "init"], stage.folder, self.environ(stage))
        await terminal.answer("Address: ", f"{stage.hook}/live\n")
        await terminal.answer("Send a test notification to it now? [y/N]: ", "y\n")
        await terminal.answer("Client id: ", f"{stage.twitch.client_id}\n")
        await terminal.answer("Client secret: ", f"{stage.twitch.client_secret}\n")
        await terminal.answer("Domain (Enter for none): ", "\n")
        await terminal.answer("separated by spaces): ", "tanuki\n")
        self.assertEqual(await terminal.ended(), 0, terminal.seen)
        self.assertIn("No port has to be opened", terminal.seen)
        for word in ("proxy", "Let's Encrypt", "certificate"):
            self.assertNotIn(word, terminal.seen)

    async def test_from_the_questions_to_the_first_announcement(self) -> None:
        """
        After four answers the daemon runs, listens on loopback only, and announces who goes live.
        """
        for name in ("README.md", "docs/install.md"):
            blocks = [block.lines for block in Document(ROOT / name).blocks if block.language == "console"]
            first = next(lines for lines in blocks if any("itsjustintv init" in line for line in lines))
            self.assertEqual(first[-2:], PRINTED, name)
        stage = self.stage(transport=CONDUIT)
        stage.twitch.world.add_streamer("tanuki", user_id="42")
        await self.initialized(stage)
        path = stage.folder / "config.toml"
        self.assertEqual(tomllib.loads(path.read_text(encoding="utf-8"))["twitch"]["transport"], "conduit")
        command = [sys.executable, "-m", "itsjustintv", "run"]
        daemon = DaemonProcess(stage.reactor, stage.folder, path, stage.url, self.environ(stage), command=command)
        self.addCleanup(lambda: Deferred.fromCoroutine(daemon.stop()))
        daemon.start()
        await daemon.ready()
        await stage.subscribed("tanuki")
        assert daemon.pid is not None
        self.assertEqual(listening(daemon.pid), {f"0100007F:{stage.port:04X}"})
        await stage.twitch.announce(stage.twitch.world.go_live("tanuki"))
        await stage.until(lambda: len(stage.receiver.at("/live")) == 2)
        test, announcement = (each.payload for each in stage.receiver.at("/live"))
        self.assertTrue(test["test"])
        self.assertEqual((announcement["streamer_login"], announcement.get("recovered", False)), ("tanuki", False))
        checked = await stage.command("conduits", "list")
        self.assertRegex(checked.out, r"2 of 2 +2 enabled +1 +by this daemon")
        command = [sys.executable, "-m", "itsjustintv", "doctor"]
        doctor = await run(stage.reactor, command, stage.folder, self.environ(stage))
        self.assertIn("2 of 2 shards enabled", doctor.out)
        self.assertEqual((doctor.status, doctor.out.splitlines()[-1]), (0, "No problems found."), doctor)
