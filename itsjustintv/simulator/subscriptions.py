"""
The EventSub subscriptions of one application, as the Subscriptions API keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from random import Random
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.web import http

from itsjustintv.simulator.answers import Query, Rejection, page
from itsjustintv.simulator.world import World, rfc3339

__all__ = ["FAILURES_EXCEEDED", "Subscription", "Subscriptions", "loopback_too", "only_https"]

PENDING = "webhook_callback_verification_pending"
FAILED = "webhook_callback_verification_failed"
FAILURES_EXCEEDED = "notification_failures_exceeded"
ENABLED = "enabled"

#: The types there are, each with its version.
_TYPES = {("stream.online", "1"), ("stream.offline", "1"), ("channel.update", "2")}

_MAX_TOTAL_COST = 10_000
_MAX_ALIKE = 3
_FILTERS = ("status", "type", "user_id", "subscription_id")


@frozen(kw_only=True)
class Subscription:
    """
    One subscription.

    :ivar secret: what its messages are signed with; never shown.
    """

    id: str
    status: str
    type: str
    version: str
    condition: Mapping[str, str]
    callback: str
    secret: str = field(repr=False)
    created_at: str
    cost: int = 1

    @property
    def broadcaster_id(self) -> str:
        """
        Whose events it is about.
        """
        return self.condition["broadcaster_user_id"]

    def public(self) -> dict[str, object]:
        """
        What everybody may see of it, in messages and in the list.
        """
        return {
            "id": self.id,
            "status": self.status,
            "type": self.type,
            "version": self.version,
            "cost": self.cost,
            "condition": dict(self.condition),
            "transport": {"method": "webhook", "callback": self.callback},
            "created_at": self.created_at,
        }


def only_https(callback: str) -> bool:
    """
    Accept what the real Twitch accepts: https on the standard port.
    """
    parts = urlsplit(callback)
    return parts.scheme == "https" and bool(parts.hostname) and parts.port in (None, 443)


def loopback_too(callback: str) -> bool:
    """
    Accept plain http to this machine as well.
    """
    parts = urlsplit(callback)
    return only_https(callback) or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost"))


@define(eq=False)
class Subscriptions:
    """
    Keeps subscriptions and checks new ones (dev.twitch.tv, API reference, "Create EventSub Subscription").

    :ivar per_page: how many one page of the list has.
    """

    _clock: IReactorTime
    _random: Random
    _world: World
    _callback_is_allowed: Callable[[str], bool] = loopback_too
    per_page: int = 100
    _kept: dict[str, Subscription] = field(factory=dict, init=False)

    def create(self, body: bytes) -> Subscription:
        """
        Keep what a POST asks for; its callback is still to be verified.

        :raises Rejection: 400, 409 or 429, as Twitch would.
        """
        try:
            asked = orjson.loads(body)
            kind, version, condition, transport = (asked[key] for key in ("type", "version", "condition", "transport"))
            broadcaster = condition["broadcaster_user_id"]
        except (ValueError, KeyError, TypeError):
            raise Rejection(http.BAD_REQUEST, "Missing or invalid fields in the request body") from None
        if (kind, version) not in _TYPES:
            raise Rejection(http.BAD_REQUEST, "The combination of values in the type and version fields is not valid")
        if not self._world.channels(ids=[broadcaster]):
            raise Rejection(http.BAD_REQUEST, "The condition names a user that does not exist")
        callback, secret = self._transport(transport)
        alike = [
            each
            for each in self._kept.values()
            if (each.type, each.broadcaster_id) == (kind, broadcaster) and each.status in (ENABLED, PENDING)
        ]
        if any(each.callback == callback for each in alike):
            raise Rejection(http.CONFLICT, "subscription already exists")
        if len(alike) >= _MAX_ALIKE:
            raise Rejection(HTTPStatus.TOO_MANY_REQUESTS, "maximum subscriptions with type and condition exceeded")
        return self.add(kind, version, broadcaster, callback, secret)

    def add(self, kind: str, version: str, broadcaster_id: str, callback: str, secret: str) -> Subscription:
        """
        Keep a subscription without asking whether it is allowed.
        """
        subscription = Subscription(
            id=str(UUID(int=self._random.getrandbits(128), version=4)),
            status=PENDING,
            type=kind,
            version=version,
            condition={"broadcaster_user_id": broadcaster_id},
            callback=callback,
            secret=secret,
            created_at=rfc3339(self._clock.seconds()),
        )
        self._kept[subscription.id] = subscription
        return subscription

    def delete(self, subscription_id: str) -> None:
        """
        Forget a subscription.

        :raises Rejection: 400 or 404.
        """
        if not subscription_id:
            raise Rejection(http.BAD_REQUEST, 'The parameter "id" is required')
        if self._kept.pop(subscription_id, None) is None:
            raise Rejection(http.NOT_FOUND, "subscription not found")

    def list(self, query: Query) -> dict[str, object]:
        """
        Answer the list, oldest first, or as much of it as one page has.

        :raises Rejection: two filters at once.
        """
        filters = [(name, value) for name in _FILTERS if (value := query.one(name))]
        if len(filters) > 1:
            raise Rejection(http.BAD_REQUEST, "The filters are mutually exclusive")
        chosen = [each for each in self._kept.values() if all(_fits(each, *one) for one in filters)]
        data, pagination = page(chosen, self.per_page, query.one("after"))
        return {**self.answer(data), "pagination": pagination}

    def answer(self, subscriptions: Iterable[Subscription]) -> dict[str, object]:
        """
        Show subscriptions, and what all of them cost.
        """
        return {
            "data": [each.public() for each in subscriptions],
            "total": len(self._kept),
            "total_cost": sum(each.cost for each in self._kept.values() if each.status in (ENABLED, PENDING)),
            "max_total_cost": _MAX_TOTAL_COST,
        }

    def set_status(self, subscription_id: str, status: str) -> Subscription | None:
        """
        Change a subscription's status, unless it has been deleted meanwhile.
        """
        subscription = self._kept.get(subscription_id)
        if subscription is None:
            return None
        self._kept[subscription_id] = changed = evolve(subscription, status=status)
        return changed

    def enabled(self, kind: str, broadcaster_id: str) -> Sequence[Subscription]:
        """
        The subscriptions that want to hear of something.
        """
        return [
            each
            for each in self._kept.values()
            if (each.status, each.type, each.broadcaster_id) == (ENABLED, kind, broadcaster_id)
        ]

    def enabled_for(self, callback: str) -> set[str]:
        """
        Whose going live is told to a callback.
        """
        return {
            each.broadcaster_id
            for each in self._kept.values()
            if (each.status, each.type, each.callback) == (ENABLED, "stream.online", callback)
        }

    def __iter__(self) -> Any:
        return iter(list(self._kept.values()))

    def _transport(self, transport: Any) -> tuple[str, str]:
        match transport:
            case {"method": "webhook", "callback": str(callback), "secret": str(secret)}:
                pass
            case _:
                raise Rejection(http.BAD_REQUEST, "The transport must be a webhook with a callback and a secret")
        if not self._callback_is_allowed(callback):
            message = "callback must provide valid https callback with standard port in creation request"
            raise Rejection(http.BAD_REQUEST, message)
        if not (secret.isascii() and 10 <= len(secret) <= 100):
            raise Rejection(http.BAD_REQUEST, "The secret must be an ASCII string of 10 to 100 characters")
        return callback, secret


def _fits(subscription: Subscription, name: str, value: str) -> bool:
    return {
        "status": subscription.status,
        "type": subscription.type,
        "user_id": subscription.broadcaster_id,
        "subscription_id": subscription.id,
    }[name] == value
