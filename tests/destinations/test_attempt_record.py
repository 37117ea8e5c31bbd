"""
Tests of :mod:`itsjustintv.destinations.attempt_record`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.load import parse
from itsjustintv.destinations.attempt_record import make_attempt
from itsjustintv.destinations.kinds import KINDS
from itsjustintv.model import Result
from itsjustintv.routing import Routing
from tests.config.test_load import REQUIRED, document

TOKEN = "aTokenOfDiscord-0123456789_abcdefghijklmnop"
URL = f"https://discord.com/api/webhooks/1234567890123456789/{TOKEN}"


class AnswerTests(SynchronousTestCase):
    """
    What is stored of an answer.
    """

    def test_words_of_a_service(self) -> None:
        """
        The words that every URL of a service has are shown in its answers; no piece of a token is.
        """
        tables = {
            "destinations": {"main": {"type": "discord", "url": URL}},
            "streamers": {"tanuki": {"login": "tanuki", "destinations": ["main"]}},
        }
        routing = Routing.of(parse(document(tables) + REQUIRED, {}, kinds=KINDS).config)
        destination = routing.destination("main", "tanuki")
        assert destination is not None
        for answer, shown in (
            ('{"message": "Unknown Webhook", "code": 10015}', '{"message": "Unknown Webhook", "code": 10015}'),
            (f"Cannot POST {URL}", "Cannot POST [redacted]"),
            (f"no {TOKEN[3:12]} here", "no [redacted] here"),
            ("no 567890123 here", "no [redacted] here"),
        ):
            found = make_attempt(Result("gone", "It is gone."), destination, 0.0, 1.0, answer=answer.encode())
            self.assertEqual(shown, found.response)
