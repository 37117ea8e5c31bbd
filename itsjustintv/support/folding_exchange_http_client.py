"""
One HTTP request to Twitch, bounded in time and size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from attrs import field, frozen
from treq.client import HTTPClient
from twisted.internet.interfaces import IReactorTime
from twisted.web.http_headers import Headers

from itsjustintv import __version__
from itsjustintv.errors import TwitchError, TwitchUnavailable
from itsjustintv.support.http_client import bounded, one_line, read_body
from itsjustintv.support.http_url import request_url
from itsjustintv.support.quoted_secrets import QuotedSecrets

__all__ = ["Answer", "exchange", "unavailable"]

# As much of Twitch's own words is repeated in ours, in characters.
_QUOTED = 200


@frozen
class Answer:
    """
    A whole answer.

    :ivar hide: secrets that the request held, and that an error page might quote.
    """

    status: int
    headers: Headers
    body: bytes
    hide: Sequence[str] = field(default=(), repr=False)

    @property
    def message(self) -> str:
        """
        What Twitch says about an error, as one line without secrets; empty when it says nothing. 5xx may come as HTML.
        """
        try:
            content = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return ""
        message = content.get("message") if isinstance(content, dict) else None
        if not isinstance(message, str):
            return ""
        # More is looked at than is shown, so that nothing is cut before it is found. Pieces of a secret are left, since
        # Twitch quotes it whole or not at all: "invalid client secret" is readable, whatever words a secret holds.
        hidden = QuotedSecrets((), self.hide).hide(message[: 4 * _QUOTED].encode("utf-8", "replace"))
        return one_line(hidden.decode("utf-8", "replace"))[:_QUOTED]

    def number(self, header: str) -> int | None:
        """
        Read a header that is a whole number, not negative.
        """
        values = self.headers.getRawHeaders(header) or [""]
        return int(values[-1]) if values[-1].isascii() and values[-1].isdecimal() else None


async def exchange(
    http: HTTPClient,
    clock: IReactorTime,
    method: str,
    url: str,
    *,
    what: str,
    timeout: float,
    limit: int,
    headers: Mapping[str, str] = {},
    params: Sequence[tuple[str, str]] = (),
    data: Any = None,
    hide: Sequence[str] = (),
) -> Answer:
    """
    Ask and read the answer. Redirects are not followed.

    :param what: how an error names the request.
    :param timeout: seconds from the look-up of the name to the last byte.
    :param limit: bytes of the answer's body at the most, once unpacked.
    :param hide: secrets in the request, which the answer must not tell.
    :raises TwitchUnavailable: when there is no whole answer.
    """

    async def whole() -> Answer:
        response = await http.request(
            method,
            request_url(url),
            headers=Headers(
                {"User-Agent": [f"itsjustintv/{__version__}"], **{name: [value] for name, value in headers.items()}}
            ),
            params=list(params),
            data=data,
            allow_redirects=False,
            unbuffered=True,
            reactor=clock,  # type: ignore[arg-type]  # only its time is used
        )
        return Answer(response.code, response.headers, await read_body(response, limit), hide)

    return await bounded(whole(), clock, timeout, TwitchError, unavailable(what))


def unavailable(what: str) -> Callable[[str], TwitchUnavailable]:
    """
    Name errors after a request.
    """
    return lambda reason: TwitchUnavailable(f"{what}: {reason}")
