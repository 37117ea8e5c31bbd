"""
Tests for :mod:`itsjustintv.destinations.service_answer`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.destinations.service_answer import ServiceAnswer
from itsjustintv.model import Destination, Verdict
from itsjustintv.support.http_response import Response


class FaultTests(SynchronousTestCase):
    """
    What an answer means by its status alone.
    """

    def test_a_fault_of_the_service(self) -> None:
        """
        A 5xx is tried again when the service says so; no one is sent to a log that only the service can read.
        """
        main = Destination(name="main", url="", kind="discord", keeps_posts=True)
        for status in (500, 503):
            response = Response(status, Headers({b"Retry-After": [b"7"]}), b"")
            found = ServiceAnswer.read(main, response, 0.0).by_status()
            self.assertEqual((found.verdict, found.reason, found.retry_after), (Verdict.RETRY, f"http_{status}", 7.0))
            self.assertEqual(found.detail, f"main answered {status}: it has a fault of its own.")
