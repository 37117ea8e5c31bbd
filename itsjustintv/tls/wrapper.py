"""
TLS in front of a factory. A connection of an ACME validator ends with its handshake; every other one goes through.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IReactorTime,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from itsjustintv.tls.sni import ACME_TLS, ContextMap

__all__ = ["wrap_tls"]

# Seconds that a validator has to close its side.
_CLOSE_TIMEOUT = 1.0


def wrap_tls(contexts: ContextMap, factory: IProtocolFactory, clock: IReactorTime) -> IProtocolFactory:
    """
    Put TLS in front of a factory.

    :param clock: schedules what TLS gathers before it writes, and the end of validators' connections.
    """
    return TLSMemoryBIOFactory(contexts, False, _ValidatorFilterFactory(factory, clock), clock)


@implementer(IHandshakeListener)
class _ValidatorFilter(ProtocolWrapper):
    factory: _ValidatorFilterFactory
    _validating = False
    _aborting: IDelayedCall | None = None

    def handshakeCompleted(self) -> None:
        if cast("Any", self.transport).negotiatedProtocol == ACME_TLS:
            self._validating = True
            self.loseConnection()
            # TLS waits for the peer's close before it closes.
            self._aborting = self.factory.clock.callLater(_CLOSE_TIMEOUT, self.abortConnection)
        elif IHandshakeListener.providedBy(self.wrappedProtocol):
            self.wrappedProtocol.handshakeCompleted()

    def dataReceived(self, data: bytes) -> None:
        if not self._validating:
            super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._aborting is not None and self._aborting.active():
            self._aborting.cancel()
        super().connectionLost(reason)


@implementer(IProtocolNegotiationFactory)
class _ValidatorFilterFactory(WrappingFactory[_ValidatorFilter]):
    protocol = _ValidatorFilter
    noisy = False

    def __init__(self, wrapped: IProtocolFactory, clock: IReactorTime) -> None:
        super().__init__(wrapped)
        self.clock = clock

    def acceptableProtocols(self) -> list[bytes]:
        negotiating = IProtocolNegotiationFactory(self.wrappedFactory, None)
        return [] if negotiating is None else list(negotiating.acceptableProtocols())
