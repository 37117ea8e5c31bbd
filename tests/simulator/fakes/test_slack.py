"""
The fake of Slack: its webhooks, its Web API, its blocks, and whom it notifies.
"""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.fakes.service import FakeAnswer
from itsjustintv.simulator.fakes.slack import FakeSlack
from itsjustintv.simulator.fakes.slack_blocks import RENDERED, check_blocks, find_mentions
from tests.judges.validators import slack_problems

NOW = 1_780_000_000.0
HOOK = "/services/T0TEAM/B0HOOK/secret"
PICTURE = "https://static-cdn.example.net/preview.jpg"


def plain(text: str) -> dict[str, Any]:
    """
    A ``plain_text`` object.
    """
    return {"type": "plain_text", "text": text, "emoji": False}


def marked(text: str) -> dict[str, Any]:
    """
    A ``mrkdwn`` object.
    """
    return {"type": "mrkdwn", "text": text}


def section(text: str) -> dict[str, Any]:
    """
    A section with a text.
    """
    return {"type": "section", "text": marked(text)}


def image(**more: Any) -> dict[str, Any]:
    """
    An image block.
    """
    return {"type": "image", "image_url": PICTURE, "alt_text": "preview", **more}


def button(**more: Any) -> dict[str, Any]:
    """
    A link button.
    """
    return {"type": "button", "text": plain("Watch"), "url": "https://www.twitch.tv/tanuki", **more}


class BlockTests(SynchronousTestCase):
    """
    The rules of blocks.
    """

    def fits(self, *blocks: Any) -> None:
        self.assertEqual(check_blocks(list(blocks)), [])

    def refused(self, *blocks: Any) -> str:
        problems = check_blocks(list(blocks))
        self.assertEqual(len(problems), 1, problems)
        return problems[0]

    def test_lengths(self) -> None:
        """
        Each text is taken at its limit and refused one character above it.
        """
        shapes = {
            150: (lambda text: {"type": "header", "text": plain(text)}, "/text/text"),
            3000: (section, "/text/text"),
            2000: (lambda text: {"type": "section", "fields": [marked(text)]}, "/fields/0/text"),
            75: (lambda text: {"type": "actions", "elements": [button(text=plain(text))]}, "/elements/0/text/text"),
            255: (lambda text: {"type": "divider", "block_id": text}, "/block_id"),
        }
        for limit, (shape, path) in shapes.items():
            self.fits(shape("x" * limit))
            expected = f"must be less than {limit + 1} characters [json-pointer:/blocks/0{path}]"
            self.assertEqual(self.refused(shape("x" * (limit + 1))), expected)
            self.assertIn("must be more than 0 characters", self.refused(shape("")))

    def test_lengths_of_pictures_and_links(self) -> None:
        """
        An address has 3000 characters and an alternative text 2000.
        """
        base = "https://e.net/"
        for limit, name, value in ((3000, "image_url", base.ljust(3000, "x")), (2000, "alt_text", "x" * 2000)):
            self.fits(image(**{name: value}))
            self.assertIn(f"must be less than {limit + 1}", self.refused(image(**{name: f"{value}x"})))
        self.fits({"type": "actions", "elements": [button(url=base.ljust(3000, "x"))]})
        self.assertIn("/url]", self.refused({"type": "actions", "elements": [button(url=base.ljust(3001, "x"))]}))
        self.assertIn("invalid url", self.refused(image(image_url="file:///etc/passwd")))

    def test_counts(self) -> None:
        """
        A message has 50 blocks, a section 10 fields, a context 10 elements, a row of actions 25.
        """
        shapes = {
            50: lambda count: [{"type": "divider"}] * count,
            10: lambda count: [{"type": "section", "fields": [marked("x")] * count}],
            25: lambda count: [{"type": "actions", "elements": [button()] * count}],
        }
        for limit, shape in shapes.items():
            self.fits(*shape(limit))
            self.assertIn(f"no more than {limit} items allowed", self.refused(*shape(limit + 1)))
        self.fits({"type": "context", "elements": [plain("x"), *[image()] * 9]})
        self.assertIn("no more than 10", self.refused({"type": "context", "elements": [plain("x")] * 11}))
        self.assertIn("at least 1", self.refused({"type": "context", "elements": []}))

    def test_shapes(self) -> None:
        """
        A block must be known, have what it needs and nothing else; its text must be of the right type.
        """
        refused = {
            "unsupported type: banner [json-pointer:/blocks/0]": {"type": "banner"},
            "missing required field: alt_text [json-pointer:/blocks/0]": {"type": "image", "image_url": PICTURE},
            "missing required field: text [json-pointer:/blocks/0]": {"type": "section"},
            "invalid additional property: colour [json-pointer:/blocks/0]": {"type": "divider", "colour": "red"},
            "must be an object of type plain_text [json-pointer:/blocks/0/text]": {
                "type": "header",
                "text": marked("x"),
            },
            "invalid additional property: emoji [json-pointer:/blocks/0/text]": {
                "type": "section",
                "text": {**marked("x"), "emoji": True},
            },
        }
        for problem, block in refused.items():
            self.assertEqual(self.refused(block), problem)
        self.assertEqual(check_blocks({}), ["must be an array [json-pointer:/blocks]"])

    def test_block_ids_differ(self) -> None:
        """
        Two blocks of a message cannot have one id.
        """
        block = {"type": "divider", "block_id": "a"}
        self.assertIn("already exists", self.refused(block, block))

    def test_the_library_of_slack_agrees(self) -> None:
        """
        What Slack's own library refuses is refused here, and what it takes is taken.
        """
        blocks = [
            {"type": "header", "text": plain("x" * 150)},
            {"type": "header", "text": plain("x" * 151)},
            section("x" * 3000),
            section("x" * 3001),
            image(),
            image(alt_text="x" * 2001),
            image(image_url="https://e.net/".ljust(3001, "x")),
            {"type": "context", "elements": [marked("x")] * 11},
            {"type": "actions", "elements": [button(action_id="a")]},
        ]
        for block, problem in zip(blocks, slack_problems([[block] for block in blocks]), strict=True):
            self.assertEqual(not check_blocks([block]), not problem, str(block)[:100])


class MentionTests(SynchronousTestCase):
    """
    Whom a message notifies.
    """

    def test_control_sequences_mention(self) -> None:
        """
        ``<!here>``, ``<@U1>`` and the like mention, with or without a label; escaped or bare they do not.
        """
        texts = {
            "<!here> <!channel|x> <!everyone>": ("here", "channel", "everyone"),
            "<@U12AB> <@W1|tanuki>": ("user:U12AB", "user:W1"),
            "<!subteam^S1|@mods>": ("group:S1",),
            "&lt;!here&gt; @here @channel @tanuki <!date^1^x|y> <#C1> <@u1>": (),
        }
        for text, expected in texts.items():
            self.assertEqual(find_mentions({"text": text}), expected, text)

    def test_where_a_mention_counts(self) -> None:
        """
        A mention counts in text, ``mrkdwn``, attachments and rich text, and not in ``plain_text``.
        """
        here = "<!here>"
        self.assertEqual(find_mentions({"blocks": [section(here)]}), ("here",))
        self.assertEqual(find_mentions({"blocks": [{"type": "context", "elements": [marked(here)]}]}), ("here",))
        self.assertEqual(find_mentions({"attachments": [{"fields": [{"value": here}]}]}), ("here",))
        self.assertEqual(find_mentions({"attachments": [{"blocks": [section(here)]}]}), ("here",))
        rich = {"type": "rich_text", "elements": [{"elements": [{"type": "broadcast", "range": "here"}]}]}
        self.assertEqual(find_mentions({"blocks": [rich]}), ("here",))
        elements = [{"type": "user", "user_id": "U1"}, {"type": "usergroup", "usergroup_id": "S1"}, {"type": "user"}]
        rich = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}
        self.assertEqual(find_mentions({"blocks": [rich]}), ("user:U1", "group:S1"))
        self.assertEqual(find_mentions({"blocks": [{"type": "header", "text": plain(here)}]}), ())

    def test_bare_names_mention_on_request(self) -> None:
        """
        With ``link_names`` or ``parse`` bare names mention too.
        """
        self.assertEqual(find_mentions({"text": "@here @tanuki", "link_names": True}), ("here", "name:tanuki"))
        self.assertEqual(find_mentions({"text": "@channel", "parse": "full"}), ("channel",))

    @given(st.text(st.sampled_from("<>!@^|&;hereU1S"), max_size=40))
    def test_escaped_text_mentions_nobody(self, text: str) -> None:
        """
        Any text whose ``& < >`` are escaped mentions no user.
        """
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        self.assertEqual(find_mentions({"text": escaped, "blocks": [section(escaped)]}), ())


class SlackCase(SynchronousTestCase):
    """
    A workspace with one channel.
    """

    def setUp(self) -> None:
        self.fake = FakeSlack()
        self.fake.add_webhook()
        self.now = NOW

    def post(self, payload: Any, path: str = HOOK) -> tuple[int, str]:
        self.now += 2
        body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        answer = self.fake.handle("POST", path, {"content-type": "application/json"}, body, self.now)
        return answer.status, answer.body.decode()

    def call(self, method: str, token: str = "xoxb-fake", **arguments: Any) -> FakeAnswer:
        self.now += 2
        headers = {"content-type": "application/json; charset=utf-8", "authorization": f"Bearer {token}"}
        return self.fake.handle("POST", f"/api/{method}", headers, orjson.dumps(arguments), self.now)

    def refused(self, method: str, **arguments: Any) -> str:
        answer = self.call(method, **arguments)
        self.assertEqual((answer.status, answer.json["ok"]), (200, False))
        return str(answer.json["error"])

    def sent(self, **arguments: Any) -> Any:
        answer = self.call("chat.postMessage", **{"channel": "C0LIVE", "text": "live"} | arguments)
        self.assertIs(answer.json["ok"], True, answer.body)
        return answer.json


class WebhookTests(SlackCase):
    """
    Incoming webhooks.
    """

    def test_ok_in_text(self) -> None:
        """
        A message is answered ``ok``, without an id, and its channel and name cannot be chosen.
        """
        self.assertEqual(self.post({"text": "live", "channel": "#other", "username": "x"}), (200, "ok"))
        (message,) = self.fake.messages.values()
        self.assertEqual((message["text"], message["channel"]), ("live", "C0LIVE"))
        self.assertNotIn("username", message)

    def test_refusals_are_words(self) -> None:
        """
        A bad body or message is a 400 with one word.
        """
        refused = {
            b"{": "invalid_payload",
            b"[]": "invalid_payload",
            b"{}": "no_text",
            b'{"text":""}': "no_text",
            orjson.dumps({"blocks": [section("x" * 3001)]}): "invalid_blocks",
            orjson.dumps({"text": "x" * 40_001}): "msg_too_long",
        }
        for body, word in refused.items():
            self.assertEqual(self.post(body), (400, word))
        self.assertEqual(self.post({"text": "x" * 40_000}), (200, "ok"))

    def test_only_a_post_is_a_message(self) -> None:
        """
        Another method, or a path that is none of Slack's, posts nothing.
        """
        body = b'{"text":"x"}'
        self.assertEqual(self.fake.handle("GET", HOOK, {}, body, NOW).status, 400)
        for path in ("/", "/api", "/api/a/b", "/x/auth.test"):
            answer = self.fake.handle("POST", path, {}, body, NOW)
            self.assertEqual((answer.status, answer.header("content-type")), (404, "text/html; charset=utf-8"), path)
        self.assertEqual(self.fake.messages, {})

    def test_webhooks_end(self) -> None:
        """
        A webhook that is gone, forbidden or archived says so by its status.
        """
        self.assertEqual(self.post({"text": "x"}, "/services/T9/B9/x"), (404, "no_team"))
        self.assertEqual(self.post({"text": "x"}, "/services/T0TEAM/B9/x"), (404, "no_service"))
        self.assertEqual(self.post({"text": "x"}, "/services/T0TEAM/B0HOOK/x"), (403, "invalid_token"))
        states = {"channel_not_found": 404, "action_prohibited": 403, "rollup_error": 500, "user_not_found": 400}
        for word, status in states.items():
            self.fake.webhooks[HOOK.removeprefix("/services/")].state = word
            self.assertEqual(self.post({"text": "x"}), (status, word))
        self.fake.webhooks[HOOK.removeprefix("/services/")].state = ""
        self.fake.channels["C0LIVE"].state = "is_archived"
        self.assertEqual(self.post({"text": "x"}), (410, "channel_is_archived"))
        self.assertEqual(self.fake.messages, {})

    def test_one_message_a_second(self) -> None:
        """
        The second message within a second is a 429 with ``Retry-After``; a second later it is taken.
        """
        self.post({"text": "x"})
        body = b'{"text":"x"}'
        answer = self.fake.handle("POST", HOOK, {}, body, self.now + 0.9)
        self.assertEqual((answer.status, answer.header("retry-after")), (429, "1"))
        self.assertEqual(self.fake.handle("POST", HOOK, {}, body, self.now + 1).status, 200)

    def test_a_behaviour_can_be_planned(self) -> None:
        """
        A webhook can be made to fail after the message was posted.
        """
        self.fake.script.plan("webhook", Behaviour(status=500, body=b"rollup_error", lost=True))
        self.assertEqual(self.post({"text": "x"}), (500, "rollup_error"))
        self.assertEqual(len(self.fake.messages), 1)


class WebApiTests(SlackCase):
    """
    The Web API.
    """

    def test_a_message_has_a_time_and_a_channel_id(self) -> None:
        """
        A message to a channel's name is answered with the channel's id, and its ``ts`` identifies it.
        """
        sent = self.sent(channel="#live")
        self.assertEqual(sent["channel"], "C0LIVE")
        self.assertEqual(self.fake.messages[f"C0LIVE/{sent['ts']}"]["text"], "live")

    def test_an_update_takes_the_id_only(self) -> None:
        """
        An update by the channel's name fails; blocks that it does not name stay.
        """
        sent = self.sent(blocks=[section("live")])
        self.assertEqual(self.refused("chat.update", channel="#live", ts=sent["ts"], text="x"), "channel_not_found")
        answer = self.call("chat.update", channel="C0LIVE", ts=sent["ts"], text="ended")
        self.assertEqual((answer.json["ok"], answer.json["text"], answer.json["ts"]), (True, "ended", sent["ts"]))
        (message,) = self.fake.messages.values()
        self.assertEqual((message["text"], message["blocks"]), ("ended", [section("live")]))

    def test_what_is_gone_is_not_found(self) -> None:
        """
        A message is deleted once; then it is not found.
        """
        gone = {"channel": "C0LIVE", "ts": self.sent()["ts"]}
        self.assertIs(self.call("chat.delete", **gone).json["ok"], True)
        self.assertEqual(self.fake.messages, {})
        self.assertEqual(self.refused("chat.delete", **gone), "message_not_found")
        self.assertEqual(self.refused("chat.update", **gone, text="x"), "message_not_found")

    def test_the_token_is_checked(self) -> None:
        """
        A missing, wrong or withdrawn token is an error with the status 200.
        """
        answer = self.fake.handle("POST", "/api/auth.test", {}, b"", NOW)
        self.assertEqual((answer.status, answer.json), (200, {"ok": False, "error": "not_authed"}))
        basic = self.fake.handle("POST", "/api/auth.test", {"authorization": "Basic xoxb-fake"}, b"", NOW)
        self.assertEqual(basic.json["error"], "not_authed")
        self.assertEqual(self.refused("auth.test", token="wrong"), "invalid_auth")
        self.assertEqual(self.call("auth.test").json["team"], "Example")
        self.fake.token_state = "account_inactive"
        self.assertEqual(self.refused("auth.test"), "account_inactive")
        self.assertEqual(self.refused("auth.none"), "unknown_method")

    def test_channels_refuse(self) -> None:
        """
        An unknown, foreign or archived channel takes nothing.
        """
        self.assertEqual(self.refused("chat.postMessage", channel="C9", text="x"), "channel_not_found")
        for state in ("not_in_channel", "is_archived"):
            self.fake.channels["C0LIVE"].state = state
            self.assertEqual(self.refused("chat.postMessage", channel="C0LIVE", text="x"), state)

    def test_lengths(self) -> None:
        """
        A message has 40000 characters and an update 4000 bytes; all blocks together about 13200 characters.
        """
        long = {"channel": "C0LIVE", "text": "x" * 40_001}
        self.assertEqual(self.refused("chat.postMessage", **long), "msg_too_long")
        edit = {"channel": "C0LIVE", "ts": self.sent(text="x" * 40_000)["ts"]}
        self.assertIs(self.call("chat.update", **edit, text="é" * 2000).json["ok"], True)
        self.assertEqual(self.refused("chat.update", **edit, text="é" * 2000 + "x"), "msg_too_long")
        blocks = [section("x" * 2640) for _ in range(RENDERED // 2640)]
        self.sent(blocks=blocks)
        self.assertEqual(
            self.refused("chat.postMessage", channel="C0LIVE", blocks=[*blocks, section("x")]), "msg_blocks_too_long"
        )

    def test_bad_blocks_are_pointed_at(self) -> None:
        """
        Bad blocks, and pictures that cannot be fetched, are refused with a pointer to them.
        """
        answer = self.call("chat.postMessage", channel="C0LIVE", blocks=[{"type": "header", "text": plain("")}])
        self.assertEqual(answer.json["error"], "invalid_blocks")
        pointed = "must be more than 0 characters [json-pointer:/blocks/0/text/text]"
        self.assertEqual(answer.json["response_metadata"], {"messages": [f"[ERROR] {pointed}"]})
        self.fake.fetch = lambda _: None
        answer = self.call("chat.postMessage", channel="C0LIVE", blocks=[{"type": "context", "elements": [image()]}])
        self.assertEqual(
            answer.json["errors"], ["downloading image failed [json-pointer:/blocks/0/elements/0/image_url]"]
        )

    def test_requests_are_limited(self) -> None:
        """
        A channel takes one new message a second, a bot may update 50 times a minute: then 429 with the wait.
        """
        edit = {"channel": "C0LIVE", "ts": self.sent()["ts"]}
        self.now -= 1.5
        answer = self.call("chat.postMessage", channel="C0LIVE", text="x")
        self.assertEqual((answer.status, answer.header("retry-after")), (429, "1"))
        self.assertEqual(answer.json, {"ok": False, "error": "ratelimited"})
        for number in range(50):
            self.now -= 1
            self.assertIs(self.call("chat.update", **edit, text=f"{number}").json["ok"], True)
        answer = self.call("chat.update", **edit, text="x")
        self.assertEqual((answer.status, answer.header("retry-after")), (429, "9"))

    def test_edits_can_end(self) -> None:
        """
        A workspace can allow edits for a time only, and only of one's own messages.
        """
        self.fake.edit_window = 60
        edit = {"channel": "C0LIVE", "ts": self.sent()["ts"]}
        self.now += 58
        self.assertIs(self.call("chat.update", **edit, text="y").json["ok"], True)
        self.assertEqual(self.refused("chat.update", **edit, text="x"), "edit_window_closed")
        next(iter(self.fake.messages.values()))["bot_id"] = "B9"
        self.assertEqual(self.refused("chat.update", **edit, text="x"), "cant_update_message")
        self.assertEqual(self.refused("chat.delete", **edit), "cant_delete_message")

    def test_mentions_ping_once(self) -> None:
        """
        A mention notifies when the message is sent, and an edit that keeps it does not.
        """
        sent = self.sent(text="<!here> live")
        key = f"C0LIVE/{sent['ts']}"
        self.call("chat.update", channel="C0LIVE", ts=sent["ts"], text="<!here> ended")
        self.assertEqual(self.fake.pinged(key), ["here"])
        self.call("chat.update", channel="C0LIVE", ts=sent["ts"], text="<!here> <@U1> ended")
        self.assertEqual(self.fake.pinged(key), ["here", "user:U1"])

    def test_links_become_cards(self) -> None:
        """
        Slack adds a card to a link unless both kinds of unfolding are off.
        """
        text = "<https://www.twitch.tv/tanuki|tanuki> is live"
        self.sent(text=text, unfurl_links=False, unfurl_media=False)
        self.assertEqual(self.fake.cards, set())
        sent = self.sent(text=text, unfurl_links=False)
        self.assertEqual(self.fake.cards, {f"C0LIVE/{sent['ts']}"})

    def test_a_form_is_as_good_as_json(self) -> None:
        """
        Arguments may come as a form, with blocks as JSON; JSON that is broken is an error.
        """
        headers = {"content-type": "application/x-www-form-urlencoded", "authorization": "Bearer xoxb-fake"}
        body = b"channel=C0LIVE&text=a%26b&blocks=%5B%7B%22type%22%3A%22divider%22%7D%5D&unfurl_links=0"
        answer = self.fake.handle("POST", "/api/chat.postMessage", headers, body, NOW)
        self.assertEqual(answer.json["message"]["blocks"], [{"type": "divider"}])
        headers["content-type"] = "application/json"
        answer = self.fake.handle("POST", "/api/chat.postMessage", headers, b"{", NOW)
        self.assertEqual(answer.json["error"], "invalid_json")
