"""
How Twitch's API answers, and how it says no.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import orjson
from attrs import frozen
from twisted.web import http
from twisted.web.iweb import IRequest

__all__ = ["Query", "Rejection", "page", "send_json"]

_Item = TypeVar("_Item")


class Rejection(Exception):
    """
    A request that is answered with an error.

    :ivar status: the HTTP status.
    :ivar message: what Twitch says about it.
    :ivar more: what else the answer tells.
    """

    def __init__(self, status: int, message: str, more: Mapping[str, str] = {}) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.more = more


@frozen
class Query:
    """
    The parameters of a request; Twitch repeats one that has several values (dev.twitch.tv, API guide).
    """

    _args: dict[bytes, list[bytes]]

    def all(self, name: str) -> list[str]:
        """
        Every value of a parameter that is not empty, in the order given.
        """
        return [value.decode("utf-8", "replace") for value in self._args.get(name.encode(), []) if value]

    def one(self, name: str, default: str = "") -> str:
        """
        The first value of a parameter.
        """
        return next(iter(self.all(name)), default)

    def first(self) -> int:
        """
        How many items a page may have: 20 unless it is said (dev.twitch.tv, API reference, "Get Streams").

        :raises Rejection: not a number from 1 to 100.
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

    :param after: the cursor that came with the page before; empty for the first one.
    :return: the items, and ``pagination``: empty at the end.
    :raises Rejection: the cursor is none of ours.
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
