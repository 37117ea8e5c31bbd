"""
Two real daemons side by side on one conduit of a simulated Twitch, as during an upgrade.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from itsjustintv.simulator.loopback import free_port
from itsjustintv.simulator.process import DaemonProcess, environment
from tests.functional.test_conduit import ConduitCase, ConduitStage

#: What each daemon could find by itself, both would announce.
SETTINGS = "[catch_up]\nenabled = false\n"


@define(eq=False)
class Successor:
    """
    A second daemon with a folder, a journal and a port of its own, and the first one's conduit.
    """

    stage: ConduitStage

    def daemon(self) -> DaemonProcess:
        """
        Make it; it has yet to be started.
        """
        folder = self.stage.folder / "successor"
        folder.mkdir()
        port, state = free_port(), self.stage.folder / "data" / "conduit.json"
        table = f'conduit.websocket_url = "{self.stage.websocket_url}"'
        text = self.stage.configuration.replace(table, f'{table}\nconduit.state_file = "{state}"')
        path = folder / "config.toml"
        path.write_text(text.replace(f"port = {self.stage.port}", f"port = {port}"), encoding="utf-8")
        return DaemonProcess(
            self.stage.reactor, folder, path, f"http://127.0.0.1:{port}", dict(environment(os.environ))
        )


class UpgradeTests(ConduitCase):
    """
    The new daemon is started before the old one is stopped.
    """

    def assigned(self, stage: ConduitStage) -> Sequence[str]:
        """
        The sessions that the shards are assigned to.
        """
        return [shard.session_id for conduit in stage.twitch.conduits for shard in conduit.shards.values()]

    async def test_the_later_one_gets_every_message(self) -> None:
        """
        While streams go live, a second daemon takes the shards, and then the first one is stopped: each is delivered
        once, by one of them, and there is one conduit with the subscriptions that there were.
        """
        stage = self.conduit_stage(200, SETTINGS)
        old = await stage.started()
        await stage.through_conduit()
        before, conduits = self.assigned(stage), [each.id for each in stage.twitch.conduits]
        subscriptions = {each.id for each in stage.twitch.subscriptions}
        new = Successor(stage).daemon()
        self.addCleanup(lambda: Deferred.fromCoroutine(new.stop()))
        waiting, live = iter(stage.streamers), list[str]()

        async def go_live(count: int) -> None:
            for _ in range(count):
                live.append(next(waiting))
                stage.go_live(live[-1])
                await deferLater(stage.reactor, 0.05)

        await go_live(15)
        new.start()
        while set(self.assigned(stage)) & set(before):
            # Also between the changes of the two shards.
            await go_live(1)
        taken = self.assigned(stage)
        await go_live(15)
        stopping = Deferred.fromCoroutine(old.stop())
        while not stopping.called:
            await go_live(1)
        self.assertEqual(await stopping, 0, old.output)
        await go_live(15)
        await self.delivered(stage, live)
        self.assertEqual(self.assigned(stage), taken)
        self.assertEqual([each.id for each in stage.twitch.conduits], conduits)
        self.assertEqual({each.id for each in stage.twitch.subscriptions}, subscriptions)
        self.assertEqual(list(stage.twitch.dropped), [])
        await new.ready()
        self.assertEqual(await new.stop(), 0, new.output)
        self.assertIn("accepted ", old.output)
        self.assertIn("accepted ", new.output)
