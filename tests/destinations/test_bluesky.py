"""
Tests for :mod:`itsjustintv.destinations.bluesky`, against the imitated server.
"""

from __future__ import annotations

from typing import Any

import orjson
from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.destinations.bluesky import BLUESKY_KIND, Bluesky, Settings
from itsjustintv.destinations.bluesky_sender import SESSION_ENDED, Session
from itsjustintv.destinations.kinds import open_destination
from itsjustintv.model import STREAM_OFFLINE, Action, Delivery, Destination, Result, Verdict
from itsjustintv.simulator.fakes.bluesky import FakeBluesky
from itsjustintv.support.http_response import Response
from tests.destinations.contract import NOW, notice
from tests.destinations.golden import GoldenBodies


class BlueskyTests(GoldenBodies, SynchronousTestCase):
    """
    An account on Bluesky.
    """

    kind = BLUESKY_KIND
    fake: FakeBluesky

    def make_fake(self) -> FakeBluesky:
        return FakeBluesky()

    def make_settings(self, fake: Any, **more: Any) -> Settings:
        [account] = fake.accounts
        return Settings(**{"identifier": account.handle, "password": account.password, **more})

    def at(self, **more: Any) -> Destination:
        return evolve(self.destination(), settings=self.make_settings(self.fake, **more))

    def attempt(self, destination: Destination, delivery: Delivery) -> Result:
        """
        Send a delivery within a session.
        """
        self.now += 60
        login = orjson.dumps({"identifier": self.fake.accounts[0].handle, "password": self.fake.accounts[0].password})
        kind = {"content-type": "application/json"}
        self.fake.logins_of_day.limit = 1_000_000
        answer = self.fake.handle("POST", "/xrpc/com.atproto.server.createSession", kind, login, self.now)
        adapter = Bluesky(destination, Session.parse(answer.json, "x"))
        request = adapter.make_request(delivery, self.now)
        headers = {name.lower(): value for name, value in request.headers}
        answer = self.fake.handle(request.method, request.url, headers, request.body, self.now)
        raw = Headers()
        for name, value in answer.headers:
            raw.addRawHeader(name, value)
        return adapter.interpret(Response(answer.status, raw, answer.body), delivery, self.now)

    def message(self) -> dict[str, Any]:
        [message] = self.fake.messages.values()
        return message

    def test_golden_bodies(self) -> None:
        """
        The records of a broadcast are as they were.
        """
        self.assert_golden(self.at(), short=self.at(card=False))

    def test_the_post(self) -> None:
        """
        A post says who is live and with what title; its address is a link, whatever comes before it, and it has a card.
        """
        self.assert_taken(self.post(self.at(), notice(title="Töpfern 🏺 https://evil.example")))
        post = self.message()
        self.assertEqual(post["text"], "Tanuki is live: Töpfern 🏺 https://evil.example\n\nhttps://twitch.tv/tanuki")
        self.assertEqual(
            (post["links"], post["broken"]), ({"https://twitch.tv/tanuki": "https://twitch.tv/tanuki"}, [])
        )
        card = {"uri": "https://twitch.tv/tanuki", "title": "Töpfern 🏺 https://evil.example"}
        self.assertEqual(post["card"], {**card, "description": "Art on Twitch"})
        self.assertEqual((post["record"]["langs"], post["record"]["createdAt"]), (["en"], "2026-01-02T12:04:07.000Z"))

    def test_links_of_templates(self) -> None:
        """
        An address in a template of the operator is a link; part of a longer one is none.
        """
        source = "{{ title }} {{ url }} https://example.org/rules (https://example.org/a.b, https://example.org/a)"
        destination = self.destination(messages={"online": {"text": source}})
        self.assert_taken(self.post(destination, notice(title="https://twitch.tv/tanuki2 https://example.org/rules?x")))
        post = self.message()
        names = ("rules", "a.b", "a")
        expected = {"https://twitch.tv/tanuki", *(f"https://example.org/{each}" for each in names)}
        self.assertEqual(post["links"], {each: each for each in expected})
        self.assertEqual(len(post["record"]["facets"]), 4)

    def test_a_post_that_is_sent_again(self) -> None:
        """
        What is sent again takes the place of the first; another broadcast, and what follows, are posts of their own.
        """
        first = self.post(self.at(), notice())
        again = self.post(self.at(), notice(title="Kiln"))
        self.assertEqual(first.remote.split()[0], again.remote.split()[0])
        self.assertEqual(len(self.fake.messages), 1)
        other = notice()
        assert other.broadcast is not None
        self.assert_taken(self.post(self.at(), evolve(other, broadcast=evolve(other.broadcast, id="another"))))
        self.assertEqual(len(self.fake.messages), 2)

    def test_a_follow_up_is_a_reply(self) -> None:
        """
        What follows replies to the first post, if that is known.
        """
        created = self.post(self.at(), notice())
        follow_up = notice(STREAM_OFFLINE, Action.FOLLOW_UP)
        self.assert_taken(self.post(self.at(), follow_up, created.remote))
        uri, cid = created.remote.split()
        record = [*self.fake.messages.values()][1]["record"]
        self.assertEqual(record["reply"], {"root": {"uri": uri, "cid": cid}, "parent": {"uri": uri, "cid": cid}})
        self.assertEqual(record["text"], "Tanuki was live for 3 h 9 min\n\nhttps://www.twitch.tv/videos/1")
        body = orjson.loads(open_destination(self.at()).make_request(self.prepare(self.at(), follow_up), NOW).body)
        self.assertNotIn("reply", body["record"])

    def test_languages(self) -> None:
        """
        The languages of the settings are used, otherwise that of the broadcast, unless it is none.
        """
        self.assert_taken(self.post(self.at(langs=("de", "pt-BR")), notice()))
        self.assertEqual(self.message()["record"]["langs"], ["de", "pt-BR"])
        usual = notice()
        other = evolve(usual.enrichment, stream=evolve(usual.enrichment.stream, language="other"))
        delivery = self.prepare(self.at(), evolve(usual, enrichment=other))
        self.assertNotIn("langs", orjson.loads(delivery.body)["body"]["record"])

    def test_what_an_answer_means(self) -> None:
        """
        The error decides, not the status alone; a quota that is used up is waited for.
        """
        delivery = self.prepare(self.at(), notice())
        for status, error, verdict in (
            (400, "InvalidRequest", Verdict.REJECTED),
            (400, "ExpiredToken", Verdict.RETRY),
            (400, "InvalidToken", Verdict.RETRY),
            (400, "AccountTakedown", Verdict.DESTINATION_GONE),
            (401, "AuthenticationRequired", Verdict.UNAUTHORIZED),
            (404, "", Verdict.DESTINATION_GONE),
            (413, "PayloadTooLarge", Verdict.REJECTED),
            (501, "MethodNotImplemented", Verdict.DESTINATION_GONE),
            (502, "UpstreamFailure", Verdict.RETRY),
        ):
            with self.subTest(status, error=error):
                response = Response(status, Headers(), orjson.dumps({"error": error}))
                result = open_destination(self.at()).interpret(response, delivery, NOW)
                self.assertEqual(result.verdict, verdict)
                self.assertEqual(result.reason == SESSION_ENDED, error in ("ExpiredToken", "InvalidToken"))
        headers = Headers({"RateLimit-Reset": [str(int(NOW) + 90)], "RateLimit-Remaining": ["0"]})
        for status in (200, 429):
            result = open_destination(self.at()).interpret(Response(status, headers, b"{}"), delivery, NOW)
            self.assertEqual((result.pause, result.ok), (90.0, status == 200))

    def test_mistakes_in_the_settings(self) -> None:
        """
        Each mistake is said at its key.
        """
        good = {"identifier": "tanuki.bsky.social", "password": "abcd-efgh-ijkl-mnop"}
        self.assertEqual([*BLUESKY_KIND.check(Settings(**good, service="http://10.0.0.1:3000/pds/"))], [])
        for identifier in ("tanuki.bsky.social", "@tanuki.bsky.social", "did:plc:abc234", "tanuki@example.org"):
            self.assertEqual([*BLUESKY_KIND.check(Settings(**{**good, "identifier": identifier}))], [])
        for key, more in (
            ("identifier", {"identifier": "tanuki"}),
            ("password", {"password": " "}),
            ("service", {"service": "bsky.social"}),
            ("service", {"service": "https://bsky.social/xrpc"}),
            ("langs", {"langs": ("en", "de", "fr", "ja")}),
            ("langs", {"langs": ("English",)}),
        ):
            with self.subTest(key, **more):
                settings = Settings(**{**good, **more})  # type: ignore[arg-type]
                self.assertEqual([each for each, _ in BLUESKY_KIND.check(settings)], [key])
