"""
Tests of :mod:`itsjustintv.destinations.service_probe`, with answers of Discord and Matrix. That each kind's own service
is understood, the contract of the kinds tests.
"""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.destinations.kinds import KINDS, open_destination
from itsjustintv.destinations.service_probe import ProbeAdapter, named
from itsjustintv.model import Delivery, Destination, Result, Verdict
from itsjustintv.support.http_response import Response

QUESTION = Delivery(id="q-1", event_id="q", streamer="", destination="main", accepted_at=0.0, next_attempt_at=0.0)


class ProbeTests(SynchronousTestCase):
    """
    What an answer says of a destination.
    """

    def read(self, kind: str, status: int, answer: object, **settings: str) -> Result:
        row = KINDS[kind]
        assert row.probe is not None
        assert row.settings is not None
        made = row.settings(**settings)
        destination = Destination(name="main", url="https://chat.example.org/", kind=kind, settings=made)
        adapter = ProbeAdapter(destination, row.probe, open_destination(destination))
        return adapter.interpret(Response(status, Headers(), json.dumps(answer).encode()), QUESTION, 0.0)

    def test_who_it_is(self) -> None:
        """
        A good address is named by what the service says, on one line and without control characters.
        """
        answer = {"name": "Her\x1b[2Jald\n", "channel_id": "1", "guild_id": "2"}
        result = self.read("discord", 200, answer, url="https://discord.com/api/webhooks/1/x")
        self.assertTrue(result.ok)
        self.assertEqual(result.detail, r"main (discord) is the webhook 'Her\x1b[2Jald' of channel 1 at server 2.")

    def test_an_error_is_read_as_that_of_a_message(self) -> None:
        """
        Of a webhook that was deleted, the sentence is that of a delivery to it.
        """
        url = "https://discord.com/api/webhooks/1/x"
        result = self.read("discord", 404, {"code": 10015, "message": "Unknown Webhook"}, url=url)
        self.assertEqual(result.verdict, Verdict.DESTINATION_GONE)
        self.assertIn("has no such webhook any more", result.detail)

    def test_reachable_and_yet_of_no_use(self) -> None:
        """
        A room that the user has not joined is an error, although the server answered with success.
        """
        about = {"homeserver": "https://matrix.test", "token": "t", "room": "!a:matrix.test"}
        result = self.read("matrix", 200, {"joined_rooms": ["!b:matrix.test"]}, **about)
        self.assertEqual((result.ok, result.final), (False, True))
        self.assertIn("invite the user", result.detail)

    def test_an_answer_of_something_else(self) -> None:
        """
        Neither a page nor a list is taken for an answer of the service with a name in it.
        """
        for answer in ([], "hello", {}, {"channel_id": 5}):
            result = self.read("discord", 200, answer, url="https://discord.com/api/webhooks/1/x")
            self.assertNotIn("None", result.detail)

    def test_names(self) -> None:
        """
        The first name that is a text is quoted; without any, this is said.
        """
        self.assertEqual(named({"title": "", "username": "tanuki"}, "title", "username"), "'tanuki'")
        self.assertEqual(named({"title": 5}, "title"), "without a name")
