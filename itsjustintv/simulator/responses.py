"""
Answers of the simulated APIs: JSON, errors, pages, and the rate limit.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, TypeVar

import orjson
from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.web import http
from twisted.web.iweb import IRequest

__all__ = ["Bucket", "Query", "Rejection", "page", "send_json"]

_Item = TypeVar("_Item")


class Rejection(Exception):
    """
    A request that is answered with an error.

    :ivar status: the HTTP status.
    :ivar message: Twitch's text.
    :ivar more: further fields of the answer.
    """

    def __init__(self, status: int, message: str, more: Mapping[str, str] = {}) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.more = more


@frozen
class Query:
    """
    The parameters of a request; one with several values is repeated (dev.twitch.tv, API guide).
    """

    _args: dict[bytes, list[bytes]]

    def all(self, name: str) -> list[str]:
        """
        The values of a parameter that are not empty, in the order given.
        """
        return [value.decode("utf-8", "replace") for value in self._args.get(name.encode(), []) if value]

    def one(self, name: str, default: str = "") -> str:
        """
        The first value of a parameter.
        """
        return next(iter(self.all(name)), default)

    def first(self) -> int:
        """
        The size of a page: 20 unless it is given (dev.twitch.tv, API reference, "Get Streams").

        :raises Rejection: it is not a number from 1 to 100.
        """
        text = self.one("first", "20")
        if not text.isdecimal() or not 1 <= int(text) <= 100:
            raise Rejection(
                http.BAD_REQUEST, 'The parameter "first" was malformed: the value must be between 1 and 100'
            )
        return int(text)


def page(items: Sequence[_Item], size: int, after: str) -> tuple[Sequence[_Item], dict[str, str]]:
    """
    Cut one page out of a list (dev.twitch.tv, API guide, "Pagination").

    :param after: the cursor of the previous page; empty for the first page.
    :return: the items, and ``pagination``: empty on the last page.
    :raises Rejection: the cursor is invalid.
    """
    try:
        start = int(urlsafe_b64decode(after)) if after else 0
    except ValueError:
        raise Rejection(http.BAD_REQUEST, "The cursor specified is invalid.") from None
    end = start + size
    return items[start:end], {"cursor": urlsafe_b64encode(b"%d" % end).decode()} if end < len(items) else {}


def send_json(request: IRequest, status: int, body: Any) -> bytes:
    """
    Set status and type of an answer.

    :return: its body.
    """
    request.setResponseCode(status)
    request.setHeader("content-type", "application/json; charset=utf-8")
    return orjson.dumps(body)


@define(eq=False)
class Bucket:
    """
    A bucket of points that refills steadily and is full again after a minute (dev.twitch.tv, API guide, "Rate limits").

    :ivar limit: points it holds.
    :ivar taken: points taken so far.
    :ivar refused: requests that came when there was no point left.
    """

    _clock: IReactorTime
    limit: int = 800
    taken: int = field(default=0, init=False)
    refused: int = field(default=0, init=False)
    _points: float = field(init=False)
    _since: float = field(init=False)

    @_points.default
    def _full(self) -> float:
        return float(self.limit)

    @_since.default
    def _now(self) -> float:
        return self._clock.seconds()

    def take(self) -> bool:
        """
        Take one point, if one is left.
        """
        self._refill()
        if self._points < 1:
            self.refused += 1
            return False
        self._points -= 1
        self.taken += 1
        return True

    def empty(self, left: float = 0.0) -> None:
        """
        Take all points but some, as another program with the same client id would.
        """
        self._refill()
        self._points = min(left, self._points)

    def headers(self) -> dict[str, str]:
        """
        The headers of every Helix answer; ``Ratelimit-Reset`` is the second at which the bucket will be full.
        """
        self._refill()
        missing = self.limit - self._points
        return {
            "Ratelimit-Limit": str(self.limit),
            "Ratelimit-Remaining": str(int(self._points)),
            "Ratelimit-Reset": str(ceil(self._since + missing * 60 / self.limit)),
        }

    def _refill(self) -> None:
        now = self._clock.seconds()
        self._points = min(float(self.limit), self._points + (now - self._since) * self.limit / 60)
        self._since = now
