"""
HTTPS as ``[server.tls]`` says: runs the current mode, changes to another one at a reload, and listens on port 80.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory
from twisted.logger import Logger

from itsjustintv.config.sections import TLS
from itsjustintv.config.tls import http_address, needs_http
from itsjustintv.errors import CertificatesUnsafe, CertificateUnusable, ConfigError, Problem
from itsjustintv.tls.acme.challenges import ChallengeResource
from itsjustintv.tls.certificate import CertificateMetrics
from itsjustintv.tls.modes import Mode, ModeFactory, mode_key
from itsjustintv.tls.wrapper import wrap_tls
from itsjustintv.web.connection_limits import ConnectionLimits
from itsjustintv.web.factories import FactoryWrapper
from itsjustintv.web.listener import Listener, tcp
from itsjustintv.web.site import make_site

__all__ = ["TLSService"]


@define(eq=False)
class TLSService(Service):
    """
    Runs one mode, and another one when the settings ask for it. Open connections stay as they are.

    :ivar tls: the settings to start with.
    :ivar modes: makes the mode that settings ask for.
    """

    _tls: TLS
    _modes: ModeFactory
    _reactor: Any
    _mode: Mode = field(init=False)
    _http_listener: Listener = field(init=False)
    _factory: _CurrentFactory | None = field(default=None, init=False)
    _switching: DeferredLock = field(factory=DeferredLock, init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        self._mode = self._modes.make(self._tls)
        site = make_site(
            ChallengeResource(self._modes.http_01, lambda: self._tls.domains), self._reactor, ConnectionLimits()
        )
        key = "server.tls.http_listen"
        self._http_listener = Listener(
            lambda: _http_description(self._tls),
            site,
            self._reactor,
            key,
            (key,),
            lambda: needs_http(self._tls),
            self._warn_no_redirect,
        )

    def privilegedStartService(self) -> None:
        """
        Bind port 80 and read keys while the process may still have the privileges for that.

        :raises CannotServe: port 80 cannot be bound and certificates depend on it.
        :raises CertificateUnusable: the operator's certificate cannot be served.
        :raises CertificatesUnsafe: others can read the keys.
        """
        super().privilegedStartService()
        self._http_listener.privilegedStartService()
        self._mode.service.privilegedStartService()

    def startService(self) -> None:
        """
        Start the mode; raises as :meth:`privilegedStartService` does.
        """
        super().startService()
        self._http_listener.startService()
        self._mode.service.startService()

    def stopService(self) -> Deferred[None]:
        """
        Stop renewing certificates. Handshakes go on with those that are loaded.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self._switch(self._mode, None)
        await self._http_listener.stopService()

    def encrypt(self, plain: IProtocolFactory, encrypted: IProtocolFactory) -> IProtocolFactory:
        """
        Build the factory that serves each connection in the mode of the moment. To be called once; see
        :func:`~itsjustintv.web.factories.make_chain`.

        :param normalise: for connections in plain HTTP.
        :param encrypted: for what comes out of TLS.
        """
        self._factory = _CurrentFactory(plain, encrypted)
        self._factory.use(self._mode, self._reactor)
        return self._factory

    def offers_http2(self) -> bool:
        """
        Whether HTTP/2 is to be offered.
        """
        return self._tls.http2

    def when_ready(self, name: str) -> Deferred[None]:
        """
        Fires when a name can be served; at once for a name that is not configured. Fails with ``CancelledError`` when
        the mode changes before.
        """
        return self._mode.when_ready(name)

    def problem(self) -> str | None:
        """
        Why some name cannot be served, or soon cannot be.
        """
        return self._mode.problem()

    def critical(self) -> str | None:
        """
        As :meth:`problem`, but only once there is no time to lose.
        """
        return self._mode.critical()

    def metrics(self) -> Sequence[CertificateMetrics]:
        """
        What is counted and measured of each certificate.
        """
        return self._mode.metrics()

    async def settle(self) -> None:
        """
        After a reload, when all ports that were given up are free: bind port 80 if that was not possible before.
        """
        await self._http_listener.settled()
        self._http_listener.retry()

    def refresh(self) -> None:
        """
        Try again what failed and was not needed, without new settings.
        """
        self._mode.follow(self._tls)
        self._http_listener.retry()

    async def prepare(self, tls: TLS) -> Callable[[bool], None]:
        """
        Prepare for other settings. Until the decision everything is served as before.

        :return: to be called with ``True`` to follow the settings, with ``False`` to keep the old ones.
        :raises ConfigError: they cannot be followed; the old ones stay.
        """
        if not self.running:
            return lambda _: None
        mode = self._mode
        if mode_key(tls) != mode.mode_key:
            try:
                mode = await self._modes.prepare(tls)
            except (CertificateUnusable, CertificatesUnsafe) as error:
                raise ConfigError((Problem("server.tls", str(error)),)) from None
        move = await self._http_listener.prepare(_http_description(tls), needed=needs_http(tls))

        def decide(taken: bool) -> None:
            move(taken)
            if taken and self.running and tls != self._tls:
                self._follow(tls, mode)

        return decide

    def _follow(self, tls: TLS, mode: Mode) -> None:
        old, self._tls, self._mode = self._mode, tls, mode
        if mode is old:
            mode.follow(tls)
            return
        if mode.mode_key[0] == "acme" and mode.contexts is not None and old.contexts is not None:
            # An authority may take its time: until then the old certificates are served.
            mode.contexts.inherit(old.contexts, tls.domains)
        if self._factory is not None:
            self._factory.use(mode, self._reactor)
        self.log.info("TLS mode changed to {mode}", mode=_description(tls))
        Deferred.fromCoroutine(self._switch(old, mode)).addErrback(
            lambda failure: self.log.failure("cannot start the new TLS mode; restart the daemon", failure)
        )

    async def _switch(self, old: Mode, new: Mode | None) -> None:
        """
        Stop one mode, then start another: both may use the same folder. One switch at a time.
        """
        await self._switching.acquire()
        try:
            if old.service.running:
                await maybeDeferred(old.service.stopService)
            if new is not None and new is self._mode and self.running:
                new.service.startService()
        finally:
            self._switching.release()

    def _warn_no_redirect(self, place: str, reason: str) -> None:
        self.log.warn(
            "cannot listen on {place}: {reason}; HTTPS is up, plain-HTTP requests on {place} are not redirected: free"
            " the port, let the daemon bind it, or set server.tls.http_listen to another place, or to"
            ' "" for none',
            place=place,
            reason=reason,
        )


class _CurrentFactory(FactoryWrapper):
    """
    Serves each connection in the mode that is current when it comes.
    """

    def __init__(self, plain: Any, encrypted: IProtocolFactory) -> None:
        super().__init__(plain)
        self._encrypted = encrypted
        self._current: IProtocolFactory = plain

    def use(self, mode: Mode, reactor: Any) -> None:
        self._current = self._factory if mode.contexts is None else wrap_tls(mode.contexts, self._encrypted, reactor)

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        return self._current.buildProtocol(addr)


def _http_description(tls: TLS) -> str:
    """
    Describe where to listen for plain HTTP, as an endpoint; empty for nowhere.
    """
    place = http_address(tls)
    return "" if place is None else tcp(*place)


def _description(tls: TLS) -> str:
    if not tls.enabled:
        return "plain HTTP"
    return f"the certificate file {tls.cert_file}" if tls.mode == "files" else f"certificates from {tls.directory}"
