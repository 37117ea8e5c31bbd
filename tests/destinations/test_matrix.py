"""
Tests for :mod:`itsjustintv.destinations.matrix`, against the imitated server.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.destinations.kinds import open_destination
from itsjustintv.destinations.matrix import MATRIX_KIND, Settings
from itsjustintv.model import CHANNEL_UPDATE, STREAM_OFFLINE, Action, Destination, Result, Verdict
from itsjustintv.simulator.fakes.matrix import FakeMatrix, MatrixRoom
from itsjustintv.support.http_response import Response
from tests.destinations.contract import NOW, notice
from tests.destinations.golden import GoldenBodies

BOT, ADA, ROOM = "@itsjustintv:matrix.test", "@ada:matrix.test", "!lounge:matrix.test"


class MatrixTests(GoldenBodies, SynchronousTestCase):
    """
    A room whose moderator is the user that writes.
    """

    kind = MATRIX_KIND
    mention = (("everyone", f"user:{ADA}"), frozenset({"room", f"user:{ADA}"}))
    fake: FakeMatrix

    def make_fake(self) -> FakeMatrix:
        room = MatrixRoom(id=ROOM, members={BOT: "itsjustintv", ADA: "Ada"}, moderators=frozenset({BOT}))
        return FakeMatrix(rooms={ROOM: room})

    def make_settings(self, fake: Any, **more: Any) -> Settings:
        return Settings(**{"homeserver": "https://matrix.test/", "token": "syt_token", "room": ROOM, **more})

    def at(self, **more: Any) -> Destination:
        return evolve(self.destination(), settings=self.make_settings(self.fake, **more))

    def content(self) -> dict[str, Any]:
        [message] = self.fake.messages.values()
        content: dict[str, Any] = message["content"]
        return content

    def test_golden(self) -> None:
        """
        What is sent is what was sent before.
        """
        mentioning = self.destination(mention=("everyone", f"user:{ADA}"))
        self.assert_golden(self.at(), "$event1:matrix.test", mentioning=mentioning)

    def test_the_message(self) -> None:
        """
        The message has the same words with markup and without, and names no one.
        """
        self.assert_taken(self.post(self.at(), notice()))
        content = self.content()
        self.assertEqual(content["body"], "Tanuki is live!\nDrawing until dawn\nArt\nhttps://twitch.tv/tanuki")
        self.assertEqual(
            content["formatted_body"],
            "<b>Tanuki</b> is live!<br>Drawing until dawn<br><i>Art</i><br>"
            '<a href="https://twitch.tv/tanuki">https://twitch.tv/tanuki</a>',
        )
        self.assertEqual((content["msgtype"], content["m.mentions"]), ("m.text", {}))

    def test_the_end(self) -> None:
        """
        At the end the message says how long it was and links the recording, without markup by its address.
        """
        created = self.post(self.at(), notice())
        ended = notice(STREAM_OFFLINE, Action.EDIT)
        ended = evolve(ended, enrichment=evolve(ended.enrichment, vods=("https://www.twitch.tv/videos/9",)))
        self.assert_taken(self.post(self.at(), ended, created.remote))
        self.assertTrue(self.content()["body"].startswith("Tanuki was live.\nDrawing until dawn\nArt\nLive for "))
        self.assertTrue(self.content()["body"].endswith("Watch the recording (https://www.twitch.tv/videos/9)"))
        self.assertIn('<a href="https://www.twitch.tv/videos/9">', self.content()["formatted_body"])

    def test_every_edit_is_of_the_first_event(self) -> None:
        """
        Edits are of the event that was created, and none is ignored by clients.
        """
        created = self.post(self.at(), notice())
        for title in ("Kiln", "Glaze"):
            self.assert_taken(self.post(self.at(), notice(CHANNEL_UPDATE, Action.EDIT, title=title), created.remote))
        self.assertIn("Glaze", self.content()["body"])
        self.assertEqual(self.fake.ignored, {})

    def test_a_mention_is_shown_in_edits(self) -> None:
        """
        The text of a mention is in the edit too, where it notifies no one.
        """
        destination = self.destination(mention=("everyone", f"user:{ADA}", "user:nonsense"))
        created = self.post(destination, notice(mention=True))
        self.assertEqual(self.content()["m.mentions"], {"room": True, "user_ids": [ADA]})
        self.assert_taken(self.post(destination, notice(STREAM_OFFLINE, Action.EDIT, mention=True), created.remote))
        self.assertTrue(self.content()["body"].startswith(f"@room {ADA} Tanuki was live."))
        self.assertIn(f'<a href="https://matrix.to/#/{ADA}">{ADA}</a>', self.content()["formatted_body"])
        self.assertEqual(len(self.fake.pings), 2)

    def test_silent(self) -> None:
        """
        In quiet hours the message is a notice, which makes no sound.
        """
        self.assert_taken(self.post(self.at(), notice(silent=True)))
        self.assertEqual(self.content()["msgtype"], "m.notice")

    def test_a_repeated_attempt_is_one_event(self) -> None:
        """
        Every attempt of a delivery is the same transaction, whatever it does; another delivery is another one.
        """
        created = self.prepare(self.at(), notice())
        first, second = (self.attempt(self.at(), created) for _ in range(2))
        self.assertEqual((first.remote, len(self.fake.messages)), (second.remote, 1))
        edited = self.prepare(self.at(), notice(STREAM_OFFLINE, Action.EDIT), first.remote)
        for _ in range(2):
            self.assert_taken(self.attempt(self.at(), edited))
        [message] = self.fake.messages.values()
        self.assertEqual(message["edits"], 1)

    def test_operators_markup(self) -> None:
        """
        An operator's markup stays in the formatted body, and only its words are in the other.
        """
        text = '<b>{{ name }}</b> &amp; <a href="{{ url }}">here</a><br>{{ title }}'
        destination = self.destination(messages={"online": {"text": text}})
        self.assert_taken(self.post(destination, notice(title="<i>1 & 2</i>")))
        content = self.content()
        self.assertEqual(content["body"], "Tanuki & here (https://twitch.tv/tanuki)\n<i>1 & 2</i>")
        self.assertTrue(content["formatted_body"].endswith("&lt;i&gt;1 &amp; 2&lt;/i&gt;"))

    def test_no_text_without_a_list_of_mentions(self) -> None:
        """
        Every message and every edit lists whom it mentions; otherwise servers look for names in the text.
        """
        created = self.post(self.at(), notice(title=f"Ada {ADA} @room"))
        self.post(self.at(), notice(STREAM_OFFLINE, Action.EDIT, title="Ada"), created.remote)
        for exchange in self.fake.history:
            content = exchange.request.json
            self.assertEqual(content["m.mentions"], {})
            self.assertEqual(content.get("m.new_content", content)["m.mentions"], {})
        self.assertEqual(self.fake.pings, [])

    def read(self, status: int, body: bytes, action: Action = Action.CREATE, wait: str = "") -> Result:
        delivery = evolve(self.prepare(self.at(), notice()), action=action)
        raw = Headers({"Retry-After": [wait]} if wait else {})
        return open_destination(self.at()).interpret(Response(status, raw, body), delivery, NOW)

    def test_what_an_answer_means(self) -> None:
        """
        Codes decide; a page of a proxy is no word of the server about the room.
        """
        for status, body, action, verdict in (
            (401, b'{"errcode":"M_UNKNOWN_TOKEN"}', Action.CREATE, Verdict.UNAUTHORIZED),
            (403, b'{"errcode":"M_FORBIDDEN"}', Action.CREATE, Verdict.DESTINATION_GONE),
            (403, b'{"errcode":"M_FORBIDDEN"}', Action.DELETE, Verdict.SKIPPED),
            (401, b"<html>", Action.CREATE, Verdict.RETRY),
            (403, b"<html>", Action.DELETE, Verdict.RETRY),
            (404, b'{"errcode":"M_NOT_FOUND"}', Action.CREATE, Verdict.DESTINATION_GONE),
            (404, b'{"errcode":"M_NOT_FOUND"}', Action.DELETE, Verdict.MESSAGE_GONE),
            (404, b'{"errcode":"M_UNRECOGNIZED"}', Action.CREATE, Verdict.RETRY),
            (404, b"<html>", Action.EDIT, Verdict.RETRY),
            (302, b"", Action.CREATE, Verdict.RETRY),
            (400, b'{"errcode":"M_UNKNOWN"}', Action.CREATE, Verdict.REJECTED),
            (413, b'{"errcode":"M_TOO_LARGE"}', Action.CREATE, Verdict.REJECTED),
            (500, b'{"errcode":"M_UNKNOWN"}', Action.CREATE, Verdict.RETRY),
        ):
            with self.subTest(status, body=body, action=action):
                self.assertEqual(self.read(status, body, action).verdict, verdict)

    def test_waits(self) -> None:
        """
        Both forms of a wait are read: milliseconds in the body, seconds in the header of newer servers.
        """
        limited = b'{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":4114}'
        for body, wait, pause in (
            (limited, "5", 4.114),
            (b'{"errcode":"M_LIMIT_EXCEEDED"}', "5", 5.0),
            (b'{"errcode":"M_LIMIT_EXCEEDED"}', "", 60.0),
        ):
            with self.subTest(body):
                result = self.read(429, body, wait=wait)
                self.assertEqual((result.verdict, result.pause), (Verdict.PAUSE, pause))

    def test_the_longest_words(self) -> None:
        """
        An edit with the longest words of the widest characters is an event that the server takes.
        """
        wide = "\N{HAMSTER FACE}" * 4096
        created = self.post(self.at(), notice(title=wide, category=wide, name=wide))
        self.assert_taken(created)
        edited = notice(STREAM_OFFLINE, Action.EDIT, title=wide, category=wide, name=wide)
        self.assert_taken(self.post(self.at(), edited, created.remote))

    def test_an_edit_of_what_the_server_does_not_know(self) -> None:
        """
        An edit of an event that the server has forgotten is of a message that is gone.
        """
        result = self.post(self.at(), notice(STREAM_OFFLINE, Action.EDIT), "$forgotten")
        self.assertEqual(result.verdict, Verdict.MESSAGE_GONE)

    def test_mistakes_in_mentions(self) -> None:
        """
        A user has a whole name.
        """
        for name in ("user:ada", "user:@ada", "user:ada:matrix.test"):
            self.assertIn("user:@name:example.org", MATRIX_KIND.check_mention(name))

    def test_mistakes_in_the_settings(self) -> None:
        """
        Each mistake is said at its key; an alias is no id.
        """
        for key, value in (
            ("homeserver", "matrix.test"),
            ("homeserver", "https://matrix.test/?x=1"),
            ("token", "a b"),
            ("room", "#lounge:matrix.test"),
            ("room", "lounge"),
        ):
            with self.subTest(value):
                found = [*MATRIX_KIND.check(self.make_settings(self.fake, **{key: value}))]
                self.assertEqual([each for each, _ in found], [key])
        for room in (ROOM, "!opaque-id_of_version_12"):
            self.assertEqual([*MATRIX_KIND.check(self.make_settings(self.fake, room=room))], [])
