"""
All open connections of a site: their limits, their shares for each client, and the counts of what was rejected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, ip_address
from math import inf
from operator import attrgetter
from typing import ClassVar, Protocol

import orjson
from attrs import Factory, define, field, frozen
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger
from twisted.web import http

__all__ = ["Connection", "ConnectionCounts", "ConnectionLimits", "ConnectionRegistry", "client_network"]


class Connection(Protocol):
    """
    What the registry needs of a connection.

    :ivar network: see :func:`client_network`.
    """

    network: str

    @property
    def deadline(self) -> float:
        """
        When the connection expires; infinite while a request is processed.
        """

    def abort(self) -> None:
        """
        Drop the connection at once and remove it from the registry.
        """

    def expire(self, now: float) -> None:
        """
        Close the connection if its deadline has passed.
        """


@frozen(kw_only=True)
class ConnectionLimits:
    """
    Limits of a site. Times are seconds, kept to within one.

    :ivar body: bytes of a request's body. EventSub's are under 2 KiB.
    :ivar request: from the first byte of a request, or from connecting, to the last byte.
    :ivar idle: between an answer and the next request.
    :ivar connections: open at once.
    :ivar discarded: bytes that are read and thrown away after a rejection, so that the answer reaches clients that
        send first and read afterwards.
    :ivar streams: open requests per HTTP/2 connection; RFC 9113 recommends 100 or more (section 6.5.2).
    :ivar busy_from: open requests on all HTTP/2 connections from which on each connection has ``busy_streams`` only.
    :ivar busy_streams: open requests per HTTP/2 connection then.
    :ivar buffered: bytes of the heads and bodies of the open requests of one HTTP/2 connection.
    :ivar require_length: whether a POST must say how long its body is; if not, one that says nothing has none (RFC
        9112, section 6.3).
    :ivar evict_idle: whether, when all places are taken, an idle connection of the same client, or of one with no more
        connections, is closed for a new one. Not where many clients come through one proxy, whose idle connections are
        soon used again.
    """

    body: int = 256 * 1024
    request: float = 10.0
    idle: float = 60.0
    connections: int = 1000
    discarded: int = 1024 * 1024
    streams: int = 100
    busy_from: int = 10_000
    busy_streams: int = 8
    buffered: int = 512 * 1024
    require_length: bool = True
    evict_idle: bool = False


@define(eq=False)
class ConnectionCounts:
    """
    How many connections each client network has open.
    """

    _counts: Counter[str] = field(factory=Counter, init=False)

    def add(self, who: str) -> None:
        self._counts[who] += 1

    def remove(self, who: str) -> None:
        self._counts[who] -= 1
        if self._counts[who] <= 0:
            del self._counts[who]

    def largest_holder(self, who: str) -> str | None:
        """
        The network with the most connections, if it has at least two more than ``who``; else ``None``.
        """
        if not self._counts:
            return None
        ((most, count),) = self._counts.most_common(1)
        return most if count > self._counts[who] + 1 else None


@define(eq=False)
class ConnectionRegistry:
    """
    The open connections of a site, and counts of what was rejected.

    :ivar wall: the time of the machine, in seconds since the epoch, for ``Date``.
    :ivar open: the open connections.
    :ivar streams: the open requests on HTTP/2 connections.
    :ivar rejected: connections that were one too many, or were closed for a client with fewer.
    :ivar timed_out: connections dropped because a request took too long to arrive.
    :ivar largest_body: bytes of the largest body announced and rejected since this was last set to 0.
    :ivar refused: requests rejected before routing, by status.
    """

    log: ClassVar[Logger] = Logger()

    limits: ConnectionLimits
    clock: IReactorTime
    wall: Callable[[], float] = field(default=Factory(lambda self: self.clock.seconds, takes_self=True))
    open: set[Connection] = field(init=False, factory=set)
    streams: int = field(init=False, default=0)
    rejected: int = field(init=False, default=0)
    timed_out: int = field(init=False, default=0)
    refused: Counter[int] = field(init=False, factory=Counter)
    largest_body: int = field(init=False, default=0)

    _counts: ConnectionCounts = field(init=False, factory=ConnectionCounts)
    _dated: int = field(init=False, default=-1)
    _header_lines: bytes = field(init=False, default=b"")
    _header_fields: Sequence[tuple[bytes, bytes]] = field(init=False, default=())

    def header_lines(self) -> bytes:
        """
        The headers of every answer, written once a second: ``Server``, without a version, and ``Date``.
        """
        self._date()
        return self._header_lines

    def header_fields(self) -> Sequence[tuple[bytes, bytes]]:
        """
        The same headers for HTTP/2.
        """
        self._date()
        return self._header_fields

    def refuse(self, status: int, size: int = 0) -> bytes:
        """
        Count a rejection.

        :param size: bytes of the body that was too large, as its head says.
        :return: the body of the answer, in JSON.
        """
        self.refused[status] += 1
        self.largest_body = max(self.largest_body, size)
        return orjson.dumps({"status": http.RESPONSES[status].decode("ascii").lower()})

    def add(self, channel: Connection) -> None:
        self.open.add(channel)
        self._counts.add(channel.network)

    def remove(self, channel: Connection) -> None:
        """
        Remove a connection, if it is still there.
        """
        if channel in self.open:
            self.open.discard(channel)
            self._counts.remove(channel.network)

    def admit(self, network: str) -> bool:
        """
        Whether there is room for one more connection.

        When all places are taken, the client with the most loses a waiting one to a client with fewer. Behind a proxy
        all have one address, and the new connection is rejected.

        :param network: see :func:`client_network`.
        """
        if len(self.open) < self.limits.connections:
            return True
        self.rejected += 1
        largest_holder = self._counts.largest_holder(network)
        waiting = [each for each in self.open if each.network == largest_holder and each.deadline < inf]
        if not waiting and self.limits.evict_idle:
            waiting = [each for each in self.open if each.deadline < inf]
        if not waiting:
            return False
        min(waiting, key=attrgetter("deadline")).abort()
        return True

    def _date(self) -> None:
        now = int(self.wall())
        if now != self._dated:
            self._dated = now
            self._header_fields = ((b"server", b"itsjustintv"), (b"date", http.datetimeToString(now)))
            self._header_lines = b"\r\n".join(b"%b: %b" % (name.title(), value) for name, value in self._header_fields)

    def sweep(self) -> None:
        """
        Close every connection whose deadline has passed. One pass a second costs less than a timer for each request.
        """
        now = self.clock.seconds()
        for channel in tuple(self.open):
            try:
                channel.expire(now)
            except Exception:  # noqa: BLE001 - one connection must not keep the sweep from all the others
                self.remove(channel)
                self.log.failure("cannot close an expired connection")


# A client with one IPv6 address has the whole network of this prefix.
_HOST_BITS = 64


def client_network(peer: IAddress | None) -> str:
    """
    The network that a client can be assumed to own: an IPv4 address, or the /64 of an IPv6 address.
    """
    host: str = getattr(peer, "host", "")
    if ":" not in host:
        return host
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    return str(address.ipv4_mapped or IPv6Address(int(address) >> _HOST_BITS << _HOST_BITS))
