"""
All open connections of a site together: what they may cost, and who has to leave.
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
    One of them.

    :ivar caller: as :func:`~itsjustintv.web.connection_limits.client_network` names them.
    """

    caller: str

    @property
    def deadline(self) -> float:
        """
        When its time is up; infinite while a request is answered.
        """

    def cut(self) -> None:
        """
        End it at once, and leave.
        """

    def expire(self, now: float) -> None:
        """
        End it if its time is up.
        """


@frozen(kw_only=True)
class ConnectionLimits:
    """
    What a stranger may cost us. Times are seconds and are kept to within one.

    :ivar body: bytes of a request's body. EventSub's are under 2 KiB.
    :ivar request: from the first byte of a request, or from the opening of the connection, to the last byte.
    :ivar idle: between an answer and the next request.
    :ivar connections: open at once.
    :ivar drained: bytes that are read and thrown away after a refusal, so that it reaches those who send first and
        listen afterwards.
    :ivar streams: requests open at once on one HTTP/2 connection; RFC 9113 recommends 100 or more (section 6.5.2).
    :ivar requests: those on all HTTP/2 connections together from which on each has a few only.
    :ivar crowded: how many are a few.
    :ivar held: bytes of the heads and bodies of those that are open on one HTTP/2 connection.
    :ivar declared: whether a POST must say how long its body is; if not, one that says nothing has none (RFC 9112,
        section 6.3).
    :ivar yielding: whether, when all places are taken, a caller can have that of a connection of his own, or of one who
        holds no more, that waits for a request: its peer has been answered, or has not asked anything yet. Not where
        many call through one proxy, whose idle connections are soon used again.
    """

    body: int = 256 * 1024
    request: float = 10.0
    idle: float = 60.0
    connections: int = 1000
    drained: int = 1024 * 1024
    streams: int = 100
    requests: int = 10_000
    crowded: int = 8
    held: int = 512 * 1024
    declared: bool = True
    yielding: bool = False


@define(eq=False)
class ConnectionCounts:
    """
    Counts.
    """

    _counts: Counter[str] = field(factory=Counter, init=False)

    def add(self, who: str) -> None:
        """
        Count one more.
        """
        self._counts[who] += 1

    def remove(self, who: str) -> None:
        """
        Count one less.
        """
        self._counts[who] -= 1
        if self._counts[who] <= 0:
            del self._counts[who]

    def greediest(self, who: str) -> str | None:
        """
        Tell who should give one up to somebody: the one who holds the most, if that is still no less than the other
        has, afterwards.
        """
        if not self._counts:
            return None
        ((most, count),) = self._counts.most_common(1)
        return most if count > self._counts[who] + 1 else None


@define(eq=False)
class ConnectionRegistry:
    """
    The open connections, and what became of those that broke a limit.

    :ivar wall: the time of the machine, in seconds since the epoch, for ``Date``.
    :ivar open: the connections that are open.
    :ivar streams: the requests that are open on HTTP/2 connections.
    :ivar turned_away: connections that were one too many, or had to give way to somebody who had fewer.
    :ivar slow: connections cut because a request took too long to arrive.
    :ivar largest: bytes of the largest body that was announced and refused, until somebody sets it to 0.
    :ivar refused: requests refused before any resource saw them, by status.
    """

    log: ClassVar[Logger] = Logger()

    limits: ConnectionLimits
    clock: IReactorTime
    wall: Callable[[], float] = field(default=Factory(lambda self: self.clock.seconds, takes_self=True))
    open: set[Connection] = field(init=False, factory=set)
    streams: int = field(init=False, default=0)
    turned_away: int = field(init=False, default=0)
    slow: int = field(init=False, default=0)
    refused: Counter[int] = field(init=False, factory=Counter)
    largest: int = field(init=False, default=0)

    _shares: ConnectionCounts = field(init=False, factory=ConnectionCounts)
    _imprinted_at: int = field(init=False, default=-1)
    _imprint: bytes = field(init=False, default=b"")
    _imprinted: Sequence[tuple[bytes, bytes]] = field(init=False, default=())

    def imprint(self) -> bytes:
        """
        Write the headers that every answer has, once a second: ``Server``, without a version, and ``Date``.
        """
        self._date()
        return self._imprint

    def imprinted(self) -> Sequence[tuple[bytes, bytes]]:
        """
        Name the same headers, as HTTP/2 has them.
        """
        self._date()
        return self._imprinted

    def refuse(self, status: int, size: int = 0) -> bytes:
        """
        Count a refusal.

        :param size: bytes of the body that was too large, as far as its head says.
        :return: the body to refuse with, in JSON.
        """
        self.refused[status] += 1
        self.largest = max(self.largest, size)
        return orjson.dumps({"status": http.RESPONSES[status].decode("ascii").lower()})

    def enter(self, channel: Connection) -> None:
        """
        Take note of a connection.
        """
        self.open.add(channel)
        self._shares.add(channel.caller)

    def leave(self, channel: Connection) -> None:
        """
        Forget a connection, if it is still known.
        """
        if channel in self.open:
            self.open.discard(channel)
            self._shares.remove(channel.caller)

    def admit(self, caller: str) -> bool:
        """
        Tell whether there is room for one more connection. When all places are taken, whoever holds the most of them
        loses one to a caller who holds fewer; behind a proxy all come from one address, and the last comes too late.

        :param caller: as :func:`~itsjustintv.web.connection_limits.client_network` names them.
        """
        if len(self.open) < self.limits.connections:
            return True
        self.turned_away += 1
        greediest = self._shares.greediest(caller)
        waiting = [each for each in self.open if each.caller == greediest and each.deadline < inf]
        if not waiting and self.limits.yielding:
            waiting = [each for each in self.open if each.deadline < inf]
        if not waiting:
            return False
        min(waiting, key=attrgetter("deadline")).cut()
        return True

    def _date(self) -> None:
        now = int(self.wall())
        if now != self._imprinted_at:
            self._imprinted_at = now
            self._imprinted = ((b"server", b"itsjustintv"), (b"date", http.datetimeToString(now)))
            self._imprint = b"\r\n".join(b"%b: %b" % (name.title(), value) for name, value in self._imprinted)

    def sweep(self) -> None:
        """
        End every connection whose time is up.

        One look at all of them each second costs less than a timer for each request.
        """
        now = self.clock.seconds()
        for channel in tuple(self.open):
            try:
                channel.expire(now)
            except Exception:  # noqa: BLE001 - one connection must not keep the sweep from all the others
                self.leave(channel)
                self.log.failure("cannot close an expired connection")


# Whoever has one IPv6 address has all that begin with the same so many bits.
_HOST_BITS = 64


def client_network(peer: IAddress | None) -> str:
    """
    Name whoever is behind an address: an IPv4 address, or the network of an IPv6 address.
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
