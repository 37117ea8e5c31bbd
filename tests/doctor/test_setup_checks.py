"""
Tests for :mod:`itsjustintv.doctor.setup_checks`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from itsjustintv.doctor.setup_checks import SetupChecks
from itsjustintv.model import Destination

reactor: Any = _reactor


class Receiver(Resource):
    """
    Answers with a status, and with words that quote where it was asked.
    """

    isLeaf = True

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status

    def render_POST(self, request: Any) -> bytes:
        request.setResponseCode(self.status)
        request.setHeader(b"Connection", b"close")
        return b"no such hook\x1b[2J: %b" % request.uri


class ReceiverTests(TestCase):
    """
    The test that ``init`` sends to a webhook.
    """

    async def told(self, status: int) -> str:
        """
        What is said of a receiver that answers with this status.
        """
        port = reactor.listenTCP(0, Site(Receiver(status)), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        url = f"http://127.0.0.1:{port.getHost().port}/9f8e7d6c5b4a"
        webhook = Destination(name="the webhook", url=url, secret="s3cret")
        return await SetupChecks(reactor, lambda _: ()).receiver(webhook)

    async def test_the_words_of_the_receiver(self) -> None:
        """
        A refusal is told with the receiver's own words on one line, without what is secret of the address.
        """
        self.assertEqual(
            await self.told(404),
            "the test was not delivered: the webhook answered 404: check its URL."
            r" It said: 'no such hook\x1b[2J: [redacted]'.",
        )

    async def test_an_answer_of_success(self) -> None:
        """
        Nothing is said of a receiver that took it, whatever its words.
        """
        self.assertEqual(await self.told(200), "")
