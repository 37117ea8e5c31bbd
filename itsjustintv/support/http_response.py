"""
A complete HTTP response, and how its headers and texts are read. Opens no connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import isfinite

import orjson
from attrs import field, frozen
from twisted.web.http_headers import Headers

from itsjustintv.support.foreign_text import visible
from itsjustintv.support.quoted_secrets import QuotedSecrets

__all__ = ["Response", "header_values", "one_line", "retry_after"]

# Characters of Twitch's message that are repeated in ours.
_QUOTED = 200


@frozen
class Response:
    """
    A complete response.

    :ivar hide: secrets in the request, which an error page might quote.
    """

    status: int
    headers: Headers
    body: bytes
    hide: Sequence[str] = field(default=(), repr=False)

    @property
    def message(self) -> str:
        """
        Twitch's message about an error, as one line without secrets; empty when there is none. 5xx may come as HTML.
        """
        try:
            content = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return ""
        message = content.get("message") if isinstance(content, dict) else None
        if not isinstance(message, str):
            return ""
        # More is searched than is shown, so that no secret is cut before it is found. Parts of a secret stay, since
        # Twitch quotes it whole or not at all: "invalid client secret" is readable, whatever words a secret holds.
        hidden = QuotedSecrets((), self.hide).hide(message[: 4 * _QUOTED].encode("utf-8", "replace"))
        return one_line(hidden.decode("utf-8", "replace"))[:_QUOTED]

    def number(self, header: str) -> int | None:
        """
        The value of a header that is a natural number.
        """
        values = self.headers.getRawHeaders(header) or [""]
        return int(values[-1]) if values[-1].isascii() and values[-1].isdecimal() else None


def one_line(text: str) -> str:
    """
    Write a foreign text as one line: white space as one blank, and control and invisible characters as escapes.
    """
    return visible(" ".join(text.split()))


def header_values(headers: Headers, name: bytes) -> Sequence[str]:
    """
    Every value of a header, whatever bytes it holds.
    """
    return [value.decode("latin-1") for value in headers.getRawHeaders(name, [])]


# RFC 9110, 10.2.3 allows whole seconds only, but Discord and others send fractions.
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")

# Longer than any of the three forms of an HTTP-date.
_LONGEST_DATE = 40


def retry_after(values: Iterable[str], now: float) -> float | None:
    """
    Read how long a server asks to wait: the largest of the valid values.

    A value is a number of seconds, fractions included, or an HTTP-date in one of its three forms (RFC 9110, 5.6.7 and
    10.2.3). A date in the past is 0. Anything else, a negative number included, says nothing.

    :param values: every ``Retry-After`` of an answer.
    :param now: seconds since the epoch.
    :return: seconds, finite and not negative, but not otherwise limited; ``None`` when no value is valid.
    """
    return max((seconds for value in values if (seconds := _seconds(value.strip(), now)) is not None), default=None)


def _seconds(value: str, now: float) -> float | None:
    if _SECONDS.fullmatch(value):
        seconds = float(value)
        return seconds if isfinite(seconds) else None
    if len(value) > _LONGEST_DATE:
        return None
    from twisted.web.http import stringToDatetime  # noqa: PLC0415 - loads a whole HTTP server, which few commands need

    try:
        # Twisted's stubs do not say that this is a number.
        moment = float(stringToDatetime(value.encode("ascii")))
    except (ValueError, IndexError, AssertionError):
        return None
    return max(0.0, moment - now)
