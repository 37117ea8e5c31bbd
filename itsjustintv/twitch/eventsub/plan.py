"""
What has to be done so that the subscriptions at Twitch are those that are wanted.

Pure. Subscriptions of others, with another callback, are nobody's business here: they are neither counted nor touched.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from datetime import datetime

from attrs import field, frozen

from itsjustintv.support.durations import duration
from itsjustintv.twitch.eventsub.subscriptions_api import TYPE, VERSION, Listing, Subscription

__all__ = ["ENABLED", "PATIENCE", "PENDING", "Action", "Plan", "is_kind", "moment", "plan"]

ENABLED = "enabled"
PENDING = "webhook_callback_verification_pending"

#: Seconds that Twitch is given to verify a callback. No time is documented; challenges have been seen to arrive more
#: than a minute after the creation.
PATIENCE = 600.0

# dev.twitch.tv, "Get EventSub Subscriptions", status; in words that help.
_WHY = {
    "webhook_callback_verification_failed": "twitch did not get the right answer to its challenge",
    "notification_failures_exceeded": "twitch gave up on it, because its messages were not answered in time",
    "authorization_revoked": "twitch ended it: the authorization was revoked",
    "user_removed": "twitch ended it: there is no such user any more",
    "version_removed": "twitch ended it: it no longer offers this version",
}


@frozen(kw_only=True)
class Action:
    """
    What becomes of one subscription, or of the lack of one.

    :ivar subscription: ``None`` when there is none yet.
    :ivar reason: completes "because", for a person.
    """

    broadcaster_id: str
    reason: str
    subscription: Subscription | None = None


@frozen(kw_only=True)
class Plan:
    """
    Everything that is to be done, and everything that is to be left alone, with the reason.

    :ivar keep: enabled, and as wanted.
    :ivar wait: to be looked at again.
    :ivar spare: enabled, of a streamer who is not configured any more; to be deleted when the grace is over.
    :ivar delete: to be deleted; where the same streamer is to get another one, that goes first.
    :ivar create: to be created.
    """

    keep: tuple[Action, ...] = ()
    wait: tuple[Action, ...] = ()
    spare: tuple[Action, ...] = ()
    delete: tuple[Action, ...] = ()
    create: tuple[Action, ...] = ()

    @property
    def done(self) -> bool:
        """
        Whether all is as it is wanted.
        """
        return not (self.wait or self.delete or self.create)

    @property
    def streamers(self) -> int:
        """
        For how many streamers there is something to be done.
        """
        return len({each.broadcaster_id for each in (*self.delete, *self.create)})


def is_kind(subscription: Subscription) -> bool:
    """
    Whether it is of the only kind that we create: ``stream.online`` version 1, by webhook.
    """
    return (subscription.type, subscription.version, subscription.method) == (TYPE, VERSION, "webhook")


def plan(
    wanted: Iterable[str],
    existing: Listing,
    callback: str,
    is_current: Callable[[Subscription], bool],
    now: float,
    *,
    created_here: Container[str] = frozenset(),
    certain: bool = True,
    spared: Callable[[str], bool] = lambda _: False,
) -> Plan:
    """
    Decide.

    One that is enabled for a callback that was ours before is left until its successor is enabled, so that nothing is
    missed meanwhile; unless both together would cost more than Twitch allows.

    :param wanted: user ids, the most urgent first.
    :param callback: those with this callback are ours.
    :param is_current: whether Twitch signs its messages with the secret of today.
    :param now: seconds since the epoch.
    :param created_here: ids of subscriptions that are ours whatever their callback, because we have created them.
    :param certain: whether ``wanted`` is everybody; until then nobody counts as no longer wanted.
    :param spared: whether what there is for a user id that is not wanted is to be left alone for now.
    """
    drawing = _Drawing(callback, is_current, now, spared)
    ours: dict[str, list[Subscription]] = {each: [] for each in wanted}
    unwanted: list[Subscription] = []
    for subscription in existing.subscriptions:
        if is_kind(subscription) and (subscription.callback == callback or subscription.id in created_here):
            if subscription.broadcaster_id in ours:
                ours[subscription.broadcaster_id].append(subscription)
            elif certain:
                unwanted.append(subscription)
    lacking = sum(1 for mine in ours.values() if not any(each.callback == callback for each in mine))
    room = existing.max_total_cost - existing.total_cost if existing.max_total_cost else lacking
    for subscription in unwanted:
        drawing.unwanted(subscription, gently=lacking <= room)
    for broadcaster_id, mine in ours.items():
        drawing.one(broadcaster_id, mine, gently=lacking <= room)
    return drawing.finished()


@frozen
class _Drawing:
    """
    A plan in the making.
    """

    _callback: str
    _is_current: Callable[[Subscription], bool]
    _now: float
    _spared: Callable[[str], bool]
    _keep: list[Action] = field(factory=list, init=False)
    _wait: list[Action] = field(factory=list, init=False)
    _spare: list[Action] = field(factory=list, init=False)
    _delete: list[Action] = field(factory=list, init=False)
    _unwanted: list[Action] = field(factory=list, init=False)
    _create: list[Action] = field(factory=list, init=False)

    def unwanted(self, subscription: Subscription, *, gently: bool) -> None:
        """
        Delete what is not configured any more, unless it may return and would have to be created again.
        """
        if gently and self._fault(subscription) is None and self._spared(subscription.broadcaster_id):
            self._spare.append(_about(subscription, "this streamer is not configured any more, but may return"))
            return
        self._unwanted.append(_about(subscription, "nobody wants to know any more when this streamer goes live"))

    def one(self, broadcaster_id: str, mine: Sequence[Subscription], *, gently: bool) -> None:
        """
        Decide for one streamer.

        :param gently: leave a predecessor with another callback until there is a successor.
        """
        best = max((each for each in mine if self._fault(each) is None), key=self._worth, default=None)
        enabled = best is not None and best.status == ENABLED
        causes = []
        for each in mine:
            fault = self._fault(each)
            if each is best:
                if enabled:
                    self._keep.append(_about(each, "it is enabled"))
                else:
                    self._wait.append(_about(each, "twitch is verifying the callback"))
            elif gently and not enabled and each.callback != self._callback and each.status == ENABLED:
                self._wait.append(_about(each, "its callback is not ours any more, and its successor is not enabled"))
            else:
                causes.append(fault or "there is another one for the same streamer")
                self._delete.append(_about(each, causes[-1]))
        if best is None:
            reason = causes[0] if causes else "there is none"
            self._create.append(Action(broadcaster_id=broadcaster_id, reason=reason))

    def finished(self) -> Plan:
        """
        Make a plan of it.
        """
        return Plan(
            keep=tuple(self._keep),
            wait=tuple(self._wait),
            spare=tuple(self._spare),
            delete=(*self._delete, *self._unwanted),
            create=tuple(self._create),
        )

    def _fault(self, subscription: Subscription) -> str | None:
        """
        Why a subscription cannot stay, or ``None``.
        """
        if subscription.callback != self._callback:
            return "its callback is not ours any more"
        if subscription.status == PENDING:
            if self._now - moment(subscription.created_at) >= PATIENCE:
                return f"twitch has not verified the callback within {duration(PATIENCE)}"
        elif subscription.status != ENABLED:
            return _WHY.get(subscription.status, f"its status is {subscription.status or 'unknown'}")
        if not self._is_current(subscription):
            return "twitch signs its messages with a secret that is not today's, or not known to be"
        return None

    @staticmethod
    def _worth(subscription: Subscription) -> tuple[bool, float]:
        return subscription.status == ENABLED, -moment(subscription.created_at)


def _about(subscription: Subscription, reason: str) -> Action:
    return Action(broadcaster_id=subscription.broadcaster_id, reason=reason, subscription=subscription)


def moment(created_at: str) -> float:
    """
    Read RFC 3339 as seconds since the epoch; what cannot be read is long ago.
    """
    try:
        return datetime.fromisoformat(created_at).timestamp()
    except (ValueError, OverflowError):
        return 0.0
