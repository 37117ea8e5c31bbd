"""
``certs renew``: has the daemon that uses the folder renew certificates, or orders them itself if there is none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from twisted.internet.task import deferLater
from twisted.web.resource import Resource

from itsjustintv.config.sections import Server
from itsjustintv.config.tls import needs_http
from itsjustintv.errors import CertificateError
from itsjustintv.support.file_thread_pool import FileThreadPool
from itsjustintv.support.file_watch import FileWatch
from itsjustintv.support.files import is_locked
from itsjustintv.support.services import OrderedServices
from itsjustintv.tls.modes import ModeFactory
from itsjustintv.tls.renewal_requests import RenewalResult, Request, RequestFiles
from itsjustintv.tls.service import TLSService
from itsjustintv.tls.settings import challenge_types
from itsjustintv.web.connection_limits import ConnectionLimits
from itsjustintv.web.factories import make_chain
from itsjustintv.web.listener import Listener, tcp
from itsjustintv.web.site import make_site

__all__ = ["RenewNow"]

# Seconds.
_POLL_INTERVAL = 0.2


@define(eq=False)
class RenewNow:
    """
    Submits one request, and waits for the results.

    :ivar server: with the settings of certificates that are ordered.
    :ivar random: returns a number from 0 to 1.
    :ivar report: called with what is going on, in words.
    :ivar timeout: seconds for the request to be taken.
    """

    _server: Server
    _reactor: Any
    _random: Callable[[], float]
    _report: Callable[[str], None]
    _timeout: float = 60.0
    _disk: FileThreadPool = field(init=False)
    _files: RequestFiles = field(init=False)
    _services: OrderedServices | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._disk = FileThreadPool(self._reactor)
        self._files = RequestFiles(self._root)

    @property
    def _root(self) -> Path:
        return Path(self._server.tls.cert_dir)

    async def results(self, request: Request) -> Sequence[RenewalResult]:
        """
        Renew certificates, and return the results.

        :raises CertificateError: the request was not taken, or not finished.
        :raises CannotServe: a port that the authority connects to cannot be bound.
        :raises OSError: the request cannot be written.
        """
        self._require_own_folder()
        self._disk.startService()
        try:
            await self._submit(request)
            try:
                return await self._wait_for_results(request)
            finally:
                self._files.withdraw()
                if self._services is not None:
                    await self._services.stopService()
        finally:
            await self._disk.stopService()

    def _require_own_folder(self) -> None:
        """
        Check that the daemon can read what is written here, and the other way round.
        """
        if self._root.exists() and (owner := self._root.stat().st_uid) != os.geteuid():
            raise CertificateError(
                f"server.tls.cert_dir {self._root} belongs to the user with id {owner}: run this command as that user"
            )

    async def _submit(self, request: Request) -> None:
        try:
            await self._disk.run(self._files.submit, request)
        except FileExistsError:
            raise CertificateError("another renewal request is pending: try again in a minute") from None

    async def _wait_for_results(self, request: Request) -> Sequence[RenewalResult]:
        asked_at = self._reactor.seconds()
        announced = False
        while True:
            # In this order: the daemon may write the results and end at once.
            daemon_orders = self._services is None and bool(await self._disk.run(is_locked, self._root / "lock"))
            results = await self._disk.run(self._files.read_results, request)
            if results is not None:
                return results
            if daemon_orders and not announced:
                announced = True
                self._report("asked the daemon that renews these certificates; waiting for its answer")
            if self._services is None and not daemon_orders:
                if not self._files.request.exists():
                    raise CertificateError("the daemon stopped before it had finished: try again once it runs")
                self._report("no daemon renews these certificates: ordering from this command")
                self._start_ordering(request)
            if self._reactor.seconds() > asked_at + self._timeout and self._files.withdraw():
                raise CertificateError("no daemon has taken the request: is it of this version? See its log")
            await deferLater(self._reactor, _POLL_INTERVAL)

    def _start_ordering(self, request: Request) -> None:
        """
        Start, for these names, the services that the daemon would run.
        """
        server, reactor = self._server, self._reactor
        # A trial must not order what is due.
        tls = evolve(server.tls, domains=() if request.trial else request.names, default_name="")
        if not needs_http(tls):
            # No redirects to a port that is open for a moment only.
            tls = evolve(tls, http_listen="")
        modes = ModeFactory(reactor, self._disk, self._random, lambda: FileWatch(reactor, self._disk.run))
        tls_service = TLSService(tls, modes, reactor)
        self._services = OrderedServices()
        if "tls-alpn-01" in challenge_types(tls):
            site = make_site(Resource(), reactor, ConnectionLimits())
            chain = make_chain(site, tls_service.encrypt, tls_service.offers_http2)
            Listener(lambda: tcp(server.listen_addr, server.port), chain, reactor).setServiceParent(self._services)
        tls_service.setServiceParent(self._services)
        self._services.startService()
