"""
The real daemon hears of ends and changes where a destination asks for them.
"""

from __future__ import annotations

import json
import signal
from collections import Counter

from twisted.internet.defer import Deferred

from itsjustintv.simulator.fakes.discord import FakeDiscord
from itsjustintv.simulator.fakes.site import FakeSite
from itsjustintv.simulator.loopback import listen
from tests.functional.stage import Stage, StageCase

ENDS = '[destinations.bus]\ntype = "cloudevents"\nurl = "{url}/bus"\nevents = {events}\n'
CARD = '[destinations.{name}]\ntype = "discord"\nurl = "{url}"\n'


class EndsAndChangesTests(StageCase):
    """
    Beside a streamer of whom only starts are wanted.
    """

    def types(self, stage: Stage) -> Counter[tuple[str, str]]:
        """
        What is subscribed to and works, by login.
        """
        logins = {each.id: each.login for each in stage.twitch.world.all_channels()}
        return Counter(
            (logins[each.broadcaster_id], each.type) for each in stage.twitch.subscriptions if each.status == "enabled"
        )

    def two(self, events: str) -> Stage:
        """
        A stage with a destination that asks for these events of one streamer.
        """
        stage = self.stage()
        stage.settings = ENDS.format(url=stage.hook, events=events)
        stage.add_streamer("tanuki", 'destinations = ["bus"]', title="pottery", game="Art")
        stage.add_streamer("kitsune")
        return stage

    async def test_from_the_message_to_the_receiver(self) -> None:
        """
        A start goes to both receivers of the streamer, an end and a change to the one that asks for them, with the
        words of the change; and of the other streamer nothing but starts is subscribed to.
        """
        stage = self.two('["online", "offline", "update"]')
        daemon = await stage.started()
        wanted = Counter(
            [
                ("tanuki", "stream.online"),
                ("tanuki", "stream.offline"),
                ("tanuki", "channel.update"),
                ("kitsune", "stream.online"),
            ]
        )
        await stage.until(lambda: self.types(stage) == wanted)
        world, twitch = stage.twitch.world, stage.twitch
        await twitch.announce(world.go_live("tanuki"))
        await stage.receiver.delivery("/tanuki")
        await stage.receiver.delivery("/bus")
        await twitch.announce_change(world.change("tanuki", title="glazing", game="Crafts"))
        await stage.receiver.delivery("/bus", 2)
        world.go_offline("tanuki")
        (report,) = await twitch.announce_end(world.channel("tanuki"))
        self.assertTrue(report.acknowledged)
        await stage.receiver.delivery("/bus", 3)
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.delivered, account.imbalance), (4, 0))
        online, update, offline = (each.payload for each in stage.receiver.at("/bus"))
        self.assertEqual(
            [each["event"] for each in (online, update, offline)],
            ["stream.online", "channel.update", "stream.offline"],
        )
        self.assertEqual((update["stream"]["title"], update["stream"]["game_name"]), ("glazing", "Crafts"))
        self.assertEqual(len(stage.receiver.at("/tanuki")), 1)
        ended = await stage.command("explain", offline["id"], "--config", "config.toml")
        self.assertIn("event type    stream.offline: went offline at 20", ended.out)
        ended = await stage.command("deliveries", "show", f"{offline['id']}-1", "--config", "config.toml")
        self.assertIn("event type   stream.offline: went offline at 20", ended.out)
        for said in ("tanuki went live", "tanuki changed the title or the category", "tanuki went offline"):
            await daemon.said(f": {said}")

    async def test_a_reload_asks_for_less(self) -> None:
        """
        What no destination asks for any more is unsubscribed from at once, and starts go on.
        """
        stage = self.two('["online", "offline"]')
        daemon = await stage.started()
        await stage.until(lambda: self.types(stage)["tanuki", "stream.offline"] == 1)
        stage.settings = ENDS.format(url=stage.hook, events='["online"]')
        stage.configure()
        daemon.send_signal(signal.SIGHUP)
        await daemon.said("of tanuki (stream.offline): no destination of the streamer is configured for stream.offline")
        wanted = Counter([("tanuki", "stream.online"), ("kitsune", "stream.online")])
        await stage.until(lambda: self.types(stage) == wanted)
        ended = await stage.command("subscriptions", "explain", "tanuki", "--config", "config.toml")
        self.assertIn("the subscription works", ended.out)


class MissedEndTests(StageCase):
    """
    A broadcast that ends while the daemon is down.
    """

    async def test_the_post_is_brought_to_its_end(self) -> None:
        """
        At the next start the card says that the broadcast is over, how long it lasted and where it can be watched; one
        that goes on stays as it is, and no message is posted twice.
        """
        stage = self.stage()
        discord = FakeDiscord()
        hooks = {login: discord.add_webhook() for login in ("tanuki", "kitsune")}
        site = listen(stage.reactor, FakeSite(stage.reactor, [discord]).resource())
        self.addCleanup(lambda: Deferred.fromCoroutine(site.stop()))
        stage.settings = (
            '[catch_up]\nenabled = true\n[broadcast]\nreconnect_window = "1s"\nrefresh_preview = []\n'
            + "".join(
                CARD.format(name=login, url=hook.url.replace("https://discord.com", f"{site.url}/discord"))
                for login, hook in hooks.items()
            )
        )
        for login in hooks:
            stage.add_streamer(login, f'destinations = ["{login}"]', title="pottery", game="Art")
        daemon = await stage.started()
        await stage.until(lambda: sum(each.status == "enabled" for each in stage.twitch.subscriptions) == 6)
        streams = {login: stage.twitch.world.go_live(login, ago=600.0) for login in hooks}
        for stream in streams.values():
            await stage.twitch.announce(stream)
        await stage.until(lambda: len(discord.messages) == 2)
        await stage.settled(stage.reactor)
        await daemon.kill()
        stage.twitch.world.go_offline("tanuki")
        daemon = await stage.started()
        await daemon.said(": tanuki went offline ")
        await stage.until(lambda: len(discord.history) == 3)
        account = await stage.settled(stage.reactor)
        self.assertEqual((len(discord.messages), account.imbalance), (2, 0))
        shown = {json.dumps(each) for each in discord.messages.values()}
        video = f"https://www.twitch.tv/videos/{streams['tanuki'].id[::-1]}"
        self.assertEqual(sum(video in each for each in shown), 1, shown)
        self.assertNotIn("kitsune went offline", daemon.output)
