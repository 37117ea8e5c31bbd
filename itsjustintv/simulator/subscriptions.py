"""
The EventSub subscriptions of one application, as the Subscriptions API of Twitch manages them.
"""

from __future__ import annotations

from collections import deque
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

from itsjustintv.simulator.responses import Query, Rejection, page
from itsjustintv.simulator.world import World, rfc3339

__all__ = [
    "FAILURES_EXCEEDED",
    "USER_REMOVED",
    "SimulatedSubscription",
    "SimulatedSubscriptions",
    "loopback_too",
    "only_https",
]

PENDING = "webhook_callback_verification_pending"
FAILED = "webhook_callback_verification_failed"
FAILURES_EXCEEDED = "notification_failures_exceeded"
USER_REMOVED = "user_removed"
ENABLED = "enabled"

#: The types there are, each with its version (dev.twitch.tv, "EventSub Subscription Types").
_TYPES = {("stream.online", "1"), ("stream.offline", "1"), ("channel.update", "2")}

# dev.twitch.tv, "Managing Event Subscriptions", "Subscription limits".
_MAX_ALIKE = 3
# dev.twitch.tv, API reference, "Get EventSub Subscriptions".
_FILTERS = ("status", "type", "user_id", "subscription_id", "conduit_id")


@frozen(kw_only=True)
class SimulatedSubscription:
    """
    One subscription. It does not expire; one that has ended stays in the list, at Twitch for at least ten days
    (dev.twitch.tv, "Managing Event Subscriptions").

    :ivar secret: signs its messages; never shown ("Handling webhook events").
    :ivar cost: 0 if the user has authorized the application, else 1 ("Managing Event Subscriptions").
    :ivar hidden: whether the list leaves it out although it counts (github.com/twitchdev, issues 1094).
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
    hidden: bool = False

    @property
    def broadcaster_id(self) -> str:
        """
        The user id of the channel whose events it sends.
        """
        return self.condition["broadcaster_user_id"]

    @property
    def counted(self) -> int:
        """
        Its share of the total cost: 0 unless it is enabled or pending. That pending ones count is not documented, but
        the totals in the answer to a creation include them.
        """
        return self.cost if self.status in (ENABLED, PENDING) else 0

    def public(self) -> dict[str, object]:
        """
        Its public fields, in messages and in the list (dev.twitch.tv, "EventSub Reference", "Subscription").
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
    Accept the callbacks that Twitch accepts: https on the standard port (dev.twitch.tv, "Handling webhook events"). An
    unreachable host fails later, at its challenge.
    """
    parts = urlsplit(callback)
    return parts.scheme == "https" and bool(parts.hostname) and parts.port in (None, 443)


def loopback_too(callback: str) -> bool:
    """
    Accept plain http to loopback as well.
    """
    parts = urlsplit(callback)
    return only_https(callback) or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost"))


@define(eq=False)
class SimulatedSubscriptions:
    """
    Stores subscriptions and validates new ones (dev.twitch.tv, API reference, "Create EventSub Subscription").

    :ivar per_page: the size of a page of the list; 100 were observed, none is documented ("Get EventSub
        Subscriptions").
    :ivar total_lag: seconds until a change shows in the totals ("Get EventSub Subscriptions": ``total`` may take some
        time to follow).
    :ivar max_total_cost: the limit of the total cost (dev.twitch.tv, "Managing Event Subscriptions", "Subscription
        limits").
    :ivar conflict_names_id: whether a 409 has the id of the existing subscription, as in the reference since 2026;
        answers observed before had not.
    :ivar removed: types and versions that are answered 410 ("Create EventSub Subscription").
    """

    _clock: IReactorTime
    _random: Random
    _world: World
    _callback_is_allowed: Callable[[str], bool] = loopback_too
    per_page: int = 100
    total_lag: float = 0.0
    max_total_cost: int = 10_000
    conflict_names_id: bool = True
    removed: set[tuple[str, str]] = field(factory=set)
    _subscriptions: dict[str, SimulatedSubscription] = field(factory=dict, init=False)
    _alike: dict[tuple[str, str], dict[str, None]] = field(factory=dict, init=False)
    _total_cost: int = field(default=0, init=False)
    _totals: deque[tuple[float, int, int]] = field(factory=deque, init=False)

    def create(self, body: bytes) -> SimulatedSubscription:
        """
        Create the pending subscription that a POST asks for.

        :raises Rejection: 400, 409, 410 or 429, as Twitch would.
        """
        try:
            asked = orjson.loads(body)
            kind, version, condition, transport = (asked[key] for key in ("type", "version", "condition", "transport"))
            broadcaster = condition["broadcaster_user_id"]
        except (ValueError, KeyError, TypeError):
            raise Rejection(http.BAD_REQUEST, "Missing or invalid fields in the request body") from None
        if (kind, version) in self.removed:
            raise Rejection(http.GONE, "The subscription type and version are no longer available")
        if (kind, version) not in _TYPES:
            raise Rejection(http.BAD_REQUEST, "The combination of values in the type and version fields is not valid")
        if not self._world.channels(ids=[broadcaster]):
            raise Rejection(http.BAD_REQUEST, "The condition names a user that does not exist")
        callback, secret = self._transport(transport)
        alike = [each for each in self._like(kind, broadcaster) if each.status in (ENABLED, PENDING)]
        for each in alike:
            if each.callback == callback:
                more = {"id": each.id} if self.conflict_names_id else {}
                raise Rejection(http.CONFLICT, "subscription already exists", more)
        if len(alike) >= _MAX_ALIKE:
            # Client libraries look for this message; the reference has only the status.
            raise Rejection(HTTPStatus.TOO_MANY_REQUESTS, "maximum subscriptions with type and condition exceeded")
        if self._total_cost >= self.max_total_cost:
            # Not in the reference; documented by twitch4j.
            raise Rejection(HTTPStatus.TOO_MANY_REQUESTS, "cost exceeded")
        return self.add(kind, version, broadcaster, callback, secret)

    def add(self, kind: str, version: str, broadcaster_id: str, callback: str, secret: str) -> SimulatedSubscription:
        """
        Create a pending subscription without any check.
        """
        subscription = SimulatedSubscription(
            id=str(UUID(int=self._random.getrandbits(128), version=4)),
            status=PENDING,
            type=kind,
            version=version,
            condition={"broadcaster_user_id": broadcaster_id},
            callback=callback,
            secret=secret,
            created_at=rfc3339(self._clock.seconds()),
        )
        self._put(subscription)
        return subscription

    def delete(self, subscription_id: str) -> None:
        """
        Delete a subscription.

        :raises Rejection: 400 or 404 (dev.twitch.tv, API reference, "Delete EventSub Subscription").
        """
        if not subscription_id:
            raise Rejection(http.BAD_REQUEST, 'The parameter "id" is required')
        gone = self._subscriptions.pop(subscription_id, None)
        if gone is None:
            raise Rejection(http.NOT_FOUND, "subscription not found")
        del self._alike[gone.type, gone.broadcaster_id][subscription_id]
        self._count(-gone.counted)

    def list(self, query: Query) -> dict[str, object]:
        """
        One page of the list, oldest first; ``first`` is not supported (dev.twitch.tv, API
        reference, "Get EventSub Subscriptions").

        :raises Rejection: there is more than one filter.
        """
        filters = [(name, value) for name in _FILTERS if (value := query.one(name))]
        if len(filters) > 1:
            raise Rejection(http.BAD_REQUEST, "The filters are mutually exclusive")
        shown = (each for each in self._subscriptions.values() if not each.hidden)
        chosen = [each for each in shown if all(_fits(each, *one) for one in filters)]
        data, pagination = page(chosen, self.per_page, query.one("after"))
        return {**self.answer(data), "pagination": pagination}

    def answer(self, subscriptions: Iterable[SimulatedSubscription]) -> dict[str, object]:
        """
        The answer about some subscriptions, with the totals of all.
        """
        total, total_cost = self._known_totals()
        return {
            "data": [each.public() for each in subscriptions],
            "total": total,
            "total_cost": total_cost,
            "max_total_cost": self.max_total_cost,
        }

    def set_status(self, subscription_id: str, status: str) -> SimulatedSubscription | None:
        """
        Change the status of a subscription; ``None`` if it does not exist.
        """
        return self.change(subscription_id, status=status)

    def change(self, subscription_id: str, **changes: Any) -> SimulatedSubscription | None:
        """
        Change fields of a subscription, but not its type and condition; ``None`` if it does not exist.
        """
        subscription = self._subscriptions.get(subscription_id)
        if subscription is None:
            return None
        changed = evolve(subscription, **changes)
        self._count(-subscription.counted)
        self._put(changed)
        return changed

    def enabled(self, kind: str, broadcaster_id: str) -> Sequence[SimulatedSubscription]:
        """
        The enabled subscriptions for a type and a channel.
        """
        return [each for each in self._like(kind, broadcaster_id) if each.status == ENABLED]

    def _put(self, subscription: SimulatedSubscription) -> None:
        self._subscriptions[subscription.id] = subscription
        self._alike.setdefault((subscription.type, subscription.broadcaster_id), {})[subscription.id] = None
        self._count(subscription.counted)

    def _count(self, cost: int) -> None:
        """
        Record the totals, for as long as a delayed answer may need them.
        """
        self._total_cost += cost
        self._totals.append((self._clock.seconds(), len(self._subscriptions), self._total_cost))
        self._known_totals()

    def _known_totals(self) -> tuple[int, int]:
        if self.total_lag <= 0:
            self._totals.clear()
            return len(self._subscriptions), self._total_cost
        until = self._clock.seconds() - self.total_lag
        while len(self._totals) > 1 and self._totals[1][0] <= until:
            self._totals.popleft()
        if not self._totals:
            return len(self._subscriptions), self._total_cost
        at, total, cost = self._totals[0]
        return (total, cost) if at <= until else (0, 0)

    def _like(self, kind: str, broadcaster_id: str) -> Sequence[SimulatedSubscription]:
        return [self._subscriptions[each] for each in self._alike.get((kind, broadcaster_id), ())]

    def enabled_for(self, callback: str) -> set[str]:
        """
        The user ids for which a callback has an enabled ``stream.online`` subscription.
        """
        return {
            each.broadcaster_id
            for each in self._subscriptions.values()
            if (each.status, each.type, each.callback) == (ENABLED, "stream.online", callback)
        }

    def __iter__(self) -> Any:
        return iter(list(self._subscriptions.values()))

    def _transport(self, transport: Any) -> tuple[str, str]:
        match transport:
            case {"method": "webhook", "callback": str(callback), "secret": str(secret)}:
                pass
            case _:
                raise Rejection(http.BAD_REQUEST, "The transport must be a webhook with a callback and a secret")
        if not self._callback_is_allowed(callback):
            # This message was observed; the reference has only the status.
            message = "callback must provide valid https callback with standard port in creation request"
            raise Rejection(http.BAD_REQUEST, message)
        if not (secret.isascii() and 10 <= len(secret) <= 100):
            raise Rejection(http.BAD_REQUEST, "The secret must be an ASCII string of 10 to 100 characters")
        return callback, secret


def _fits(subscription: SimulatedSubscription, name: str, value: str) -> bool:
    return {
        "status": subscription.status,
        "type": subscription.type,
        "user_id": subscription.broadcaster_id,
        "subscription_id": subscription.id,
        # Conduits are not simulated.
        "conduit_id": None,
    }[name] == value
