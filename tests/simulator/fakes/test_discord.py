"""
The imitated Discord as a webhook sees it.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.fakes.discord import FakeDiscord, FakeThread
from itsjustintv.simulator.fakes.service import FakeAnswer
from itsjustintv.simulator.fakes.site import FakeSite
from tests.simulator.worlds import InMemory

NOW = 1_767_326_400.5
AGENT = "DiscordBot (https://example.test/itsjustintv, 1.2.0) itsjustintv/1.2.0"
PICTURE = "https://example.test/preview.jpg"


class DiscordCase(SynchronousTestCase):
    """
    A Discord with one webhook, and a clock that goes on a minute with each request.
    """

    def setUp(self) -> None:
        self.discord = FakeDiscord()
        self.webhook = self.discord.add_webhook()
        self.now = NOW
        self.agent = AGENT
        self.version = "v10/"

    def ask(self, method: str, path: str = "", body: Any = None, kind: str = "application/json") -> FakeAnswer:
        self.now += 60
        url = self.webhook.url.replace("/api/", f"/api/{self.version}") + path
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        return self.discord.handle(method, url, {"user-agent": self.agent, "content-type": kind}, data, self.now)

    def post(self, body: Any, query: str = "?wait=true") -> FakeAnswer:
        return self.ask("POST", query, body)

    def create(self, **body: Any) -> str:
        """
        Post a message.

        :return: its id.
        """
        answer = self.post(body)
        self.assertEqual(answer.status, 200, answer.body)
        number: str = answer.json["id"]
        return number

    def edit(self, number: str, **body: Any) -> FakeAnswer:
        return self.ask("PATCH", f"/messages/{number}", body)

    def assertRefused(self, answer: FakeAnswer, status: int, code: int) -> None:
        self.assertEqual((answer.status, answer.json["code"]), (status, code))


class CreateTests(DiscordCase):
    """
    A message is posted.
    """

    def test_the_message_is_answered_to_those_who_wait(self) -> None:
        """
        With ``wait`` the answer is the message, with ids as text; without, it is 204 and the message is there too.
        """
        answer = self.post({"content": " hello ", "username": "Live"})
        message = answer.json
        self.assertEqual((answer.status, message["content"], message["author"]["username"]), (200, "hello", "Live"))
        self.assertEqual((message["channel_id"], message["webhook_id"]), (self.webhook.channel, self.webhook.id))
        self.assertTrue(message["id"].isdecimal())
        self.assertEqual(message["timestamp"], "2026-01-02T04:01:00.500000+00:00")
        self.assertEqual(self.post({"content": "again"}, "").status, 204)
        self.assertEqual([each["content"] for each in self.discord.messages.values()], ["hello", "again"])

    def test_without_wait_a_message_that_is_not_stored_is_no_error(self) -> None:
        """
        When storing fails there is an error with ``wait``, and 204 without.
        """
        self.discord.unsaved = 2
        self.assertEqual(self.post({"content": "x"}).status, 500)
        self.assertEqual(self.post({"content": "x"}, "").status, 204)
        self.assertEqual(self.discord.messages, {})
        self.create(content="x")

    def test_a_wrong_form_is_refused_with_its_path(self) -> None:
        """
        The error names the field; nothing is posted.
        """
        answer = self.post({"embeds": [{"title": "x" * 257}]})
        self.assertRefused(answer, 400, 50035)
        self.assertEqual(answer.json["errors"]["embeds"]["0"]["title"]["_errors"][0]["code"], "BASE_TYPE_MAX_LENGTH")
        self.assertEqual(self.discord.messages, {})

    def test_an_empty_message_is_refused(self) -> None:
        """
        A body of unknown fields is an empty message, as is one that is blank.
        """
        for body in ({}, {"event": "stream.online"}, {"content": " "}, {"embeds": [{"color": 1}]}):
            self.assertRefused(self.post(body), 400, 50006)

    def test_what_is_no_form_is_refused(self) -> None:
        """
        Broken JSON, another content type, a body too large, and a query that is no boolean have their own errors.
        """
        self.assertRefused(self.ask("POST", "", b"{"), 400, 50109)
        self.assertRefused(self.ask("POST", "", b"{}", kind="text/plain"), 400, 50035)
        self.assertRefused(self.ask("POST", "", b" " * (10 * 1024 * 1024 + 1)), 413, 40005)
        self.assertRefused(self.post({"content": "x"}, "?wait=perhaps"), 400, 50035)

    def test_link_buttons_need_a_parameter(self) -> None:
        """
        Components are ignored without ``with_components=true``.
        """
        button = {"type": 2, "style": 5, "label": "Watch", "url": "https://www.twitch.tv/tanuki"}
        body = {"content": "x", "components": [{"type": 1, "components": [button]}]}
        self.assertEqual(self.post(body).json["components"], [])
        self.assertEqual(self.post(body, "?wait=true&with_components=true").json["components"], body["components"])

    def test_only_silence_and_no_previews_can_be_set(self) -> None:
        """
        Other flags are dropped.
        """
        self.assertEqual(self.post({"content": "x", "flags": 4096 | 4 | 1}).json["flags"], 4100)


class PingTests(DiscordCase):
    """
    Whom messages and edits notify.
    """

    def test_only_content_notifies(self) -> None:
        """
        A mention in an embed or a name is text.
        """
        number = self.create(
            content="<@&7>",
            username="<@1>",
            embeds=[{"title": "@everyone <@1>", "description": "<@&7>"}],
            allowed_mentions={"parse": ["everyone", "users", "roles"]},
        )
        self.assertEqual(self.discord.pinged(number), ["role:7"])
        self.assertEqual(self.discord.messages[number]["mention_roles"], ["7"])

    def test_a_message_without_settings_notifies_users(self) -> None:
        """
        The defaults of a webhook apply when ``allowed_mentions`` is missing or null.
        """
        for more in ({}, {"allowed_mentions": None}):
            self.assertEqual(self.discord.pinged(self.create(content="@everyone <@5> <@&7>", **more)), ["user:5"])

    def test_an_edit_notifies_no_one_but_is_read_again(self) -> None:
        """
        An edit of the content is read with its own settings, or the defaults; no one is notified.
        """
        number = self.create(content="quiet <@5>", allowed_mentions={"parse": []})
        self.assertEqual((self.discord.pings, self.discord.messages[number]["mentions"]), ([], []))
        self.edit(number, content="now <@5> @everyone", embeds=[{"title": "t"}])
        self.assertEqual([each["id"] for each in self.discord.messages[number]["mentions"]], ["5"])
        self.assertFalse(self.discord.messages[number]["mention_everyone"])
        self.edit(number, content="<@5> @here", allowed_mentions={"parse": ["everyone"]})
        message = self.discord.messages[number]
        self.assertEqual((message["mentions"], message["mention_everyone"]), ([], True))
        self.assertEqual(self.discord.pings, [])

    def test_text_components_notify(self) -> None:
        """
        A text component is content, when there is no other.
        """
        body = {"flags": 1 << 15, "components": [{"type": 17, "components": [{"type": 10, "content": "<@5>"}]}]}
        number = self.post(body, "?wait=true&with_components=true").json["id"]
        self.assertEqual(self.discord.pinged(number), ["user:5"])

    def test_a_role_can_be_out_of_reach(self) -> None:
        """
        A role that cannot be mentioned is not notified, though the request names it.
        """
        self.discord.fixed_roles.add("7")
        number = self.create(content="<@&7><@&8>", allowed_mentions={"roles": ["7", "8"]})
        self.assertEqual(self.discord.pinged(number), ["role:8"])


class EditTests(DiscordCase):
    """
    A message is changed, read and deleted.
    """

    def test_an_edit_changes_only_what_it_names(self) -> None:
        """
        Missing fields stay, null empties, embeds are replaced as a whole.
        """
        number = self.create(content="live", embeds=[{"title": "a"}, {"title": "b"}])
        answer = self.edit(number, embeds=[{"title": "c"}])
        self.assertEqual((answer.status, answer.json), (200, self.discord.messages[number]))
        self.assertEqual((answer.json["content"], answer.json["embeds"]), ("live", [{"type": "rich", "title": "c"}]))
        self.assertIsNotNone(answer.json["edited_timestamp"])
        self.assertEqual(self.edit(number, content=None).json["content"], "")
        self.assertRefused(self.edit(number, embeds=[]), 400, 50006)
        self.assertEqual(self.ask("GET", f"/messages/{number}").json["embeds"], [{"type": "rich", "title": "c"}])

    def test_an_edit_cannot_make_a_message_silent(self) -> None:
        """
        Previews can be switched on and off by an edit; that the message was silent stays.
        """
        number = self.create(content="x", flags=4096)
        self.assertEqual(self.edit(number, flags=4).json["flags"], 4100)
        self.assertEqual(self.edit(number, flags=0).json["flags"], 4096)

    def test_a_deleted_message_is_unknown(self) -> None:
        """
        What we or a moderator deleted cannot be edited, read or deleted again.
        """
        ours, theirs = self.create(content="x"), self.create(content="y")
        self.assertEqual(self.ask("DELETE", f"/messages/{ours}").status, 204)
        self.discord.delete_message(theirs)
        for number in (ours, theirs):
            self.assertRefused(self.edit(number, content="z"), 404, 10008)
            self.assertRefused(self.ask("DELETE", f"/messages/{number}"), 404, 10008)
        self.assertEqual(self.discord.messages, {})

    def test_a_message_belongs_to_its_webhook(self) -> None:
        """
        Another webhook of the same channel does not know it.
        """
        number = self.create(content="x")
        self.webhook = self.discord.add_webhook()
        self.assertRefused(self.edit(number, content="y"), 404, 10008)

    def test_old_messages_can_be_edited_a_few_times(self) -> None:
        """
        Edits of messages older than an hour have a limit of their own, with a time to wait.
        """
        number = self.create(content="x")
        self.discord.limits.old_edits_seconds = 600
        self.assertEqual([self.edit(number, content=str(each)).status for each in range(5)], [200] * 5)
        self.now += 3600
        self.assertEqual([self.edit(number, content=str(each)).status for each in range(3)], [200] * 3)
        answer = self.edit(number, content="too much")
        self.assertRefused(answer, 429, 30046)
        self.assertEqual(answer.json["retry_after"], 420)
        self.now += 420
        self.assertEqual(self.edit(number, content="later").status, 200)


class GoneTests(DiscordCase):
    """
    Webhooks and channels come to an end.
    """

    def test_the_webhook_describes_itself(self) -> None:
        """
        GET tells name, channel and guild, and posts nothing.
        """
        answer = self.ask("GET").json
        self.assertEqual(
            (answer["name"], answer["channel_id"], answer["guild_id"]), ("Captain Hook", "1100", self.webhook.guild)
        )
        self.assertEqual(self.discord.messages, {})

    def test_each_end_has_its_code(self) -> None:
        """
        A wrong token, a deleted channel and a deleted webhook each have their own code.
        """
        self.create(content="x")
        self.webhook.channel_deleted = True
        self.assertRefused(self.post({"content": "x"}), 404, 10003)
        self.webhook.channel_deleted = False
        right, self.webhook.token = self.webhook.token, "other"
        url = self.webhook.url.replace("other", right)
        answer = self.discord.handle("GET", url, {"user-agent": AGENT}, b"", self.now)
        self.assertRefused(answer, 401, 50027)
        self.assertEqual(self.ask("DELETE").status, 204)
        self.assertRefused(self.post({"content": "x"}), 404, 10015)
        self.assertRefused(self.ask("GET"), 404, 10015)

    def test_a_webhook_without_its_form_of_id_is_a_wrong_form(self) -> None:
        """
        An id that is no number is refused before anything is looked up.
        """
        self.webhook.id = "x"
        self.assertRefused(self.ask("GET"), 400, 50035)

    def test_other_paths_lead_nowhere(self) -> None:
        """
        Unknown paths and methods are 404 and 405, and a version that does not exist has its own error.
        """
        self.assertEqual(self.ask("POST", "/slack", {"text": "x"}).status, 404)
        self.assertEqual(self.ask("PATCH", "", {"name": "x"}).status, 405)
        self.version = "v11/"
        self.assertRefused(self.post({"content": "x"}), 400, 50041)

    def test_the_user_agent_must_have_its_form(self) -> None:
        """
        Without ``DiscordBot (URL, VERSION)`` at its beginning a request is blocked, unless the fake takes any.
        """
        for self.agent in ("", "itsjustintv/1.2.0", "DiscordBot", "x DiscordBot (https://a.test, 1)"):
            self.assertRefused(self.post({"content": "x"}), 403, 40333)
        self.discord.any_agent = True
        self.create(content="x")

    def test_dead_webhooks_lead_to_a_ban(self) -> None:
        """
        Using a deleted webhook again and again ends in a page without JSON, for other webhooks too.
        """
        self.discord.limits.ban_after = 3
        dead, self.webhook = self.webhook, self.discord.add_webhook()
        dead.deleted = True
        alive, self.webhook = self.webhook, dead
        self.assertEqual([self.post({"content": "x"}).status for _ in range(3)], [404] * 3)
        self.webhook = alive
        banned = self.post({"content": "x"})
        self.assertEqual((banned.status, banned.header("via")), (429, ""))
        self.assertRaises(ValueError, lambda: banned.json)


class VersionTests(DiscordCase):
    """
    A URL without a version speaks an old one.
    """

    def test_errors_are_flat_without_a_version(self) -> None:
        """
        The URL that Discord shows leads to version 6, where a wrong form has neither code nor path.
        """
        self.version = ""
        self.assertEqual(self.post({"embeds": [{"title": "x" * 257}]}).json, {"embeds": ["0"]})
        self.assertEqual(self.post({"content": "x" * 2001}).json, {"content": ["Must be 2000 or fewer in length."]})
        self.assertRefused(self.post({}), 400, 50006)

    def test_waits_are_milliseconds_without_a_version(self) -> None:
        """
        The wait of a limit is a number of milliseconds.
        """
        self.version = ""
        self.discord.limits.limited_until = NOW + 62
        self.assertEqual(self.post({"content": "x"}).json["retry_after"], 2000)


class LimitTests(DiscordCase):
    """
    The limits hold for webhooks and channels.
    """

    def ask(self, *args: Any, **kwargs: Any) -> FakeAnswer:
        self.now -= 60
        return super().ask(*args, **kwargs)

    def test_answers_have_true_headers(self) -> None:
        """
        Every answer says what is left, a refusal too, and the sixth message in two seconds must wait.
        """
        self.assertEqual([self.post({}).header("x-ratelimit-remaining") for _ in range(5)], ["4", "3", "2", "1", "0"])
        refused = self.post({"content": "x"})
        self.assertEqual((refused.status, refused.json["retry_after"], refused.header("retry-after")), (429, 2, "2"))
        self.assertEqual(refused.header("via"), "1.1 google")
        self.assertEqual(self.ask("GET").header("x-ratelimit-remaining"), "4")
        self.now += refused.json["retry_after"]
        self.create(content="x")

    def test_a_channel_has_a_limit_for_all_its_webhooks(self) -> None:
        """
        The thirty-first message in a minute is refused although the headers of the bucket said there was room.
        """
        hooks = [self.webhook, self.discord.add_webhook()]
        for number in range(30):
            self.webhook = hooks[number % 2]
            self.now += 0.5
            last = self.post({"content": "x"})
        self.assertEqual((last.status, last.header("x-ratelimit-remaining") > "0"), (200, True))
        refused = self.post({"content": "x"})
        self.assertEqual((refused.status, refused.header("x-ratelimit-scope")), (429, "shared"))
        self.assertEqual(refused.json["retry_after"], 45.5)
        self.assertNotEqual(refused.header("x-ratelimit-remaining"), "0")

    def test_slow_mode_takes_one_message_at_a_time(self) -> None:
        """
        A second message within the time of the channel is refused with a wait.
        """
        self.webhook.slow_mode = 10
        self.create(content="x")
        self.now += 4
        refused = self.post({"content": "y"})
        self.assertRefused(refused, 429, 20016)
        self.assertEqual(refused.json["retry_after"], 6)


class ThreadTests(DiscordCase):
    """
    Messages go into threads and forums.
    """

    def test_a_thread_is_named_in_the_query(self) -> None:
        """
        A message in a thread is found only with the thread's id.
        """
        thread = self.discord.add_thread(self.webhook)
        message = self.post({"content": "x"}, f"?wait=true&thread_id={thread.id}").json
        self.assertEqual(message["channel_id"], thread.id)
        number = message["id"]
        self.assertRefused(self.edit(number, content="y"), 404, 10008)
        self.assertEqual(self.ask("PATCH", f"/messages/{number}?thread_id={thread.id}", {"content": "y"}).status, 200)
        self.assertEqual(self.ask("DELETE", f"/messages/{number}?thread_id={thread.id}").status, 204)

    def test_a_thread_can_be_unknown_archived_or_locked(self) -> None:
        """
        Each state has its error; a message opens an archived thread again, an edit does not.
        """
        thread = self.discord.add_thread(self.webhook)
        query = f"?wait=true&thread_id={thread.id}"
        number = self.post({"content": "x"}, query).json["id"]
        thread.archived = True
        self.assertRefused(self.ask("PATCH", f"/messages/{number}{query}", {"content": "y"}), 400, 50083)
        self.assertEqual((self.post({"content": "y"}, query).status, thread.archived), (200, False))
        thread.locked = True
        self.assertRefused(self.post({"content": "z"}, query), 400, 160005)
        thread.deleted = True
        self.assertRefused(self.post({"content": "z"}, query), 404, 10003)
        self.assertRefused(self.post({"content": "z"}, "?thread_id=x"), 400, 50035)

    def test_a_forum_needs_exactly_one_of_name_and_thread(self) -> None:
        """
        Neither and both are refused; a name opens a thread with the id of its first message.
        """
        self.webhook.forum = True
        self.assertRefused(self.post({"content": "x"}), 400, 220001)
        message = self.post({"content": "x", "thread_name": "live", "applied_tags": ["5"]}).json
        self.assertEqual(message["channel_id"], message["id"])
        thread: FakeThread = self.discord.threads[message["id"]]
        self.assertEqual((thread.name, thread.applied_tags), ("live", ["5"]))
        query = f"?thread_id={thread.id}"
        self.assertRefused(self.post({"content": "x", "thread_name": "live"}, query), 400, 220002)
        self.assertEqual(self.post({"content": "x"}, query).status, 204)
        self.assertEqual(self.ask("PATCH", f"/messages/{message['id']}{query}", {"content": "y"}).status, 200)

    def test_only_a_forum_takes_a_name(self) -> None:
        """
        A name of a thread in another channel is refused.
        """
        self.assertRefused(self.post({"content": "x", "thread_name": "live"}), 400, 220003)


class PictureTests(DiscordCase):
    """
    Pictures are fetched by Discord, or uploaded.
    """

    def setUp(self) -> None:
        super().setUp()
        self.there: dict[str, bytes] = {PICTURE: b"old"}
        self.fetched: list[str] = []
        self.discord.fetch = self.fetch

    def fetch(self, url: str) -> bytes | None:
        self.fetched.append(url)
        return self.there.get(url)

    def upload(self, method: str, path: str, body: Any, **files: bytes) -> FakeAnswer:
        parts = [b'Content-Disposition: form-data; name="payload_json"\r\n\r\n' + json.dumps(body).encode()]
        for number, (name, data) in enumerate(files.items()):
            head = f'Content-Disposition: form-data; name="files[{number}]"; filename="{name}.jpg"\r\n\r\n'
            parts.append(head.encode() + data)
        whole = b"".join(b"--edge\r\n" + part + b"\r\n" for part in parts) + b"--edge--\r\n"
        return self.ask(method, path, whole, kind="multipart/form-data; boundary=edge")

    def test_a_picture_is_fetched_once_for_ever(self) -> None:
        """
        The same URL shows the old picture weeks later and in other messages; another URL shows the new one.
        """
        first = self.create(embeds=[{"image": {"url": PICTURE}, "thumbnail": {"url": PICTURE}}])
        self.there = {PICTURE: b"new", f"{PICTURE}?t=1": b"new"}
        second = self.create(embeds=[{"image": {"url": PICTURE}}])
        self.edit(first, embeds=[{"image": {"url": f"{PICTURE}?t=1"}}])
        self.assertEqual((self.discord.picture(first), self.discord.picture(second)), (b"new", b"old"))
        self.assertEqual(self.fetched, [PICTURE, f"{PICTURE}?t=1"])
        self.assertIn("proxy_url", self.discord.messages[second]["embeds"][0]["image"])

    def test_a_picture_that_cannot_be_had_is_no_error(self) -> None:
        """
        The message is posted without it.
        """
        number = self.create(embeds=[{"title": "t", "image": {"url": "https://example.test/none.jpg"}}])
        self.assertIsNone(self.discord.picture(number))
        self.assertNotIn("proxy_url", self.discord.messages[number]["embeds"][0]["image"])

    def test_a_picture_can_be_uploaded(self) -> None:
        """
        A file comes with its bytes, and an embed can name it.
        """
        data = bytes(range(256)) + b"\r\n--edg"
        body = {"embeds": [{"image": {"url": "attachment://preview.jpg"}}]}
        answer = self.upload("POST", "?wait=true", body, preview=data)
        self.assertEqual(answer.status, 200, answer.body)
        (attachment,) = answer.json["attachments"]
        self.assertEqual((attachment["filename"], attachment["size"]), ("preview.jpg", len(data)))
        self.assertEqual(self.discord.picture(answer.json["id"]), data)

    def test_an_edit_lists_the_files_that_stay(self) -> None:
        """
        Files stay when ``attachments`` is missing; when it is there, those it does not name are gone, new ones too.
        """
        body = {"embeds": [{"image": {"url": "attachment://a.jpg"}}]}
        message = self.upload("POST", "?wait=true", body, a=b"A", b=b"B").json
        number, (first, second) = message["id"], message["attachments"]
        self.edit(number, content="x")
        self.assertEqual(len(self.discord.messages[number]["attachments"]), 2)
        self.edit(number, attachments=[{"id": second["id"]}])
        self.assertEqual(self.discord.messages[number]["attachments"], [second])
        self.assertIsNone(self.discord.picture(number))
        self.assertNotIn(first["url"], self.discord.pictures)
        path, kept = f"/messages/{number}", [{"id": second["id"]}]
        self.assertEqual(len(self.upload("PATCH", path, {"attachments": kept}, c=b"C").json["attachments"]), 1)
        listed = [*kept, {"id": "0", "description": "a preview"}]
        names = [
            each["filename"] for each in self.upload("PATCH", path, {"attachments": listed}, c=b"C").json["attachments"]
        ]
        self.assertEqual(names, ["b.jpg", "c.jpg"])

    def test_embeds_with_one_url_show_one(self) -> None:
        """
        Of embeds with the same URL people see the first; with previews switched off they see none.
        """
        number = self.create(embeds=[{"title": each, "url": PICTURE} for each in "ab"] + [{"title": "c"}])
        self.assertEqual([each["title"] for each in self.discord.visible_embeds(number)], ["a", "c"])
        self.edit(number, flags=4)
        self.assertEqual(self.discord.visible_embeds(number), [])


class SiteTests(DiscordCase):
    """
    The fake over HTTP.
    """

    def test_a_lost_answer_leaves_the_message(self) -> None:
        """
        A script can lose the answer of a create; the message is there, and shown to a person.
        """
        clock = Clock()
        clock.advance(NOW)
        ask = InMemory(self, FakeSite(clock, [self.discord]).resource())
        self.discord.script.plan("POST", Behaviour(lost=True, status=500))
        path = "/discord" + urlsplit(self.webhook.url).path
        headers = {"User-Agent": AGENT, "Content-Type": "application/json"}
        self.assertEqual(ask("POST", path, headers=headers, data=b'{"content":"x"}').status, 500)
        shown = ask("GET", "/discord/_messages").json
        self.assertEqual([each["content"] for each in shown["messages"]], ["x"])
        self.assertEqual(ask("GET", path, headers=headers).headers["x-ratelimit-limit"], "5")
