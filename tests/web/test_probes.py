"""
Tests for :mod:`itsjustintv.web.health`.
"""

from __future__ import annotations

import json
from typing import Any

from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.web.health import ProbeCheck, ProbeResource
from itsjustintv.web.site import RootResource


def fails() -> str | None:
    """
    A question with a defect.
    """
    raise ZeroDivisionError


class ProbeTests(SynchronousTestCase):
    """
    What a probe answers.
    """

    def ask(self, *questions: ProbeCheck, method: str = "GET") -> tuple[Any, bytes]:
        """
        The answer, and its body.
        """
        client = StubTreq(RootResource({b"/readyz": ProbeResource("ready", "not ready", questions)}))

        async def exchange() -> tuple[Any, bytes]:
            response = await client.request(method, "http://example.net/readyz")
            return response, await response.content()

        done = Deferred.fromCoroutine(exchange())
        client.flush()
        return self.successResultOf(done)

    def test_well(self) -> None:
        """
        While every question is answered well it is 200.
        """
        response, body = self.ask(ProbeCheck("a", "no a", lambda: None))
        self.assertEqual((response.code, json.loads(body)), (200, {"status": "ready"}))
        self.assertEqual(response.headers.getRawHeaders("Content-Type"), ["application/json"])
        self.assertEqual(response.length, len(body))

    def test_ill(self) -> None:
        """
        Otherwise it is 503 and says what is wrong, but nothing that is for the operator alone.
        """
        response, body = self.ask(
            ProbeCheck("a", "no a", lambda: "/secret/path is full"), ProbeCheck("b", "no b", lambda: None)
        )
        self.assertEqual(response.code, 503)
        self.assertEqual(json.loads(body), {"status": "not ready", "reasons": [{"check": "a", "reason": "no a"}]})

    def test_defect(self) -> None:
        """
        A question that fails counts as not well, and hides no other.
        """
        response, body = self.ask(ProbeCheck("a", "no a", fails), ProbeCheck("b", "no b", lambda: "x"))
        self.assertEqual(response.code, 503)
        self.assertEqual([each["check"] for each in json.loads(body)["reasons"]], ["a", "b"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_methods(self) -> None:
        """
        HEAD has the same status and no body; nothing else is allowed.
        """
        response, body = self.ask(ProbeCheck("a", "no a", lambda: "x"), method="HEAD")
        self.assertEqual((response.code, body), (503, b""))
        response, body = self.ask(method="POST")
        self.assertEqual((response.code, response.headers.getRawHeaders("Allow")), (405, ["GET, HEAD"]))
