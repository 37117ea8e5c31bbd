"""
Libraries that others wrote for the services, talking to the fakes: their own reading of an answer is the judge.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from importlib import import_module
from typing import Any
from urllib.parse import urlencode

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.fakes.slack import FakeSlack
from itsjustintv.simulator.fakes.telegram import FakeTelegram
from tests.judges.program import judge_imports

NOW = 1_780_000_000.0
CHAT = -1001234567890
PHOTO = "https://static-cdn.example.net/preview.jpg?t=1"


class TelegramBotTests(SynchronousTestCase):
    """
    The library python-telegram-bot against the fake of Telegram.
    """

    def setUp(self) -> None:
        self.patch(sys, "path", [*sys.path, judge_imports("telegram")])
        self.fake = FakeTelegram()
        self.fake.add_chat(CHAT)
        self.now = NOW
        self.error: Any = import_module("telegram.error")
        base: Any = import_module("telegram.request").BaseRequest
        methods = {
            "initialize": self.nothing,
            "shutdown": self.nothing,
            "do_request": self.do_request,
            "read_timeout": 5.0,
        }
        wire = type("Wire", (base,), methods)
        self.bot: Any = import_module("telegram").Bot(self.fake.token, request=wire(), get_updates_request=wire())

    async def nothing(self, *_: object) -> None:
        """
        Connections need neither a beginning nor an end.
        """

    async def do_request(self, url: str, method: str, request_data: Any = None, **_: Any) -> tuple[int, bytes]:
        self.now += 2
        body = urlencode(request_data.json_parameters if request_data else {}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = self.fake.handle(method, url, headers, body, self.now)
        return answer.status, answer.body

    def ask(self, call: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(call)

    def test_a_message_lives(self) -> None:
        """
        The library reads what was sent, edited and deleted.
        """
        self.assertTrue(self.ask(self.bot.get_me()).is_bot)
        self.assertEqual(self.ask(self.bot.get_chat(CHAT)).title, "Announcements")
        sent = self.ask(self.bot.send_message(CHAT, "<b>Tanuki</b> &lt;3", parse_mode="HTML"))
        self.assertEqual((sent.text, sent.entities[0].type, sent.chat.id), ("Tanuki <3", "bold", CHAT))
        edited = self.ask(self.bot.edit_message_text("ended", CHAT, sent.message_id))
        self.assertEqual((edited.text, edited.message_id), ("ended", sent.message_id))
        photo = self.ask(self.bot.send_photo(CHAT, PHOTO, caption="<i>live</i>", parse_mode="HTML"))
        self.assertEqual((photo.caption, photo.photo[0].width), ("live", 1280))
        edited = self.ask(self.bot.edit_message_caption(CHAT, photo.message_id, caption="ended"))
        self.assertEqual(edited.caption, "ended")
        self.assertTrue(self.ask(self.bot.delete_message(CHAT, sent.message_id)))

    def test_errors_are_recognised(self) -> None:
        """
        The library reads each error as what it is.
        """
        message = self.ask(self.bot.send_message(CHAT, "live"))
        again = self.bot.edit_message_text("live", CHAT, message.message_id)
        refused = self.assertRaises(self.error.BadRequest, self.ask, again)
        self.assertTrue(str(refused).startswith("Message is not modified"), str(refused))
        self.now -= 3.5
        limited = self.assertRaises(self.error.RetryAfter, self.ask, self.bot.send_message(CHAT, "live"))
        self.assertIn("Retry in 1 seconds", str(limited))
        self.flushWarnings()  # The library warns of its own error, in a way that trial cannot repeat.
        self.fake.add_chat(-9, "group", migrated_to=CHAT)
        moved = self.assertRaises(self.error.ChatMigrated, self.ask, self.bot.send_message(-9, "live"))
        self.assertEqual(moved.new_chat_id, CHAT)
        self.fake.chats[CHAT].state = "kicked"
        self.assertRaises(self.error.Forbidden, self.ask, self.bot.send_message(CHAT, "live"))
        self.fake.token = "1:other"
        self.assertRaises(self.error.InvalidToken, self.ask, self.bot.send_message(CHAT, "live"))


class SlackClientTests(SynchronousTestCase):
    """
    The library slack_sdk against the fake of Slack.
    """

    def setUp(self) -> None:
        self.patch(sys, "path", [*sys.path, judge_imports("slack_sdk")])
        self.fake = FakeSlack()
        self.fake.add_channel()
        self.now = NOW
        base: Any = import_module("slack_sdk").WebClient
        methods = {"_perform_urllib_http_request_internal": lambda _, url, request: self.send(url, request)}
        self.client: Any = type("Wire", (base,), methods)(self.fake.token)

    def send(self, url: str, request: Any) -> dict[str, Any]:
        self.now += 2
        headers = {name.lower(): value for name, value in request.header_items()}
        answer = self.fake.handle(request.get_method(), url, headers, request.data or b"", self.now)
        return {"status": answer.status, "headers": dict(answer.headers), "body": answer.body.decode()}

    def test_a_message_lives(self) -> None:
        """
        The library reads what was sent, edited and deleted.
        """
        self.assertEqual(self.client.auth_test()["team"], "Example")
        block = {"type": "section", "text": {"type": "mrkdwn", "text": "<!here> live"}}
        sent = self.client.chat_postMessage(channel="#live", text="live", blocks=[block], unfurl_links=False)
        self.assertEqual(sent["message"]["blocks"], [block])
        address = {"channel": sent["channel"], "ts": sent["ts"]}
        self.assertEqual(self.client.chat_update(**address, text="ended")["text"], "ended")
        self.assertEqual(self.fake.pinged(f"C0LIVE/{sent['ts']}"), ["here"])
        self.assertTrue(self.client.chat_delete(**address)["ok"])
        self.assertEqual(self.fake.messages, {})

    def test_errors_are_recognised(self) -> None:
        """
        The library reads a refusal that comes with the status 200, and one that comes with 429.
        """
        failure: Any = import_module("slack_sdk.errors").SlackApiError
        refused = self.assertRaises(failure, self.client.chat_postMessage, channel="#none", text="live")
        self.assertEqual(refused.response["error"], "channel_not_found")
        self.client.chat_postMessage(channel="C0LIVE", text="live")
        self.now -= 2
        limited = self.assertRaises(failure, self.client.chat_postMessage, channel="C0LIVE", text="live")
        self.assertEqual((limited.response.status_code, limited.response.headers["Retry-After"]), (429, "1"))
