"""
Tests of :mod:`itsjustintv.web.fast_routes`.
"""

from __future__ import annotations

from typing import Any

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IRequest

from itsjustintv.web.fast_routes import FastRoute
from itsjustintv.web.http1 import HTTP1Connection
from itsjustintv.web.site import RootResource
from tests.web.test_http1 import Server


def post(path: str) -> bytes:
    """
    A request.
    """
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()


class Sayings:
    """
    An app that answers with what it is told to.
    """

    app = Klein()

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    @app.route("/say")
    def say(self, request: IRequest) -> Any:
        request.setResponseCode(201)
        return self.answer


class ExactResourceTests(SynchronousTestCase):
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
        server.site.resource = RootResource({b"/say": FastRoute(Sayings(answer).app)})
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

    def test_only_for_one_plain_route(self) -> None:
        """
        An app that needs a search among its routes, or gives parts of the path to its handler, is refused.
        """
        several, pattern = Klein(), Klein()
        several.route("/a")(several.route("/b")(lambda request: b""))
        pattern.route("/<part>")(lambda request, part: b"")
        for app in (Klein(), several, pattern):
            with self.assertRaises(ValueError):
                FastRoute(app)
