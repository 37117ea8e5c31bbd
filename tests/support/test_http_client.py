"""
Tests for :mod:`itsjustintv.support.http_client`. What a server may do is in the tests of those who ask.
"""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web._newclient import ResponseFailed
from twisted.web.client import ResponseDone

from itsjustintv.errors import AcmeUnavailable, CertificateError
from itsjustintv.support.foreign_text import visible
from itsjustintv.support.http_client import BodyTooLong, bounded, read_body
from itsjustintv.support.http_response import one_line


class Source:
    """
    A response.
    """

    def deliverBody(self, protocol: Any) -> None:
        self.protocol = protocol
        self.transport = StringTransportWithDisconnection()
        self.transport.protocol = protocol
        protocol.makeConnection(self.transport)


class ReadBodyTests(SynchronousTestCase):
    """
    Reading a body.
    """

    @given(st.lists(st.binary(max_size=8), max_size=8), st.integers(0, 40))
    def test_it_is_whole_or_too_long(self, parts: list[bytes], limit: int) -> None:
        """
        However it is cut up, a body within the limit comes whole, and any other one closes its connection.
        """
        source = Source()
        reading = read_body(cast("Any", source), limit)
        for part in parts:
            source.protocol.dataReceived(part)
        source.protocol.connectionLost(Failure(ResponseDone()))
        whole = b"".join(parts)
        if len(whole) <= limit:
            self.assertEqual(self.successResultOf(reading), whole)
        else:
            self.failureResultOf(reading, BodyTooLong)
            self.assertFalse(source.transport.connected)


class BoundedTests(SynchronousTestCase):
    """
    The time for it, and the names of errors.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.work: Deferred[str] = Deferred()

        async def working() -> str:
            return await self.work

        self.answer = Deferred.fromCoroutine(
            bounded(working(), self.clock, 10.0, CertificateError, lambda reason: AcmeUnavailable(f"ca: {reason}"))
        )

    def test_in_time(self) -> None:
        """
        An answer in time is handed on, and no timer is left.
        """
        self.clock.advance(9.9)
        self.work.callback("yes")
        self.assertEqual(self.successResultOf(self.answer), "yes")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_late(self) -> None:
        """
        What is late is cancelled, and says how long was waited.
        """
        self.clock.advance(10.0)
        error = self.failureResultOf(self.answer, AcmeUnavailable).value
        self.assertEqual(str(error), "ca: no answer within 10 s")
        self.assertTrue(self.work.called)

    def test_given_up(self) -> None:
        """
        Who does not want to wait any more sees the cancelling, though Twisted's client wraps it.
        """
        self.work = Deferred(lambda work: work.errback(ResponseFailed([Failure(CancelledError())])))
        self.setUp()
        self.answer.cancel()
        self.failureResultOf(self.answer, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_names(self) -> None:
        """
        A known error stays what it is; of any other the innermost cause is told, in one line.
        """
        known = CertificateError("known")
        self.work.errback(known)
        self.assertIs(self.failureResultOf(self.answer).value, known)
        self.setUp()
        self.work.errback(ResponseFailed([Failure(OSError("no\nway."))]))
        self.assertEqual(str(self.failureResultOf(self.answer, AcmeUnavailable).value), "ca: no way")


class OneLineTests(SynchronousTestCase):
    """
    What a stranger wrote.
    """

    @given(st.text())
    def test_it_is_one_line(self, text: str) -> None:
        """
        Nothing that would steer a terminal or break a line is left.
        """
        line = one_line(text)
        self.assertEqual(line, visible(line))
        self.assertEqual(line, one_line(line))
