"""
The EventSub subscriptions of our application, at Twitch (dev.twitch.tv, API reference: "Create", "Get" and "Delete
EventSub Subscription").
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from attrs import define, frozen

from itsjustintv.errors import TwitchRejected, TwitchUnavailable
from itsjustintv.twitch.api.helix import Helix

__all__ = ["TYPE", "VERSION", "AlreadyExists", "Listing", "Subscription", "SubscriptionsAPI", "TooManyAlike"]

#: The only kind of subscription that we create, and touch.
TYPE, VERSION = "stream.online", "1"

_PATH = "/eventsub/subscriptions"

# The share of the rate limit that is left to those who look up what an event is about.
_SPARED = 0.04


@frozen(kw_only=True)
class Subscription:
    """
    One subscription. What Twitch does not tell is empty.

    :ivar status: ``enabled``, or why nothing comes.
    :ivar broadcaster_id: whose events it is about.
    :ivar callback: where they are sent; empty for another transport than a webhook.
    :ivar method: the transport.
    :ivar created_at: RFC 3339 as Twitch wrote it.
    :ivar cost: its share of what all may cost together.
    """

    id: str
    status: str
    type: str
    version: str
    broadcaster_id: str
    callback: str
    method: str
    created_at: str
    cost: int = 0


@frozen(kw_only=True)
class Listing:
    """
    All subscriptions of the application, whoever created them, oldest first.

    :ivar total: how many there are, as Twitch counts; it may be some seconds behind.
    :ivar total_cost: what they cost together.
    :ivar max_total_cost: what they may cost together; 0 when Twitch does not say.
    """

    subscriptions: tuple[Subscription, ...]
    total: int
    total_cost: int
    max_total_cost: int


class AlreadyExists(TwitchRejected):
    """
    There is a subscription of this kind already: look at it, and adopt or replace it.

    :ivar subscription_id: which one, or ``None`` when Twitch does not say.
    """

    def __init__(self, message: str, subscription_id: str | None = None, body: bytes = b"") -> None:
        super().__init__(message, HTTPStatus.CONFLICT, body)
        self.subscription_id = subscription_id


class TooManyAlike(TwitchRejected):
    """
    There are as many subscriptions with this type and condition as there may be: delete one of them. Waiting does not
    help.
    """

    def __init__(self, message: str, body: bytes = b"") -> None:
        super().__init__(message, HTTPStatus.TOO_MANY_REQUESTS, body)


@define(eq=False)
class SubscriptionsAPI:
    """
    Lists, creates and deletes, leaving a few points of the rate limit to those who are in a hurry.

    Every method raises :class:`~itsjustintv.errors.TwitchUnavailable` for what is worth another try, and
    :class:`~itsjustintv.errors.TwitchRejected` for what is not.
    """

    _helix: Helix

    async def list(self, broadcaster_id: str = "") -> Listing:
        """
        Fetch every page.

        :param broadcaster_id: only the subscriptions about this user.
        :raises TwitchUnavailable: a page is missing; half a list is none.
        """
        condition = [("user_id", broadcaster_id)] if broadcaster_id else []
        found: dict[str, Subscription] = {}
        cursor, seen = "", set[str]()
        while True:
            params = [*condition, ("after", cursor)] if cursor else condition
            answer = _Answer(await self._call("GET", params=params), f"GET {_PATH}")
            found.update((each.id, each) for each in answer.subscriptions() if each.id)
            cursor = answer.cursor()
            if not cursor:
                return answer.listing(found)
            if cursor in seen:
                raise TwitchUnavailable(f"GET {_PATH}: the list goes round in circles")
            seen.add(cursor)

    async def create(self, broadcaster_id: str, callback: str, secret: str) -> Subscription:
        """
        Ask for the events of one streamer. The callback is still to be verified when this answers.

        :param secret: what Twitch is to sign its messages with.
        :raises AlreadyExists: there is one with this callback.
        :raises TooManyAlike: there are three, with other callbacks.
        """
        content = {
            "type": TYPE,
            "version": VERSION,
            "condition": {"broadcaster_user_id": broadcaster_id},
            "transport": {"method": "webhook", "callback": callback, "secret": secret},
        }
        try:
            answer = _Answer(await self._call("POST", content=content), f"POST {_PATH}")
        except TwitchRejected as error:
            if error.status == HTTPStatus.CONFLICT:
                raise AlreadyExists(str(error), _existing(error.body), error.body) from None
            # The other 429 is waited out by Helix, and ends as TwitchUnavailable.
            if error.status == HTTPStatus.TOO_MANY_REQUESTS:
                raise TooManyAlike(str(error), error.body) from None
            raise
        for subscription in answer.subscriptions():
            if subscription.id:
                return subscription
        raise TwitchUnavailable(f"POST {_PATH}: the answer does not tell the subscription")

    async def delete(self, subscription_id: str) -> None:
        """
        Make sure that there is no such subscription.
        """
        try:
            await self._call("DELETE", params=[("id", subscription_id)])
        except TwitchRejected as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    async def _call(self, method: str, **more: Any) -> Any:
        return await self._helix.call(method, _PATH, spare=int(self._helix.limit * _SPARED), **more)


@frozen
class _Answer:
    """
    What Twitch tells of subscriptions, read without trust in its types.

    :ivar what: the request, for an error.
    """

    _content: Any
    _what: str

    def subscriptions(self) -> tuple[Subscription, ...]:
        """
        :raises TwitchUnavailable: there is no list of them.
        """
        data = _mapping(self._content).get("data")
        if not isinstance(data, list):
            raise TwitchUnavailable(f"{self._what}: the answer has no data")
        return tuple(_subscription(each) for each in data if isinstance(each, dict))

    def cursor(self) -> str:
        """
        Where the next page begins; empty after the last one.
        """
        return _text(_mapping(_mapping(self._content).get("pagination")), "cursor")

    def listing(self, found: Mapping[str, Subscription]) -> Listing:
        """
        Make a whole of all pages, with the numbers of this one.
        """
        content = _mapping(self._content)
        return Listing(
            subscriptions=tuple(found.values()),
            total=_number(content, "total"),
            total_cost=_number(content, "total_cost"),
            max_total_cost=_number(content, "max_total_cost"),
        )


def _subscription(item: Mapping[str, Any]) -> Subscription:
    transport = _mapping(item.get("transport"))
    return Subscription(
        id=_text(item, "id"),
        status=_text(item, "status"),
        type=_text(item, "type"),
        version=_text(item, "version"),
        broadcaster_id=_text(_mapping(item.get("condition")), "broadcaster_user_id"),
        callback=_text(transport, "callback"),
        method=_text(transport, "method"),
        created_at=_text(item, "created_at"),
        cost=_number(item, "cost"),
    )


def _existing(body: bytes) -> str | None:
    """
    Find out which subscription a 409 is about. The documentation promises its ``id``; older answers have none.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return _text(_mapping(content), "id") or None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(container: Mapping[str, Any], name: str) -> str:
    value = container.get(name)
    return value if isinstance(value, str) else ""


def _number(container: Mapping[str, Any], name: str) -> int:
    value = container.get(name)
    return value if type(value) is int and 0 <= value < 1 << 63 else 0
