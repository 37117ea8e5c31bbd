"""
Who calls: the peer, or, when a proxy that is trusted has passed a request on, whom that proxy names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from attrs import frozen
from twisted.internet import address
from twisted.internet.interfaces import IAddress
from twisted.web.http_headers import Headers

__all__ = ["NO_PROXIES", "Clients"]

_Address = IPv4Address | IPv6Address
_Networks = tuple[IPv4Network | IPv6Network, ...]

# What commas, and in it semicolons, separate unless they are quoted. A quote without an end goes on to the end: to look
# for it again at each place after would take seconds, in which nobody else is served.
_QUOTED = r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)'
_ELEMENT = re.compile(rf'(?:[^,"]|{_QUOTED})+')
_PAIR = re.compile(rf'(?:[^;"]|{_QUOTED})+')


@frozen
class Clients:
    """
    Knows which proxies are believed.

    :ivar trusted: their networks, as ``server.trusted_proxies`` has them at the moment.
    """

    _trusted: Callable[[], tuple[str, ...]] = lambda: ()

    def trusts(self, peer: IAddress) -> bool:
        """
        Whether this is a proxy that is believed.
        """
        host = _address(getattr(peer, "host", ""))
        return host is not None and _is_in(host, _networks(self._trusted()))

    def of(self, peer: IAddress, headers: Headers) -> IAddress:
        """
        Tell who sent a request.

        The nearest proxy writes last, so the list is read from its end for as long as each is trusted; what comes
        before the first stranger is that stranger's claim. A proxy that knows only one of the two headers passes the
        other one on as it came: if both are there and do not agree, neither is believed.

        :param peer: whose connection it came by.
        :param headers: with ``X-Forwarded-For``, or ``Forwarded`` (RFC 7239), or neither.
        """
        if not self.trusts(peer):
            return peer
        networks = _networks(self._trusted())
        found = {
            _first_stranger(nodes, networks)
            for nodes in (
                list(_x_forwarded_for(_values(headers, b"X-Forwarded-For"))),
                list(_forwarded(_values(headers, b"Forwarded"))),
            )
            if nodes
        }
        host = found.pop() if len(found) == 1 else None
        if host is None:
            return peer
        return (address.IPv4Address if host.version == 4 else address.IPv6Address)("TCP", str(host), 0)


#: Believes nobody.
NO_PROXIES = Clients()


def _first_stranger(nodes: Sequence[_Address | None], networks: _Networks) -> _Address | None:
    """
    Find the first from the end that is no trusted proxy; without one, the farthest proxy. Nobody comes before one that
    cannot be read.
    """
    farthest: _Address | None = None
    for node in reversed(nodes):
        if node is None:
            break
        farthest = node
        if not _is_in(node, networks):
            break
    return farthest


def _values(headers: Headers, name: bytes) -> Iterator[str]:
    yield from (value.decode("latin-1") for value in headers.getRawHeaders(name, []))


def _x_forwarded_for(values: Iterable[str]) -> Iterator[_Address | None]:
    for value in values:
        yield from (_node(each) for each in value.split(","))


def _forwarded(values: Iterable[str]) -> Iterator[_Address | None]:
    for value in values:
        for element in _ELEMENT.findall(value):
            pairs = (each.partition("=") for each in _PAIR.findall(element))
            named = [node for name, _, node in pairs if name.strip().lower() == "for"]
            yield _node(named[0].strip().strip('"')) if len(named) == 1 and named[0].count('"') != 1 else None


def _node(text: str) -> _Address | None:
    """
    Read ``192.0.2.1``, ``192.0.2.1:4711``, ``2001:db8::1``, ``[2001:db8::1]`` or ``[2001:db8::1]:4711``.
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return _address(text)


def _address(text: str) -> _Address | None:
    try:
        host = ip_address(text)
    except ValueError:
        return None
    # A socket that listens on both kinds shows IPv4 like this.
    mapped = host.ipv4_mapped if isinstance(host, IPv6Address) else None
    return host if mapped is None else mapped


@lru_cache(maxsize=2)
def _networks(texts: tuple[str, ...]) -> _Networks:
    return tuple(ip_network(text) for text in texts)


def _is_in(host: _Address, networks: _Networks) -> bool:
    return any(host in network for network in networks)
