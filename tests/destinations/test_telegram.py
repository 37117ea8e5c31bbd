"""
Tests for :mod:`itsjustintv.destinations.telegram`, against the imitated Bot API.
"""

from __future__ import annotations

from typing import Any

import orjson
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.destinations.kinds import open_destination
from itsjustintv.destinations.telegram import TELEGRAM_KIND, Settings
from itsjustintv.model import CHANNEL_UPDATE, STREAM_OFFLINE, Action, Destination, Enrichment, Notice, Result, Verdict
from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.fakes.telegram import FakeTelegram
from itsjustintv.simulator.fakes.telegram_html import HtmlError, parse_html
from itsjustintv.support.http_response import Response
from tests.destinations.contract import NOW, notice, words
from tests.destinations.golden import GoldenBodies

CHAT = -1001234567890


class TelegramTests(GoldenBodies, SynchronousTestCase):
    """
    A bot in a supergroup.
    """

    kind = TELEGRAM_KIND
    mention = (("user:88", "user:@potter"), frozenset({"user:88", "@potter"}))
    fake: FakeTelegram

    def make_fake(self) -> FakeTelegram:
        fake = FakeTelegram()
        fake.add_chat(CHAT)
        return fake

    def make_settings(self, fake: Any, **more: Any) -> Settings:
        return Settings(**{"token": fake.token, "chat": str(CHAT), **more})

    def at(self, **more: Any) -> Destination:
        return evolve(self.destination(), settings=self.make_settings(self.fake, **more))

    def message(self) -> dict[str, Any]:
        [message] = self.fake.messages.values()
        return message

    def request(self, destination: Destination, what: Notice, remote: str = "") -> tuple[str, dict[str, Any]]:
        made = open_destination(destination).make_request(self.prepare(destination, what, remote), NOW)
        return made.url.rpartition("/")[2], orjson.loads(made.body)

    def test_the_card(self) -> None:
        """
        A photo that is not an old one, a caption with title and category, and a button that leads to the channel.
        """
        self.assert_taken(self.post(self.at(), notice()))
        message = self.message()
        self.assertEqual(message["caption"], "Tanuki is live!\nDrawing until dawn\nArt")
        self.assertEqual([each["type"] for each in message["caption_entities"]], ["bold", "italic"])
        [[button]] = message["reply_markup"]["inline_keyboard"]
        self.assertEqual(button, {"text": "Watch", "url": "https://twitch.tv/tanuki"})
        [photo] = self.fake.photos.values()
        self.assertRegex(photo, r"live_user_tanuki-1280x720\.jpg\?t=\d+$")

    def test_the_end(self) -> None:
        """
        At the end the photo stays as it is, the caption says how long it was, and the button leads to the recording.
        """
        created = self.post(self.at(), notice())
        before = self.message()["photo"]
        ended = notice(STREAM_OFFLINE, Action.EDIT)
        vods = evolve(ended, enrichment=evolve(ended.enrichment, vods=("https://www.twitch.tv/videos/9",)))
        self.assert_taken(self.post(self.at(), vods, created.remote))
        message = self.message()
        self.assertEqual(message["photo"], before)
        self.assertIn("Tanuki was live.", message["caption"])
        self.assertRegex(message["caption"], r"Live for \S+")
        [[button]] = message["reply_markup"]["inline_keyboard"]
        self.assertEqual(button, {"text": "Watch the recording", "url": "https://www.twitch.tv/videos/9"})
        without = evolve(ended, enrichment=Enrichment())
        self.assert_taken(self.post(self.at(), without, created.remote))
        self.assertNotIn("reply_markup", self.message())

    def test_an_update_brings_a_newer_preview(self) -> None:
        """
        The photo of a card is replaced with a change of the title, and only then.
        """
        created = self.post(self.at(), notice())
        update = evolve(notice(CHANNEL_UPDATE, Action.EDIT, title="Kiln"), built_at=NOW + 600)
        self.assert_taken(self.post(self.at(), update, created.remote))
        self.assertEqual(self.message()["caption"], "Tanuki is live!\nKiln\nArt")
        [photo] = self.fake.photos.values()
        self.assertTrue(photo.endswith(f"?t={int(NOW + 600)}"))

    def test_a_text_stays_a_text(self) -> None:
        """
        What began without a picture is edited as a text, also when there is a picture now.
        """
        begun = evolve(notice(), enrichment=evolve(notice().enrichment, stream=Enrichment().stream, picture=None))
        created = self.post(self.at(), begun)
        self.assert_taken(created)
        self.assertRegex(created.remote, rf"^1/text/{CHAT}$")
        self.assert_taken(self.post(self.at(), notice(CHANNEL_UPDATE, Action.EDIT, title="Kiln"), created.remote))
        self.assertIn("Kiln", self.message()["text"])
        self.assert_taken(self.post(self.at(), notice(STREAM_OFFLINE, Action.DELETE), created.remote))

    def test_style_short(self) -> None:
        """
        The short style is a text with the address, without photo, button and preview of the page.
        """
        self.assert_taken(self.post(self.at(style="short"), notice()))
        message = self.message()
        self.assertTrue(message["text"].endswith("\nhttps://twitch.tv/tanuki"))
        self.assertEqual(message["link_preview_options"], {"is_disabled": True})
        self.assertNotIn("reply_markup", message)

    def test_silent(self) -> None:
        """
        In quiet hours a message makes no sound.
        """
        self.assert_taken(self.post(self.at(), notice(silent=True)))
        self.assertEqual(self.fake.silent, set(self.fake.messages))
        edit = self.request(self.at(), notice(CHANNEL_UPDATE, Action.EDIT, silent=True), f"5/text/{CHAT}")[1]
        self.assertNotIn("disable_notification", edit, "an edit makes no sound, and takes no such parameter")

    def test_a_mention_stays_in_the_text_of_an_edit(self) -> None:
        """
        The link that mentions is in the edit too, where it notifies no one.
        """
        destination = self.destination(mention=("user:88",))
        created = self.post(destination, notice(mention=True))
        self.assert_taken(self.post(destination, notice(STREAM_OFFLINE, Action.EDIT, mention=True), created.remote))
        self.assertIn("text_mention", [each["type"] for each in self.message()["caption_entities"]])
        self.assertEqual([each.whom for each in self.fake.pings], ["user:88"])

    def test_a_topic(self) -> None:
        """
        A topic of a forum is posted to; one that is gone is not used again.
        """
        self.fake.chats[CHAT].topics.add(7)
        destination = self.at(message_thread_id=7)
        self.assert_taken(self.post(destination, notice()))
        self.assertEqual(self.message()["message_thread_id"], 7)
        self.fake.chats[CHAT].topics.clear()
        self.assertEqual(self.post(destination, notice()).verdict, Verdict.DESTINATION_GONE)

    def test_a_name_instead_of_an_id(self) -> None:
        """
        A chat that is configured by its name is edited by its id, since names change hands.
        """
        self.fake.chats[CHAT].username = "kilnroom"
        destination = self.at(chat="@kilnroom")
        created = self.post(destination, notice())
        self.assertEqual(created.remote, f"1/photo/{CHAT}")
        self.fake.chats[CHAT].username = ""
        self.assert_taken(self.post(destination, notice(STREAM_OFFLINE, Action.EDIT), created.remote))

    def test_a_group_that_became_a_supergroup(self) -> None:
        """
        The new id is learned from the answer, and used once the destination has it.
        """
        old = self.fake.add_chat(-77, kind="group", migrated_to=CHAT)
        result = self.post(self.at(chat=str(old.id)), notice())
        self.assertEqual((result.verdict, result.moved_to, result.final), (Verdict.MOVED, str(CHAT), False))
        moved = evolve(self.at(chat=str(old.id)), moved_to=result.moved_to)
        created = self.post(moved, notice())
        self.assert_taken(created)
        self.assert_taken(self.post(moved, notice(STREAM_OFFLINE, Action.EDIT), created.remote))

    def test_a_follow_up_replies(self) -> None:
        """
        A follow-up answers the first message, and is sent also when that was deleted.
        """
        method, body = self.request(self.at(), notice(STREAM_OFFLINE, Action.FOLLOW_UP), f"5/photo/{CHAT}")
        self.assertEqual(method, "sendPhoto")
        self.assertEqual(body["reply_parameters"], {"message_id": 5, "allow_sending_without_reply": True})
        self.assertNotIn("reply_parameters", self.request(self.at(), notice())[1])

    def test_a_picture_that_cannot_be_fetched(self) -> None:
        """
        The picture is at fault, not the words: the plain form comes without it, with the operator's words.
        """
        policy = {"messages": {"online": {"text": "<b>{{ name }}</b> &amp; co: {{ title }}"}}}
        destination = self.destination(**policy)
        delivery = self.prepare(destination, notice(title="<i>1 & 2</i>"))
        for fault in ("Wrong type of the web page content", "Failed to get HTTP URL content"):
            photo = orjson.loads(delivery.body)["body"]["photo"]
            self.fake.photo_faults[photo] = fault
            self.assertEqual(self.attempt(destination, delivery).verdict, Verdict.REJECTED)
        created = self.attempt(destination, evolve(delivery, plain=True))
        self.assert_taken(created)
        self.assertEqual(self.message()["text"], "Tanuki & co: <i>1 & 2</i>")
        self.assertEqual([each["type"] for each in self.message()["entities"]], ["bold"])
        self.assertEqual(created.remote, f"1/text/{CHAT}")

    def test_markup_that_cannot_be_read(self) -> None:
        """
        A mistake in an operator's markup costs the markup, not the message.
        """
        destination = self.destination(messages={"online": {"text": "<b>{{ name }}: {{ title }}"}})
        delivery = self.prepare(destination, notice())
        self.assertEqual(self.attempt(destination, delivery).verdict, Verdict.REJECTED)
        self.assert_taken(self.attempt(destination, evolve(delivery, plain=True)))
        self.assertEqual(self.message()["text"], "Tanuki: Drawing until dawn")

    def test_mistakes_in_the_markup(self) -> None:
        """
        The check of the configuration finds markup that Telegram would not read.
        """
        for text, mistake in (
            ("<b>{{ name }}", "<b> is not closed"),
            ("<p>{{ name }}</p>", "knows no tag <p>"),
            ("{{ name }}</b>", "</b> closes no tag"),
            ("<b><i>{{ name }}</b></i>", "</b> closes no tag"),
            ("{{ name }} <3", "must be written &lt;"),
            ("{{ name }} {% if title %}<b>{{ title }}{% endif %}", "as usual: <b> is not closed"),
        ):
            with self.subTest(text):
                [(key, found)] = TELEGRAM_KIND.check_messages({"online": {"text": text}})
                self.assertEqual(key, "messages.online.text")
                self.assertIn(mistake, found)
        for text in (
            '<a href="{{ url }}">{{ name }}</a>',
            "<B>{{ name }}</b> &lt;3 {{ title }}",
            "<pre>x</pre>{{ name }}",
        ):
            self.assertEqual([*TELEGRAM_KIND.check_messages({"online": {"text": text}})], [])

    @given(
        text=st.lists(
            st.sampled_from(["<b>", "</b>", "<i>", "</i>", '<a href="https://x.y">', "</a>", "<p>", "<", "x", "&lt;"])
        )
    )
    def test_the_markup_is_read_as_telegram_reads_it(self, text: list[str]) -> None:
        """
        What is right to the check is right to Telegram, and the other way around.
        """
        written = f"{{{{ name }}}} {''.join(text)}"
        found = [*TELEGRAM_KIND.check_messages({"online": {"text": written}})]
        try:
            parse_html(written)
        except HtmlError:
            self.assertNotEqual(found, [])
        else:
            self.assertEqual(found, [])

    @given(title=words)
    def test_the_plain_form_shows_the_same_words(self, title: str) -> None:
        """
        Whatever a streamer writes is there in the plain form as in the other.
        """
        self.setUp()
        destination = self.destination()
        delivery = self.prepare(destination, notice(title=title))
        for plain in (False, True):
            self.assert_taken(self.attempt(destination, evolve(delivery, plain=plain)))
        first, second = self.fake.messages.values()
        self.assertEqual(first["caption"], second["text"])

    def test_the_longest_caption(self) -> None:
        """
        A caption has 1024 units after its markup is read, so that markup and escaping take no room from the words.
        """
        self.assert_taken(self.post(self.at(), notice(title="&" * 5000)))
        self.assertGreater(len(self.message()["caption"]), 1000)

    def test_another_style_while_a_photo_stands(self) -> None:
        """
        A text with its link fits below the photo that was posted in the other style.
        """
        created = self.post(self.at(), notice())
        edit = notice(CHANNEL_UPDATE, Action.EDIT, title="&" * 5000)
        self.assert_taken(self.post(self.at(style="short"), edit, created.remote))
        self.assertTrue(self.message()["caption"].endswith("\nhttps://twitch.tv/tanuki"))

    def read(self, status: int, body: Any, **headers: str) -> Result:
        delivery = self.prepare(self.at(), notice())
        raw = Headers({name.replace("_", "-"): [value] for name, value in headers.items()})
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        return open_destination(self.at()).interpret(Response(status, raw, data), delivery, NOW)

    def test_what_an_answer_means(self) -> None:
        """
        Descriptions decide, in any case of their letters.
        """
        for status, description, verdict in (
            (400, "Bad Request: message is not modified: specified new message content", Verdict.OK),
            (400, "Bad Request: message to edit not found", Verdict.MESSAGE_GONE),
            (400, "Bad Request: message to delete not found", Verdict.MESSAGE_GONE),
            (400, "Bad Request: MESSAGE_ID_INVALID", Verdict.MESSAGE_GONE),
            (400, "Bad Request: message can't be edited", Verdict.SKIPPED),
            (400, "Bad Request: message can't be deleted for everyone", Verdict.SKIPPED),
            (400, "Bad Request: there is no caption in the message to edit", Verdict.SKIPPED),
            (400, "Bad Request: chat not found", Verdict.DESTINATION_GONE),
            (400, "Bad Request: message thread not found", Verdict.DESTINATION_GONE),
            (400, "Bad Request: TOPIC_CLOSED", Verdict.REJECTED),
            (400, "Bad Request: have no rights to send a message", Verdict.DESTINATION_GONE),
            (400, "Bad Request: not enough rights to send photos to the chat", Verdict.REJECTED),
            (400, "Bad Request: can't parse entities: Unclosed start tag", Verdict.REJECTED),
            (400, "Bad Request: message caption is too long", Verdict.REJECTED),
            (400, "Bad Request: BUTTON_URL_INVALID", Verdict.REJECTED),
            (400, "Bad Request: something new", Verdict.REJECTED),
            (403, "Forbidden: bot was kicked from the supergroup chat", Verdict.DESTINATION_GONE),
            (403, "Forbidden: not enough rights to send text messages to the chat", Verdict.DESTINATION_GONE),
            (401, "Unauthorized", Verdict.UNAUTHORIZED),
            (404, "Not Found", Verdict.UNAUTHORIZED),
            (500, "Internal Server Error", Verdict.RETRY),
        ):
            for text in (description, description.upper(), description.lower()):
                with self.subTest(text):
                    result = self.read(status, {"ok": False, "error_code": status, "description": text})
                    self.assertEqual(result.verdict, verdict, result.detail)
        self.assertEqual(self.read(404, b"<html>nginx</html>").verdict, Verdict.REJECTED)

    def test_how_long_to_wait(self) -> None:
        """
        The wait is in the body, and also in the header.
        """
        body = {"ok": False, "error_code": 429, "parameters": {"retry_after": 7}}
        for result in (self.read(429, body), self.read(429, b"", Retry_After="7")):
            self.assertEqual((result.verdict, result.pause, result.retry_after), (Verdict.PAUSE, 7.0, 7.0))

    def test_an_id_that_is_lost(self) -> None:
        """
        A success without an id is a success, and the id is unknown.
        """
        for body in (b"", b'{"ok":true,"res', b"[]", b'{"ok":true,"result":true}', b'{"ok":true,"result":{"chat":5}}'):
            self.assertEqual((self.read(200, body).ok, self.read(200, body).remote), (True, ""))

    def test_deleted_by_a_moderator(self) -> None:
        """
        An edit of a message that was deleted there says so.
        """
        created = self.post(self.at(), notice())
        self.fake.messages.clear()
        result = self.post(self.at(), notice(CHANNEL_UPDATE, Action.EDIT), created.remote)
        self.assertEqual(result.verdict, Verdict.MESSAGE_GONE)

    def test_the_same_edit_twice(self) -> None:
        """
        An edit whose answer was lost is sent again: the message is as it should be.
        """
        created = self.post(self.at(), notice())
        for _ in range(2):
            self.assert_taken(self.post(self.at(), notice(STREAM_OFFLINE, Action.EDIT), created.remote))

    def test_states_of_a_chat(self) -> None:
        """
        Where the bot cannot write, in any words for that, the destination is gone.
        """
        for capitals in (False, True):
            self.fake.capitals = capitals
            for state in ("blocked", "deactivated", "kicked", "left", "deleted"):
                self.fake.chats[CHAT].state = state
                self.assertEqual(self.post(self.at(), notice()).verdict, Verdict.DESTINATION_GONE, state)

    def test_a_wrong_token(self) -> None:
        """
        An unknown token is said to be one.
        """
        result = self.post(self.at(token="654321:AAOtherOtherOtherOtherOther"), notice())
        self.assertEqual(result.verdict, Verdict.UNAUTHORIZED)

    def test_trouble_of_the_service(self) -> None:
        """
        What is the service's own trouble is tried again.
        """
        self.fake.script.plan("sendphoto", Behaviour(status=502))
        self.assertEqual(self.post(self.at(), notice()).verdict, Verdict.RETRY)

    def test_a_server_of_ones_own(self) -> None:
        """
        The address of a Bot API server keeps its path; the token is in no repr.
        """
        destination = self.at(api_url="http://127.0.0.1:8081/bots/")
        made = open_destination(destination).make_request(self.prepare(destination, notice()), NOW)
        self.assertEqual(made.url, f"http://127.0.0.1:8081/bots/bot{self.fake.token}/sendPhoto")
        self.assertNotIn(self.fake.token, f"{made} {destination} {destination.settings}")

    def test_what_makes_two_the_same(self) -> None:
        """
        Two destinations are one with the same server, bot, chat and topic; a new token of the bot changes nothing.
        """
        first = TELEGRAM_KIND.place(self.make_settings(self.fake))
        same = self.make_settings(self.fake, token="123456:BBNewNewNewNewNewNew", api_url="https://API.telegram.org/")
        self.assertEqual(TELEGRAM_KIND.place(same), first)
        for more in ({"chat": "@other"}, {"message_thread_id": 3}, {"token": "7:AAFakeFakeFakeFake"}):
            self.assertNotEqual(TELEGRAM_KIND.place(self.make_settings(self.fake, **more)), first)

    def test_mistakes_in_the_settings(self) -> None:
        """
        Each mistake is said at its key, without the token, which is a secret.
        """
        self.assertEqual([*TELEGRAM_KIND.check(self.make_settings(self.fake, chat="@kilnroom"))], [])
        for key, value in (
            ("token", "abc"),
            ("token", "bot123456:AAFakeFakeFakeFake"),
            ("chat", "kilnroom"),
            ("chat", "https://t.me/kilnroom"),
            ("message_thread_id", -1),
            ("api_url", "api.telegram.org"),
            ("style", "large"),
        ):
            with self.subTest(key):
                found = [*TELEGRAM_KIND.check(self.make_settings(self.fake, **{key: value}))]
                self.assertEqual([each for each, _ in found], [key])
                self.assertNotIn("FakeFake", found[0][1])

    def test_the_bytes_on_the_wire(self) -> None:
        """
        What is sent stays as it is, to the byte.
        """
        mentioning = self.destination(mention=("user:88",))
        self.assert_golden(self.at(), mentioning=mentioning, short=self.at(style="short"), remote=f"5/photo/{CHAT}")
