"""
Tests for :mod:`itsjustintv.destinations.slack`, against the imitated Slack.
"""

from __future__ import annotations

from typing import Any

import orjson
from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.destinations.kinds import open_destination
from itsjustintv.destinations.slack import SLACK_KIND, Settings
from itsjustintv.model import CHANNEL_UPDATE, STREAM_OFFLINE, Action, Destination, Result, Verdict
from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.fakes.slack import FakeSlack
from itsjustintv.support.http_response import Response
from tests.destinations.contract import NOW, notice
from tests.destinations.golden import GoldenBodies

_NAMES = ("here", "everyone", "user:U88", "role:S77")
_PINGED = frozenset({"here", "channel", "user:U88", "group:S77"})


class _SlackTests(GoldenBodies):
    """
    What webhooks and bots have in common.
    """

    kind = SLACK_KIND
    mention = (_NAMES, _PINGED)
    fake: FakeSlack

    def make_fake(self) -> FakeSlack:
        fake = FakeSlack(token="xoxb-1-fake")
        fake.add_webhook()
        return fake

    def at(self, **more: Any) -> Destination:
        return evolve(self.destination(), settings=evolve(self.make_settings(self.fake), **more))

    def message(self) -> dict[str, Any]:
        [message] = self.fake.messages.values()
        return message

    def read(self, status: int, body: Any, **headers: str) -> Result:
        delivery = self.prepare(self.at(), notice())
        raw = Headers({name.replace("_", "-"): [value] for name, value in headers.items()})
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        return open_destination(self.at()).interpret(Response(status, raw, data), delivery, NOW)

    def test_the_card(self) -> None:
        """
        A text that is the notification too, the title and the category where nothing is markup, and pictures.
        """
        self.assert_taken(self.post(self.at(), notice(title="*Kiln* :fire: <!here> & co")))
        message = self.message()
        self.assertEqual(message["text"], "*Tanuki* is live! <https://twitch.tv/tanuki|Watch on Twitch>")
        section, header, context, image = message["blocks"]
        self.assertEqual(section["text"]["text"], message["text"])
        self.assertIn("tanuki-profile_image", section["accessory"]["image_url"])
        title = {"type": "plain_text", "text": "*Kiln* :fire: <!here> & co", "emoji": False}
        self.assertEqual(header, {"type": "header", "text": title})
        self.assertEqual([each["text"] for each in context["elements"]], ["Art"])
        self.assertRegex(image["image_url"], r"live_user_tanuki-1280x720\.jpg\?t=\d+$")
        self.assertEqual(self.fake.cards, set(), "Twitch's own card is not added")

    def test_style_short(self) -> None:
        """
        The short style is text alone.
        """
        self.assert_taken(self.post(self.at(style="short"), notice(title="<!here> & co")))
        self.assertNotIn("blocks", self.message())
        self.assertTrue(self.message()["text"].endswith("\n&lt;!here&gt; &amp; co"))

    def test_a_picture_that_cannot_be_fetched(self) -> None:
        """
        One picture makes all blocks invalid: the plain form has none, and the same words.
        """
        self.fake.fetch = lambda _: None
        delivery = self.prepare(self.at(), notice())
        self.assertEqual(self.attempt(self.at(), delivery).verdict, Verdict.REJECTED)
        self.assert_taken(self.attempt(self.at(), evolve(delivery, plain=True)))
        self.assertIn("Drawing until dawn", self.message()["text"])

    def test_ids_that_are_none(self) -> None:
        """
        Only what can be an id becomes a mention.
        """
        destination = self.destination(mention=("user:@tanuki", "role:<!here>", "user:U1"))
        self.assert_taken(self.post(destination, notice(mention=True)))
        self.assertEqual([each.whom for each in self.fake.pings], ["user:U1"])

    def test_how_long_to_wait(self) -> None:
        """
        The header says how long to wait, and without it a minute is long enough.
        """
        self.assertEqual(self.read(429, b"rate_limited", Retry_After="30").pause, 30.0)
        result = self.read(429, {"ok": False, "error": "ratelimited"})
        self.assertEqual((result.verdict, result.pause), (Verdict.PAUSE, 60.0))


class WebhookTests(_SlackTests, SynchronousTestCase):
    """
    An incoming webhook.
    """

    def make_settings(self, fake: Any) -> Settings:
        [webhook] = fake.webhooks.values()
        return Settings(url=f"https://hooks.slack.com/services/{webhook.path}")

    def test_what_a_word_means(self) -> None:
        """
        Words decide, and where they are unknown the status does.
        """
        for status, word, verdict in (
            (200, "ok", Verdict.OK),
            (200, "", Verdict.OK),
            (200, "<html>Log in to the hotel's network</html>", Verdict.RETRY),
            (200, "no_service", Verdict.DESTINATION_GONE),
            (400, "invalid_payload", Verdict.REJECTED),
            (400, "invalid_blocks", Verdict.REJECTED),
            (400, "a_new_word", Verdict.REJECTED),
            (403, "invalid_token", Verdict.UNAUTHORIZED),
            (403, "action_prohibited", Verdict.DESTINATION_GONE),
            (403, "a_new_word", Verdict.DESTINATION_GONE),
            (404, "no_team", Verdict.DESTINATION_GONE),
            (404, "channel_not_found", Verdict.DESTINATION_GONE),
            (410, "channel_is_archived", Verdict.DESTINATION_GONE),
            (500, "rollup_error", Verdict.RETRY),
        ):
            with self.subTest(word):
                self.assertEqual(self.read(status, word.encode()).verdict, verdict)

    def test_no_edits(self) -> None:
        """
        A webhook can change nothing: no id comes back, and no request is made for an edit.
        """
        self.assertFalse(SLACK_KIND.can_edit(self.at().settings) or SLACK_KIND.can_delete(self.at().settings))
        created = self.post(self.at(), notice())
        self.assertEqual((created.ok, created.remote), (True, ""))
        for action in (Action.EDIT, Action.DELETE):
            delivery = self.prepare(self.at(), notice(STREAM_OFFLINE, action), "x")
            self.assertRaises(ValueError, open_destination(self.at()).make_request, delivery, NOW)

    def test_states_of_a_webhook(self) -> None:
        """
        What the service says of a webhook that is gone ends its use.
        """
        [webhook] = self.fake.webhooks.values()
        for state in ("no_service", "action_prohibited", "channel_is_archived", "channel_not_found"):
            webhook.state = state
            self.assertEqual(self.post(self.at(), notice()).verdict, Verdict.DESTINATION_GONE, state)

    def test_trouble_of_the_service(self) -> None:
        """
        What is the service's own trouble is tried again.
        """
        self.fake.script.plan("webhook", Behaviour(status=503))
        self.assertEqual(self.post(self.at(), notice()).verdict, Verdict.RETRY)

    def test_the_bytes_on_the_wire(self) -> None:
        """
        What is sent stays as it is, to the byte.
        """
        self.assert_golden(self.at(), short=self.at(style="short"))

    def test_mistakes_in_the_settings(self) -> None:
        """
        Each mistake is said at its key, without secrets.
        """
        url, token = "https://hooks.slack.com/services/T1/B1/secret", "xoxb-1-secret"
        for key, given in (
            ("", {"url": url}),
            ("", {"token": token, "channel": "C0LIVE"}),
            ("", {"token": token, "channel": "#live"}),
            ("url", {}),
            ("url", {"url": "https://hooks.slack.com/workflows/T1/A1/secret"}),
            ("url", {"url": url, "token": token, "channel": "C0LIVE"}),
            ("channel", {"token": token}),
            ("token", {"channel": "C0LIVE"}),
            ("token", {"token": "secret", "channel": "C0LIVE"}),
            ("channel", {"token": token, "channel": "live"}),
            ("style", {"url": url, "style": "large"}),
            ("api_url", {"url": url, "api_url": "slack.com"}),
        ):
            with self.subTest(given):
                found = [*SLACK_KIND.check(Settings(**given))]
                self.assertEqual([each for each, _ in found], [key] if key else [])
                self.assertNotIn("secret", str(found) + str(Settings(**given)))


class BotTests(_SlackTests, SynchronousTestCase):
    """
    A bot.
    """

    def make_settings(self, fake: Any) -> Settings:
        return Settings(token=fake.token, channel="#live")

    def test_what_an_error_means(self) -> None:
        """
        The status is 200 for a failure too: the error decides.
        """
        for error, verdict in (
            ("message_not_found", Verdict.MESSAGE_GONE),
            ("cant_update_message", Verdict.SKIPPED),
            ("edit_window_closed", Verdict.SKIPPED),
            ("channel_not_found", Verdict.DESTINATION_GONE),
            ("not_in_channel", Verdict.DESTINATION_GONE),
            ("is_archived", Verdict.DESTINATION_GONE),
            ("invalid_auth", Verdict.UNAUTHORIZED),
            ("account_inactive", Verdict.UNAUTHORIZED),
            ("token_revoked", Verdict.UNAUTHORIZED),
            ("missing_scope", Verdict.UNAUTHORIZED),
            ("ratelimited", Verdict.PAUSE),
            ("msg_too_long", Verdict.REJECTED),
            ("invalid_blocks", Verdict.REJECTED),
            ("a_new_word", Verdict.REJECTED),
            ("internal_error", Verdict.RETRY),
        ):
            with self.subTest(error):
                self.assertEqual(self.read(200, {"ok": False, "error": error}).verdict, verdict)
        self.assertIn("a_new_word", self.read(200, {"ok": False, "error": "a_new_word"}).detail)
        for body in (b"", b"<html>Log in</html>", b"{}"):
            self.assertEqual(self.read(200, body).verdict, Verdict.RETRY)

    def test_an_id_that_is_lost(self) -> None:
        """
        A success that is cut off is a success, and the id is unknown.
        """
        for body in (b'{"ok":true,"channel":"C0', b'{ "ok": true, "cha', b'{"ok":true,"ts":5}'):
            self.assertEqual((self.read(200, body).ok, self.read(200, body).remote), (True, ""))

    def test_edits_go_by_id(self) -> None:
        """
        A channel that is configured by its name is edited by its id, also when it has another name by then.
        """
        created = self.post(self.at(), notice())
        self.assertRegex(created.remote, r"^C0LIVE/\d+\.\d{6}$")
        self.fake.channels["C0LIVE"].name = "renamed"
        self.assert_taken(self.post(self.at(), notice(STREAM_OFFLINE, Action.EDIT), created.remote))

    def test_the_end(self) -> None:
        """
        At the end the message says how long it was, links the recording and has no preview any more.
        """
        created = self.post(self.at(), notice())
        ended = notice(STREAM_OFFLINE, Action.EDIT)
        self.assert_taken(self.post(self.at(), ended, created.remote))
        message = self.message()
        self.assertRegex(message["text"], r"^\*Tanuki\* was live for 3 h 9 min\. <https://\S+\|Watch the recording>$")
        self.assertNotIn("image", [each["type"] for each in message["blocks"]])

    def test_a_mention_stays_in_the_text_of_an_edit(self) -> None:
        """
        The text of the mention is in the edit too, where it notifies no one.
        """
        destination = self.destination(mention=("role:S77",))
        created = self.post(destination, notice(mention=True))
        self.assert_taken(self.post(destination, notice(CHANNEL_UPDATE, Action.EDIT, mention=True), created.remote))
        self.assertIn("<!subteam^S77>", self.message()["text"])
        self.assertEqual([each.whom for each in self.fake.pings], ["group:S77"])

    def test_a_plain_edit_removes_the_blocks(self) -> None:
        """
        The blocks would stay if the edit did not say that there are none.
        """
        created = self.post(self.at(), notice())
        delivery = evolve(self.prepare(self.at(), notice(STREAM_OFFLINE, Action.EDIT), created.remote), plain=True)
        self.assert_taken(self.attempt(self.at(), delivery))
        self.assertEqual(self.message()["blocks"], [])

    def test_deleted_by_a_moderator(self) -> None:
        """
        An edit of a message that was deleted there says so.
        """
        created = self.post(self.at(), notice())
        self.fake.messages.clear()
        result = self.post(self.at(), notice(CHANNEL_UPDATE, Action.EDIT), created.remote)
        self.assertEqual(result.verdict, Verdict.MESSAGE_GONE)

    def test_states_of_a_bot(self) -> None:
        """
        A token that is not valid any more, and a bot that was removed, are said to be that.
        """
        self.fake.channels["C0LIVE"].state = "not_in_channel"
        self.assertEqual(self.post(self.at(), notice()).verdict, Verdict.DESTINATION_GONE)
        self.fake.token_state = "token_revoked"
        self.assertEqual(self.post(self.at(), notice()).verdict, Verdict.UNAUTHORIZED)
        self.assertEqual(self.post(self.at(token="xoxb-2-other"), notice()).verdict, Verdict.UNAUTHORIZED)

    def test_the_longest_message(self) -> None:
        """
        However long the words are, an update takes the text, which has less room than a new message.
        """
        created = self.post(self.at(), notice())
        long = {"title": "\u65e5&" * 3000, "name": "\u65e5" * 3000, "category": "&" * 5000}
        for plain in (False, True):
            edit = self.prepare(self.at(), notice(CHANNEL_UPDATE, Action.EDIT, **long), created.remote)
            self.assert_taken(self.attempt(self.at(), evolve(edit, plain=plain)))

    def test_the_bytes_on_the_wire(self) -> None:
        """
        What is sent stays as it is, to the byte.
        """
        mentioning = self.destination(mention=_NAMES)
        self.assert_golden(self.at(), "C0LIVE/1.000001", folder="bot", mentioning=mentioning)
