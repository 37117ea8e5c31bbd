"""
What connections have in common, whichever version of HTTP they speak.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import inf
from typing import Any

from twisted.internet.interfaces import IAddress, ISSLTransport

from itsjustintv.web.client_address import Clients
from itsjustintv.web.connection_limits import ConnectionRegistry

__all__ = ["BaseConnection"]


class BaseConnection(ABC):
    """
    One of many connections, with limits to what it may cost.

    :ivar traffic: the connections it is one of.
    :ivar clients: tells whose its requests are.
    :ivar caller: whose connection it is, for a fair share of them.
    """

    traffic: ConnectionRegistry
    clients: Clients
    caller: str
    # What aborts a connection is in no interface that TCP's and TLS's transports share.
    transport: Any
    _until = inf
    _leaving = False
    _drained = 0
    _host: IAddress | None = None
    _peer: IAddress | None = None
    _secure: bool | None = None

    def isSecure(self) -> bool:
        """
        Tell whether this is TLS. Each request asks, and each answer would be an adaptation, or a system call below.
        """
        if self._secure is None:
            self._secure = ISSLTransport.providedBy(self.transport)
        return self._secure

    def getHost(self) -> IAddress:
        """
        Name our end.
        """
        if self._host is None:
            self._host = self.transport.getHost()
        return self._host

    def getPeer(self) -> IAddress:
        """
        Name the other end; not before it has said something, since by then a proxy has introduced it.
        """
        if self._peer is None:
            self._peer = self.transport.getPeer()
        return self._peer

    def cut(self) -> None:
        """
        End the connection at once.
        """
        self._leaving = True
        self.traffic.leave(self)
        self.transport.abortConnection()

    @property
    def deadline(self) -> float:
        """
        When its time is up; infinite while a request is answered.
        """
        return self._until

    @abstractmethod
    def expire(self, now: float) -> None:
        """
        End the connection if its time is up.
        """

    def _grant(self, seconds: float) -> None:
        """
        Move the deadline.
        """
        self._until = self.traffic.clock.seconds() + seconds

    def _drain(self, much: int) -> None:
        """
        Throw away what is sent after the end, up to a limit.
        """
        self._drained += much
        if self._drained > self.traffic.limits.drained:
            self.transport.abortConnection()
