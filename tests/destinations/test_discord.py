"""
Tests for :mod:`itsjustintv.destinations.discord`, against the imitated Discord.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.destinations.discord import DISCORD_KIND, Settings
from itsjustintv.destinations.kinds import open_destination
from itsjustintv.model import CHANNEL_UPDATE, STREAM_OFFLINE, Action, Destination, Result, Verdict
from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.fakes.discord import FakeDiscord
from itsjustintv.support.http_response import Response
from tests.destinations.contract import NOW, AdapterContract, notice


class DiscordTests(AdapterContract, SynchronousTestCase):
    """
    A Discord webhook.
    """

    kind = DISCORD_KIND
    mention = (("role:77", "user:88", "everyone"), frozenset({"role:77", "user:88", "everyone"}))
    fake: FakeDiscord

    def make_fake(self) -> FakeDiscord:
        fake = FakeDiscord()
        fake.add_webhook()
        return fake

    def make_settings(self, fake: Any, **more: Any) -> Settings:
        [webhook] = fake.webhooks.values()
        return Settings(**{"url": webhook.url, **more})

    def at(self, **more: Any) -> Destination:
        return evolve(self.destination(), settings=self.make_settings(self.fake, **more))

    def message(self) -> dict[str, Any]:
        [message] = self.fake.messages.values()
        return message

    def test_the_card(self) -> None:
        """
        The card shows the channel, the title, the category, a preview that is not an old one, and since when.
        """
        self.assert_taken(self.post(self.at(), notice()))
        [embed] = self.message()["embeds"]
        self.assertEqual(self.message()["content"], "**Tanuki** is live!")
        self.assertEqual((embed["title"], embed["url"]), ("Drawing until dawn", "https://twitch.tv/tanuki"))
        self.assertEqual((embed["author"]["name"], embed["color"]), ("Tanuki", 0x9146FF))
        self.assertEqual(
            [(each["name"], each["value"]) for each in embed["fields"]],
            [("Category", "Art"), ("Started", "<t:1767355445:R>")],
        )
        self.assertRegex(embed["image"]["url"], r"live_user_tanuki-1280x720\.jpg\?t=\d+$")
        self.assertIn("tanuki-profile_image", embed["thumbnail"]["url"])

    def test_the_end(self) -> None:
        """
        At the end the card says how long the broadcast was, links the recording and has no preview any more.
        """
        created = self.post(self.at(), notice())
        ended = notice(STREAM_OFFLINE, Action.EDIT)
        ended = evolve(ended, enrichment=evolve(ended.enrichment, vods=("https://www.twitch.tv/videos/9",)))
        self.assert_taken(self.post(self.at(), ended, created.remote))
        [embed] = self.message()["embeds"]
        self.assertEqual(self.message()["content"], "**Tanuki** was live.")
        self.assertIn("[Watch the recording](https://www.twitch.tv/videos/9)", embed["description"])
        self.assertIn("Live for ", embed["description"])
        self.assertNotIn("image", embed)

    def test_several_recordings(self) -> None:
        """
        After a broadcast over short drops the card links the recording of each stream, within the limit of a field; one
        is linked by the description alone.
        """
        created, ended = self.post(self.at(), notice()), notice(STREAM_OFFLINE, Action.EDIT)

        def shown(*addresses: str) -> list[str]:
            with_links = evolve(ended, enrichment=evolve(ended.enrichment, vods=addresses))
            self.assert_taken(self.post(self.at(), with_links, created.remote))
            [embed] = self.message()["embeds"]
            return [each["value"] for each in embed["fields"] if each["name"] == "Recordings"]

        one, two = "https://www.twitch.tv/videos/1", "https://www.twitch.tv/videos/2"
        self.assertEqual(shown(one), [])
        self.assertEqual(shown(one, two), [f"[Part 1]({one}) \u00b7 [Part 2]({two})"])
        [many] = shown(*[f"https://www.twitch.tv/videos/{each:0>51}" for each in range(20)])
        self.assertIn("[Part 10](", many)

    def test_a_mention_stays_in_the_text_of_an_edit(self) -> None:
        """
        The text of the mention is in the edit too, where it notifies no one.
        """
        destination = self.destination(mention=("role:77",))
        created = self.post(destination, notice(mention=True))
        self.assert_taken(self.post(destination, notice(CHANNEL_UPDATE, Action.EDIT, mention=True), created.remote))
        self.assertIn("<@&77>", self.message()["content"])
        self.assertEqual([each.whom for each in self.fake.pings], ["role:77"])

    def test_style_short(self) -> None:
        """
        The short style is one line with the address, and no card.
        """
        self.assert_taken(self.post(self.at(style="short"), notice()))
        self.assertEqual(self.message()["embeds"], [])
        self.assertEqual(self.message()["content"], "**Tanuki** is live! <https://twitch.tv/tanuki>")

    def test_silent(self) -> None:
        """
        In quiet hours a message makes no sound.
        """
        self.assert_taken(self.post(self.at(), notice(silent=True)))
        self.assertEqual(self.message()["flags"], 4096)

    def test_a_thread_and_a_forum(self) -> None:
        """
        A thread is posted to and edited in; in a forum each broadcast gets a thread of its own.
        """
        [webhook] = self.fake.webhooks.values()
        thread = self.fake.add_thread(webhook)
        for pasted in (
            {"thread_id": thread.id},
            {"url": f"{webhook.url}?thread_id={thread.id}"},
        ):
            destination = self.at(**pasted)
            created = self.post(destination, notice())
            self.assert_taken(created)
            self.assert_taken(self.post(destination, notice(STREAM_OFFLINE, Action.EDIT), created.remote))
            self.assert_taken(self.post(destination, notice(STREAM_OFFLINE, Action.DELETE), created.remote))
        webhook.forum = True
        self.assertEqual(self.post(self.at(), notice()).verdict, Verdict.REJECTED)
        destination = self.at(thread_name="On air")
        created = self.post(destination, notice())
        self.assert_taken(created)
        self.assert_taken(self.post(destination, notice(STREAM_OFFLINE, Action.EDIT), created.remote))

    def test_any_version_that_was_pasted(self) -> None:
        """
        Whatever version or host of Discord was pasted, the same version is called.
        """
        [webhook] = self.fake.webhooks.values()
        for pasted in (
            webhook.url,
            webhook.url.replace("/api/", "/api/v6/"),
            webhook.url.replace("discord.com", "ptb.discord.com"),
            f"{webhook.url}/?wait=false",
            webhook.url.replace("https://discord.com", "http://127.0.0.1:9/prefix"),
        ):
            with self.subTest(pasted):
                self.assertEqual([*DISCORD_KIND.check(Settings(url=pasted))], [])
                adapter = open_destination(self.at(url=pasted))
                delivery = self.prepare(self.at(), notice())
                self.assertRegex(adapter.make_request(delivery, NOW).url, r"/api/v10/webhooks/\d+/[\w-]+\?wait=true$")

    def test_mistakes_in_the_settings(self) -> None:
        """
        Each mistake is said at its key, without the URL, which is a secret.
        """
        url = "https://discord.com/api/webhooks/123/abc"
        for key, value in (
            ("url", "https://discord.com/channels/1/2"),
            ("url", "https://example.org/hook"),
            ("thread_id", "x"),
            ("thread_name", "x" * 101),
            ("username", "Discord news"),
            ("avatar_url", "ftp://x"),
            ("style", "large"),
        ):
            with self.subTest(key):
                found = [*DISCORD_KIND.check(Settings(**{"url": url, key: value}))]
                self.assertEqual([each for each, _ in found], [key])
                self.assertNotIn("abc", found[0][1])
        both = Settings(url=f"{url}?thread_id=1", thread_name="a")
        self.assertEqual([key for key, _ in DISCORD_KIND.check(both)], ["thread_name"])

    def read(self, status: int, body: bytes, **headers: str) -> Result:
        delivery = self.prepare(self.at(), notice())
        raw = Headers({name.replace("_", "-"): [value] for name, value in headers.items()})
        return open_destination(self.at()).interpret(Response(status, raw, body), delivery, NOW)

    def test_what_an_answer_means(self) -> None:
        """
        Codes decide, not the status alone: a webhook that is gone is not asked again, and a ban stops the whole host.
        """
        for status, body, verdict, pause_host in (
            (404, b'{"code":10015}', Verdict.DESTINATION_GONE, False),
            (404, b'{"code":10003}', Verdict.DESTINATION_GONE, False),
            (404, b'{"code":10008}', Verdict.MESSAGE_GONE, False),
            (401, b'{"code":50027}', Verdict.UNAUTHORIZED, False),
            (403, b'{"code":50013}', Verdict.DESTINATION_GONE, False),
            (400, b'{"code":50006}', Verdict.REJECTED, False),
            (400, b'{"code":220001}', Verdict.REJECTED, False),
            (400, b'{"code":20016,"retry_after":5}', Verdict.RETRY, False),
            (429, b'{"code":30046,"retry_after":3}', Verdict.RETRY, False),
            (429, b'{"retry_after":0.65,"global":false}', Verdict.PAUSE, False),
            (429, b'{"retry_after":0.65,"global":true}', Verdict.PAUSE, True),
            (429, b"<html>banned</html>", Verdict.PAUSE, True),
            (403, b"<html>blocked</html>", Verdict.PAUSE, True),
            (403, b'{"code":40333}', Verdict.DESTINATION_GONE, False),
            (500, b"", Verdict.RETRY, False),
        ):
            with self.subTest(status, body=body):
                result = self.read(status, body)
                self.assertEqual((result.verdict, result.pause_host), (verdict, pause_host), result.detail)
        self.assertEqual(self.read(429, b'{"retry_after":0.65}').pause, 0.65)
        self.assertEqual(self.read(429, b"<html>", Retry_After="7200").pause, 7200.0)

    def test_the_path_of_what_was_refused(self) -> None:
        """
        The operator learns which part was refused, not what Discord says of it.
        """
        body = b'{"code":50035,"errors":{"embeds":{"0":{"title":{"_errors":[{"code":"X","message":"secret"}]}}}}}'
        result = self.read(400, body)
        self.assertEqual(result.verdict, Verdict.REJECTED)
        self.assertIn("embeds.0.title", result.detail)
        self.assertNotIn("secret", result.detail)

    def test_the_last_request_of_a_bucket(self) -> None:
        """
        When nothing is left until a reset, the place waits for it after a success too.
        """
        result = self.read(200, b'{"id":"1"}', X_RateLimit_Remaining="0", X_RateLimit_Reset_After="1.5")
        self.assertEqual((result.ok, result.pause, result.remote), (True, 1.5, "1"))
        self.assertEqual(self.read(200, b'{"id":"1"}', X_RateLimit_Remaining="4").pause, 0.0)

    def test_an_id_that_is_lost(self) -> None:
        """
        A success without an id is a success, and the id is unknown.
        """
        for body in (b"", b'{"id"', b"[]", b'{"id":null}'):
            self.assertEqual((self.read(200, body).ok, self.read(200, body).remote), (True, ""))

    def test_deleted_by_a_moderator(self) -> None:
        """
        An edit of a message that was deleted there says so.
        """
        created = self.post(self.at(), notice())
        self.fake.delete_message(created.remote)
        result = self.post(self.at(), notice(CHANNEL_UPDATE, Action.EDIT), created.remote)
        self.assertEqual(result.verdict, Verdict.MESSAGE_GONE)

    def test_a_webhook_that_was_deleted(self) -> None:
        """
        It is gone, by what the service says.
        """
        [webhook] = self.fake.webhooks.values()
        webhook.deleted = True
        self.assertEqual(self.post(self.at(), notice()).verdict, Verdict.DESTINATION_GONE)

    def test_trouble_of_the_service(self) -> None:
        """
        What is the service's own trouble is tried again.
        """
        self.fake.script.plan("POST", Behaviour(status=502))
        self.assertEqual(self.post(self.at(), notice()).verdict, Verdict.RETRY)
