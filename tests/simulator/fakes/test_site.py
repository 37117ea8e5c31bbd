"""
The fakes over HTTP.
"""

from __future__ import annotations

from typing import cast

import treq
from treq.testing import StubTreq
from twisted.internet import reactor
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import Agent, ResponseNeverReceived

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.fakes.site import FakeSite
from itsjustintv.simulator.loopback import listen
from tests.simulator.fakes.test_service import Board
from tests.simulator.worlds import NOW, InMemory


class FakeSiteTests(SynchronousTestCase):
    """
    Requests reach the fake that their path names.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.board = Board()
        self.site = FakeSite(self.clock, [self.board])
        self.ask = InMemory(self, self.site.resource())

    def test_a_request_reaches_its_fake_whole(self) -> None:
        """
        Method, path below the fake's name, query, headers, body and time are handed on, and the answer comes back.
        """
        answer = self.ask("PATCH", "/board/a%2Fb/c?x=1", headers={"X-Test": "t"}, data=b"hello")
        self.assertEqual(
            (answer.status, answer.json, answer.headers["content-type"]), (200, {"id": "1"}, "application/json")
        )
        request = self.board.history[0].request
        self.assertEqual((request.method, request.url, request.path), ("PATCH", "/a%2Fb/c?x=1", ("a/b", "c")))
        self.assertEqual((request.headers["x-test"], request.body, request.at), ("t", b"hello", NOW))

    def test_what_came_is_shown(self) -> None:
        """
        ``_messages`` shows the state as JSON, and is no request to the fake.
        """
        self.ask("POST", "/board/", data=b"hello")
        shown = self.ask("GET", "/board/_messages")
        self.assertEqual(shown.json, self.board.summary())
        self.assertEqual(len(self.board.history), 1)

    def test_an_unknown_service_is_not_found(self) -> None:
        """
        Another first segment is a 404 that names the fakes.
        """
        answer = self.ask("GET", "/other/x")
        self.assertEqual((answer.status, answer.body), (404, b"The fakes are: board.\n"))

    def test_a_hang_never_answers(self) -> None:
        """
        A request whose answer is lost stays open, although the message is there.
        """
        self.board.script.plan("POST", Behaviour(lost=True))
        treq = StubTreq(self.site.resource())
        waiting = treq.post("http://fakes.test/board/", data=b"hello")
        treq.flush()
        self.clock.advance(3600)
        self.assertNoResult(waiting)
        self.assertEqual(list(self.board.messages), ["1"])
        waiting.cancel()
        self.failureResultOf(waiting)

    def test_a_delayed_answer_comes_later(self) -> None:
        """
        The effect is immediate, and the answer waits for the planned delay.
        """
        self.board.script.plan("POST", Behaviour(delay=2))
        treq = StubTreq(self.site.resource())
        waiting = treq.post("http://fakes.test/board/", data=b"hello")
        treq.flush()
        self.assertEqual(list(self.board.messages), ["1"])
        self.assertNoResult(waiting)
        self.clock.advance(2)
        treq.flush()
        self.assertEqual(self.successResultOf(waiting).code, 200)


class ConnectionTests(TestCase):
    """
    Failures of a connection are real ones.
    """

    timeout = 30

    async def test_a_connection_is_closed_before_or_after_the_message(self) -> None:
        """
        A client sees the same from a drop before the message is stored and after it: the connection ends.
        """
        board = Board()
        board.script.plan("POST", Behaviour(drop=True), Behaviour(lost=True, drop=True))
        listening = listen(reactor, FakeSite(cast("IReactorTime", reactor), [board]).resource())
        self.addCleanup(listening.stop)
        agent = Agent(reactor)
        for stored in ([], ["1"]):
            with self.assertRaises(ResponseNeverReceived):
                await treq.post(f"{listening.url}/board/", data=b"hello", agent=agent)
            self.assertEqual(list(board.messages), stored)
