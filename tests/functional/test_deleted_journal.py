"""
The real daemon whose journal is deleted under it.
"""

from __future__ import annotations

from twisted.web.client import Agent, readBody

from itsjustintv.simulator.behaviour import Behaviour
from tests.functional.stage import StageCase


class DeletedJournalTests(StageCase):
    """
    A clean-up, or a restore under the running daemon.
    """

    async def test_what_was_acknowledged_survives(self) -> None:
        """
        Once the log and its index are deleted nothing is acknowledged, health says why within a second, and after
        kill -9 and a start all that was acknowledged is delivered.
        """
        stage = self.stage(settings='[retry]\ninitial_delay = "1s"\n')
        stage.add_streamer("tanuki")
        stage.receiver.script.plan("/tanuki", then=Behaviour(status=503))
        daemon = await stage.started()

        async def send() -> tuple[bool, int | None]:
            stream = stage.twitch.world.go_live("tanuki")
            report = await stage.twitch.eventsub.send(stage.message(stream), again=False)
            stage.twitch.world.go_offline("tanuki")
            return report.acknowledged, report.tries[0].status

        for _ in range(5):
            self.assertEqual(await send(), (True, 200))
        for ending in ("-wal", "-shm"):
            (stage.folder / f"{stage.journal_file}{ending}").unlink()
        self.assertEqual(await send(), (False, 503))
        response = await Agent(stage.reactor).request(b"GET", f"{stage.url}/health".encode())
        self.assertEqual(response.code, 503)
        self.assertIn("journal", (await readBody(response)).decode())
        await daemon.said("was deleted or moved away while in use: restart itsjustintv; all accepted events are in")
        await daemon.kill()

        stage.settings = ""
        stage.receiver.script.plan("/tanuki")
        again = await stage.started()
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.wanted, account.delivered), (5, 5), account)
        self.assertEqual(await again.stop(), 0)
