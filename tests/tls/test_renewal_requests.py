"""
Tests for :mod:`itsjustintv.tls.renewal_requests`, with the service that orders and an authority of the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from attrs import define
from twisted.logger import capturedLogs

from itsjustintv.model import rfc3339
from itsjustintv.tls.acme.http import AcmeTransport
from itsjustintv.tls.acme.order import OrderRunner
from itsjustintv.tls.renewal_requests import RenewalRequests, RenewalResult, Request, RequestFiles
from itsjustintv.tls.store import AccountFiles
from tests.tls.authority import DAY, HANG, let_pass, problem, settle
from tests.tls.doubles import NAME, at_once
from tests.tls.test_certificate_service import OTHER, House, ServiceCase

TRIALS = "https://ca.example.test/directory#trials"


@define(eq=False)
class Eye:
    """
    Looks after files, when the test says so.
    """

    files: Callable[[], Iterable[Path]] = tuple
    changed: Callable[[], None] = lambda: None
    stopped: bool = False

    def start(self, files: Callable[[], Iterable[Path]], changed: Callable[[], None]) -> None:
        self.files, self.changed = files, changed

    def stop(self) -> None:
        self.stopped = True


class OnRequestTests(ServiceCase):
    """
    Certificates for whoever asks.
    """

    def setUp(self) -> None:
        super().setUp()
        self.files = RequestFiles(self.root)
        self.eye = Eye()
        self.asked = 0

    def serve(self, house: House, in_thread: Any = at_once) -> RenewalRequests:
        """
        Take requests beside a service.
        """
        clock = self.authority.clock
        trial = OrderRunner(
            lambda: house.settings,
            AcmeTransport(self.authority.http, clock),
            AccountFiles.of(self.root, TRIALS, at_once),
            {"http-01": house.responder},
            clock,
            at_once,
        )
        service = RenewalRequests(
            self.files, lambda: house.settings.domains, house.service, trial.issue, self.eye, clock, in_thread
        )
        service.startService()
        self.addCleanup(lambda: self.successResultOf(service.stopService()) if service.running else None)
        return service

    def ask(self, *names: str, trial: bool = False) -> Request:
        """
        Ask for something.
        """
        self.asked += 1
        now = self.authority.clock.seconds()
        request = Request(id=f"{self.asked:016x}", asked_at=now, names=names or (NAME,), trial=trial)
        self.files.submit(request)
        self.eye.changed()
        return request

    def answer(self, request: Request) -> list[RenewalResult]:
        """
        What came of it, within some minutes.
        """
        let_pass(self.authority, 300.0)
        results = self.files.read_results(request)
        assert results is not None
        return list(results)

    def quiet(self, *names: str) -> House:
        """
        A service with certificates that are not due.
        """
        house = self.start(*names)
        let_pass(self.authority, 60.0)
        self.assertEqual(set(house.served), set(names or (NAME,)))
        return house

    def test_what_is_asked_for_is_ordered_and_served(self) -> None:
        """
        A certificate that is not due is ordered for whoever asks, and served; the answer says until when.
        """
        house = self.quiet()
        self.serve(house)
        before = house.served[NAME]
        let_pass(self.authority, DAY)
        [result] = self.answer(self.ask())
        after = house.served[NAME]
        self.assertNotEqual(after.serial, before.serial)
        self.assertEqual(result, RenewalResult(name=NAME, expires=rfc3339(after.not_after), issuer=after.issuer))

    def test_one_that_was_due_is_not_ordered_twice(self) -> None:
        """
        A certificate that was obtained after it was asked for is what was asked for.
        """
        house = self.start()
        request = self.ask()
        let_pass(self.authority, 60.0)
        self.serve(house)
        self.eye.changed()
        [result] = self.answer(request)
        self.assertEqual(result.problem, "")
        self.assertEqual(self.authority.count("newOrder"), 1)

    def test_why_not(self) -> None:
        """
        The answer says why there is none and what to do; the next name is tried all the same.
        """
        house = self.quiet(NAME, OTHER)
        self.serve(house)
        self.authority.fail("newOrder", problem(403, "rejectedIdentifier"))
        let_pass(self.authority, DAY)
        results = {each.name: each for each in self.answer(self.ask(NAME, "stranger.example.test", OTHER))}
        self.assertIn("correct server.tls.domains", results[NAME].problem)
        self.assertIn("reload its configuration", results["stranger.example.test"].problem)
        self.assertEqual(results[OTHER].problem, "")

    def test_a_trial_changes_nothing(self) -> None:
        """
        A certificate on trial is thrown away: what is served and what is on the disk are as before, and so they are
        when the trial fails.
        """
        house = self.quiet()
        self.serve(house)
        before, kept = house.served[NAME], sorted(self.root.glob("certs/**/*"))
        [result] = self.answer(self.ask(trial=True))
        self.assertEqual((result.problem, bool(result.expires)), ("", True))
        self.authority.fail("newOrder", problem(403, "rejectedIdentifier"))
        [failed] = self.answer(self.ask(trial=True))
        self.assertIn("rejectedIdentifier", failed.problem)
        self.assertIs(house.served[NAME], before)
        self.assertEqual(sorted(self.root.glob("certs/**/*")), kept)
        self.assertEqual(house.service.statuses()[0].failures, 0)

    def test_only_who_orders_takes_a_request(self) -> None:
        """
        A process that only serves leaves the request to the other one, and takes it once it is the one that orders.
        """
        first, second = self.quiet(), self.start()
        let_pass(self.authority, 60.0)
        self.serve(second)
        request = self.ask()
        let_pass(self.authority, 5.0)
        self.assertTrue(self.files.request.exists())
        self.stop(first)
        let_pass(self.authority, 61.0)
        [result] = self.answer(request)
        self.assertEqual(result.problem, "")

    def test_two_who_ask(self) -> None:
        """
        Somebody who asks while another's order is under way comes next.
        """
        house = self.quiet()
        self.serve(house)
        self.authority.fail("newOrder", HANG)
        let_pass(self.authority, DAY)
        one = self.ask()
        two = self.ask(trial=True)
        [failed] = self.answer(one)
        self.assertNotEqual(failed.problem, "")
        [result] = self.answer(two)
        self.assertEqual(result.problem, "")

    def test_what_is_no_request_is_said(self) -> None:
        """
        A file that is no request is logged and removed, and the next request is met.
        """
        house = self.quiet()
        self.serve(house)
        self.files.request.parent.mkdir(parents=True, exist_ok=True)
        self.files.request.write_bytes(b"{")
        with capturedLogs() as logs:
            self.eye.changed()
        self.assertIn("cannot process a renewal request: {reason}", [each["log_format"] for each in logs])
        self.assertFalse(self.files.request.exists())
        self.assertEqual(self.answer(self.ask(trial=True))[0].problem, "")

    def test_a_stop_waits_for_nobody(self) -> None:
        """
        An order for somebody is given up at a stop, without an answer.
        """
        house = self.quiet()
        service = self.serve(house)
        self.authority.fail("newOrder", HANG)
        let_pass(self.authority, DAY)
        request = self.ask(trial=True)
        self.successResultOf(settle(self.authority, service.stopService(), 2.0))
        self.assertTrue(self.eye.stopped)
        self.assertIsNone(self.files.read_results(request))
