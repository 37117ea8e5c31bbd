"""
Requests that arrive in one piece, as EventSub's messages do.

Twisted cuts a head into lines, each by a copy of all that follows, and looks every name up twice. To read it at once
takes a third of the time. What is read here leaves no room for two readings; anything else is Twisted's, to be read or
refused.
"""

from __future__ import annotations

import re

from attrs import frozen
from twisted.web.http_headers import Headers, InvalidHeaderName

__all__ = ["Whole", "read"]

#: Bytes of a head, and lines. Twisted allows more.
_LONGEST = 8 * 1024
_MOST = 100

_LINE = re.compile(rb"POST (/[!-~]*) HTTP/1\.1")
_LENGTH = re.compile(rb"[0-9]{1,9}")

#: What a head may say about its connection or the framing of its body, beside Content-Length.
_ELSEWHERE = frozenset(
    {b"Connection", b"Cookie", b"Expect", b"Keep-Alive", b"TE", b"Trailer", b"Transfer-Encoding", b"Upgrade"}
)

#: Names as they were written, and as Twisted has them. Strangers may invent names, so not all are kept.
_NAMES: dict[bytes, bytes] = {}
_KEPT = 1000


@frozen
class Whole:
    """
    A ``POST`` in HTTP/1.1 whose connection stays.
    """

    path: bytes
    headers: Headers
    body: bytes


def read(data: bytes) -> Whole | None:
    """
    Read a request from all that has arrived.

    :return: ``None`` when this is not one request, no more and no less, or not one of the plain kind.
    """
    head, end, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    line = _LINE.fullmatch(first)
    # Neither a line end that only one of two readers takes for one, nor a byte that no head may have.
    clean = head.count(b"\r") == head.count(b"\n") == len(lines) and b"\x00" not in head
    if line is None or not end or not clean or len(head) > _LONGEST or len(lines) > _MOST:
        return None
    values: dict[bytes, list[bytes]] = {}
    for each in lines:
        written, colon, value = each.partition(b":")
        name = _NAMES.get(written) or _name(written)
        if not colon or name is None or name in _ELSEWHERE:
            return None
        values.setdefault(name, []).append(value.strip(b" \t"))
    lengths = values.get(b"Content-Length", ())
    if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]) or int(lengths[0]) != len(body):
        return None
    headers = Headers()
    # Its own methods would check and write each name again.
    headers._rawHeaders = values  # noqa: SLF001
    return Whole(line[1], headers, body)


def _name(written: bytes) -> bytes | None:
    """
    The name of a header as Twisted has it; ``None`` when it is not one.
    """
    try:
        [(name, _)] = Headers({written: ()}).getAllRawHeaders()
    except InvalidHeaderName:
        return None
    if len(_NAMES) < _KEPT:
        _NAMES[written] = name
    return name
