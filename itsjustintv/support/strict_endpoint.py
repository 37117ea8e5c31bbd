"""
Connections to servers that may misbehave: a response of any size, one that is no HTTP, a connection that never ends.
"""

from __future__ import annotations

from typing import cast

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from itsjustintv.support.response_head import LIMIT, BrokenAnswer, Fault, Head

__all__ = ["StrictEndpoint"]

# Seconds between asking for the end of a connection and making it.
_GRACE = 1.0


@implementer(IStreamClientEndpoint)
@define(eq=False)
class StrictEndpoint:
    """
    Connects as another endpoint does, and checks the connection. One that is to be closed is gone a second later, one
    that sends too much is aborted, and a response whose head cannot be read fails with
    :class:`~itsjustintv.support.response_head.BrokenAnswer`, which names the fault.
    """

    _clock: IReactorTime
    _endpoint: IStreamClientEndpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._endpoint.connect(_StrictFactory(self._clock, protocolFactory)).addCallback(_wrapped)


class _StrictConnection(ProtocolWrapper):
    """
    The connection itself. From the writing of a request to the end of the head of its response, it holds back what it
    receives.
    """

    factory: _StrictFactory
    _aborting: IDelayedCall | None = None
    _received = 0
    _head: Head | None = None
    _over = False
    _reused = False

    def write(self, data: bytes) -> None:
        self._received, self._head = 0, Head()
        super().write(data)

    def writeSequence(self, data: list[bytes]) -> None:
        self._received, self._head = 0, Head()
        super().writeSequence(data)

    def dataReceived(self, data: bytes) -> None:
        """
        Pass on what comes, up to the limit, once the head is complete.
        """
        if self._over:
            return
        if self._head is None:
            self._received += len(data)
            if self._received > LIMIT:
                self.abortConnection()
            else:
                super().dataReceived(data)
            return
        try:
            whole = self._head.feed(data)
        except BrokenAnswer as error:
            self._end(Failure(error))
            self.abortConnection()
        else:
            if whole is not None:
                self._head, self._received, self._reused = None, len(whole), True
                super().dataReceived(whole)

    def abortConnection(self) -> None:
        """
        Close at once. Twisted's client does this when the wait for a response is cancelled; what has come of its head
        may be all that is needed.
        """
        self._reused = False
        if self._head is not None and (broken := self._head.cut()) is not None:
            self._end(Failure(broken))
        cast("ITCPTransport", self.transport).abortConnection()

    def loseConnection(self) -> None:
        """
        Close the connection, and abort it if the peer does not close it in time.
        """
        if self._aborting is None:
            self._aborting = self.factory.clock.callLater(_GRACE, self.abortConnection)
        super().loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._aborting is not None and self._aborting.active():
            self._aborting.cancel()
        if self._head is not None:
            if (broken := self._head.cut()) is not None:
                reason = Failure(broken)
            elif self._reused and self._head.is_empty:
                reason = Failure(BrokenAnswer(Fault.STALE))
        if self._over:
            self.factory.unregisterProtocol(self)
        else:
            super().connectionLost(reason)

    def _end(self, reason: Failure) -> None:
        """
        End the wait for a response before the connection ends.
        """
        if not self._over:
            self._over, self._head = True, None
            self.wrappedProtocol.connectionLost(reason)


def _wrapped(connection: IProtocol) -> IProtocol:
    return cast("_StrictConnection", connection).wrappedProtocol


class _StrictFactory(WrappingFactory[_StrictConnection]):
    protocol = _StrictConnection
    # Two lines of log for each connection say nothing that the delivery's own line does not.
    noisy = False

    def __init__(self, clock: IReactorTime, wrapped: IProtocolFactory) -> None:
        super().__init__(wrapped)
        self.clock = clock
