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
from itsjustintv.simulator.sessions import SimulatedSession
from itsjustintv.simulator.world import World, rfc3339

__all__ = [
    "CONDUIT_DELETED",
    "FAILURES_EXCEEDED",
    "USER_REMOVED",
    "SimulatedSubscription",
    "SimulatedSubscriptions",
    "check_secret",
    "loopback_too",
    "only_https",
]

PENDING = "webhook_callback_verification_pending"
FAILED = "webhook_callback_verification_failed"
FAILURES_EXCEEDED = "notification_failures_exceeded"
USER_REMOVED = "user_removed"
CONDUIT_DELETED = "conduit_deleted"
ENABLED = "enabled"

#: The types there are, each with its version (dev.twitch.tv, "EventSub Subscription Types").
_TYPES = {("stream.online", "1"), ("stream.offline", "1"), ("channel.update", "2")}

# dev.twitch.tv, "Managing Event Subscriptions", "Subscription limits".
_MAX_ALIKE = 3
# The same, of the WebSocket transport: for each user, and for each session.
_MAX_COST_OF_USER = 10
_MAX_OF_SESSION = 300
# dev.twitch.tv, API reference, "Get EventSub Subscriptions".
_FILTERS = ("status", "type", "user_id", "subscription_id", "conduit_id")


@frozen(kw_only=True)
class SimulatedSubscription:
    """
    One subscription. It does not expire; one that has ended stays in the list, at Twitch for at least ten days
    (dev.twitch.tv, "Managing Event Subscriptions").

    :ivar callback: where its messages go, if its transport is a webhook.
    :ivar secret: signs its messages; never shown ("Handling webhook events").
    :ivar conduit_id: which conduit its messages go to, if its transport is one.
    :ivar session_id: which session its messages go to, if its transport is a WebSocket.
    :ivar user: the id of the user whose token created it; empty for an app access token.
    :ivar cost: 0 if the user has authorized the application, else 1 ("Managing Event Subscriptions").
    :ivar hidden: whether the list leaves it out although it counts (github.com/twitchdev, issues 1094).
    """

    id: str
    status: str
    type: str
    version: str
    condition: Mapping[str, str]
    callback: str = ""
    secret: str = field(default="", repr=False)
    conduit_id: str = ""
    session_id: str = ""
    connected_at: str = ""
    user: str = ""
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
    def counts(self) -> bool:
        """
        Whether it is enabled or pending.
        """
        return self.status in (ENABLED, PENDING)

    @property
    def counted(self) -> int:
        """
        Its share of the total cost: 0 unless it is enabled or pending. That pending ones count is not documented, but
        the totals in the answer to a creation include them.
        """
        return self.cost if self.counts else 0

    @property
    def method(self) -> str:
        """
        Of its transport: ``webhook``, ``conduit`` or ``websocket``.
        """
        return "conduit" if self.conduit_id else "websocket" if self.session_id else "webhook"

    @property
    def transport(self) -> dict[str, str]:
        """
        Its transport, without what is secret.
        """
        return {
            "webhook": {"method": "webhook", "callback": self.callback},
            "conduit": {"method": "conduit", "conduit_id": self.conduit_id},
            "websocket": {"method": "websocket", "session_id": self.session_id, "connected_at": self.connected_at},
        }[self.method]

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
            "transport": self.transport,
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


def check_secret(secret: str) -> bool:
    """
    Accept the secrets that Twitch accepts (dev.twitch.tv, "Handling webhook events").
    """
    return secret.isascii() and 10 <= len(secret) <= 100


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
    :ivar lenient_tokens: whether tokens of either kind may create subscriptions of every transport.
    :ivar removed: types and versions that are answered 410 ("Create EventSub Subscription").
    """

    _clock: IReactorTime
    _random: Random
    _world: World
    _callback_is_allowed: Callable[[str], bool] = loopback_too
    _is_conduit: Callable[[str], bool] = lambda _: False
    _session: Callable[[str], SimulatedSession | None] = lambda _: None
    _use_session: Callable[[str], object] = lambda _: None
    per_page: int = 100
    total_lag: float = 0.0
    max_total_cost: int = 10_000
    conflict_names_id: bool = True
    lenient_tokens: bool = False
    removed: set[tuple[str, str]] = field(factory=set)
    _subscriptions: dict[str, SimulatedSubscription] = field(factory=dict, init=False)
    _alike: dict[tuple[str, str], dict[str, None]] = field(factory=dict, init=False)
    _total: int = field(default=0, init=False)
    _total_cost: int = field(default=0, init=False)
    _totals: deque[tuple[float, int, int]] = field(factory=deque, init=False)

    def create(self, body: bytes, user: str = "") -> SimulatedSubscription:
        """
        Create the subscription that a POST asks for: pending if it is a webhook, else enabled.

        :param user: the id of the user whose token it is, if it is a user access token.
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
        made = self._make(kind, version, broadcaster, user=user, **self._transport(transport, user))
        alike = [each for each in self._like(kind, broadcaster) if each.counts and each.user == user]
        for each in alike:
            if each.transport == made.transport:
                more = {"id": each.id} if self.conflict_names_id else {}
                raise Rejection(http.CONFLICT, "subscription already exists", more)
        if len(alike) >= _MAX_ALIKE:
            # Client libraries look for this message; the reference has only the status.
            raise Rejection(HTTPStatus.TOO_MANY_REQUESTS, "maximum subscriptions with type and condition exceeded")
        if self._cost(user) >= self._max_cost(user):
            # Not in the reference; documented by twitch4j.
            raise Rejection(HTTPStatus.TOO_MANY_REQUESTS, "cost exceeded")
        if made.session_id and len(self._of_session(made.session_id)) >= _MAX_OF_SESSION:
            raise Rejection(HTTPStatus.TOO_MANY_REQUESTS, "number of websocket transport subscriptions limit exceeded")
        if made.session_id:
            self._use_session(made.session_id)
        self._put(made)
        return made

    def add(self, kind: str, version: str, broadcaster_id: str, callback: str, secret: str) -> SimulatedSubscription:
        """
        Create a pending subscription of a callback without any check.
        """
        subscription = self._make(kind, version, broadcaster_id, callback=callback, secret=secret)
        self._put(subscription)
        return subscription

    def _make(self, kind: str, version: str, broadcaster_id: str, **transport: Any) -> SimulatedSubscription:
        return SimulatedSubscription(
            id=str(UUID(int=self._random.getrandbits(128), version=4)),
            status=PENDING if "callback" in transport else ENABLED,
            type=kind,
            version=version,
            condition={"broadcaster_user_id": broadcaster_id},
            created_at=rfc3339(self._clock.seconds()),
            **transport,
        )

    def delete(self, subscription_id: str, user: str = "") -> None:
        """
        Delete a subscription.

        :param user: the id of the user whose token it is, if it is a user access token.
        :raises Rejection: 400 or 404 (dev.twitch.tv, API reference, "Delete EventSub Subscription").
        """
        if not subscription_id:
            raise Rejection(http.BAD_REQUEST, 'The parameter "id" is required')
        gone = self._subscriptions.get(subscription_id)
        if gone is None or gone.user != user:
            raise Rejection(http.NOT_FOUND, "subscription not found")
        del self._subscriptions[subscription_id]
        del self._alike[gone.type, gone.broadcaster_id][subscription_id]
        self._count(gone, -1)

    def list(self, query: Query, user: str = "") -> dict[str, object]:
        """
        One page of the list, oldest first; ``first`` is not supported (dev.twitch.tv, API
        reference, "Get EventSub Subscriptions").

        :param user: whose subscriptions to list, if the token is a user access token.

        :raises Rejection: there is more than one filter.
        """
        filters = [(name, value) for name in _FILTERS if (value := query.one(name))]
        if len(filters) > 1:
            raise Rejection(http.BAD_REQUEST, "The filters are mutually exclusive")
        shown = (each for each in self._subscriptions.values() if not each.hidden and each.user == user)
        chosen = [each for each in shown if all(_fits(each, *one) for one in filters)]
        data, pagination = page(chosen, self.per_page, query.one("after"))
        return {**self.answer(data, user), "pagination": pagination}

    def answer(self, subscriptions: Iterable[SimulatedSubscription], user: str = "") -> dict[str, object]:
        """
        The answer about some subscriptions, with the totals of all; of a user's, if the token is a user access token.
        """
        total, total_cost = self._known_totals() if not user else (len(self._of_user(user)), self._cost(user))
        return {
            "data": [each.public() for each in subscriptions],
            "total": total,
            "total_cost": total_cost,
            "max_total_cost": self._max_cost(user),
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
        self._count(subscription, -1)
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
        self._count(subscription, 1)

    def _count(self, subscription: SimulatedSubscription, number: int) -> None:
        """
        Record the totals, for as long as a delayed answer may need them.
        """
        if subscription.user:
            return
        self._total += number
        self._total_cost += number * subscription.counted
        self._totals.append((self._clock.seconds(), self._total, self._total_cost))
        self._known_totals()

    def _of_user(self, user: str) -> Sequence[SimulatedSubscription]:
        return [each for each in self._subscriptions.values() if each.user == user]

    def _of_session(self, session_id: str) -> Sequence[SimulatedSubscription]:
        return [each for each in self._subscriptions.values() if each.session_id == session_id and each.counts]

    def _cost(self, user: str) -> int:
        return sum(each.counted for each in self._of_user(user)) if user else self._total_cost

    def _max_cost(self, user: str) -> int:
        return _MAX_COST_OF_USER if user else self.max_total_cost

    def conduit_deleted(self, conduit_id: str) -> None:
        """
        Disable the subscriptions of a conduit that is gone.
        """
        for each in self:
            if each.conduit_id == conduit_id and each.counts:
                self.change(each.id, status=CONDUIT_DELETED)

    def session_ended(self, session_id: str, status: str) -> None:
        """
        Disable the subscriptions of a session that has ended, with the reason.
        """
        for each in self._of_session(session_id):
            self.change(each.id, status=status)

    def _known_totals(self) -> tuple[int, int]:
        if self.total_lag <= 0:
            self._totals.clear()
            return self._total, self._total_cost
        until = self._clock.seconds() - self.total_lag
        while len(self._totals) > 1 and self._totals[1][0] <= until:
            self._totals.popleft()
        if not self._totals:
            return self._total, self._total_cost
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

    def _transport(self, transport: Any, user: str) -> dict[str, str]:
        """
        The fields of a subscription that say where its messages go.

        :raises Rejection: 400.
        """
        match transport:
            case {"method": "webhook", "callback": str(callback), "secret": str(secret)}:
                self._check_token(user, wanted=False)
            case {"method": "conduit", "conduit_id": str(conduit_id)} if conduit_id:
                self._check_token(user, wanted=False)
                if not self._is_conduit(conduit_id):
                    raise Rejection(http.BAD_REQUEST, "The transport names a conduit that does not exist")
                return {"conduit_id": conduit_id}
            case {"method": "websocket", "session_id": str(session_id)} if session_id:
                self._check_token(user, wanted=True)
                session = self._session(session_id)
                if session is None:
                    # This message was observed; the reference has only the status.
                    message = "websocket transport session does not exist or has already disconnected"
                    raise Rejection(http.BAD_REQUEST, message)
                return {"session_id": session_id, "connected_at": session.connected_at}
            case _:
                raise Rejection(
                    http.BAD_REQUEST,
                    "The transport must be a webhook with a callback and a secret, a conduit with its id, or a"
                    " websocket with the id of a session",
                )
        if not self._callback_is_allowed(callback):
            # This message was observed; the reference has only the status.
            message = "callback must provide valid https callback with standard port in creation request"
            raise Rejection(http.BAD_REQUEST, message)
        if not check_secret(secret):
            raise Rejection(http.BAD_REQUEST, "The secret must be an ASCII string of 10 to 100 characters")
        return {"callback": callback, "secret": secret}

    def _check_token(self, user: str, *, wanted: bool) -> None:
        """
        :param wanted: whether the token has to be a user access token.
        :raises Rejection: it is of the other kind.
        """
        if bool(user) is not wanted and not self.lenient_tokens:
            # This message was observed; the reference has only the status.
            raise Rejection(http.BAD_REQUEST, "invalid transport and auth combination")


def _fits(subscription: SimulatedSubscription, name: str, value: str) -> bool:
    return {
        "status": subscription.status,
        "type": subscription.type,
        "user_id": subscription.broadcaster_id,
        "subscription_id": subscription.id,
        "conduit_id": subscription.conduit_id,
    }[name] == value
