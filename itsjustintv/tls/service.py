"""
HTTPS, or plain http, as the configuration has it at the moment.
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
from itsjustintv.config.tls import http_needed, http_place
from itsjustintv.errors import CertificatesUnsafe, CertificateUnusable, ConfigError, Problem
from itsjustintv.tls.acme.challenges import ChallengeResource
from itsjustintv.tls.certificate import CertificateMetrics
from itsjustintv.tls.endpoint import secured
from itsjustintv.tls.modes import Mode, ModeFactory, mode_key
from itsjustintv.web.connection_limits import ConnectionLimits
from itsjustintv.web.factories import AlpnFactory, FactoryWrapper
from itsjustintv.web.listener import Listener, tcp
from itsjustintv.web.site import make_site

__all__ = ["TLSService"]


@define(eq=False)
class TLSService(Service):
    """
    Serves in one way, and in another when the settings ask for it. Connections that are open go on as they began.

    :ivar tls: the settings to begin with.
    :ivar ways: makes the way of serving that settings ask for.
    """

    _tls: TLS
    _ways: ModeFactory
    _reactor: Any
    _way: Mode = field(init=False)
    _door: Listener = field(init=False)
    _entrance: _CurrentFactory | None = field(default=None, init=False)
    _changing: DeferredLock = field(factory=DeferredLock, init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        self._way = self._ways.make(self._tls)
        site = make_site(
            ChallengeResource(self._ways.http_01, lambda: self._tls.domains), self._reactor, ConnectionLimits()
        )
        key = "server.tls.http_listen"
        self._door = Listener(
            lambda: _description(self._tls),
            site,
            self._reactor,
            key,
            (key,),
            lambda: http_needed(self._tls),
            self._do_without,
        )

    # The service

    def privilegedStartService(self) -> None:
        """
        Bind ports and read keys, while the process may still have the privileges for that.

        :raises CannotServe: plain http cannot be listened for where certificates need it.
        :raises CertificateUnusable: the operator's certificate cannot be served.
        :raises CertificatesUnsafe: others can read the keys.
        """
        super().privilegedStartService()
        self._door.privilegedStartService()
        self._way.service.privilegedStartService()

    def startService(self) -> None:
        """
        Begin to serve.

        :raises CannotServe: as :meth:`privilegedStartService`, as are the others.
        :raises CertificateUnusable:
        :raises CertificatesUnsafe:
        """
        super().startService()
        self._door.startService()
        self._way.service.startService()

    def stopService(self) -> Deferred[None]:
        """
        Look after no certificates any more. Handshakes go on with those that are there.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._end())

    async def _end(self) -> None:
        await self._replace(self._way, None)
        await self._door.stopService()

    # What others ask

    def secure(self, factory: IProtocolFactory) -> IProtocolFactory:
        """
        Put before a protocol what each connection is to be served with when it comes. To be called once.
        """
        self._entrance = _CurrentFactory(factory, lambda: self._tls.http2)
        self._open_entrance()
        return self._entrance

    def when_ready(self, name: str) -> Deferred[None]:
        """
        Fires when a name can be served; at once for one that is not ours. Fails with ``CancelledError`` when the
        settings have asked for another way before.
        """
        return self._way.when_ready(name)

    def problem(self) -> str | None:
        """
        Why some name cannot be served, or soon cannot be.
        """
        return self._way.problem()

    def critical(self) -> str | None:
        """
        Why some name cannot be served, or soon cannot be, once there is no time to lose.
        """
        return self._way.critical()

    def figures(self) -> Sequence[CertificateMetrics]:
        """
        What can be counted and measured of each certificate.
        """
        return self._way.figures()

    async def settle(self) -> None:
        """
        After everybody has moved, and given up the ports of before: lead people here, if that was not possible until
        then.
        """
        await self._door.settled()
        self._door.again()

    def refresh(self) -> None:
        """
        Try again what was given up.
        """
        self._way.follow(self._tls)
        self._door.again()

    # Another configuration

    async def prepare(self, tls: TLS) -> Callable[[bool], None]:
        """
        Make ready for other settings, and wait for the decision. Until then everything is served as it was. With the
        same settings, what could be done without is tried again.

        :return: to be called with ``True`` to follow them, with ``False`` to leave everything as it is.
        :raises ConfigError: they cannot be followed; everything stays as it is.
        """
        if not self.running:
            return lambda _: None
        way = self._way
        if mode_key(tls) != way.mode_key:
            try:
                way = await self._ways.ready(tls)
            except (CertificateUnusable, CertificatesUnsafe) as error:
                raise ConfigError((Problem("server.tls", str(error)),)) from None
        move = await self._door.prepare(_description(tls), needed=http_needed(tls))

        def decide(taken: bool) -> None:
            move(taken)
            if taken and self.running and tls != self._tls:
                self._follow(tls, way)

        return decide

    def _follow(self, tls: TLS, way: Mode) -> None:
        old, self._tls, self._way = self._way, tls, way
        if way is old:
            way.follow(tls)
            return
        if way.mode_key[0] == "acme" and way.contexts is not None and old.contexts is not None:
            # Nobody is turned away because an authority takes its time.
            way.contexts.inherit(old.contexts, tls.domains)
        self._open_entrance()
        self.log.info("connections are served in another way from now on: {way}", way=_words(tls))
        Deferred.fromCoroutine(self._replace(old, way)).addErrback(
            lambda failure: self.log.failure("certificates are not looked after; restart the daemon", failure)
        )

    async def _replace(self, old: Mode, new: Mode | None) -> None:
        """
        Stop one way and start another, after whatever else is being replaced: both may want the same folder.
        """
        await self._changing.acquire()
        try:
            if old.service.running:
                await maybeDeferred(old.service.stopService)
            if new is not None and new is self._way and self.running:
                new.service.startService()
        finally:
            self._changing.release()

    def _do_without(self, place: str, reason: str) -> None:
        self.log.warn(
            "cannot listen on {place}: {reason}. https is served all the same, but whoever asks by http:// is not led"
            " there: free that port, let the daemon bind it, or set server.tls.http_listen to another place, or to"
            ' "" for none',
            place=place,
            reason=reason,
        )

    def _open_entrance(self) -> None:
        if self._entrance is not None:
            self._entrance.admit(self._way, self._reactor)


class _CurrentFactory(FactoryWrapper):
    """
    Lets each connection in as it is to be served when it comes.
    """

    def __init__(self, factory: Any, http2: Callable[[], bool]) -> None:
        super().__init__(factory)
        self._current: IProtocolFactory = factory
        self._versions = AlpnFactory(factory, http2)

    def admit(self, way: Mode, reactor: Any) -> None:
        """
        Serve those who come in this way from now on.
        """
        self._current = self._factory if way.contexts is None else secured(way.contexts, self._versions, reactor)

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        """
        Serve one connection.
        """
        return self._current.buildProtocol(addr)


def _description(tls: TLS) -> str:
    """
    Where to listen for plain http beside https, as an endpoint's description; empty for nowhere.
    """
    place = http_place(tls)
    return "" if place is None else tcp(*place)


def _words(tls: TLS) -> str:
    if not tls.enabled:
        return "in plain http"
    return f"with the certificate {tls.cert_file}" if tls.mode == "files" else f"with certificates from {tls.directory}"
