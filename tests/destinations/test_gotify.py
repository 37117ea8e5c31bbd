"""
Tests for :mod:`itsjustintv.destinations.gotify`, against the imitated server.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.destinations.gotify import GOTIFY_KIND, Settings
from itsjustintv.destinations.kinds import open_destination
from itsjustintv.model import STREAM_OFFLINE, Action, Destination, Enrichment, Result, Verdict
from itsjustintv.simulator.fakes.gotify import FakeGotify
from itsjustintv.support.http_response import Response
from tests.destinations.contract import NOW, notice
from tests.destinations.golden import GoldenBodies


class GotifyTests(GoldenBodies, SynchronousTestCase):
    """
    An application, and a client that deletes.
    """

    kind = GOTIFY_KIND
    fake: FakeGotify

    def make_fake(self) -> FakeGotify:
        return FakeGotify()

    def make_settings(self, fake: Any, **more: Any) -> Settings:
        tokens = {"token": fake.app_token, "client_token": fake.client_token}
        return Settings(**{"url": "https://gotify.test/prefix", **tokens, **more})

    def at(self, **more: Any) -> Destination:
        return evolve(self.destination(), settings=self.make_settings(self.fake, **more))

    def message(self) -> dict[str, Any]:
        [message] = self.fake.messages.values()
        return message

    def attempt(self, destination: Destination, delivery: Any) -> Result:
        """
        As the base does, of a server behind a prefix, which the fake does not have.
        """
        url = open_destination(destination).make_request(delivery, self.now).url
        self.assertTrue(url.startswith("https://gotify.test/prefix/message"), url)
        shorter = evolve(destination, settings=evolve(destination.settings, url="https://gotify.test"))
        return super().attempt(shorter, delivery)

    def test_golden(self) -> None:
        """
        What is sent is what was sent before.
        """
        self.assert_golden(self.at(), loud=self.at(priority=8))

    def test_the_message(self) -> None:
        """
        The message is Markdown, opens the channel and has a preview.
        """
        self.assert_taken(self.post(self.at(), notice()))
        message = self.message()
        self.assertEqual(message["title"], "Tanuki is live")
        self.assertEqual(message["message"], "**Drawing until dawn**\n\nArt\n\n[Watch](https://twitch.tv/tanuki)")
        self.assertEqual(message["priority"], 5)
        extras = message["extras"]
        self.assertEqual(extras["client::display"], {"contentType": "text/markdown"})
        self.assertEqual(extras["client::notification"]["click"], {"url": "https://twitch.tv/tanuki"})
        self.assertRegex(extras["client::notification"]["bigImageUrl"], r"1280x720\.jpg\?t=\d+$")

    def test_of_which_nothing_is_known(self) -> None:
        """
        There is always a message, which the server requires.
        """
        self.assert_taken(self.post(self.at(), evolve(notice(), enrichment=Enrichment())))
        self.assertEqual(self.message()["message"], "[Watch](https://twitch.tv/tanuki)")

    def test_words_are_no_markup(self) -> None:
        """
        What a streamer writes is no Markdown.
        """
        self.assert_taken(self.post(self.at(), notice(title="[x](http://x.example) *a* <b>")))
        self.assertIn(r"**\[x\]\(http://x\.example\) \*a\* \<b\>**", self.message()["message"])

    def test_silent(self) -> None:
        """
        In quiet hours a message makes no sound; one that is quieter by the settings stays so.
        """
        for priority, shown in ((8, 1), (0, 0)):
            self.setUp()
            self.assert_taken(self.post(self.at(priority=priority), notice(silent=True)))
            self.assertEqual(self.message()["priority"], shown)

    def test_deleting_needs_a_client(self) -> None:
        """
        Whether messages can be deleted depends on the client's token. A wrong one is no reason to give up posting.
        """
        self.assertTrue(GOTIFY_KIND.can_delete(self.at().settings))
        self.assertFalse(GOTIFY_KIND.can_delete(self.at(client_token="").settings))
        created = self.post(self.at(), notice())
        result = self.post(self.at(client_token="CWrong"), notice(STREAM_OFFLINE, Action.DELETE), created.remote)
        self.assertEqual(result.verdict, Verdict.SKIPPED)
        self.fake.messages.clear()
        result = self.post(self.at(), notice(STREAM_OFFLINE, Action.DELETE), created.remote)
        self.assertEqual(result.verdict, Verdict.MESSAGE_GONE)

    def test_the_token_is_in_no_address(self) -> None:
        """
        The tokens are sent in a header alone, and stored in no body.
        """
        for action in (Action.CREATE, Action.DELETE):
            delivery = self.prepare(self.at(), notice(STREAM_OFFLINE, action), "7")
            request = open_destination(self.at()).make_request(delivery, NOW)
            for token in (self.fake.app_token, self.fake.client_token):
                self.assertNotIn(token, request.url)
                self.assertNotIn(token.encode(), delivery.body)

    def test_what_an_answer_means(self) -> None:
        """
        What the server refuses is not sent again; what is wrong with the server is.
        """
        adapter, delivery = open_destination(self.at()), self.prepare(self.at(), notice())
        for status, body, verdict in (
            (302, b"", Verdict.RETRY),
            (400, b"{}", Verdict.REJECTED),
            (401, b'{"errorCode":401}', Verdict.UNAUTHORIZED),
            (403, b'{"errorCode":403}', Verdict.UNAUTHORIZED),
            (403, b"<html>", Verdict.RETRY),
            (404, b'{"errorCode":404}', Verdict.RETRY),
            (429, b"", Verdict.PAUSE),
            (500, b"", Verdict.RETRY),
        ):
            with self.subTest(status, body=body):
                result = adapter.interpret(Response(status, Headers(), body), delivery, NOW)
                self.assertEqual(result.verdict, verdict)

    def test_mistakes_in_the_settings(self) -> None:
        """
        Each mistake is said at its key.
        """
        for key, value in (
            ("url", "gotify.test"),
            ("token", "a b"),
            ("client_token", self.fake.app_token),
            ("priority", 11),
        ):
            with self.subTest(key):
                found = [*GOTIFY_KIND.check(self.make_settings(self.fake, **{key: value}))]
                self.assertEqual([each for each, _ in found], [key])
