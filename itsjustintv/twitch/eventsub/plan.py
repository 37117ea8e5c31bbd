"""
What to create and delete so that Twitch has one working subscription for each topic.

Pure. Subscriptions of other programs, with another transport, are neither counted nor touched. A transport is a
callback or a conduit; a change from one to the other is like one of the callback.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping, Sequence
from math import inf

from attrs import evolve, field, frozen

from itsjustintv.config.sections import CONDUIT
from itsjustintv.support.durations import duration
from itsjustintv.twitch.eventsub.event_types import EVENT_TYPES, STREAM_ONLINE, Topic
from itsjustintv.twitch.eventsub.subscriptions_api import Listing, Subscription
from itsjustintv.twitch.eventsub.transport import Transport

__all__ = ["ENABLED", "PENDING", "VERIFICATION_TIMEOUT", "Action", "Plan", "plan", "topics_of"]

ENABLED = "enabled"
PENDING = "webhook_callback_verification_pending"

#: Seconds that Twitch has to verify a callback. No time is documented; challenges have been seen to arrive more than a
#: minute after the creation.
VERIFICATION_TIMEOUT = 600.0

# dev.twitch.tv, "Get EventSub Subscriptions", status.
_WHY = {
    "webhook_callback_verification_failed": "Twitch's challenge was not answered correctly",
    "notification_failures_exceeded": "Twitch revoked it: too many messages were not answered in time",
    "authorization_revoked": "Twitch revoked it: the authorization was revoked",
    "user_removed": "Twitch revoked it: the user no longer exists",
    "version_removed": "Twitch revoked it: this version is no longer offered",
    "conduit_deleted": "Twitch has deleted its conduit",
}

_NO_ROOM = "Twitch's limit for the cost of all subscriptions leaves no room for it"


@frozen(kw_only=True)
class Action:
    """
    What is done about one subscription, or about the lack of one.

    :ivar subscription: ``None`` when there is none yet.
    :ivar reason: completes "because", for a person.
    """

    topic: Topic
    reason: str
    subscription: Subscription | None = None

    @property
    def broadcaster_id(self) -> str:
        return self.topic.broadcaster_id


@frozen(kw_only=True)
class Plan:
    """
    Everything to do, and everything to leave alone, each with its reason.

    :ivar keep: enabled, and as configured.
    :ivar wait: to be checked again later.
    :ivar grace: enabled, of a streamer who is no longer configured; to be deleted when the grace period ends.
    :ivar delete: to be deleted; before the same topic gets another one.
    :ivar create: to be created, every ``stream.online`` before the others.
    :ivar postponed: not to be created, since Twitch's limit leaves no room; never a ``stream.online``.
    """

    keep: tuple[Action, ...] = ()
    wait: tuple[Action, ...] = ()
    grace: tuple[Action, ...] = ()
    delete: tuple[Action, ...] = ()
    create: tuple[Action, ...] = ()
    postponed: tuple[Action, ...] = ()

    @property
    def done(self) -> bool:
        """
        Whether every subscription is as configured.
        """
        return not (self.wait or self.delete or self.create or self.postponed)

    @property
    def topics(self) -> int:
        """
        For how many topics there is something to do.
        """
        return len({each.topic for each in (*self.delete, *self.create)})


def topics_of(wanted: Mapping[str, Collection[str]]) -> Sequence[Topic]:
    """
    List what streamers need a subscription for: everyone ``stream.online``, and then the types that are asked for, the
    most important first.

    :param wanted: the types by user id, the most urgent first.
    """
    return [
        Topic(event_type, broadcaster_id)
        for event_type in EVENT_TYPES.values()
        for broadcaster_id, types in wanted.items()
        if event_type is STREAM_ONLINE or event_type.name in types
    ]


def plan(
    wanted: Mapping[str, Collection[str]],
    existing: Listing,
    transport: Transport,
    is_current: Callable[[Subscription], bool],
    now: float,
    *,
    created_here: Container[str] = frozenset(),
    complete: bool = True,
    in_grace: Callable[[str], bool] = lambda _: False,
) -> Plan:
    """
    Compare what is configured with what Twitch lists.

    An enabled subscription with a former transport is kept until its replacement is enabled, so that no event is missed
    meanwhile; unless both together would cost more than Twitch allows.

    Where Twitch's limit leaves too little room, ``stream.online`` comes first: other types are not created, and those
    that exist make room. A subscription of another type that is not asked for is deleted only if we created it.

    :param wanted: as for :func:`topics_of`.
    :param transport: subscriptions with this one are ours.
    :param is_current: whether a subscription was created with the current secret.
    :param now: seconds since the epoch.
    :param created_here: ids of subscriptions that are ours whatever their transport, because we created them.
    :param complete: whether ``wanted`` has all that are configured; until then nothing counts as removed.
    :param in_grace: whether the subscription of a user id that is no longer configured is kept for now.
    """
    builder = _PlanBuilder(transport, is_current, now, in_grace)
    ours: dict[Topic, list[Subscription]] = {topic: [] for topic in topics_of(wanted)}
    removed: list[tuple[Topic, Subscription]] = []
    for subscription in existing.subscriptions:
        topic = subscription.topic
        if topic is None or not (subscription.transport == transport or subscription.id in created_here):
            continue
        if topic in ours:
            ours[topic].append(subscription)
        elif complete and (topic.event_type is STREAM_ONLINE or subscription.id in created_here):
            removed.append((topic, subscription))
    missing = [topic for topic, mine in ours.items() if not any(each.transport == transport for each in mine)]
    starts = sum(1 for each in missing if each.event_type is STREAM_ONLINE)
    room = existing.max_total_cost - existing.total_cost if existing.max_total_cost else inf
    for topic, subscription in removed:
        builder.add_removed(
            topic, subscription, configured=topic.broadcaster_id in wanted, has_room=len(missing) <= room
        )
    for topic, mine in ours.items():
        has_room = (starts if topic.event_type is STREAM_ONLINE else len(missing)) <= room
        builder.add_configured(topic, mine, has_room=has_room)
    return _within(builder.build(), room)


def _within(drawn: Plan, room: float) -> Plan:
    """
    Leave out what Twitch's limit has no room for, and make room for ``stream.online``.

    :param room: points that are left before anything is done.
    """
    starts = [each for each in drawn.create if each.topic.event_type is STREAM_ONLINE]
    others = [each for each in drawn.create if each.topic.event_type is not STREAM_ONLINE]
    freed = sum(
        each.subscription.cost
        for each in drawn.delete
        if each.subscription is not None and each.subscription.status in (ENABLED, PENDING)
    )
    spare = room + freed - len(starts)
    count = len(others) if spare == inf else int(max(0, spare))
    # What was deleted some seconds ago may still be counted, so nothing makes room unless it is needed now.
    lacking = int(min(max(0, -spare), len(starts)))
    dropped = _least_important([*drawn.keep, *drawn.wait], lacking) if lacking else {}
    staying = {each.topic for each in (*drawn.keep, *drawn.wait) if _id(each) not in dropped}
    postponed = dict.fromkeys(each.topic for each in others[count:])
    postponed.update((each.topic, None) for each in dropped.values() if each.topic not in staying)
    making_room = [evolve(each, reason="its points are needed for stream.online") for each in dropped.values()]
    return evolve(
        drawn,
        keep=tuple(each for each in drawn.keep if _id(each) not in dropped),
        wait=tuple(each for each in drawn.wait if _id(each) not in dropped),
        delete=(*drawn.delete, *making_room),
        create=(*starts, *others[:count]),
        postponed=tuple(Action(topic=each, reason=_NO_ROOM) for each in postponed),
    )


def _least_important(actions: Sequence[Action], count: int) -> Mapping[str, Action]:
    """
    Choose subscriptions that make room, by their ids.
    """
    rank = {event_type: number for number, event_type in enumerate(EVENT_TYPES.values())}
    found = [each for each in actions if each.topic.event_type is not STREAM_ONLINE]
    found.sort(key=lambda each: rank[each.topic.event_type])
    return {_id(each): each for each in found[max(0, len(found) - count) :]}


def _id(action: Action) -> str:
    return "" if action.subscription is None else action.subscription.id


@frozen
class _PlanBuilder:
    """
    Collects the actions of a plan.
    """

    _transport: Transport
    _is_current: Callable[[Subscription], bool]
    _now: float
    _in_grace: Callable[[str], bool]
    _keep: list[Action] = field(factory=list, init=False)
    _wait: list[Action] = field(factory=list, init=False)
    _grace: list[Action] = field(factory=list, init=False)
    _delete: list[Action] = field(factory=list, init=False)
    _removed: list[Action] = field(factory=list, init=False)
    _create: list[Action] = field(factory=list, init=False)

    def add_removed(self, topic: Topic, subscription: Subscription, *, configured: bool, has_room: bool) -> None:
        """
        Delete the subscription of a streamer who is no longer configured, unless the grace period has not ended: a
        streamer who comes back would need it again. Delete at once what no destination asks for.
        """
        if configured:
            reason = f"no destination of the streamer is configured for {topic.event_type.name}"
            self._removed.append(Action(topic=topic, subscription=subscription, reason=reason))
        elif has_room and self._fault(subscription) is None and self._in_grace(topic.broadcaster_id):
            reason = "the streamer is no longer configured; kept until the grace period ends"
            self._grace.append(Action(topic=topic, subscription=subscription, reason=reason))
        else:
            reason = "the streamer is no longer configured"
            self._removed.append(Action(topic=topic, subscription=subscription, reason=reason))

    def add_configured(self, topic: Topic, mine: Sequence[Subscription], *, has_room: bool) -> None:
        """
        Decide for one topic.

        :param has_room: keep a subscription with a former transport until there is a replacement.
        """
        best = max((each for each in mine if self._fault(each) is None), key=self._preference, default=None)
        enabled = best is not None and best.status == ENABLED
        reasons = []
        for each in mine:
            former = each.transport != self._transport
            if each is best and enabled:
                self._keep.append(Action(topic=topic, subscription=each, reason="it is enabled"))
            elif each is best:
                self._wait.append(Action(topic=topic, subscription=each, reason="Twitch is verifying the callback"))
            elif has_room and not enabled and former and each.status == ENABLED:
                reason = f"{_former(each)}; kept until its replacement is enabled"
                self._wait.append(Action(topic=topic, subscription=each, reason=reason))
            else:
                reasons.append(self._fault(each) or "there is another subscription for the same streamer")
                self._delete.append(Action(topic=topic, subscription=each, reason=reasons[-1]))
        if best is None:
            reason = reasons[0] if reasons else "there is no subscription"
            self._create.append(Action(topic=topic, reason=reason))

    def build(self) -> Plan:
        return Plan(
            keep=tuple(self._keep),
            wait=tuple(self._wait),
            grace=tuple(self._grace),
            delete=(*self._delete, *self._removed),
            create=tuple(self._create),
        )

    def _fault(self, subscription: Subscription) -> str | None:
        """
        Why a subscription cannot stay, or ``None``.
        """
        if subscription.transport != self._transport:
            return _former(subscription)
        if subscription.status == PENDING:
            if subscription.age(self._now) >= VERIFICATION_TIMEOUT:
                return f"Twitch did not verify the callback within {duration(VERIFICATION_TIMEOUT)}"
        elif subscription.status != ENABLED:
            return _WHY.get(subscription.status, f"its status is {subscription.status or 'unknown'}")
        if not self._is_current(subscription):
            return "it was created with another webhook secret, or with an unknown one"
        return None

    def _preference(self, subscription: Subscription) -> tuple[bool, float]:
        """
        Prefer enabled ones to pending ones, and old ones to new ones.
        """
        return subscription.status == ENABLED, subscription.age(self._now)


def _former(subscription: Subscription) -> str:
    """
    Say of a subscription that it has another transport than the current one.
    """
    if subscription.transport.method == CONDUIT:
        return "it belongs to a former conduit"
    return "it has a former callback"
