"""
What commands show of destinations and send to them, with an imitated Discord.
"""

from __future__ import annotations

import json
from typing import Any

import treq

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.loopback import free_port
from tests.functional.test_posts import PostCase

TOKEN = "an-admin-token-of-the-stage"


class DestinationCommandsTests(PostCase):
    """
    ``itsjustintv preview`` and ``itsjustintv destinations``.
    """

    async def test_preview(self) -> None:
        """
        A preview has the title and category that Twitch gives at this moment, and sends nothing; without Twitch it has
        samples, and says so.
        """
        stage, discord = self.with_discord()
        stage.settings = stage.settings.replace("refresh_preview = []", 'refresh_preview = ["2m", "6m"]')
        stage.daemon()
        shown = await stage.command("preview", "tanuki")
        self.assertEqual((shown.status, shown.err), (0, ""))
        for text in ("Twitch says that tanuki is not live", "pottery", "Art", "<@&77>", "would be posted by POST"):
            self.assertIn(text, shown.out)
        self.assertIn("It is refreshed for a newer preview 2 min and 6 min after the start.", shown.out)
        stage.twitch.world.go_live("tanuki")
        stage.twitch.world.change("tanuki", title="glazing")
        shown = await stage.command("preview", "tanuki", "--destination", "main", "--event", "update", "--json")
        [request] = json.loads(shown.out)["requests"]
        self.assertEqual((request["action"], request["method"]), ("edit", "PATCH"))
        self.assertEqual(request["body"]["embeds"][0]["title"], "glazing")
        await stage.take_twitch_away()
        shown = await stage.command("preview", "tanuki")
        self.assertEqual(shown.status, 0, shown.err)
        self.assertIn("are samples, since Twitch cannot be asked", shown.out)
        self.assertEqual((discord.history, shown.out.count(next(iter(discord.webhooks.values())).token)), ([], 0))

    async def test_a_test_message(self) -> None:
        """
        The test message appears, is changed and is gone; with ``--keep`` it stays; it mentions no one, and what the
        service answers is shown if it fails.
        """
        stage, discord = self.with_discord()
        stage.daemon()
        ended = await stage.command("destinations", "test", "main")
        self.assertEqual(ended.status, 0, ended.err)
        self.assertEqual([each.request.method for each in discord.history], ["POST", "PATCH", "DELETE"])
        self.assertEqual([line.split()[0] for line in ended.out.splitlines()], ["sent", "changed", "deleted"])
        ended = await stage.command("destinations", "test", "main", "--keep")
        self.assertIn("The test message stays at main.", ended.out)
        [message] = discord.messages.values()
        self.assertIn("(test", message["content"])
        self.assertIn("test notification", message["embeds"][0]["title"])
        self.assertEqual(discord.pings, [])
        discord.script.plan("POST", Behaviour(status=400, body=b'{"code": 50006, "message": "no"}'))
        ended = await stage.command("destinations", "test", "main")
        self.assertEqual(ended.status, 1)
        self.assertIn("the test message was not sent: main answered 400", ended.err)

    async def test_doctor(self) -> None:
        """
        The diagnosis names the webhook, its channel and its server, and of one that is gone the remedy; nothing is
        posted.
        """
        stage, discord = self.with_discord()
        [webhook] = discord.webhooks.values()
        stage.daemon()
        ended = await stage.command("doctor")
        self.assertIn(f"channel {webhook.channel} at server {webhook.guild}", ended.out)
        webhook.deleted = True
        ended = await stage.command("doctor", "--json")
        [found] = [each for each in json.loads(ended.out)["findings"] if each["area"] == "destinations"]
        self.assertEqual(found["verdict"], "mend")
        self.assertIn("has no such webhook any more", found["text"])
        self.assertEqual({each.request.method for each in discord.history}, {"GET"})
        self.assertNotIn(webhook.token, ended.out)

    async def test_admin_page(self) -> None:
        """
        The page and its API have the open post, a preview and a test of each event: one card that is changed, and says
        at last that it is over; a webhook that is gone is named with what to do.
        """
        stage, discord = self.with_discord()
        port = free_port()
        stage.settings += f'\n[admin]\nenabled = true\nlisten = "127.0.0.1:{port}"\ntoken = "{TOKEN}"\n'

        async def ask(path: str, method: str = "GET") -> Any:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            answer = await treq.request(method, f"http://127.0.0.1:{port}{path}", headers=headers, persistent=False)
            return json.loads(await answer.text())

        async def main() -> Any:
            items = (await ask("/api/v1/destinations"))["items"]
            return next(each for each in items if each["name"] == "main")

        await stage.started()
        await self.covered(stage)
        await stage.twitch.announce(stage.twitch.world.go_live("tanuki"))
        await self.one(stage, discord)
        await stage.settled(stage.reactor)
        shown = await main()
        self.assertEqual((shown["posts"], shown["open_posts"][0]["streamer"], shown["state"]), (1, "tanuki", "ok"))
        self.assertIn("Drawing until dawn", [each["text"] for each in shown["preview"]])
        self.assertEqual((shown["card"]["title"], shown["card"]["colour"]), ("Drawing until dawn", "#9146ff"))
        discord.messages.clear()
        for event in ("online", "update", "offline"):
            answer = await ask(f"/api/v1/destinations/main/test?event={event}", "POST")
            self.assertTrue(answer["ok"], answer)
        [message] = discord.messages.values()
        self.assertIn("was live", message["content"])
        self.assertEqual([each.whom for each in discord.pings], ["role:77"], "that of the broadcast alone")
        next(iter(discord.webhooks.values())).deleted = True
        stage.twitch.world.change("tanuki", title="glazing")
        await stage.twitch.announce_change(stage.twitch.world.channel("tanuki"))
        await stage.until(lambda: stage.accounting().dead == 1)
        shown = await main()
        self.assertEqual(shown["state"], "gone")
        self.assertIn("requeue what is dead", shown["advice"])

    async def test_list_and_explain(self) -> None:
        """
        The list counts the posts that can still change and names a webhook that is gone; the explanation names the
        table from which a key comes, and no secret.
        """
        stage, discord = self.with_discord()
        stage.streamers["tanuki"] += '[streamers.tanuki.at.main]\nmention = ["role:78"]\n'
        await stage.started()
        await self.covered(stage)
        await stage.twitch.announce(stage.twitch.world.go_live("tanuki"))
        await self.one(stage, discord)
        await stage.settled(stage.reactor)
        listed = json.loads((await stage.command("destinations", "list", "--json")).out)
        [main] = [each for each in listed["destinations"] if each["name"] == "main"]
        self.assertEqual((main["posts"], main["streamers"], main["state"]), (1, 1, "ok"))
        explained = await stage.command("destinations", "explain", "main", "tanuki")
        self.assertRegex(explained.out, r'mention +\["role:78"\] +streamers\.tanuki\.at\.main')
        self.assertRegex(explained.out, r'url +"\[redacted\]" +destinations\.main')
        self.assertRegex(explained.out, r'cooldown +"0s" +default')
        self.assertNotIn(next(iter(discord.webhooks.values())).token, explained.out)
        next(iter(discord.webhooks.values())).deleted = True
        stage.twitch.world.go_offline("tanuki")
        await stage.twitch.announce_end(stage.twitch.world.channel("tanuki"))
        await stage.until(lambda: stage.accounting().dead == 1)
        listed_text = (await stage.command("destinations", "list")).out
        self.assertIn("main is gone: the service has no such place", listed_text)
        self.assertIn("destination:  main is gone:", (await stage.command("explain", "tanuki")).out)
        next(iter(discord.webhooks.values())).deleted = False
        diagnosis = (await stage.command("doctor")).out
        self.assertIn("but the daemon sends nothing there since the service refused a message", diagnosis)
