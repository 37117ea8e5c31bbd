"""
Certificates that somebody wants now: whoever orders them is asked to, which is the daemon if one runs, else ourselves.
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

# Seconds between two looks for an answer.
_EVERY = 0.2


@define(eq=False)
class RenewNow:
    """
    Asks once, and waits for the answer.

    :ivar server: its TLS is that of certificates that are ordered.
    :ivar random: answers with a number from 0 to 1.
    :ivar say: told who does it.
    :ivar patience: seconds for somebody to take the request.
    """

    _server: Server
    _reactor: Any
    _random: Callable[[], float]
    _say: Callable[[str], None]
    _patience: float = 60.0
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
        Have certificates ordered.

        :raises CertificateError: nobody does it.
        :raises CannotServe: a port that the authority would come to cannot be had.
        :raises OSError: there is no way to ask.
        """
        self._require_ours()
        self._disk.startService()
        try:
            await self._ask(request)
            try:
                return await self._answer(request)
            finally:
                self._files.withdraw()
                if self._services is not None:
                    await self._services.stopService()
        finally:
            await self._disk.stopService()

    def _require_ours(self) -> None:
        """
        See that what is written can be read by the daemon, and the other way round.
        """
        if self._root.exists() and (owner := self._root.stat().st_uid) != os.geteuid():
            raise CertificateError(
                f"server.tls.cert_dir {self._root} belongs to the user with id {owner}: run this command as that user"
            )

    async def _ask(self, request: Request) -> None:
        try:
            await self._disk.run(self._files.ask, request)
        except FileExistsError:
            raise CertificateError("another renewal request is pending: try again in a minute") from None

    async def _answer(self, request: Request) -> Sequence[RenewalResult]:
        asked_at = self._reactor.seconds()
        told = False
        while True:
            # In this order: whoever has answered may end at once.
            theirs = self._services is None and bool(await self._disk.run(is_locked, self._root / "lock"))
            results = await self._disk.run(self._files.answered, request)
            if results is not None:
                return results
            if theirs and not told:
                told = True
                self._say("asked the daemon that renews these certificates; waiting for its answer")
            if self._services is None and not theirs:
                if not self._files.request.exists():
                    raise CertificateError("the daemon stopped before it had finished: try again once it runs")
                self._say("no daemon renews these certificates: ordering from this command")
                self._order_here(request)
            if self._reactor.seconds() > asked_at + self._patience and self._files.withdraw():
                raise CertificateError("no daemon has taken the request: is it of this version? See its log")
            await deferLater(self._reactor, _EVERY)

    def _order_here(self, request: Request) -> None:
        """
        Do for these names what the daemon would.
        """
        server, reactor = self._server, self._reactor
        # A trial must not be an occasion to order what is due.
        tls = evolve(server.tls, domains=() if request.trial else request.names, default_name="")
        if not needs_http(tls):
            # Nobody is to be led to what is open for a moment only.
            tls = evolve(tls, http_listen="")
        ways = ModeFactory(reactor, self._disk, self._random, lambda: FileWatch(reactor, self._disk.run))
        https = TLSService(tls, ways, reactor)
        self._services = OrderedServices()
        if "tls-alpn-01" in challenge_types(tls):
            chain = make_chain(make_site(Resource(), reactor, ConnectionLimits()), https.encrypt, https.http2)
            Listener(lambda: tcp(server.listen_addr, server.port), chain, reactor).setServiceParent(self._services)
        https.setServiceParent(self._services)
        self._services.startService()
