"""
The real daemon posts to an imitated Discord, and changes what stands there with the broadcast.
"""

from __future__ import annotations

from typing import Any

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.fakes.discord import FakeDiscord, FakeWebhook
from itsjustintv.simulator.fakes.site import FakeSite
from itsjustintv.simulator.loopback import listen
from tests.functional.stage import Stage, StageCase


class PostCase(StageCase):
    """
    A stage with a Discord.
    """

    #: For how long a broadcast waits for a stream that comes back, and changes for the next one.
    window, settle = "3s", "300ms"
    #: After which times a post is refreshed; never, where a test waits until nothing is accepted any more.
    previews, recordings = "[]", "[]"

    def with_discord(self, **policy: str) -> tuple[Stage, FakeDiscord]:
        """
        :param policy: TOML values of more keys of the destination.
        """
        stage, discord = self.stage(), FakeDiscord()
        listening = listen(stage.reactor, FakeSite(stage.reactor, [discord]).resource())
        self.addCleanup(listening.stop)
        self.site = listening.url
        keys = "".join(f"{key} = {value}\n" for key, value in policy.items())
        stage.settings = f"""
[broadcast]
reconnect_window = "{self.window}"
settle = "{self.settle}"
refresh_preview = {self.previews}
refresh_recording = {self.recordings}

[destinations.main]
type = "discord"
url = "{self.url(discord.add_webhook())}"
mention = ["role:77"]
{keys}
"""
        self.configure(stage, "tanuki", '["main"]')
        return stage, discord

    def url(self, webhook: FakeWebhook) -> str:
        return webhook.url.replace("https://discord.com", f"{self.site}/discord")

    def configure(self, stage: Stage, login: str, destinations: str) -> None:
        """
        Add a streamer who has no webhook of its own.
        """
        channel = stage.twitch.world.add_streamer(login, title="pottery", game="Art")
        stage.streamers[login] = (
            f'[streamers.{login}]\nlogin = "{login}"\nuser_id = "{channel.id}"\ndestinations = {destinations}\n'
        )

    async def covered(self, stage: Stage, login: str = "tanuki", types: int = 3) -> None:
        """
        Wait until every type of event of a streamer is subscribed to.
        """
        identity = stage.twitch.world.channel(login).id
        await stage.until(
            lambda: (
                sum(each.status == "enabled" and each.broadcaster_id == identity for each in stage.twitch.subscriptions)
                == types
            )
        )

    async def one(self, stage: Stage, discord: FakeDiscord) -> dict[str, Any]:
        """
        The only message, once there is one.
        """
        await stage.until(lambda: discord.messages)
        [message] = discord.messages.values()
        return message

    def embed(self, discord: FakeDiscord) -> dict[str, Any]:
        [message] = discord.messages.values()
        embed: dict[str, Any] = message["embeds"][0]
        return embed


class LifeOfABroadcastTests(PostCase):
    """
    From the start over a drop to the end.
    """

    async def test_one_message_one_mention(self) -> None:
        """
        The card appears at the start, shows a new title, lives on through a drop to a new stream, and says at the end
        that it is over: one message, one mention, and the last state is shown.
        """
        stage, discord = self.with_discord()
        daemon = await stage.started()
        await self.covered(stage)
        world, twitch = stage.twitch.world, stage.twitch
        await twitch.announce(world.go_live("tanuki"))
        message = await self.one(stage, discord)
        self.assertIn("<@&77>", message["content"])
        self.assertEqual(self.embed(discord)["title"], "pottery")
        await twitch.announce_change(world.change("tanuki", title="glazing", game="Crafts"))
        await stage.until(lambda: self.embed(discord)["title"] == "glazing")
        world.go_offline("tanuki")
        await twitch.announce_end(world.channel("tanuki"))
        await twitch.announce(world.go_live("tanuki"))
        await stage.until(lambda: self.embed(discord)["title"] == "glazing" and stage.accounting().superseded >= 1)
        world.go_offline("tanuki")
        await twitch.announce_end(world.channel("tanuki"))
        await stage.until(lambda: "was live" in discord.messages[message["id"]]["content"])
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.imbalance, account.dead, account.expired), (0, 0, 0), daemon.output)
        self.assertEqual([*discord.messages], [message["id"]])
        self.assertEqual([each.whom for each in discord.pings], ["role:77"])
        self.assertIn("<@&77>", discord.messages[message["id"]]["content"])
        self.assertNotIn("image", self.embed(discord))
        self.assertNotIn(next(iter(discord.webhooks.values())).token, daemon.output)

    async def test_back_under_its_id(self) -> None:
        """
        A stream that comes back under its id, before or after its end was shown, is live again in the same message, and
        its end is shown as of the last time: one mention.
        """
        stage, discord = self.with_discord()
        daemon = await stage.started()
        await self.covered(stage)
        world, twitch = stage.twitch.world, stage.twitch
        await twitch.announce(world.go_live("tanuki"))
        message = await self.one(stage, discord)
        for is_shown in (False, True):
            world.go_offline("tanuki")
            await twitch.announce_end(world.channel("tanuki"))
            if is_shown:
                await stage.until(lambda: "was live" in discord.messages[message["id"]]["content"])
            await twitch.announce(world.go_live("tanuki", again=True))
            await stage.settled(stage.reactor)
            self.assertIn("is live", discord.messages[message["id"]]["content"], daemon.output)
        world.go_offline("tanuki")
        await twitch.announce_end(world.channel("tanuki"))
        await stage.until(lambda: "was live" in discord.messages[message["id"]]["content"])
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.imbalance, account.dead), (0, 0), daemon.output)
        self.assertEqual((len(discord.messages), len(discord.pings)), (1, 1))

    async def test_the_end_while_the_daemon_is_down(self) -> None:
        """
        A broadcast that ended while the daemon was down is shown as over after the next start.
        """
        stage, discord = self.with_discord()
        stage.settings += "\n[catch_up]\nenabled = true\n"
        daemon = await stage.started()
        await self.covered(stage)
        await stage.twitch.announce(stage.twitch.world.go_live("tanuki", ago=600))
        await self.one(stage, discord)
        await stage.settled(stage.reactor)
        await daemon.stop()
        stage.twitch.world.go_offline("tanuki")
        await stage.started()
        await stage.until(lambda: "was live" in next(iter(discord.messages.values()))["content"])
        self.assertEqual(len(discord.pings), 1)

    async def test_deleted_at_the_end(self) -> None:
        """
        With ``on_offline = "delete"`` nothing is left of the message.
        """
        stage, discord = self.with_discord(on_offline='"delete"')
        await stage.started()
        await self.covered(stage)
        await stage.twitch.announce(stage.twitch.world.go_live("tanuki"))
        await self.one(stage, discord)
        stage.twitch.world.go_offline("tanuki")
        await stage.twitch.announce_end(stage.twitch.world.channel("tanuki"))
        await stage.until(lambda: not discord.messages)
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.delivered, account.imbalance), (2, 0))


class RefreshTests(PostCase):
    """
    What Twitch has only later.
    """

    previews, recordings = '["3s", "600s"]', '["5s"]'

    def image(self, discord: FakeDiscord) -> str:
        found: str = self.embed(discord).get("image", {}).get("url", "")
        return found

    async def test_newer_preview_and_recording(self) -> None:
        """
        The card gets a newer preview, also over a restart, and the link to a recording that was not there at the end:
        one message, one mention, and nothing for the refresh whose time came after the end.
        """
        stage, discord = self.with_discord()
        world, twitch = stage.twitch.world, stage.twitch
        world.recording_lag = 4.0
        daemon = await stage.started()
        await self.covered(stage)
        await twitch.announce(world.go_live("tanuki"))
        await self.one(stage, discord)
        await stage.until(lambda: stage.accounting().accepted == 2)
        first = self.image(discord)
        await daemon.stop()
        daemon = await stage.started()
        await stage.until(lambda: self.image(discord) != first)
        self.assertRegex(self.image(discord), r"\?t=\d+$")
        await stage.until(lambda: stage.accounting().delivered == 2)
        world.go_offline("tanuki")
        await twitch.announce_end(world.channel("tanuki"))
        await stage.until(lambda: "was live" in next(iter(discord.messages.values()))["content"])
        self.assertNotIn("recording", self.embed(discord)["description"])
        await stage.until(lambda: "recording" in self.embed(discord)["description"])
        account = await stage.settled(stage.reactor)
        counts = (account.delivered, account.superseded, account.wanted, account.imbalance)
        self.assertEqual(counts, (4, 1, 5, 0), daemon.output)
        self.assertEqual((len(discord.messages), len(discord.pings)), (1, 1))
        self.assertIn("refreshed the post of", daemon.output)
        listed = await stage.command("deliveries", "list", "--config", "config.toml")
        self.assertEqual(listed.out.count(" refresh "), 3, listed.out)


class TroubleTests(PostCase):
    """
    What Discord says of a webhook and of all of them.
    """

    async def test_a_webhook_that_is_gone_is_asked_once(self) -> None:
        """
        Whatever happens after a webhook is gone, it gets no further request; its deliveries are dead, and can be
        requeued.
        """
        stage, discord = self.with_discord()
        self.configure(stage, "kitsune", '["main"]')
        next(iter(discord.webhooks.values())).deleted = True
        daemon = await stage.started()
        await self.covered(stage)
        await self.covered(stage, "kitsune")
        await stage.twitch.announce(stage.twitch.world.go_live("tanuki"))
        await stage.until(lambda: stage.accounting().dead == 1)
        await stage.twitch.announce(stage.twitch.world.go_live("kitsune"))
        await stage.until(lambda: stage.accounting().dead == 2)
        await daemon.stop()
        self.assertEqual(len(discord.history), 1)
        await stage.started()
        await stage.until(lambda: stage.accounting().dead == 2)
        self.assertEqual(len(discord.history), 1)
        next(iter(discord.webhooks.values())).deleted = False
        ended = await stage.command("deliveries", "retry", "--all", "--config", "config.toml")
        self.assertEqual(ended.status, 0, ended.out + ended.err)
        await stage.until(lambda: len(discord.messages) == 2)

    async def test_a_global_limit_stops_every_webhook(self) -> None:
        """
        When Discord wants no requests from this machine, no other webhook is asked meanwhile, and nothing is lost.
        """
        stage, discord = self.with_discord()
        other = discord.add_webhook(channel="2200")
        stage.settings += f'\n[destinations.other]\ntype = "discord"\nurl = "{self.url(other)}"\n'
        self.configure(stage, "kitsune", '["other"]')
        body = b'{"message": "limited", "retry_after": 2.5, "global": true}'
        discord.script.plan("POST", Behaviour(status=429, body=body))
        await stage.started()
        await self.covered(stage)
        await self.covered(stage, "kitsune")
        await stage.twitch.announce(stage.twitch.world.go_live("tanuki"))
        await stage.until(lambda: discord.history)
        await stage.twitch.announce(stage.twitch.world.go_live("kitsune"))
        await stage.until(lambda: len(discord.messages) == 2)
        limited, *later = discord.history
        self.assertTrue(all(each.request.at - limited.request.at >= 2.4 for each in later))
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.delivered, account.imbalance), (2, 0))

    async def test_refused_content_is_sent_as_plain_text(self) -> None:
        """
        Content that Discord refuses is sent once more as plain text.
        """
        stage, discord = self.with_discord()
        discord.script.plan("POST", Behaviour(status=400, body=b'{"code": 50035, "errors": {"embeds": ["0"]}}'))
        daemon = await stage.started()
        await self.covered(stage)
        await stage.twitch.announce(stage.twitch.world.go_live("tanuki"))
        message = await self.one(stage, discord)
        self.assertEqual(message["embeds"], [])
        self.assertIn("is live", message["content"])
        await daemon.said("Sending it as plain text")
