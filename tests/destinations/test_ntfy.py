"""
Tests for :mod:`itsjustintv.destinations.ntfy`, against the imitated server.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve
from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.destinations.kinds import open_destination
from itsjustintv.destinations.ntfy import NTFY_KIND, Settings
from itsjustintv.model import CHANNEL_UPDATE, STREAM_OFFLINE, Action, Destination, Result, Verdict
from itsjustintv.simulator.fakes.ntfy import FakeNtfy
from itsjustintv.support.http_response import Response
from tests.destinations.contract import NOW, notice, words
from tests.destinations.golden import GoldenBodies

TOPIC = "live-9f2c"


class NtfyTests(GoldenBodies, SynchronousTestCase):
    """
    A topic, of a server that can change notes unless a test says otherwise.
    """

    kind = NTFY_KIND
    fake: FakeNtfy

    def make_fake(self) -> FakeNtfy:
        return FakeNtfy()

    def make_settings(self, fake: Any, **more: Any) -> Settings:
        return Settings(**{"url": "https://ntfy.example/", "topic": TOPIC, "updates": True, **more})

    def at(self, **more: Any) -> Destination:
        return evolve(self.destination(), settings=self.make_settings(self.fake, **more))

    def note(self) -> dict[str, Any]:
        [note] = self.fake.messages.values()
        return note

    def test_golden(self) -> None:
        """
        What is sent is what was sent before.
        """
        self.assert_golden(self.at(), "sample", loud=self.at(priority=5, tags=("red_circle",)))

    def test_the_note(self) -> None:
        """
        The note leads to the channel, and shows the title, the category, a preview and the profile picture.
        """
        self.assert_taken(self.post(self.at(priority=4, tags=("red_circle",)), notice()))
        note = self.note()
        self.assertEqual((note["title"], note["message"]), ("Tanuki is live", "Drawing until dawn\nArt"))
        self.assertEqual((note["click"], note["priority"]), ("https://twitch.tv/tanuki", 4))
        self.assertEqual(note["tags"], ["red_circle"])
        self.assertRegex(note["attachment"]["url"], r"live_user_tanuki-1280x720\.jpg\?t=\d+$")
        self.assertEqual(note["attachment"]["name"], "preview.jpg")
        self.assertIn("tanuki-profile_image", note["icon"])
        [button] = note["actions"]
        self.assertEqual((button["label"], button["url"]), ("Watch", "https://twitch.tv/tanuki"))

    def test_the_end(self) -> None:
        """
        At the end the same note says how long it was, has no preview any more, and its button leads to the recording.
        """
        created = self.post(self.at(), notice())
        ended = notice(STREAM_OFFLINE, Action.EDIT)
        ended = evolve(ended, enrichment=evolve(ended.enrichment, vods=("https://www.twitch.tv/videos/9",)))
        self.assert_taken(self.post(self.at(), ended, created.remote))
        note = self.note()
        self.assertEqual(note["title"], "Tanuki was live")
        self.assertRegex(note["message"], r"^Drawing until dawn\nArt\nLive for \S+")
        self.assertNotIn("attachment", note)
        self.assertEqual([each["url"] for each in note["actions"]], ["https://www.twitch.tv/videos/9"])

    def test_what_makes_a_sound(self) -> None:
        """
        A change of a note and a note of quiet hours make no sound; one that is quieter by the settings stays so.
        """
        created = self.post(self.at(priority=5), notice())
        self.assertEqual(self.note()["priority"], 5)
        self.assert_taken(self.post(self.at(priority=5), notice(STREAM_OFFLINE, Action.EDIT), created.remote))
        self.assertEqual(self.note()["priority"], 2)
        for priority, shown in ((4, 2), (1, 1)):
            self.setUp()
            self.assert_taken(self.post(self.at(priority=priority), notice(silent=True)))
            self.assertEqual(self.note()["priority"], shown)

    def test_a_repeated_creation_is_one_note(self) -> None:
        """
        A creation whose answer was lost is repeated with the same id, so that one note stands.
        """
        delivery = self.prepare(self.at(), notice())
        first, second = (self.attempt(self.at(), delivery) for _ in range(2))
        self.assertEqual((first.remote, len(self.fake.messages)), (second.remote, 1))

    @given(words, words, words)
    def test_never_a_file(self, title: str, category: str, name: str) -> None:
        """
        Whatever a streamer writes, it stays a message: what is longer becomes a file.
        """
        self.setUp()
        self.assert_taken(self.post(self.at(), notice(title=title, category=category, name=name)))
        self.assertEqual(self.fake.files, {})

    def test_credentials(self) -> None:
        """
        A token or a password lets in; without the right one the destination is not used again.
        """
        self.fake.protected.add(TOPIC)
        user, password = self.fake.user
        for settings, verdict in (
            ({"token": self.fake.token}, Verdict.OK),
            ({"user": user, "password": password}, Verdict.OK),
            ({"token": "tk_wrong"}, Verdict.UNAUTHORIZED),
            ({}, Verdict.UNAUTHORIZED),
        ):
            with self.subTest(settings):
                self.assertEqual(self.post(self.at(**settings), notice()).verdict, verdict)

    def test_no_secret_is_stored(self) -> None:
        """
        The stored body has neither topic nor token.
        """
        body = self.prepare(self.at(token=self.fake.token), notice()).body
        self.assertNotIn(TOPIC.encode(), body)
        self.assertNotIn(self.fake.token.encode(), body)

    def test_limits(self) -> None:
        """
        Without an account the server counts the address, so that all its topics wait; and no answer says for how long.
        """
        for code, token, pause, pause_host in (
            (42901, "", 10.0, True),
            (42901, "tk_x", 10.0, False),
            (42908, "", 86400 - NOW % 86400, True),
            (42909, "tk_x", 60.0, False),
        ):
            with self.subTest(code, token=token):
                result = self.read(429, b'{"code":%d}' % code, self.at(token=token))
                self.assertEqual((result.verdict, result.pause, result.pause_host), (Verdict.PAUSE, pause, pause_host))

    def read(self, status: int, body: bytes, destination: Destination, action: Action = Action.CREATE) -> Result:
        delivery = evolve(self.prepare(destination, notice()), action=action)
        return open_destination(destination).interpret(Response(status, Headers(), body), delivery, NOW)

    def test_what_an_answer_means(self) -> None:
        """
        Content that is refused is not sent again; what is wrong with the server is, and what no ntfy server said.
        """
        for status, body, verdict in (
            (400, b'{"code":40018}', Verdict.REJECTED),
            (401, b'{"code":40101}', Verdict.UNAUTHORIZED),
            (403, b'{"code":40301}', Verdict.UNAUTHORIZED),
            (404, b'{"code":40401}', Verdict.RETRY),
            (401, b"<html>", Verdict.RETRY),
            (301, b"", Verdict.RETRY),
            (413, b'{"code":41301}', Verdict.REJECTED),
            (507, b'{"code":50701}', Verdict.RETRY),
            (502, b"", Verdict.RETRY),
        ):
            with self.subTest(status):
                self.assertEqual(self.read(status, body, self.at()).verdict, verdict)
        self.assertIn("40018", self.read(400, b'{"code":40018}', self.at()).detail)
        self.assertEqual(self.read(404, b'{"code":40401}', self.at(), Action.DELETE).verdict, Verdict.SKIPPED)

    def test_mistakes_in_the_settings(self) -> None:
        """
        Each mistake is said at its key.
        """
        for key, settings in (
            ("url", {"url": "ntfy.sh"}),
            ("topic", {"topic": "a topic"}),
            ("topic", {"topic": ""}),
            ("url", {"url": f"https://ntfy.example/{TOPIC}"}),
            ("token", {"token": "tk x"}),
            ("token", {"token": "tk_x", "user": "a"}),
            ("user", {"user": "a:b"}),
            ("password", {"password": "a"}),
            ("priority", {"priority": 6}),
        ):
            with self.subTest(settings):
                found = [*NTFY_KIND.check(Settings(**{"topic": TOPIC, **settings}))]
                self.assertEqual([each for each, _ in found], [key])
        self.assertEqual([*NTFY_KIND.check(Settings(topic=TOPIC))], [])
        self.assertEqual([*NTFY_KIND.check(Settings(url="http://ntfy", topic="ntfy"))], [])

    def test_an_old_server(self) -> None:
        """
        Where notes were expected to change and cannot, the news arrives all the same; nothing is known that could be
        edited, which an old server would show as a second note.
        """
        self.fake.sequences = False
        created = self.post(self.at(), notice())
        self.assert_taken(created)
        self.assertEqual((created.remote, len(self.fake.messages)), ("", 1))

    def test_updates_decide(self) -> None:
        """
        What can be edited depends on the settings.
        """
        for updates in (True, False):
            settings = self.make_settings(self.fake, updates=updates)
            self.assertEqual((NTFY_KIND.can_edit(settings), NTFY_KIND.can_delete(settings)), (updates, updates))

    def test_an_update_is_a_note_of_its_own(self) -> None:
        """
        Where notes are not edited, each event is a note of its own, whatever the server can do.
        """
        for sequences in (True, False):
            self.setUp()
            self.fake.sequences = sequences
            self.assert_taken(self.post(self.at(updates=False), notice()))
            self.assert_taken(self.post(self.at(updates=False), notice(CHANNEL_UPDATE, Action.FOLLOW_UP, silent=True)))
            self.assertEqual(len(self.fake.messages), 2)
