"""
The real daemon goes on with its posts when their destination gets another type, or another name.
"""

from __future__ import annotations

import signal
from pathlib import Path

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.fakes.discord import FakeDiscord
from itsjustintv.simulator.process import DaemonProcess
from tests.functional.stage import Stage
from tests.functional.test_posts import PostCase

AWAY = Behaviour(status=503)


class ChangedDestinationTests(PostCase):
    """
    A reload during a broadcast.
    """

    window = "500ms"

    async def begin(self) -> tuple[Stage, FakeDiscord, DaemonProcess]:
        stage, discord = self.with_discord()
        stage.settings += '\n[retry]\ninitial_delay = "500ms"\nmax_delay = "500ms"\njitter = 0\n'
        daemon = await stage.started()
        await self.covered(stage)
        return stage, discord, daemon

    async def reload(self, stage: Stage, daemon: DaemonProcess, *changes: tuple[str, str]) -> None:
        """
        Replace texts of the configuration.
        """
        path: Path = stage.configure()
        text = path.read_text(encoding="utf-8")
        for before, after in changes:
            self.assertIn(before, text)
            text = text.replace(before, after)
        path.write_text(text, encoding="utf-8")
        daemon.send_signal(signal.SIGHUP)
        await daemon.said("configuration reloaded")

    async def test_another_type(self) -> None:
        """
        What waits for an attempt is made again for the new type: a webhook gets its payload, and no card.
        """
        stage, discord, daemon = await self.begin()
        discord.script.plan("POST", then=AWAY)
        await stage.twitch.announce(stage.twitch.world.go_live("tanuki"))
        await stage.until(lambda: discord.history)
        url = self.url(next(iter(discord.webhooks.values())))
        await self.reload(
            stage,
            daemon,
            ('type = "discord"', 'type = "webhook"'),
            (url, f"{stage.hook}/main"),
            ('mention = ["role:77"]', ""),
        )
        received = await stage.receiver.delivery("/main")
        self.assertEqual(received.payload["event"], "stream.online")
        await daemon.said("is prepared again, since the type or the address of the destination has changed")
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.delivered, account.dead, account.imbalance), (1, 0, 0), daemon.output)

    async def test_another_name(self) -> None:
        """
        A post goes on under a new name of its destination: one message, one mention, the end is shown.
        """
        stage, discord, daemon = await self.begin()
        world, twitch = stage.twitch.world, stage.twitch
        await twitch.announce(world.go_live("tanuki"))
        await stage.until(lambda: discord.messages)
        await stage.settled(stage.reactor)
        await self.reload(stage, daemon, ("[destinations.main]", "[destinations.cards]"), ('["main"]', '["cards"]'))
        await twitch.announce_change(world.change("tanuki", title="glazing", game="Crafts"))
        await stage.until(lambda: self.embed(discord)["title"] == "glazing")
        world.go_offline("tanuki")
        await twitch.announce_end(world.channel("tanuki"))
        await stage.until(lambda: "was live" in next(iter(discord.messages.values()))["content"])
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.delivered, account.imbalance), (3, 0), daemon.output)
        self.assertEqual((len(discord.messages), len(discord.pings)), (1, 1))
