"""
Tests for :mod:`itsjustintv.destinations.mastodon`, against the imitated server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.destinations.kinds import open_destination
from itsjustintv.destinations.mastodon import MASTODON_KIND, Settings
from itsjustintv.model import CHANNEL_UPDATE, STREAM_OFFLINE, Action, Destination, Result, Verdict
from itsjustintv.simulator.fakes.mastodon import FakeMastodon
from itsjustintv.support.http_response import Response
from tests.destinations.contract import NOW, notice, words
from tests.destinations.golden import GoldenBodies


class MastodonTests(GoldenBodies, SynchronousTestCase):
    """
    An account.
    """

    kind = MASTODON_KIND
    mention = (("user:ada@other.test", "user:@bea"), frozenset({"user:ada@other.test", "user:bea"}))
    fake: FakeMastodon

    def make_fake(self) -> FakeMastodon:
        return FakeMastodon()

    def make_settings(self, fake: Any, **more: Any) -> Settings:
        return Settings(**{"url": "https://mastodon.test/", "token": "mastodon-token", **more})

    def at(self, **more: Any) -> Destination:
        return evolve(self.destination(), settings=self.make_settings(self.fake, **more))

    def status(self) -> dict[str, Any]:
        [status] = self.fake.messages.values()
        return status

    def test_golden(self) -> None:
        """
        What is sent is what was sent before.
        """
        self.assert_golden(
            self.at(),
            "115000000000000001",
            public=self.at(visibility="public", language="de"),
            mentioning=self.destination(mention=("user:ada@other.test",)),
        )

    def test_the_status(self) -> None:
        """
        The status has title, category and address; it is not in the public timelines unless that is wanted.
        """
        self.assert_taken(self.post(self.at(), notice()))
        status = self.status()
        self.assertEqual(status["text"], "Tanuki is live!\n\nDrawing until dawn\nArt\nhttps://twitch.tv/tanuki")
        self.assertEqual((status["visibility"], status["language"]), ("unlisted", None))
        self.setUp()
        self.assert_taken(self.post(self.at(visibility="public", language="de"), notice()))
        self.assertEqual((self.status()["visibility"], self.status()["language"]), ("public", "de"))

    def test_the_end(self) -> None:
        """
        At the end the status says how long it was, and links the recording.
        """
        created = self.post(self.at(), notice())
        ended = notice(STREAM_OFFLINE, Action.EDIT)
        ended = evolve(ended, enrichment=evolve(ended.enrichment, vods=("https://www.twitch.tv/videos/9",)))
        self.assert_taken(self.post(self.at(), ended, created.remote))
        self.assertRegex(
            self.status()["text"],
            r"^Tanuki was live\.\n\nDrawing until dawn\nArt\nLive for [^\n]+\nhttps://www\.twitch\.tv/videos/9$",
        )

    def test_a_repeated_creation_is_one_status(self) -> None:
        """
        A creation whose answer was lost is repeated with the same key, so that one status stands; edits carry none.
        """
        delivery = self.prepare(self.at(), notice())
        first, second = (self.attempt(self.at(), delivery) for _ in range(2))
        self.assertEqual((first.remote, len(self.fake.messages)), (second.remote, 1))
        self.assert_taken(self.post(self.at(), notice(STREAM_OFFLINE, Action.EDIT), first.remote))
        self.assertNotIn("idempotency-key", self.fake.history[-1].request.headers)

    @given(words, words, words, st.sampled_from([100, 500, 5000]))
    def test_the_length(self, title: str, category: str, name: str, limit: int) -> None:
        """
        Whatever a streamer writes, the status is as long as the server allows at most, and it tags nothing.
        """
        self.setUp()
        self.fake.max_characters = limit
        destination = self.at(max_characters=limit, visibility="public")
        self.assert_taken(self.post(destination, notice(title=title, category=category, name=name)))
        self.assertEqual((self.status()["tags"], self.fake.pings), ([], []))

    def test_deleted_by_its_author(self) -> None:
        """
        An edit of a status that was deleted there says so.
        """
        created = self.post(self.at(), notice())
        self.fake.messages.clear()
        for action in (Action.EDIT, Action.DELETE):
            result = self.post(self.at(), notice(STREAM_OFFLINE, action), created.remote)
            self.assertEqual(result.verdict, Verdict.MESSAGE_GONE)

    def test_the_token(self) -> None:
        """
        A token that is wrong, or may not post, is not used again.
        """
        self.fake.tokens["read-only"] = frozenset({"read:accounts"})
        for token in ("wrong", "read-only"):
            self.assertEqual(self.post(self.at(token=token), notice()).verdict, Verdict.UNAUTHORIZED)

    def read(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] = {}, action: Action = Action.CREATE
    ) -> Result:
        delivery = evolve(self.prepare(self.at(), notice()), action=action)
        raw = Headers({name: [value] for name, value in headers.items()})
        return open_destination(self.at()).interpret(Response(status, raw, body), delivery, NOW)

    def test_what_an_answer_means(self) -> None:
        """
        What the server does not take is not sent again; what is wrong with the server is.
        """
        for status, action, verdict in (
            (302, Action.CREATE, Verdict.RETRY),
            (401, Action.CREATE, Verdict.UNAUTHORIZED),
            (403, Action.CREATE, Verdict.UNAUTHORIZED),
            (404, Action.CREATE, Verdict.RETRY),
            (404, Action.EDIT, Verdict.MESSAGE_GONE),
            (422, Action.CREATE, Verdict.REJECTED),
            (503, Action.CREATE, Verdict.RETRY),
            (429, Action.DELETE, Verdict.RETRY),
        ):
            with self.subTest(status, action=action):
                self.assertEqual(self.read(status, b'{"error":"x"}', action=action).verdict, verdict)

    def test_a_page_of_a_proxy(self) -> None:
        """
        A page of what stands before the server says nothing of the account or of the status.
        """
        for status in (401, 403, 404):
            for action in (Action.CREATE, Action.EDIT):
                self.assertEqual(self.read(status, b"<html>", action=action).verdict, Verdict.RETRY)

    def test_waits(self) -> None:
        """
        The limit ends at a time that the answer names, in either notation; deletions have a limit of their own, for
        which news do not wait.
        """
        for reset, pause in (("2026-01-02T12:06:00.000000Z", 60.0), (str(int(NOW) + 90), 90.0), ("30", 60.0)):
            with self.subTest(reset):
                result = self.read(429, headers={"X-RateLimit-Reset": reset})
                self.assertEqual((result.verdict, result.pause), (Verdict.PAUSE, pause))
        spent = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2026-01-02T12:06:00.000000Z"}
        self.assertEqual(self.read(200, b'{"id":"1"}', spent).pause, 60.0)
        self.assertEqual(self.read(200, b'{"id":"1"}', {**spent, "X-RateLimit-Remaining": "7"}).pause, 0.0)
        deleting = self.read(429, headers=spent, action=Action.DELETE)
        self.assertEqual((deleting.verdict, deleting.pause, deleting.retry_after), (Verdict.RETRY, 0.0, None))

    def test_mistakes_in_mentions(self) -> None:
        """
        An account has a name, and is of this server or of another one.
        """
        for name in ("user:ada@", "user:https://other.test/@ada", "user:@"):
            self.assertIn("user:name", MASTODON_KIND.check_mention(name))

    def test_mistakes_in_the_settings(self) -> None:
        """
        Each mistake is said at its key.
        """
        for key, value in (
            ("url", "mastodon.test"),
            ("token", "a b"),
            ("visibility", "direct"),
            ("language", "German"),
            ("max_characters", 10),
        ):
            with self.subTest(key):
                found = [*MASTODON_KIND.check(self.make_settings(self.fake, **{key: value}))]
                self.assertEqual([each for each, _ in found], [key])
        self.assertEqual([*MASTODON_KIND.check(self.make_settings(self.fake, language="pt-BR"))], [])

    def test_an_update_notifies_no_new_account(self) -> None:
        """
        The name of a mention is in the edit too, where it notifies no one again.
        """
        destination = self.destination(mention=("user:ada@other.test",))
        created = self.post(destination, notice(mention=True))
        self.assert_taken(self.post(destination, notice(CHANNEL_UPDATE, Action.EDIT, mention=True), created.remote))
        self.assertTrue(self.status()["text"].startswith("@ada@other.test Tanuki is live!"))
        self.assertEqual([each.whom for each in self.fake.pings], ["user:ada@other.test"])
