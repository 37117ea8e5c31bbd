"""
Listening with TLS.
"""

from __future__ import annotations

from typing import Any, cast

from attrs import define
from twisted.application.service import IService
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IListeningPort,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from itsjustintv.tls.sni import ACME_TLS, ContextMap

__all__ = ["ManagedTLSEndpoint", "secured"]

# Seconds that a validator has to agree to the end of its connection.
_GRACE = 1.0


def secured(contexts: ContextMap, factory: IProtocolFactory, clock: IReactorTime) -> IProtocolFactory:
    """
    Put TLS in front of a protocol, for whatever listens without it.

    :param clock: schedules what TLS gathers to be written, and the end of connections.
    """
    return TLSMemoryBIOFactory(contexts, False, _ParleyFactory(factory, clock), clock)


@implementer(IStreamServerEndpoint)
@define(eq=False)
class ManagedTLSEndpoint:
    """
    Listens with TLS, and looks after the certificates for as long as it does.

    :ivar endpoint: listens without.
    :ivar service: started with the port, unless it runs already, and stopped with it.
    """

    _endpoint: IStreamServerEndpoint
    _contexts: ContextMap
    _service: IService
    _clock: IReactorTime

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Listen.
        """
        listening: Deferred[Any] = self._endpoint.listen(secured(self._contexts, protocolFactory, self._clock))
        return listening.addCallback(self._managed)

    def _managed(self, port: IListeningPort) -> IListeningPort:
        if not getattr(self._service, "running", 0):
            self._service.startService()
        return _ManagedPort(port, self._service)


@implementer(IListeningPort)
@define(eq=False)
class _ManagedPort:
    _port: IListeningPort
    _service: IService

    def startListening(self) -> None:
        """
        Listen again.
        """
        self._port.startListening()

    def stopListening(self) -> Deferred[None]:
        """
        Listen no more, and let the service end.
        """
        stopping = [maybeDeferred(self._port.stopListening), maybeDeferred(self._service.stopService)]
        return gatherResults(stopping, consumeErrors=True).addCallback(lambda _: None)

    def getHost(self) -> IAddress:
        """
        Where it listens.
        """
        return self._port.getHost()


@implementer(IHandshakeListener)
class _Parley(ProtocolWrapper):
    """
    Ends a connection of a validator where the protocol would begin: there is nothing to be said.
    """

    factory: _ParleyFactory
    _validating = False
    _aborting: IDelayedCall | None = None

    def handshakeCompleted(self) -> None:
        """
        See what was agreed upon.
        """
        if cast("Any", self.transport).negotiatedProtocol == ACME_TLS:
            self._validating = True
            self.loseConnection()
            # With TLS, to lose a connection is to wait for the other side.
            self._aborting = self.factory.clock.callLater(_GRACE, self.abortConnection)
        elif IHandshakeListener.providedBy(self.wrappedProtocol):
            self.wrappedProtocol.handshakeCompleted()

    def dataReceived(self, data: bytes) -> None:
        """
        Pass it on, unless a validator says something after all.
        """
        if not self._validating:
            super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        There is nothing left to abort.
        """
        if self._aborting is not None and self._aborting.active():
            self._aborting.cancel()
        super().connectionLost(reason)


@implementer(IProtocolNegotiationFactory)
class _ParleyFactory(WrappingFactory[_Parley]):
    protocol = _Parley
    noisy = False

    def __init__(self, wrapped: IProtocolFactory, clock: IReactorTime) -> None:
        super().__init__(wrapped)
        self.clock = clock

    def acceptableProtocols(self) -> list[bytes]:
        """
        What the wrapped protocol speaks.
        """
        speaking = IProtocolNegotiationFactory(self.wrappedFactory, None)
        return [] if speaking is None else list(speaking.acceptableProtocols())
