"""
What connections in HTTP/1.1 and HTTP/2 have in common.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import inf
from typing import Any

from twisted.internet.interfaces import IAddress, ISSLTransport

from itsjustintv.web.client_address import ClientAddresses
from itsjustintv.web.connection_limits import ConnectionRegistry

__all__ = ["BaseConnection"]


class BaseConnection(ABC):
    """
    One connection of the registry, with a deadline.

    :ivar registry: all connections of the site.
    :ivar client_addresses: finds the client of each request.
    :ivar network: the peer's, for its share of the connections; see
        :func:`~itsjustintv.web.connection_limits.client_network`.
    """

    registry: ConnectionRegistry
    client_addresses: ClientAddresses
    network: str
    # abortConnection is in no interface that TCP and TLS transports share.
    transport: Any
    _expires_at = inf
    _closing = False
    _discarded = 0
    _host: IAddress | None = None
    _peer: IAddress | None = None
    _secure: bool | None = None

    def isSecure(self) -> bool:
        """
        Whether this is TLS. Cached: each request asks, and each answer would be an adaptation.
        """
        if self._secure is None:
            self._secure = ISSLTransport.providedBy(self.transport)
        return self._secure

    def getHost(self) -> IAddress:
        if self._host is None:
            self._host = self.transport.getHost()
        return self._host

    def getPeer(self) -> IAddress:
        """
        The peer. Not to be called before it has sent something: by then a PROXY protocol header has been read.
        """
        if self._peer is None:
            self._peer = self.transport.getPeer()
        return self._peer

    def abort(self) -> None:
        """
        Drop the connection at once.
        """
        self._closing = True
        self.registry.remove(self)
        self.transport.abortConnection()

    @property
    def deadline(self) -> float:
        """
        When the connection expires; infinite while a request is processed.
        """
        return self._expires_at

    @abstractmethod
    def expire(self, now: float) -> None:
        """
        Close the connection if its deadline has passed.
        """

    def _expire_in(self, seconds: float) -> None:
        self._expires_at = self.registry.clock.seconds() + seconds

    def _discard(self, size: int) -> None:
        """
        Count bytes that arrive after the end; too many drop the connection.
        """
        self._discarded += size
        if self._discarded > self.registry.limits.discarded:
            self.transport.abortConnection()
