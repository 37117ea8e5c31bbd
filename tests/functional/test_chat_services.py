"""
The real daemon posts to several imitated services at once, each in its own way.
"""

from __future__ import annotations

from itsjustintv.simulator.fakes.service import FakeService
from itsjustintv.simulator.fakes.site import FakeSite
from itsjustintv.simulator.fakes.slack import FakeSlack
from itsjustintv.simulator.fakes.teams import FakeTeams
from itsjustintv.simulator.fakes.telegram import FakeTelegram
from itsjustintv.simulator.loopback import listen
from tests.functional.stage import Stage
from tests.functional.test_posts import PostCase

CHAT = -1001234567890


class ChatServiceTests(PostCase):
    """
    Telegram, Slack by a bot and by a webhook, and Teams.
    """

    def with_services(self, *fakes: FakeService) -> Stage:
        stage = self.stage()
        listening = listen(stage.reactor, FakeSite(stage.reactor, fakes).resource())
        self.addCleanup(listening.stop)
        self.site = listening.url
        stage.settings = f'[broadcast]\nreconnect_window = "{self.window}"\nsettle = "{self.settle}"\n'
        stage.settings += f"refresh_preview = {self.previews}\nrefresh_recording = {self.recordings}\n"
        return stage

    def telegram(self, fake: FakeTelegram, chat: int = CHAT) -> str:
        return f"""
[destinations.phone]
type = "telegram"
token = "{fake.token}"
chat = "{chat}"
api_url = "{self.site}/telegram"
mention = ["user:88"]
"""

    async def test_life_of_a_broadcast(self) -> None:
        """
        Where posts can be edited there is one message for a broadcast, and elsewhere one for its start and one for its
        end; each mentions once, and no secret is in the log.
        """
        telegram, slack, teams = FakeTelegram(), FakeSlack(token="xoxb-1-fake"), FakeTeams()
        telegram.add_chat(CHAT)
        slack.add_channel("C0LIVE", "live")
        slack.add_channel("C0HOOK", "hook")
        webhook = slack.add_webhook(channel="C0HOOK")
        stage = self.with_services(telegram, slack, teams)
        stage.settings += f"""
{self.telegram(telegram)}
[destinations.bot]
type = "slack"
token = "{slack.token}"
channel = "#live"
api_url = "{self.site}/slack/api"
mention = ["here"]

[destinations.hook]
type = "slack"
url = "{self.site}/slack/services/{webhook.path}"
events = ["online", "offline"]

[destinations.office]
type = "teams"
url = "{self.site}/teams{teams.path}"
events = ["online", "offline"]
"""
        self.configure(stage, "tanuki", '["phone", "bot", "hook", "office"]')
        daemon = await stage.started()
        await self.covered(stage)
        world, twitch = stage.twitch.world, stage.twitch
        await twitch.announce(world.go_live("tanuki"))
        await stage.until(lambda: (len(telegram.messages), len(slack.messages), len(teams.messages)) == (1, 2, 1))
        await twitch.announce_change(world.change("tanuki", title="glazing", game="Crafts"))
        await stage.until(lambda: "glazing" in str(telegram.messages) and "glazing" in str(slack.messages))
        world.go_offline("tanuki")
        await twitch.announce_end(world.channel("tanuki"))
        await stage.until(lambda: (len(slack.messages), len(teams.messages)) == (3, 2))
        await stage.until(lambda: "was live" in str(telegram.messages))
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.imbalance, account.dead, account.expired), (0, 0, 0), daemon.output)
        self.assertEqual(len(telegram.messages), 1)
        by_bot = [each for each in slack.messages.values() if each["channel"] == "C0LIVE"]
        self.assertEqual(["was live" in each["text"] for each in by_bot], [True])
        self.assertEqual([each.whom for each in telegram.pings], ["user:88"])
        self.assertEqual([each.whom for each in slack.pings], ["here"])
        self.assertTrue(all(each.shown for each in teams.runs))
        for secret in (telegram.token, slack.token, webhook.path, teams.signature):
            self.assertNotIn(secret, daemon.output)

    async def test_a_group_that_became_a_supergroup(self) -> None:
        """
        The new chat is used at once, in edits and after a restart too, and the log says what to configure.
        """
        telegram = FakeTelegram()
        telegram.add_chat(CHAT)
        telegram.add_chat(-77, kind="group", migrated_to=CHAT)
        stage = self.with_services(telegram)
        stage.settings += self.telegram(telegram, -77)
        self.configure(stage, "tanuki", '["phone"]')
        daemon = await stage.started()
        await self.covered(stage)
        world, twitch = stage.twitch.world, stage.twitch
        await twitch.announce(world.go_live("tanuki"))
        await stage.until(lambda: telegram.messages)
        await daemon.said(f"set chat to {CHAT}")
        await stage.settled(stage.reactor)
        await daemon.stop()
        await stage.started()
        world.go_offline("tanuki")
        await twitch.announce_end(world.channel("tanuki"))
        await stage.until(lambda: "was live" in str(telegram.messages))
        self.assertEqual([each["chat"]["id"] for each in telegram.messages.values()], [CHAT])
