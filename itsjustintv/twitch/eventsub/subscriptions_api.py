"""
Helix's requests about EventSub subscriptions (dev.twitch.tv, API reference: "Create", "Get" and "Delete EventSub
Subscription"). Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

import orjson
from attrs import define, frozen

from itsjustintv.errors import TwitchRejected, TwitchUnavailable
from itsjustintv.twitch.api.helix import Helix
from itsjustintv.twitch.eventsub.event_types import EVENT_TYPES, Topic, broadcaster_in
from itsjustintv.twitch.eventsub.transport import (
    TRANSPORTS,
    ConduitTransport,
    Transport,
    WebhookTransport,
    listed_transport,
)
from itsjustintv.twitch.json_fields import JSONFields

__all__ = ["AlreadyExists", "Listing", "Subscription", "SubscriptionsAPI", "TooManyAlike"]

_PATH = "/eventsub/subscriptions"

# The share of the rate limit that is left for look-ups about events.
_RESERVE = 0.04


@frozen(kw_only=True)
class Subscription:
    """
    One subscription. What Twitch does not say is empty.

    :ivar status: ``enabled``, or why nothing arrives.
    :ivar broadcaster_id: whose events it is for.
    :ivar transport: where they are sent.
    :ivar created_at: RFC 3339 as Twitch wrote it.
    :ivar cost: its share of the limit for all subscriptions together.
    """

    id: str
    status: str
    type: str
    version: str
    broadcaster_id: str
    transport: Transport
    created_at: str
    cost: int = 0

    @property
    def topic(self) -> Topic | None:
        """
        What it is for; ``None`` when the daemon does not subscribe to this type and version, or not by this kind of
        transport.
        """
        event_type = EVENT_TYPES.get(self.type)
        if event_type is None or event_type.version != self.version or self.transport.method not in TRANSPORTS:
            return None
        return Topic(event_type, self.broadcaster_id)

    def age(self, now: float) -> float:
        """
        Seconds since it was created; very many when Twitch does not say.

        :param now: seconds since the epoch.
        """
        try:
            return now - datetime.fromisoformat(self.created_at).timestamp()
        except (ValueError, OverflowError):
            return now

    def public(self) -> Mapping[str, object]:
        """
        Everything about it as JSON, without a secret.
        """
        return {
            "id": self.id,
            "status": self.status,
            "type": self.type,
            "version": self.version,
            "broadcaster_id": self.broadcaster_id,
            "callback": self.transport.callback if isinstance(self.transport, WebhookTransport) else "",
            "conduit_id": self.transport.conduit_id if isinstance(self.transport, ConduitTransport) else "",
            "method": self.transport.method,
            "created_at": self.created_at,
            "cost": self.cost,
        }


@frozen(kw_only=True)
class Listing:
    """
    All subscriptions of the application, whichever program created them, oldest first.

    :ivar total: Twitch's count; it may be some seconds behind.
    :ivar total_cost: their cost together.
    :ivar max_total_cost: Twitch's limit for it; 0 when Twitch does not say.
    """

    subscriptions: tuple[Subscription, ...]
    total: int
    total_cost: int
    max_total_cost: int


class AlreadyExists(TwitchRejected):
    """
    A subscription with this topic and transport exists: adopt or replace it.

    :ivar subscription_id: its id, or ``None`` when Twitch does not say.
    """

    def __init__(self, message: str, subscription_id: str | None = None, body: bytes = b"") -> None:
        super().__init__(message, HTTPStatus.CONFLICT, body)
        self.subscription_id = subscription_id


class TooManyAlike(TwitchRejected):
    """
    There are as many subscriptions with this topic as Twitch allows: one must be deleted. Waiting does not help.
    """

    def __init__(self, message: str, body: bytes = b"") -> None:
        super().__init__(message, HTTPStatus.TOO_MANY_REQUESTS, body)


@define(eq=False)
class SubscriptionsAPI:
    """
    Lists, creates and deletes, leaving a few points of the rate limit for urgent requests.

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
            page = _Page(JSONFields.of(await self._call("GET", params=params)), f"GET {_PATH}")
            found.update((each.id, each) for each in page.subscriptions() if each.id)
            cursor = page.cursor()
            if not cursor:
                return page.listing(found.values())
            if cursor in seen:
                raise TwitchUnavailable(f"GET {_PATH}: the list of pages does not end")
            seen.add(cursor)

    async def create(self, topic: Topic, transport: Transport) -> Subscription:
        """
        Create a subscription. A webhook's callback is still to be verified when this answers.

        :raises AlreadyExists: there is one with this transport.
        :raises TooManyAlike: there are three, with other transports.
        """
        content = {
            "type": topic.event_type.name,
            "version": topic.event_type.version,
            "condition": topic.event_type.condition(topic.broadcaster_id),
            "transport": transport.to_helix(),
        }
        try:
            page = _Page(JSONFields.of(await self._call("POST", content=content)), f"POST {_PATH}")
        except TwitchRejected as error:
            if error.status == HTTPStatus.CONFLICT:
                raise AlreadyExists(str(error), _existing(error.body), error.body) from None
            # The other 429 is waited out by Helix, and ends as TwitchUnavailable.
            if error.status == HTTPStatus.TOO_MANY_REQUESTS:
                raise TooManyAlike(str(error), error.body) from None
            raise
        for subscription in page.subscriptions():
            if subscription.id:
                return subscription
        raise TwitchUnavailable(f"POST {_PATH}: the answer has no subscription")

    async def delete(self, subscription_id: str) -> None:
        """
        Delete a subscription; one that does not exist is no error.
        """
        try:
            await self._call("DELETE", params=[("id", subscription_id)])
        except TwitchRejected as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    async def _call(self, method: str, **more: Any) -> Any:
        return await self._helix.call(method, _PATH, spare=int(self._helix.limit * _RESERVE), **more)


@frozen
class _Page:
    """
    An answer of Helix about subscriptions.

    :ivar what: the request, for an error.
    """

    _content: JSONFields
    _what: str

    def subscriptions(self) -> tuple[Subscription, ...]:
        """
        :raises TwitchUnavailable: there is no list of them.
        """
        data = self._content.value("data")
        if not isinstance(data, list):
            raise TwitchUnavailable(f"{self._what}: the answer has no data")
        return tuple(_subscription(JSONFields(each)) for each in data if isinstance(each, dict))

    def cursor(self) -> str:
        """
        Where the next page begins; empty after the last one.
        """
        return self._content.object("pagination").text("cursor")

    def listing(self, found: Iterable[Subscription]) -> Listing:
        """
        Make a listing of the subscriptions of all pages, with the numbers of this one.
        """
        return Listing(
            subscriptions=tuple(found),
            total=self._content.count("total") or 0,
            total_cost=self._content.count("total_cost") or 0,
            max_total_cost=self._content.count("max_total_cost") or 0,
        )


def _subscription(item: JSONFields) -> Subscription:
    name = item.text("type")
    return Subscription(
        id=item.text("id"),
        status=item.text("status"),
        type=name,
        version=item.text("version"),
        broadcaster_id=broadcaster_in(item.object("condition"), name),
        transport=listed_transport(item.object("transport")),
        created_at=item.text("created_at"),
        cost=item.count("cost") or 0,
    )


def _existing(body: bytes) -> str | None:
    """
    Read which subscription a 409 is about. The documentation promises its ``id``; older answers have none.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return JSONFields.of(content).text("id") or None
