"""
Tests for :mod:`itsjustintv.destinations.apprise`, its sender and the library.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from threading import Thread
from typing import Any, ClassVar

from attrs import define, evolve
from treq.testing import RequestTraversalAgent
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource

from itsjustintv.destinations.apprise import APPRISE_KIND, Apprise, Settings
from itsjustintv.destinations.apprise_library import is_installed
from itsjustintv.destinations.apprise_sender import AppriseSender
from itsjustintv.destinations.kinds import open_destination
from itsjustintv.interfaces import SenderTools
from itsjustintv.model import Attempt, Delivery, Destination, Verdict
from itsjustintv.simulator.fakes.service import FakeAnswer, FakeRequest, FakeService, Ping
from itsjustintv.support.egress import EgressPolicy
from itsjustintv.support.http_response import Response
from tests.destinations.contract import NOW, notice
from tests.destinations.golden import GoldenBodies
from tests.functional.stage import lacking


@define(eq=False, kw_only=True)
class Service(FakeService):
    """
    Any service: whatever mentions or is a tag at one of them does so here.
    """

    name: ClassVar[str] = "service"

    def answer(self, request: FakeRequest) -> FakeAnswer:
        text = request.body.decode()
        number = str(len(self.messages))
        self.messages[number] = {"text": text}
        for before, after in pairwise(text):
            if before in "@\uff20#\uff03<" and (after.isalnum() or after in "!@#&/"):
                self.pings.append(Ping(message=number, whom="user:x", at=request.at))
        return FakeAnswer(200)


class AppriseTests(GoldenBodies, SynchronousTestCase):
    """
    Plain text for any service.
    """

    kind = APPRISE_KIND

    def make_fake(self) -> Service:
        return Service()

    def make_settings(self, fake: Any) -> Settings:
        return Settings(url="ntfys://token@host/topic")

    def test_golden_bodies(self) -> None:
        """
        The texts of a broadcast are as they were.
        """
        self.assert_golden(self.destination())

    def test_the_url_is_a_secret(self) -> None:
        """
        What is shown of a destination and of its request has nothing of the URL but the service.
        """
        where = self.destination()
        request = open_destination(where).make_request(self.prepare(where, notice()), NOW)
        self.assertEqual((where.url, request.url), ("apprise://ntfys", "apprise://ntfys"))

    def test_few_attempts(self) -> None:
        """
        A failure is tried again three times, whatever it was.
        """
        where = self.destination()
        delivery = self.prepare(where, notice())
        results = [
            open_destination(where).interpret(Response(500, Headers(), b""), evolve(delivery, attempts=before), NOW)
            for before in range(4)
        ]
        self.assertEqual(
            [(each.verdict, each.final) for each in results], [(Verdict.RETRY, False)] * 3 + [(Verdict.RETRY, True)]
        )

    def test_mistakes_in_the_settings(self) -> None:
        """
        A URL that Apprise does not know is a mistake; without the extra, any is.
        """
        self.assertEqual([key for key, _ in APPRISE_KIND.check(Settings(url="x"))], ["url"])
        if not is_installed():
            lacking("apprise", "apprise is not installed")
        self.assertEqual([*APPRISE_KIND.check(Settings(url="json://localhost/x"))], [])
        for url in ("nonsense://host", "discord://x"):
            self.assertEqual([key for key, _ in APPRISE_KIND.check(Settings(url=url))], ["url"])


def _tools(clock: Any) -> SenderTools:
    agent = RequestTraversalAgent(Resource())
    return SenderTools(reactor=clock, agent=agent, egress=EgressPolicy, timeout=lambda: 5.0, wall=lambda: NOW)


def _where(url: str) -> Destination:
    settings = Settings(url=url)
    return Destination(name="other", url=APPRISE_KIND.address(settings), kind="apprise", settings=settings)


def _delivery(where: Destination) -> Delivery:
    body = open_destination(where).render(notice(title="Töpfern"))
    return Delivery(
        id="1-1", event_id="1", streamer="tanuki", destination="other", accepted_at=NOW, next_attempt_at=NOW, body=body
    )


class SenderTests(SynchronousTestCase):
    """
    An attempt ends in time, whatever the thread does.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.sent: list[tuple[str, str, str]] = []
        self.work: list[tuple[Callable[[], bool], Deferred[bool]]] = []
        self.answer = True

        def in_thread(work: Callable[[], bool]) -> Deferred[bool]:
            self.work.append((work, Deferred()))
            return self.work[-1][1]

        def send(url: str, title: str, text: str) -> bool:
            self.sent.append((url, title, text))
            return self.answer

        self.sender = AppriseSender(_tools(self.clock), Apprise, in_thread, notify=send)

    def sending(self) -> Deferred[Attempt]:
        where = _where("json://host/secret")
        return self.sender.send(_delivery(where), where)

    def work_on(self) -> None:
        work, done = self.work.pop(0)
        done.callback(work())

    def test_sent(self) -> None:
        """
        Title and text go to the URL.
        """
        sending = self.sending()
        self.work_on()
        self.assertTrue(self.successResultOf(sending).ok)
        text = "Tanuki is live on Twitch.\nTöpfern\n\nhttps://twitch.tv/tanuki"
        self.assertEqual(self.sent, [("json://host/secret", "Tanuki is live", text)])

    def test_not_sent(self) -> None:
        """
        A failure, and an error of the library, are tried again.
        """
        self.answer = False
        first, second = self.sending(), self.sending()
        self.work_on()
        self.work.pop()[1].errback(Failure(RuntimeError("secret")))
        for each in (first, second):
            attempt = self.successResultOf(each)
            self.assertEqual((attempt.ok, attempt.verdict, attempt.final), (False, Verdict.RETRY, False))
            self.assertNotIn("secret", attempt.detail)

    def test_too_late(self) -> None:
        """
        After the deadline the outcome is unknown; work that has not begun by then is left out.
        """
        sending = self.sending()
        self.clock.advance(5)
        attempt = self.successResultOf(sending)
        self.assertEqual((attempt.verdict, attempt.reason), (Verdict.RETRY, "timeout"))
        self.assertIn("not known", attempt.detail)
        self.work_on()
        self.assertEqual(self.sent, [])

    def test_cancelled(self) -> None:
        """
        An attempt that is cancelled leaves nothing behind.
        """
        sending = self.sending()
        sending.cancel()
        self.failureResultOf(sending, CancelledError)
        self.work_on()
        self.assertEqual((self.sent, self.clock.getDelayedCalls()), ([], []))


class Handler(BaseHTTPRequestHandler):
    """
    Answers as the path says.
    """

    taken: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Handler.taken.append(json.loads(body))
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """
        Say nothing.
        """


class LibraryTests(TestCase):
    """
    The library sends, in threads.
    """

    timeout = 60

    async def test_a_service(self) -> None:
        """
        A text arrives once, retries of the library are off, and words of a streamer are no escapes for it.
        """
        if not is_installed():
            lacking("apprise", "apprise is not installed")
        Handler.taken = []
        server = HTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        sender = AppriseSender.of(_tools(reactor), Apprise)
        verdicts = []
        for status in (200, 500):
            where = _where(f"json://127.0.0.1:{server.server_port}/{status}?retry=3&wait=0.1")
            delivery = evolve(_delivery(where), body=open_destination(where).render(notice(title=r"a\nb :smile:")))
            verdicts.append((await sender.send(delivery, where)).verdict)
        await sender.stop()
        self.assertEqual(verdicts, [Verdict.OK, Verdict.RETRY])
        self.assertEqual([each["title"] for each in Handler.taken], ["Tanuki is live"] * 2)
        self.assertIn(r"a\nb :smile:", Handler.taken[0]["message"])
