"""
What a URL becomes on the wire: the address to connect to, the server's name, and the request target.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

from attrs import frozen

__all__ = ["HttpUrl", "after_host"]

_DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 3986, appendix B, for URLs that have an authority.
_PARTS = re.compile(r"(?s)(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]*))?")

_AFTER_HOST = re.compile("[/?#]")

# What may stand in a path and in a query (RFC 3986, sections 3.3 and 3.4); "%" since what is encoded stays so.
_PATH = "/:@!$&'()*+,;=-._~%"
_QUERY = _PATH + "?"


@frozen
class HttpUrl:
    """
    An ``http`` or ``https`` URL in the parts that a client needs.

    :ivar host: a name or an address in lower case, without the brackets of IPv6.
    :ivar target: the request target in origin form (RFC 9112, section 3.2.1): a path, never empty, and the query. Dot
        segments are removed (RFC 3986, section 5.2.4), and what may not stand there is percent-encoded; what is encoded
        already, and empty segments, stay.
    """

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, text: str) -> HttpUrl:
        """
        Parse a URL. A fragment is never sent, and is left out.

        :raises ValueError: it is neither ``http`` nor ``https``, has no host, has a user name, or an invalid port.
        """
        found = _PARTS.fullmatch(text)
        authority = _AUTHORITY.fullmatch(found[2]) if found else None
        if found is None or authority is None or not authority[1] or "@" in authority[1] or not text.isascii():
            raise ValueError("not an http or https URL")
        scheme = found[1].lower()
        port = int(authority[2] or _DEFAULT_PORTS[scheme])
        if not 1 <= port <= 65535:
            raise ValueError("the port must be from 1 to 65535")
        query = quote(found[4] or "", safe=_QUERY)
        return cls(scheme, authority[1].strip("[]").lower(), port, (_path(found[3]) or "/") + query)

    @property
    def authority(self) -> str:
        """
        The host, with the port unless it is the scheme's own: what the header ``Host`` says (RFC 9110, section 7.2).
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def server_name(self) -> str:
        """
        The host as TLS names it: without the dot at the end (RFC 6066, section 3).
        """
        return self.host.removesuffix(".")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def after_host(url: str) -> str:
    """
    What follows the host of a URL as it is written, with the ``/`` or ``?`` that it begins with; empty for nothing.
    """
    _, scheme, rest = url.partition("://")
    rest = rest if scheme else url
    found = _AFTER_HOST.search(rest)
    return rest[found.start() :] if found else ""


def _path(text: str) -> str:
    return "".join(_without_dots(quote(text, safe=_PATH)))


def _without_dots(path: str) -> Iterator[str]:
    kept: list[str] = []
    segments = path.split("/")[1:]
    for number, segment in enumerate(segments, 1):
        if segment not in (".", ".."):
            kept.append(segment)
            continue
        if segment == ".." and kept:
            kept.pop()
        if number == len(segments):
            kept.append("")
    for each in kept:
        yield f"/{each}"
