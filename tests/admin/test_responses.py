"""
Tests of :mod:`itsjustintv.admin.responses`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from itsjustintv.admin.responses import respond_later


class LaterTests(SynchronousTestCase):
    """
    Answers that take a while.
    """

    def begin(self, error: Exception | None = None) -> tuple[Any, Deferred[None]]:
        """
        A request whose answer waits for something, and then fails.
        """
        request: Any = DummyRequest([b"x"])
        request.startedWriting = False
        waiting: Deferred[None] = Deferred()

        async def answer() -> None:
            try:
                await waiting
            except CancelledError:
                if error is None:
                    raise
            if error is not None:
                raise error

        respond_later(request, answer())
        return request, waiting

    def leave(self, request: Any) -> None:
        """
        The peer hangs up.
        """
        request.processingFailed(Failure(ConnectionDone()))

    def test_a_defect_is_answered(self) -> None:
        """
        What fails is answered with 500, and logged.
        """
        request, waiting = self.begin(ZeroDivisionError())
        waiting.callback(None)
        self.assertEqual((request.responseCode, request.finished), (500, 1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_defect_in_the_middle_of_an_answer(self) -> None:
        """
        What fails when the answer has begun cuts the answer short.
        """
        request, waiting = self.begin(ZeroDivisionError())
        request.startedWriting = True
        failed = request.notifyFinish()
        waiting.callback(None)
        self.failureResultOf(failed, ZeroDivisionError)

    def test_nobody_waits_any_more(self) -> None:
        """
        When the peer hangs up what was waited for is given up; a defect after that is logged, and answered to nobody.
        """
        request, _ = self.begin()
        self.leave(request)
        self.assertEqual((request.written, self.flushLoggedErrors()), ([], []))
        request, _ = self.begin(ZeroDivisionError())
        self.leave(request)
        self.assertEqual((request.written, len(self.flushLoggedErrors(ZeroDivisionError))), ([], 1))
