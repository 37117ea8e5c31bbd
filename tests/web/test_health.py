"""
Tests of :mod:`itsjustintv.web.health`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.web.health import Check, Detail, HealthResource, ProbeCheck, ProbeResource
from itsjustintv.web.site import RootResource


class HealthTests(SynchronousTestCase):
    """
    What ``/health`` says.
    """

    def ask(
        self, *checks: Check, method: str = "GET", concerns: Sequence[Check] = (), details: Sequence[Detail] = ()
    ) -> tuple[Any, bytes]:
        """
        Ask a daemon with these checks; the answer and its body.
        """
        clock = Clock()
        clock.advance(1_767_323_046.789)
        client = StubTreq(HealthResource(checks, clock, concerns, details))

        async def exchange() -> tuple[Any, bytes]:
            response = await client.request(method, "http://example.net/health")
            return response, await response.content()

        done = Deferred.fromCoroutine(exchange())
        client.flush()
        return self.successResultOf(done)

    def test_everything_that_is_looked_at(self) -> None:
        """
        Whoever wants to look by himself finds the checks, the vital ones first.
        """
        vital, other = ("journal", lambda: None), ("twitch", lambda: "away")
        self.assertEqual(tuple(HealthResource((vital,), Clock(), (other,)).checks), (vital, other))

    def test_healthy(self) -> None:
        """
        While every check is content the answer is the original's.
        """
        response, body = self.ask(("journal", lambda: None), ("token", lambda: None))
        self.assertEqual(response.code, 200)
        self.assertEqual(response.headers.getRawHeaders("Content-Type"), ["application/json"])
        self.assertEqual(response.length, len(body))
        self.assertEqual(
            json.loads(body), {"status": "healthy", "service": "itsjustintv", "timestamp": "2026-01-02T03:04:06Z"}
        )

    def test_unhealthy(self) -> None:
        """
        One check that is not content makes a 503 that says which and why.
        """
        response, body = self.ask(("journal", lambda: "disk full"), ("token", lambda: None), ("x", lambda: "y"))
        self.assertEqual(response.code, 503)
        report = json.loads(body)
        self.assertEqual(report["status"], "unhealthy")
        self.assertEqual(
            report["reasons"], [{"check": "journal", "reason": "disk full"}, {"check": "x", "reason": "y"}]
        )

    def test_degraded(self) -> None:
        """
        What the daemon can do without is told, and is no reason to restart it.
        """
        response, body = self.ask(("journal", lambda: None), concerns=[("twitch", lambda: "away"), ("x", lambda: None)])
        report = json.loads(body)
        self.assertEqual((response.code, report["status"]), (200, "degraded"))
        self.assertEqual(report["reasons"], [{"check": "twitch", "reason": "away"}])

    def test_unhealthy_comes_first(self) -> None:
        """
        A check that fails makes it unhealthy whatever else is of concern; everything is told.
        """
        response, body = self.ask(("journal", lambda: "full"), concerns=[("twitch", lambda: "away")])
        report = json.loads(body)
        self.assertEqual((response.code, report["status"]), (503, "unhealthy"))
        self.assertEqual([each["check"] for each in report["reasons"]], ["journal", "twitch"])

    def test_details(self) -> None:
        """
        Details are told by name; without content they are left out.
        """
        _, body = self.ask(details=[("configuration", lambda: {"hash": "abc"}), ("conduit", lambda: None)])
        self.assertEqual(json.loads(body)["configuration"], {"hash": "abc"})
        self.assertNotIn("conduit", json.loads(body))

    def test_head(self) -> None:
        """
        HEAD has the status of GET, and no body.
        """
        checks: tuple[Check, ...]
        for checks in ((), (("journal", lambda: "disk full"),)):
            got, _ = self.ask(*checks)
            response, body = self.ask(*checks, method="HEAD")
            self.assertEqual((response.code, body), (got.code, b""))

    def test_other_methods_are_not_allowed(self) -> None:
        """
        Nothing can be posted here.
        """
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            response, body = self.ask(method=method)
            self.assertEqual((response.code, json.loads(body)), (405, {"status": "method not allowed"}))
            self.assertEqual(response.headers.getRawHeaders("Allow"), ["GET, HEAD"])

    def test_broken_check_is_no_sign_of_health(self) -> None:
        """
        A check that fails is a reason, and does not keep the others from being asked; its traceback is for the log.
        """

        def broken() -> str | None:
            raise ZeroDivisionError("secret detail")

        response, body = self.ask(("broken", broken), ("journal", lambda: "disk full"))
        self.assertEqual(response.code, 503)
        self.assertEqual([reason["check"] for reason in json.loads(body)["reasons"]], ["broken", "journal"])
        self.assertNotIn(b"detail", body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


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
