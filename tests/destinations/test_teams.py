"""
Tests for :mod:`itsjustintv.destinations.teams`, against the imitated workflow.
"""

from __future__ import annotations

from typing import Any

import orjson
from attrs import evolve
from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.destinations.kinds import open_destination
from itsjustintv.destinations.message_samples import SAMPLES
from itsjustintv.destinations.teams import TEAMS_KIND, Settings
from itsjustintv.model import STREAM_OFFLINE, Action, Destination, Enrichment, Notice, Result, Verdict
from itsjustintv.simulator.fakes.teams import FakeTeams
from itsjustintv.support.http_response import Response
from tests.destinations.contract import NOW, notice, words
from tests.destinations.golden import GoldenBodies

#: Bytes that are safe in all of Teams.
_SAFE = 21 * 1024


class TeamsTests(GoldenBodies, SynchronousTestCase):
    """
    A workflow.
    """

    kind = TEAMS_KIND
    fake: FakeTeams

    def make_fake(self) -> FakeTeams:
        return FakeTeams()

    def make_settings(self, fake: Any, **more: Any) -> Settings:
        return Settings(**{"url": f"https://prod.westeurope.logic.azure.com{fake.path}", **more})

    def at(self, **more: Any) -> Destination:
        return evolve(self.destination(), settings=self.make_settings(self.fake, **more))

    def assert_taken(self, result: Result) -> None:
        """
        What is accepted is shown too, which the answer does not say.
        """
        super().assert_taken(result)
        self.assertEqual(self.fake.runs[-1].reason, "")

    def card(self, what: Notice) -> dict[str, Any]:
        self.assert_taken(self.post(self.at(), what))
        return [*self.fake.messages.values()][-1]

    def test_the_card(self) -> None:
        """
        Who is live, with what title, in which category and since when; a preview, and a button to the channel.
        """
        card = self.card(notice(title="**Kiln** [x](https://x.example) <at>all</at>"))
        columns, image = card["body"]
        profile, lines = (each["items"] for each in columns["columns"])
        self.assertIn("tanuki-profile_image", profile[0]["url"])
        self.assertEqual(
            [run["text"] for line in lines for run in line["inlines"]],
            [
                "Tanuki is live!",
                "**Kiln** [x](https://x.example) <at>all</at>",
                "Art · Since 2 January 2026, 12:04 UTC",
            ],
        )
        self.assertRegex(image["url"], r"^https://.+live_user_tanuki-1280x720\.jpg\?t=\d+$")
        self.assertEqual(
            card["actions"], [{"type": "Action.OpenUrl", "title": "Watch", "url": "https://twitch.tv/tanuki"}]
        )

    @given(title=words, category=words, name=words)
    def test_words_stand_where_nothing_is_markup(self, title: str, category: str, name: str) -> None:
        """
        All that a streamer wrote is in elements that do not read Markdown, and the message is small enough for all of
        Teams.
        """
        self.setUp()
        self.card(notice(title=title, category=category, name=name))
        sent = self.fake.history[-1].request.body
        self.assertLess(len(sent), _SAFE)
        self.assertNotIn(b'"TextBlock"', sent)
        self.assertNotIn(b'"FactSet"', sent)

    def test_the_longest_message(self) -> None:
        """
        The longest words, of the largest characters or of those that JSON escapes, are few enough bytes.
        """
        for letter in ("\U0001f600", '"', "\u65e5"):
            long = letter * 5000
            self.card(notice(title=long, category=long, name=long))
            self.assertLess(len(self.fake.history[-1].request.body), _SAFE / 2)

    def test_the_end(self) -> None:
        """
        The end is another card: how long it was, and the recording, without a preview.
        """
        card = self.card(notice(STREAM_OFFLINE, Action.FOLLOW_UP))
        self.assertEqual(len(card["body"]), 1)
        self.assertIn("was live for 3 h 9 min.", str(card["body"]))
        self.assertEqual([each["title"] for each in card["actions"]], ["Watch the recording"])
        bare = evolve(notice(STREAM_OFFLINE, Action.FOLLOW_UP), enrichment=Enrichment())
        self.assertNotIn("actions", self.card(bare))

    def test_the_bare_card(self) -> None:
        """
        Some workflows want the card without a message around it.
        """
        self.fake.wrapped = False
        destination = self.at(wrap=False)
        for plain in (False, True):
            delivery = self.prepare(destination, notice())
            self.assert_taken(self.attempt(destination, evolve(delivery, plain=plain)))
        self.assertEqual([each["type"] for each in self.fake.messages.values()], ["AdaptiveCard"] * 2)

    def test_a_picture_that_teams_cannot_show(self) -> None:
        """
        A picture without HTTPS is left out, since the card would not be shown with it.
        """
        online = notice()
        stream = evolve(online.enrichment.stream, thumbnail_url="http://pictures.example/{width}.jpg")
        card = self.card(evolve(online, enrichment=evolve(online.enrichment, stream=stream)))
        self.assertEqual([each["type"] for each in card["body"]], ["ColumnSet"])

    def read(self, status: int, body: Any = b"", **headers: str) -> Result:
        delivery = self.prepare(self.at(), notice())
        raw = Headers({name.replace("_", "-"): [value] for name, value in headers.items()})
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        return open_destination(self.at()).interpret(Response(status, raw, data), delivery, NOW)

    def test_what_an_answer_means(self) -> None:
        """
        200 and 202 accept; a failure in the text of a success is one.
        """
        for status, body, verdict in (
            (200, b"", Verdict.OK),
            (200, b"1", Verdict.OK),
            (202, b"", Verdict.OK),
            (200, b"Webhook message delivery failed: endpoint returned HTTP error 429 with", Verdict.PAUSE),
            (200, b"Webhook message delivery failed: endpoint returned HTTP error 413 with", Verdict.REJECTED),
            (400, {"error": {"code": "InvalidRequestContent", "message": "x"}}, Verdict.REJECTED),
            (400, {"error": {"code": "WorkflowTriggerIsNotEnabled"}}, Verdict.DESTINATION_GONE),
            (401, {"error": {"code": "DirectApiAuthorizationRequired"}}, Verdict.UNAUTHORIZED),
            (403, b"", Verdict.DESTINATION_GONE),
            (404, {"error": {"code": "WorkflowNotFound"}}, Verdict.DESTINATION_GONE),
            (410, b"", Verdict.DESTINATION_GONE),
            (413, b"", Verdict.REJECTED),
            (429, b"", Verdict.PAUSE),
            (502, b"", Verdict.RETRY),
        ):
            with self.subTest(status, body=body):
                self.assertEqual(self.read(status, body).verdict, verdict)
        self.assertEqual(self.read(429, Retry_After="30").pause, 30.0)
        self.assertIn("InvalidRequestContent", self.read(400, {"error": {"code": "InvalidRequestContent"}}).detail)

    def test_states_of_a_workflow(self) -> None:
        """
        A workflow that was deleted or switched off, or has another signature, is not used again.
        """
        for state in ("deleted", "disabled"):
            self.fake.state = state
            self.assertEqual(self.post(self.at(), notice()).verdict, Verdict.DESTINATION_GONE)
        self.fake.state = ""
        settings = self.make_settings(self.fake)
        self.fake.signature = "another"
        result = self.post(evolve(self.at(), settings=settings), notice())
        self.assertEqual(result.verdict, Verdict.UNAUTHORIZED)

    def test_an_old_connector(self) -> None:
        """
        What answers as the connectors did is understood.
        """
        self.fake.connector, self.fake.limit = True, (1, 300.0)
        self.assert_taken(self.post(self.at(), notice()))
        self.assertEqual(self.post(self.at(), notice()).verdict, Verdict.PAUSE)

    def test_no_edits(self) -> None:
        """
        Nothing can be changed, and no request is made for it.
        """
        self.assertFalse(TEAMS_KIND.can_edit(self.at().settings) or TEAMS_KIND.can_delete(self.at().settings))
        for action in (Action.EDIT, Action.DELETE):
            delivery = self.prepare(self.at(), notice(STREAM_OFFLINE, action), "x")
            self.assertRaises(ValueError, open_destination(self.at()).make_request, delivery, NOW)

    def test_mistakes_in_the_settings(self) -> None:
        """
        Any host may have a workflow; what is no URL is a mistake.
        """
        for url in (
            "https://prod-1.westeurope.logic.azure.com:443/workflows/1/triggers/manual/paths/invoke?sig=x",
            "https://1.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/1?sig=x",
        ):
            self.assertEqual([*TEAMS_KIND.check(Settings(url=url))], [])
        for url in ("", "teams", "https://teams"):
            self.assertEqual([key for key, _ in TEAMS_KIND.check(Settings(url=url))], ["url"])

    def test_the_bytes_on_the_wire(self) -> None:
        """
        What is sent stays as it is, to the byte.
        """
        self.assert_golden(self.at(), bare=self.at(wrap=False))

    def test_samples_are_shown(self) -> None:
        """
        Whatever is known or not of a broadcast, the flow shows the card.
        """
        for sample in SAMPLES:
            with self.subTest(sample.description):
                self.card(evolve(sample.notice, action=Action.CREATE))
