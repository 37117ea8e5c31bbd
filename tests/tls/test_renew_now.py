"""
Tests for :mod:`itsjustintv.tls.renew_now`: how it comes to an end. With an authority it is in ``tests/functional``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from itsjustintv.config.sections import TLS, Server
from itsjustintv.errors import CertificateError
from itsjustintv.simulator.loopback import free_port
from itsjustintv.tls.key_folder import FolderLock
from itsjustintv.tls.renew_now import RenewNow
from itsjustintv.tls.renewal_requests import RenewalResult, Request, RequestFiles

NAME = "hooks.example.test"


class RenewalTests(TestCase):
    """
    Asking whoever orders, or doing it here.
    """

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 - trial has installed it by now

        self.reactor = reactor
        self.root = Path(self.mktemp())
        self.files = RequestFiles(self.root)
        self.said: list[str] = []
        self.request = Request(id="0123456789abcdef", asked_at=reactor.seconds(), names=(NAME,))  # type: ignore[attr-defined]
        self.lock = FolderLock(self.root / "lock")
        self.addCleanup(self.lock.release)
        tls = TLS(
            enabled=True,
            domains=(NAME,),
            cert_dir=str(self.root),
            directory=f"https://127.0.0.1:{free_port()}/directory",
            agree_to_terms=True,
            challenge="both",
            http_listen=f"127.0.0.1:{free_port()}",
        )
        self.server = Server(listen_addr="127.0.0.1", port=free_port(), tls=tls)

    def listening(self, events: Sequence[LogEvent]) -> list[str]:
        """
        The lines about a port that was opened.
        """
        return [line for line in map(formatEvent, events) if line.startswith("listening on")]

    async def results(self, patience: float = 60.0) -> Sequence[RenewalResult]:
        """
        Ask.
        """
        asking = RenewNow(self.server, self.reactor, lambda: 0.5, self.said.append, patience)
        return await asking.results(self.request)

    async def taken(self) -> Request:
        """
        Take the request, as a daemon does.
        """
        while (request := self.files.take(self.request.asked_at)) is None:
            await deferLater(self.reactor, 0.01)
        return request

    async def refused(self, patience: float = 60.0) -> str:
        """
        Why nobody did it.
        """
        with self.assertRaises(CertificateError) as caught:
            await self.results(patience)
        self.assertFalse(self.files.request.exists())
        return str(caught.exception)

    async def test_a_daemon_that_orders_is_waited_for(self) -> None:
        """
        The answer is that of the process which holds the lock, which is said to be asked.
        """
        self.lock.acquire()
        waiting = Deferred.fromCoroutine(self.results())
        answer = (RenewalResult(name=NAME, expires="2026-06-01T00:00:00Z", issuer="CN=somebody"),)
        taken = await self.taken()
        while not self.said:
            await deferLater(self.reactor, 0.01)
        self.files.write_results(taken, answer, self.request.asked_at)
        self.assertEqual(await waiting, answer)
        self.assertEqual(len(self.said), 1)
        self.assertIn("asked the daemon", self.said[0])

    async def test_a_daemon_that_ends_is_not_waited_for(self) -> None:
        """
        When the process that took the request ends without an answer, that is the answer.
        """
        self.lock.acquire()
        waiting = Deferred.fromCoroutine(self.refused())
        await self.taken()
        self.lock.release()
        self.assertIn("the daemon stopped before it had finished", await waiting)

    async def test_a_daemon_that_takes_no_request(self) -> None:
        """
        A request that nobody takes is withdrawn after a while.
        """
        self.lock.acquire()
        self.assertIn("no daemon has taken the request", await self.refused(patience=0.0))

    async def test_somebody_else_asks(self) -> None:
        """
        Of two who ask at the same moment one is told to wait, and the other's request stays.
        """
        self.lock.acquire()
        self.files.submit(evolve(self.request, id="f" * 16))
        with self.assertRaises(CertificateError) as caught:
            await self.results()
        self.assertIn("try again in a minute", str(caught.exception))
        self.assertEqual((await self.taken()).id, "f" * 16)

    async def test_another_users_folder(self) -> None:
        """
        Files that the daemon could not read are not made.
        """
        self.root.mkdir()
        self.patch(os, "geteuid", lambda: self.root.stat().st_uid + 1)
        self.assertIn("run this command as that user", await self.refused())

    async def test_only_what_an_authority_comes_to_is_open(self) -> None:
        """
        Nobody is led to https by a process that ends in a moment.
        """
        tls = self.server.tls
        for challenge, places in (
            ("http-01", [tls.http_listen]),
            ("tls-alpn-01", [f"127.0.0.1:{self.server.port}"]),
        ):
            self.server = evolve(self.server, tls=evolve(tls, challenge=challenge))
            with capturedLogs() as logs:
                await self.results()
            self.assertEqual(self.listening(logs), [f"listening on {place}" for place in places])

    async def test_without_a_daemon_the_order_is_made_here(self) -> None:
        """
        Where nobody orders this process does it, and lets go of ports and folder afterwards, also when the authority
        is away; a trial orders nothing that is due.
        """
        for trial, records in ((True, 0), (False, 1)):
            self.request = evolve(self.request, trial=trial, id=f"{trial:016x}")
            [result] = await self.results()
            self.assertIn("127.0.0.1", result.problem)
            self.assertEqual(len(list(self.root.glob("certs/**/*.json"))), records)
            self.assertTrue(self.lock.acquire())
            self.lock.release()
