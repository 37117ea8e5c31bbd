"""
Tests for :mod:`itsjustintv.destinations.pushover`, against the imitated service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.destinations.kinds import open_destination
from itsjustintv.destinations.pushover import PUSHOVER_KIND, Settings
from itsjustintv.model import STREAM_OFFLINE, Action, Destination, Result, Verdict
from itsjustintv.simulator.fakes.pushover import FakePushover
from itsjustintv.support.http_response import Response
from tests.destinations.contract import NOW, notice
from tests.destinations.golden import GoldenBodies


class PushoverTests(GoldenBodies, SynchronousTestCase):
    """
    A user with one device.
    """

    kind = PUSHOVER_KIND
    fake: FakePushover

    def make_fake(self) -> FakePushover:
        return FakePushover()

    def make_settings(self, fake: Any, **more: Any) -> Settings:
        [token], [user] = fake.tokens, fake.users
        return Settings(**{"token": token, "user": user, **more})

    def at(self, **more: Any) -> Destination:
        return evolve(self.destination(), settings=self.make_settings(self.fake, **more))

    def message(self) -> dict[str, Any]:
        [message] = self.fake.messages.values()
        return message

    def test_golden(self) -> None:
        """
        What is sent is what was sent before.
        """
        self.assert_golden(self.at(), all_keys=self.at(device="phone,tablet", priority=1, ttl=3600.0))

    def test_the_notification(self) -> None:
        """
        The notification has a title, a text in HTML, and a button that leads to the channel.
        """
        self.assert_taken(self.post(self.at(), notice()))
        message = self.message()
        self.assertEqual((message["title"], message["message"]), ("Tanuki is live", "<b>Drawing until dawn</b>\nArt"))
        self.assertEqual((message["html"], message["alert"]), ("1", "normal"))
        self.assertEqual((message["url"], message["url_title"]), ("https://twitch.tv/tanuki", "Watch"))

    def test_the_end(self) -> None:
        """
        The end is a notification of its own, which leads to the recording and makes no sound.
        """
        self.assert_taken(self.post(self.at(), notice(STREAM_OFFLINE, Action.FOLLOW_UP, silent=True)))
        message = self.message()
        self.assertEqual((message["title"], message["alert"]), ("Tanuki was live", "quiet"))
        self.assertEqual(message["url"], "https://www.twitch.tv/videos/1")
        self.assertRegex(message["message"], r"^<b>Drawing until dawn</b>\nArt\nLive for \S+")

    def test_words_are_no_markup(self) -> None:
        """
        What a streamer writes is no HTML.
        """
        self.assert_taken(self.post(self.at(), notice(title="</b><a href='http://x.example'>")))
        self.assertTrue(self.message()["message"].startswith("<b>&lt;/b&gt;&lt;a href="))

    def test_device_priority_and_ttl(self) -> None:
        """
        A device, a priority and a time to live are as configured; the last two give way to quiet hours where they must.
        """
        destination = self.at(device="phone", priority=1, ttl=3600.0)
        self.assert_taken(self.post(destination, notice()))
        message = self.message()
        self.assertEqual((message["device"], message["alert"], message["ttl"]), ("phone", "high", "3600"))
        self.now += 3600
        self.assert_taken(self.post(destination, notice(silent=True)))
        self.assertEqual(self.message()["alert"], "quiet")
        self.setUp()
        self.assert_taken(self.post(self.at(priority=-2), notice(silent=True)))
        self.assertEqual(self.message()["alert"], "none")

    def test_no_secret_is_stored(self) -> None:
        """
        The stored body has neither the token nor the user's key.
        """
        body = self.prepare(self.at(), notice()).body
        settings = self.make_settings(self.fake)
        self.assertNotIn(settings.token.encode(), body)
        self.assertNotIn(settings.user.encode(), body)

    def test_wrong_keys(self) -> None:
        """
        What the service says of token and user is final.
        """
        for key in ("token", "user"):
            with self.subTest(key):
                result = self.post(self.at(**{key: "x" * 30}), notice())
                self.assertEqual(result.verdict, Verdict.UNAUTHORIZED)
                self.assertIn(key, result.detail)

    def test_the_month_is_used_up(self) -> None:
        """
        When the messages of the month are used up, the wait is until the next one.
        """
        self.assert_taken(self.post(self.at(), notice()))
        self.fake.sent = self.fake.limit
        result = self.post(self.at(), notice())
        self.assertEqual((result.verdict, result.pause), (Verdict.PAUSE, 86400.0))

    def read(self, status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> Result:
        raw = Headers({name: [value] for name, value in headers.items()})
        delivery = self.prepare(self.at(), notice())
        return open_destination(self.at()).interpret(Response(status, raw, body), delivery, NOW)

    def test_what_an_answer_means(self) -> None:
        """
        Keys of the answer name what is wrong. Errors of the service are not repeated within five seconds.
        """
        for status, body, verdict in (
            (200, b'{"status":1}', Verdict.OK),
            (200, b'{"status":0}', Verdict.REJECTED),
            (400, b'{"status":0,"message":"cannot be blank"}', Verdict.REJECTED),
            (400, b'{"status":0,"user":"invalid"}', Verdict.UNAUTHORIZED),
            (302, b"", Verdict.RETRY),
            (404, b"", Verdict.RETRY),
            (500, b"", Verdict.RETRY),
        ):
            with self.subTest(status, body=body):
                self.assertEqual(self.read(status, body).verdict, verdict)
        self.assertEqual(self.read(500).retry_after, 5.0)
        self.assertEqual(self.read(503, headers={"Retry-After": "30"}).retry_after, 30.0)
        self.assertEqual(self.read(429, headers={"X-Limit-App-Reset": str(int(NOW) + 600)}).pause, 600.0)

    def test_mistakes_in_the_settings(self) -> None:
        """
        Each mistake is said at its key.
        """
        for key, value in (
            ("token", "short"),
            ("user", "someone@example.org"),
            ("device", "my phone"),
            ("priority", 2),
            ("ttl", 0.5),
            ("url", "api.pushover.net"),
        ):
            with self.subTest(key):
                found = [*PUSHOVER_KIND.check(self.make_settings(self.fake, **{key: value}))]
                self.assertEqual([each for each, _ in found], [key])
