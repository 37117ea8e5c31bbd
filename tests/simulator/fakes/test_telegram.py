"""
The fake of Telegram: what it takes, refuses, shows, and whom it notifies.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.fakes.service import FakeAnswer
from itsjustintv.simulator.fakes.telegram import CAPTION_LIMIT, TEXT_LIMIT, FakeTelegram
from itsjustintv.simulator.fakes.telegram_html import (
    Entity,
    FormattedText,
    HtmlError,
    find_mentions,
    parse_html,
    utf16_length,
)
from tests.judges.program import judge_imports

NOW = 1_780_000_000.0
CHAT = -1001234567890
PHOTO = "https://static-cdn.example.net/preview.jpg?t=1"
ALPHABET = "<>&\"'/=; abtgi-spoilercodeu@#1xé🎉\n"


class HtmlTests(SynchronousTestCase):
    """
    The parser of Telegram's HTML.
    """

    def refused(self, source: str) -> str:
        return str(self.assertRaises(HtmlError, parse_html, source))

    def test_each_tag_of_the_list_formats(self) -> None:
        """
        Every tag of the list becomes the entity that the Bot API names, whatever the case of its letters.
        """
        tags = {
            "b": "bold",
            "STRONG": "bold",
            "i": "italic",
            "em": "italic",
            "u": "underline",
            "ins": "underline",
            "s": "strikethrough",
            "strike": "strikethrough",
            "del": "strikethrough",
            "code": "code",
            "pre": "pre",
            "blockquote": "blockquote",
            "tg-spoiler": "spoiler",
        }
        for tag, kind in tags.items():
            parsed = parse_html(f"a<{tag}>bc</{tag}>")
            self.assertEqual(parsed, FormattedText("abc", (Entity(kind, 1, 2),)), tag)

    def test_a_tag_that_is_not_in_the_list_is_refused(self) -> None:
        """
        An unknown tag, and a lone ``<``, is an error that names the byte.
        """
        self.assertEqual(self.refused("é<p>x</p>"), 'Unsupported start tag "p" at byte offset 2')
        self.assertIn("Unsupported start tag", self.refused("1 < 2 > 0"))
        self.assertEqual(self.refused("1 <2"), "Unclosed start tag at byte offset 2")

    def test_tags_must_be_balanced(self) -> None:
        """
        A tag that is not closed, closed twice or closed in the wrong order is an error.
        """
        self.assertEqual(self.refused("<b>x"), 'Can\'t find end tag corresponding to start tag "b"')
        self.assertEqual(self.refused("x</b>"), "Unexpected end tag at byte offset 1")
        self.assertEqual(
            self.refused("<b><i>x</b></i>"), 'Unmatched end tag at byte offset 7, expected "</i>", found "</b>"'
        )
        self.assertEqual(self.refused('<a href="https://e.net>x'), "Unclosed start tag at byte offset 0")

    def test_attributes_are_read(self) -> None:
        """
        A link keeps its address with references decoded, and a span must be a spoiler.
        """
        parsed = parse_html('<a href="https://e.net/?a=1&amp;b=&quot;2">x</a><span class="tg-spoiler">y</span>')
        link, spoiler = parsed.entities
        self.assertEqual((link.kind, link.url), ("text_link", 'https://e.net/?a=1&b="2'))
        self.assertEqual((spoiler.kind, spoiler.offset), ("spoiler", 1))
        self.assertIn("must have class", self.refused("<span>x</span>"))
        self.assertIn("Expected equal sign", self.refused("<b bold>x</b>"))
        self.assertIn("Expected equal sign", self.refused("<blockquote bold>x</blockquote>"))
        self.assertIn("Expected equal sign", self.refused("<b expandable>x</b>"))
        self.assertIn("Empty attribute name", self.refused("<b =x>x</b>"))
        self.assertEqual(parse_html("<blockquote expandable>x</blockquote>").entities[0].kind, "blockquote")

    def test_four_references_are_known(self) -> None:
        """
        ``&lt; &gt; &amp; &quot;`` and numbers are decoded; what else begins with ``&`` stays as it is.
        """
        parsed = parse_html("&lt;b&gt; &amp;&quot; &#64;&#x40; &nbsp; &apos; & AT&T")
        self.assertEqual(parsed.text, '<b> &" @@ &nbsp; &apos; & AT&T')
        self.assertEqual(parse_html("&#0;&#1114111;&#1114110;").text, "&#0;&#1114111;\U0010fffe")
        for half in ("&#xd800;", "&#xdfff;"):
            self.assertIn("invalid Unicode", self.refused(half))

    def test_offsets_count_utf16_units(self) -> None:
        """
        A character outside the basic plane counts twice.
        """
        self.assertEqual(parse_html("🎉<b>🎉</b>").entities, (Entity("bold", 2, 2),))
        self.assertEqual(utf16_length("\uffff\U00010000"), 3)

    def test_white_space_at_the_ends_is_removed(self) -> None:
        """
        Entities move with their text, and those of white space alone vanish.
        """
        parsed = parse_html("<i>\n</i> <b> x </b><u> </u>").strip()
        self.assertEqual(parsed, FormattedText("x", (Entity("bold", 0, 1),)))

    @given(st.text(st.sampled_from(ALPHABET), max_size=60))
    def test_escaped_text_comes_back(self, text: str) -> None:
        """
        Any text whose ``& < >`` are escaped is taken, and read as it was.
        """
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        self.assertEqual(parse_html(f"<b>{escaped}</b>").text, text)

    @given(st.text(st.sampled_from(ALPHABET), max_size=40))
    def test_any_text_is_parsed_or_refused(self, text: str) -> None:
        """
        No text makes the parser fail otherwise, and every entity lies inside the text.
        """
        try:
            parsed = parse_html(text).strip()
        except HtmlError:
            return
        for entity in parsed.entities:
            self.assertGreater(entity.length, 0)
            self.assertLessEqual(entity.offset + entity.length, utf16_length(parsed.text))

    def test_names_in_text_are_mentions(self) -> None:
        """
        An ``@name`` is a mention unless a zero-width space, a letter or code is in the way.
        """
        mentions = {
            "@tanuki": ("@tanuki",),
            "(@tanuki), @kitsune!": ("@tanuki", "@kitsune"),
            "@\u200btanuki": (),
            "mail@tanuki": (),
            "@ab": (),
            f"@{'a' * 33}": (),
            "<code>@tanuki</code> <pre>@tanuki</pre>": (),
            '<a href="https://e.net">@tanuki</a>': (),
            "<b>@tanuki</b>": ("@tanuki",),
            "&#64;tanuki": ("@tanuki",),
            '<a href="tg://user?id=42">x</a>': ("user:42",),
        }
        for source, expected in mentions.items():
            self.assertEqual(find_mentions(parse_html(source)), expected, source)


class TelegramTests(SynchronousTestCase):
    """
    The methods of the Bot API.
    """

    def setUp(self) -> None:
        self.fake = FakeTelegram()
        self.chat = self.fake.add_chat(CHAT)
        self.now = NOW

    def call(self, method: str, **arguments: Any) -> FakeAnswer:
        url = f"https://api.telegram.org/bot{self.fake.token}/{method}"
        self.now += 3
        headers = {"content-type": "application/json"}
        return self.fake.handle("POST", url, headers, orjson.dumps(arguments), self.now)

    def done(self, method: str, **arguments: Any) -> Any:
        answer = self.call(method, **arguments)
        self.assertEqual((answer.status, answer.json["ok"]), (200, True), answer.body)
        return answer.json["result"]

    def refused(self, method: str, **arguments: Any) -> str:
        answer = self.call(method, **arguments)
        body = answer.json
        self.assertEqual((answer.status, body["ok"]), (body["error_code"], False))
        return f"{answer.status} {body['description']}"

    def send(self, text: str = "live", **more: Any) -> Any:
        return self.done("sendMessage", chat_id=CHAT, text=text, parse_mode="HTML", **more)

    def send_photo(self, caption: str = "live", **more: Any) -> Any:
        return self.done("sendPhoto", chat_id=CHAT, photo=PHOTO, caption=caption, parse_mode="HTML", **more)

    def test_a_message_is_shown(self) -> None:
        """
        A message has an id of its chat, its text without markup, its entities, its preview and its button.
        """
        keyboard = {"inline_keyboard": [[{"text": "Watch", "url": "https://www.twitch.tv/tanuki"}]]}
        preview = {"url": PHOTO, "prefer_large_media": True}
        sent = self.send("<b>Tanuki</b> &amp; co", reply_markup=keyboard, link_preview_options=preview)
        self.assertEqual((sent["message_id"], sent["chat"]["id"], sent["text"]), (1, CHAT, "Tanuki & co"))
        self.assertEqual(sent["entities"], [{"type": "bold", "offset": 0, "length": 6}])
        self.assertEqual((sent["reply_markup"], sent["link_preview_options"]), (keyboard, preview))
        self.assertEqual(self.fake.messages, {f"{CHAT}/1": sent})

    def test_ids_count_anew_in_each_chat(self) -> None:
        """
        Two messages of two chats have the same id.
        """
        self.fake.add_chat(7, "private")
        self.send()
        self.done("sendMessage", chat_id="7", text="x")
        self.assertEqual(list(self.fake.messages), [f"{CHAT}/1", "7/1"])

    def test_a_form_is_as_good_as_json(self) -> None:
        """
        Arguments may come as a form, with JSON inside; without a known Content-Type there are none.
        """
        url = f"/bot{self.fake.token}/sendMessage"
        kind = {"content-type": "application/x-www-form-urlencoded"}
        body = (
            b"chat_id=%d&text=a%%26b&disable_notification=true&link_preview_options=%%7B%%22is_disabled%%22%%3Atrue%%7D"
        )
        answer = self.fake.handle("POST", url, kind, body % CHAT, NOW)
        self.assertEqual(answer.json["result"]["text"], "a&b")
        self.assertEqual(answer.json["result"]["link_preview_options"], {"is_disabled": True})
        self.assertEqual(self.fake.silent, {f"{CHAT}/1"})
        unread = self.fake.handle("POST", url, {}, orjson.dumps({"chat_id": CHAT, "text": "x"}), NOW)
        self.assertEqual(unread.json["description"], "Bad Request: message text is empty")

    def test_lengths_are_measured_after_parsing(self) -> None:
        """
        A text of 4096 UTF-16 units is taken and one of 4097 is not, on creation and on edit; a caption has 1024.
        """
        self.send(f"<b>{'&amp;' * 4096}</b>")
        self.send("🎉" * 2048)
        for text in ("x" * 4097, "🎉" * 2048 + "x"):
            self.assertEqual(
                self.refused("sendMessage", chat_id=CHAT, text=text), "400 Bad Request: message is too long"
            )
        edit = {"chat_id": CHAT, "message_id": 1}
        self.done("editMessageText", **edit, text="x" * 4096)
        self.assertEqual(self.refused("editMessageText", **edit, text="x" * 4097), "400 Bad Request: MESSAGE_TOO_LONG")
        self.send_photo("🎉" * 512)
        long = {"chat_id": CHAT, "photo": PHOTO, "caption": "🎉" * 512 + "x"}
        self.assertEqual(self.refused("sendPhoto", **long), "400 Bad Request: message caption is too long")

    def test_an_empty_text_is_refused(self) -> None:
        """
        A text of white space or of tags alone is empty; a caption may be.
        """
        for text in ("", " \n", "<b> </b>"):
            refusal = self.refused("sendMessage", chat_id=CHAT, text=text, parse_mode="HTML")
            self.assertEqual(refusal, "400 Bad Request: message text is empty")
        self.assertNotIn("caption", self.send_photo(""))

    def test_bad_markup_is_refused(self) -> None:
        """
        Markup that does not parse is a 400 with the word that clients look for.
        """
        refusal = self.refused("sendMessage", chat_id=CHAT, text="a < b", parse_mode="html")
        self.assertEqual(refusal, '400 Bad Request: can\'t parse entities: Unsupported start tag "" at byte offset 2')
        self.assertEqual(self.send("a < b".replace("<", "&lt;"))["text"], "a < b")
        self.assertEqual(
            self.refused("sendMessage", chat_id=CHAT, text="x", parse_mode="bbcode"),
            "400 Bad Request: unsupported parse_mode",
        )

    def test_a_text_message_is_edited_as_text(self) -> None:
        """
        A text message takes a new text and loses a keyboard that the edit does not repeat; it has no caption.
        """
        keyboard = {"inline_keyboard": [[{"text": "Watch", "url": "https://www.twitch.tv/tanuki"}]]}
        self.send("live", reply_markup=keyboard)
        edit = {"chat_id": CHAT, "message_id": 1}
        edited = self.done("editMessageText", **edit, text="ended")
        self.assertEqual((edited["text"], edited["message_id"]), ("ended", 1))
        self.assertNotIn("reply_markup", self.fake.messages[f"{CHAT}/1"])
        self.assertEqual(
            self.refused("editMessageCaption", **edit, caption="x"),
            "400 Bad Request: there is no caption in the message to edit",
        )

    def test_a_photo_is_edited_by_caption_and_media(self) -> None:
        """
        A photo message takes a new caption or a new photo; it has no text.
        """
        self.send_photo()
        edit = {"chat_id": CHAT, "message_id": 1}
        self.assertEqual(
            self.refused("editMessageText", **edit, text="x"),
            "400 Bad Request: there is no text in the message to edit",
        )
        self.assertEqual(self.done("editMessageCaption", **edit, caption="ended")["caption"], "ended")
        media = {"type": "photo", "media": f"{PHOTO}&new", "caption": "<i>ended</i>", "parse_mode": "HTML"}
        edited = self.done("editMessageMedia", **edit, media=media)
        self.assertEqual(edited["caption_entities"], [{"type": "italic", "offset": 0, "length": 5}])
        self.assertEqual(self.fake.photos[f"{CHAT}/1"], f"{PHOTO}&new")
        for odd in ({}, {"type": "video", "media": PHOTO}, {"type": "photo"}):
            self.assertIn("can't parse InputMedia", self.refused("editMessageMedia", **edit, media=odd))

    def test_media_is_added_to_a_text(self) -> None:
        """
        A text message becomes a photo by ``editMessageMedia``.
        """
        self.send()
        self.done("editMessageMedia", chat_id=CHAT, message_id=1, media={"type": "photo", "media": PHOTO})
        message = self.fake.messages[f"{CHAT}/1"]
        self.assertNotIn("text", message)
        self.assertIn("photo", message)

    def test_an_edit_must_change_something(self) -> None:
        """
        An edit to what is shown already is refused.
        """
        self.send("<b>live</b>")
        edit = {"chat_id": CHAT, "message_id": 1, "parse_mode": "HTML"}
        refusal = self.refused("editMessageText", **edit, text="<strong>live</strong> ")
        self.assertTrue(refusal.startswith("400 Bad Request: message is not modified: specified new"), refusal)
        self.done("editMessageText", **edit, text="live")

    def test_a_message_that_is_gone_is_not_found(self) -> None:
        """
        What a moderator deleted, or what never was, can be neither edited nor deleted.
        """
        self.send()
        self.fake.messages.clear()
        gone = {"chat_id": CHAT, "message_id": 1}
        self.assertEqual(
            self.refused("editMessageText", **gone, text="x"), "400 Bad Request: message to edit not found"
        )
        self.assertEqual(self.refused("deleteMessage", **gone), "400 Bad Request: message to delete not found")

    def test_a_message_is_deleted_within_two_days(self) -> None:
        """
        A message can be deleted for 48 hours, and edited for longer.
        """
        self.send()
        self.now = NOW + 48 * 3600
        self.assertIs(self.done("deleteMessage", chat_id=CHAT, message_id=1), True)
        self.assertEqual(self.fake.messages, {})
        self.send()
        self.now += 48 * 3600
        self.assertEqual(
            self.refused("deleteMessage", chat_id=CHAT, message_id=2),
            "400 Bad Request: message can't be deleted for everyone",
        )
        self.done("editMessageText", chat_id=CHAT, message_id=2, text="ended")

    def test_chats_must_be_known(self) -> None:
        """
        A chat is found by its id or its public name; without one, or with an unknown one, there is an error.
        """
        self.fake.add_chat(-100, "channel", username="Tanukis")
        self.done("sendMessage", chat_id="@tanukis", text="x")
        self.assertEqual(self.refused("sendMessage", text="x"), "400 Bad Request: chat_id is empty")
        for chat in (5, "@nowhere", "junk"):
            self.assertEqual(self.refused("sendMessage", chat_id=chat, text="x"), "400 Bad Request: chat not found")
        self.assertEqual(self.done("getChat", chat_id=-100)["title"], "Announcements")

    def test_a_chat_can_shut_the_bot_out(self) -> None:
        """
        A bot that was blocked, kicked or left behind is answered 403.
        """
        states = {
            ("private", "blocked"): "bot was blocked by the user",
            ("private", "deactivated"): "user is deactivated",
            ("supergroup", "kicked"): "bot was kicked from the supergroup chat",
            ("channel", "left"): "bot is not a member of the channel chat",
            ("group", "deleted"): "the group chat was deleted",
        }
        for (kind, state), reason in states.items():
            self.fake.add_chat(9, kind, state=state)
            self.assertEqual(self.refused("sendMessage", chat_id=9, text="x"), f"403 Forbidden: {reason}")

    def test_a_group_moves(self) -> None:
        """
        A group that became a supergroup names the new id; what was sent there before cannot be edited.
        """
        self.fake.add_chat(-9, "group", migrated_to=CHAT)
        answer = self.call("sendMessage", chat_id=-9, text="x")
        self.assertEqual(answer.json["description"], "Bad Request: group chat was upgraded to a supergroup chat")
        self.assertEqual(answer.json["parameters"], {"migrate_to_chat_id": CHAT})
        refusal = self.refused("editMessageText", chat_id=-9, message_id=1, text="x")
        self.assertEqual(refusal, "400 Bad Request: message can't be edited")

    def test_topics_must_exist(self) -> None:
        """
        A message goes to a topic that the forum has.
        """
        self.chat.topics = {4}
        self.assertEqual(self.send(message_thread_id=4)["message_thread_id"], 4)
        refusal = self.refused("sendMessage", chat_id=CHAT, text="x", message_thread_id=5)
        self.assertEqual(refusal, "400 Bad Request: message thread not found")

    def test_photos_can_fail(self) -> None:
        """
        A photo that cannot be fetched, or is none, is an error, and no message is sent; an identifier needs no fetch.
        """
        sent = self.send_photo()
        fetched = {PHOTO: b"jpeg", "https://e.net/page": b"<html>"}
        self.fake.fetch = fetched.get
        self.fake.photo_faults["https://e.net/odd"] = "WEBPAGE_CURL_FAILED"
        faults = {
            "https://e.net/gone": "failed to get HTTP URL content",
            "https://e.net/page": "wrong type of the web page content",
            "https://e.net/odd": "WEBPAGE_CURL_FAILED",
            "ftp://e.net/x": "wrong file identifier/HTTP URL specified",
            "": "there is no photo in the request",
        }
        for photo, fault in faults.items():
            self.assertEqual(self.refused("sendPhoto", chat_id=CHAT, photo=photo), f"400 Bad Request: {fault}")
        self.assertEqual(list(self.fake.messages), [f"{CHAT}/1"])
        self.done("sendPhoto", chat_id=CHAT, photo=sent["photo"][0]["file_id"])

    def test_the_size_of_a_photo_is_limited(self) -> None:
        """
        A photo that Telegram fetches has 5 MiB at most.
        """
        sizes = {"https://e.net/large": 5 << 20, "https://e.net/huge": (5 << 20) + 1}
        self.fake.fetch = lambda url: bytes(sizes[url])
        self.done("sendPhoto", chat_id=CHAT, photo="https://e.net/large")
        refusal = self.refused("sendPhoto", chat_id=CHAT, photo="https://e.net/huge")
        self.assertEqual(refusal, "400 Bad Request: failed to get HTTP URL content")

    def test_a_photo_is_fetched_once(self) -> None:
        """
        Telegram keeps the bytes of a URL: the same URL shows the old picture, another one the new.
        """
        pictures = iter([b"first", b"second"])
        self.fake.fetch = lambda url: next(pictures)
        photos = [self.done("sendPhoto", chat_id=CHAT, photo=url)["photo"] for url in (PHOTO, PHOTO, PHOTO + "2")]
        self.assertEqual(photos[0], photos[1])
        self.assertNotEqual(photos[0], photos[2])

    def test_the_token_is_checked(self) -> None:
        """
        A wrong token is 401, one that cannot be a token 404, as is a method that does not exist.
        """
        answers = {
            "/bot1:wrong/getMe": (401, "Unauthorized"),
            "/botwrong/getMe": (404, "Not Found"),
            "/getMe": (404, "Not Found"),
            f"/bot{self.fake.token}/getThem": (404, "Not Found: method not found"),
        }
        for url, expected in answers.items():
            answer = self.fake.handle("GET", url, {}, b"", NOW)
            self.assertEqual((answer.status, answer.json["description"]), expected, url)
        self.assertIs(self.done("getMe")["is_bot"], True)

    def test_one_message_a_second_in_a_chat(self) -> None:
        """
        The second message within a second is answered 429, with the wait in text, parameters and header.
        """
        self.send()
        self.now -= 2.5
        answer = self.call("sendMessage", chat_id=CHAT, text="x")
        self.assertEqual(answer.status, 429)
        self.assertEqual(answer.json["description"], "Too Many Requests: retry after 1")
        self.assertEqual((answer.json["parameters"], answer.header("retry-after")), ({"retry_after": 1}, "1"))
        self.now -= 2.5
        self.send()

    def test_twenty_messages_a_minute_in_a_group(self) -> None:
        """
        A group takes 20 messages in a minute, a private chat more.
        """
        self.fake.add_chat(7, "private")
        for chat, count in ((CHAT, 20), (7, 21)):
            self.now = NOW
            for _ in range(count):
                self.now -= 1
                self.done("sendMessage", chat_id=chat, text="x")
        self.now = NOW + 40
        answer = self.call("sendMessage", chat_id=CHAT, text="x")
        self.assertEqual(answer.json["parameters"], {"retry_after": 19})

    def test_thirty_calls_a_second_overall(self) -> None:
        """
        Thirty messages and edits a second are taken from a bot, in however many chats.
        """
        for number in range(1, 31):
            self.fake.add_chat(number, "private")
            self.now = NOW
            self.done("sendMessage", chat_id=number, text="x")
        self.now = NOW + 0.9 - 3
        self.assertEqual(self.call("editMessageText", chat_id=1, message_id=1, text="y").status, 429)
        self.now = NOW + 1 - 3 + 3
        self.done("editMessageText", chat_id=1, message_id=1, text="y")

    def test_names_ping(self) -> None:
        """
        A name in a text or a caption notifies its user, once; one that an edit adds does too.
        """
        self.send("@tanuki @tanuki is live")
        self.send_photo("@kitsune @\u200btanuki")
        self.assertEqual(self.fake.pinged(f"{CHAT}/1"), ["@tanuki"])
        self.assertEqual(self.fake.pinged(f"{CHAT}/2"), ["@kitsune"])
        self.done("editMessageText", chat_id=CHAT, message_id=1, text="@tanuki was live")
        self.assertEqual(len(self.fake.pings), 2)
        self.done("editMessageText", chat_id=CHAT, message_id=1, text="@tanuki and @badger were live")
        self.assertEqual(self.fake.pinged(f"{CHAT}/1"), ["@tanuki", "@badger"])

    def test_buttons_are_checked(self) -> None:
        """
        A button needs a text and an address.
        """
        faults = {
            "can't parse inline keyboard button: Can't find field \"text\"": {"url": "https://e.net"},
            "text buttons are unallowed in the inline keyboard": {"text": "x"},
            "inline keyboard button URL 'e' is invalid: Wrong HTTP URL": {"text": "x", "url": "e"},
        }
        for fault, button in faults.items():
            markup = {"inline_keyboard": [[button]]}
            refusal = self.refused("sendMessage", chat_id=CHAT, text="x", reply_markup=markup)
            self.assertEqual(refusal, f"400 Bad Request: {fault}")

    def test_capitals_differ(self) -> None:
        """
        Errors can begin with a capital letter, as those of some servers do.
        """
        self.fake.capitals = True
        refusal = self.refused("editMessageText", chat_id=CHAT, message_id=1, text="x")
        self.assertEqual(refusal, "400 Bad Request: Message to edit not found")

    def test_a_library_has_the_same_limits(self) -> None:
        """
        The constants of a library for Telegram are those of this fake.
        """
        self.patch(sys, "path", [*sys.path, judge_imports("telegram")])
        constants = import_module("telegram.constants")
        self.assertEqual(constants.MessageLimit.MAX_TEXT_LENGTH, TEXT_LIMIT)
        self.assertEqual(constants.MessageLimit.CAPTION_LENGTH, CAPTION_LIMIT)
        limits = constants.FloodLimit
        self.assertEqual(limits.MESSAGES_PER_SECOND, self.fake.overall_limit[0])
        self.assertEqual(limits.MESSAGES_PER_SECOND_PER_CHAT, self.fake.chat_limit[0])
        self.assertEqual(limits.MESSAGES_PER_MINUTE_PER_GROUP, self.fake.group_limit[0])

    def test_a_method_can_be_scripted(self) -> None:
        """
        A behaviour is planned for a method by its name, and can come after the message was stored.
        """
        self.fake.script.plan("sendmessage", Behaviour(lost=True, drop=True))
        self.assertIs(self.call("sendMessage", chat_id=CHAT, text="x").drop, True)
        self.assertEqual(list(self.fake.messages), [f"{CHAT}/1"])
