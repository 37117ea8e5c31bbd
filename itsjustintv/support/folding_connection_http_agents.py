"""
Connections that a receiver can neither keep open nor fill against our will.

Twisted's agent closes a connection politely: it waits until everything is written and, with TLS, until the other side
agrees. It also takes as many headers as are sent. A receiver that does neither read nor stop would hold a descriptor,
or memory, for as long as it likes.
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
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from itsjustintv.destinations.response_head import LIMIT, BrokenAnswer, Fault, Head
from itsjustintv.support.http_agents import AnyHostEndpoints

__all__ = ["FirmEndpoint", "FirmEndpoints"]

# Seconds between asking for the end of a connection and making it.
_GRACE = 1.0


@implementer(IAgentEndpointFactory)
@define(eq=False)
class FirmEndpoints:
    """
    Connects an :class:`~twisted.web.client.Agent` to ``http`` and ``https`` as it would itself, but firmly: a
    connection that is to be closed is gone a second later, and one that answers with too much is aborted.

    :ivar reactor: opens the connections.
    :ivar policy: decides which certificates are believed.
    """

    _reactor: IReactorTime
    _policy: IPolicyForHTTPS

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """
        Find the way to a host.

        :raises SchemeNotSupported: when it is neither ``http`` nor ``https``.
        """
        return FirmEndpoint(self._reactor, AnyHostEndpoints(self._reactor, self._policy).endpointForURI(uri))


@implementer(IStreamClientEndpoint)
@define(eq=False)
class FirmEndpoint:
    """
    Connects as another endpoint does, but firmly.
    """

    _clock: IReactorTime
    _endpoint: IStreamClientEndpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Connect, and wrap what was connected.
        """
        return self._endpoint.connect(_FirmFactory(self._clock, protocolFactory)).addCallback(_wrapped)


class _Firm(ProtocolWrapper):
    """
    The connection itself. Between the writing of a request and the end of the head of its answer, what comes is held.
    """

    factory: _FirmFactory
    _aborting: IDelayedCall | None = None
    _received = 0
    _head: Head | None = None
    _over = False
    _reused = False

    def write(self, data: bytes) -> None:
        """
        Begin a request.
        """
        self._received, self._head = 0, Head()
        super().write(data)

    def writeSequence(self, data: list[bytes]) -> None:
        """
        Begin a request.
        """
        self._received, self._head = 0, Head()
        super().writeSequence(data)

    def dataReceived(self, data: bytes) -> None:
        """
        Pass on what comes, within the limit, once the head is whole.
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
        Close at once. Twisted's client does this when the wait for an answer is cancelled; the part that has come may
        be all that is needed.
        """
        self._reused = False
        if self._head is not None and (broken := self._head.cut()) is not None:
            self._end(Failure(broken))
        cast("ITCPTransport", self.transport).abortConnection()

    def loseConnection(self) -> None:
        """
        Close politely, then firmly.
        """
        if self._aborting is None:
            self._aborting = self.factory.clock.callLater(_GRACE, self.abortConnection)
        super().loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        There is nothing left to abort.
        """
        if self._aborting is not None and self._aborting.active():
            self._aborting.cancel()
        if self._head is not None:
            if (broken := self._head.cut()) is not None:
                reason = Failure(broken)
            elif self._reused and self._head.empty:
                reason = Failure(BrokenAnswer(Fault.STALE))
        if self._over:
            self.factory.unregisterProtocol(self)
        else:
            super().connectionLost(reason)

    def _end(self, reason: Failure) -> None:
        """
        Let the wait for an answer end before the connection does.
        """
        if not self._over:
            self._over, self._head = True, None
            self.wrappedProtocol.connectionLost(reason)


def _wrapped(firm: IProtocol) -> IProtocol:
    return cast("_Firm", firm).wrappedProtocol


class _FirmFactory(WrappingFactory[_Firm]):
    protocol = _Firm
    # Two lines of log for each connection say nothing that the delivery's own line does not.
    noisy = False

    def __init__(self, clock: IReactorTime, wrapped: IProtocolFactory) -> None:
        super().__init__(wrapped)
        self.clock = clock
