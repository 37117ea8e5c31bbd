"""
Tests of :class:`itsjustintv.web.site.HandlerResource`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IRequest

from itsjustintv.web.http1 import HTTP1Connection
from itsjustintv.web.site import HandlerResource, RootResource
from tests.web.test_http1 import Server


def post(path: str) -> bytes:
    """
    A request.
    """
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()


def say(answer: Any) -> Callable[[Any], Any]:
    """
    A handler that answers with this.
    """

    def handle(request: IRequest) -> Any:
        request.setResponseCode(201)
        return answer

    return handle


class HandlerResourceTests(SynchronousTestCase):
    """
    One route, on a real site.
    """

    def setUp(self) -> None:
        self.answer: Deferred[bytes] = Deferred()

    def connect(self, answer: Any) -> tuple[HTTP1Connection, StringTransport]:
        """
        A connection to a site with the app.
        """
        server = Server()
        server.site.resource = RootResource({b"/say": HandlerResource(say(answer))})
        channel, transport = server.connect()
        channel.dataReceived(post("/say"))
        return channel, transport

    def test_answers_at_once(self) -> None:
        """
        A handler's bytes are the body, with the status it has set.
        """
        _, transport = self.connect(b"now")
        head, _, body = transport.value().partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 201 "))
        self.assertEqual(body, b"now")

    def test_answers_later(self) -> None:
        """
        A handler's Deferred is waited for, and the connection serves the next request afterwards.
        """
        channel, transport = self.connect(self.answer)
        self.assertEqual(transport.value(), b"")
        self.answer.callback(b"later")
        self.assertIn(b"later", transport.value())
        transport.clear()
        channel.dataReceived(post("/nowhere"))
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 404 "))

    def test_failure_is_answered(self) -> None:
        """
        A handler that fails, at once or later, is answered for with 500 and its reason is logged.
        """
        _, transport = self.connect(self.answer)
        self.answer.errback(ZeroDivisionError("later"))
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 500 "))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_hanging_up_cancels(self) -> None:
        """
        Who waits for somebody that has hung up is told, and nothing is written or logged about it.
        """
        cancelled: list[Deferred[bytes]] = []
        self.answer = Deferred(cancelled.append)
        channel, transport = self.connect(self.answer)
        with capturedLogs() as logged:
            channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(cancelled, [self.answer])
        self.assertEqual(transport.value(), b"")
        self.assertEqual(logged, [])

    def test_answer_for_somebody_who_left(self) -> None:
        """
        A handler that answers all the same, having been cancelled, does no harm.
        """
        self.answer = Deferred(lambda answer: answer.callback(b"too late"))
        channel, transport = self.connect(self.answer)
        channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(transport.value(), b"")
        self.assertIsNone(self.successResultOf(self.answer))

    def test_failure_for_somebody_who_left(self) -> None:
        """
        A handler that fails when it is cancelled is told of in the log, once.
        """
        self.answer = Deferred(lambda answer: answer.errback(ZeroDivisionError()))
        channel, transport = self.connect(self.answer)
        channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(transport.value(), b"")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
