"""
Parses ``Host`` and ``Origin`` (RFC 9110, sections 7.2 and 4.2.3; RFC 6454) strictly: what two programs could read
differently is rejected.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Address, ip_address

from attrs import frozen

__all__ = ["Authority", "authority", "origin"]

# A name, an IPv4 address or an IPv6 literal, then perhaps a port; in ASCII, without percent-encoding or a user name.
_FORM = re.compile(rb"([A-Za-z0-9_.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(rb"(https?)://([^/?#]+)")

_LOOPBACK = IPv4Network("127.0.0.0/8")
_DEFAULTS = {"http": 80, "https": 443}


@frozen
class Authority:
    """
    A host and a port.

    :ivar host: in lower case, a literal of IPv6 without its brackets and in its shortest form.
    :ivar port: ``None`` if it is not given.
    """

    host: str
    port: int | None = None

    @property
    def is_loopback(self) -> bool:
        """
        Whether this can only be this machine: ``localhost``, an address in ``127.0.0.0/8`` written as four numbers, or
        ``::1``. The owner of any other name can make it resolve to such an address (DNS rebinding), and programs differ
        in how they read other spellings of an address.
        """
        if self.host == "localhost":
            return True
        try:
            address = ip_address(self.host)
        except ValueError:
            return False
        return address == IPv6Address("::1") if address.version == 6 else address in _LOOPBACK


def authority(text: bytes) -> Authority | None:
    """
    Parse a host with an optional port; ``None`` when it is not exactly that.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    host, port = found[1].decode("ascii").lower(), None if found[2] is None else int(found[2])
    if port is not None and not 0 < port < 1 << 16:
        return None
    if host.startswith("["):
        try:
            host = str(IPv6Address(host[1:-1]))
        except ValueError:
            return None
    return Authority(host, port)


def origin(text: bytes) -> tuple[Authority, int] | None:
    """
    Parse an origin, or the beginning of a ``Referer``: the host, and the default port of its scheme.

    :return: ``None`` for ``null``, and for what is not a page on the web.
    """
    found = _ORIGIN.match(text)
    who = None if found is None else authority(found[2])
    return None if found is None or who is None else (who, _DEFAULTS[found[1].decode("ascii")])
