"""
How the subscriptions stand, in numbers and in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel

from itsjustintv.model import Subscribed, rfc3339
from itsjustintv.twitch.eventsub.plan import ENABLED, PENDING, Plan
from itsjustintv.twitch.eventsub.plan_runner import Tasks
from itsjustintv.twitch.eventsub.subscriptions_api import Listing
from itsjustintv.twitch.user_ids import listed

__all__ = ["Pass", "SubscriptionCounts", "SubscriptionStatus"]

# The share of what subscriptions may cost from which on it is said.
_NEARLY_ALL = 0.9

# With as many streamers a round is told streamer by streamer; with more it would bury the rest of the log.
_FEW = 20


@frozen(kw_only=True)
class SubscriptionCounts:
    """
    How the subscriptions stand.

    :ivar at: when they were last looked at, in seconds since the epoch; ``None`` before the first time.
    :ivar wanted: streamers that are configured, each channel once.
    :ivar enabled: streamers of those whose events arrive.
    :ivar pending: those whose subscription Twitch is verifying.
    :ivar broken: the others that Twitch has, or had.
    :ivar unknown: those whose login Twitch does not know.
    :ivar created: subscriptions created since the start of the process; likewise the next two.
    :ivar deleted: subscriptions deleted.
    :ivar failed: creations and deletions that failed.
    :ivar total_cost: what all subscriptions of the application cost.
    :ivar max_total_cost: what they may cost; 0 while it is not known.
    :ivar last_error: why the last look, or part of it, failed.
    :ivar next_at: when they are looked at again, unless something happens before.
    """

    at: float | None = None
    wanted: int = 0
    enabled: int = 0
    pending: int = 0
    broken: int = 0
    unknown: int = 0
    created: int = 0
    deleted: int = 0
    failed: int = 0
    total_cost: int = 0
    max_total_cost: int = 0
    last_error: str | None = None
    next_at: float | None = None

    def public(self) -> Mapping[str, object]:
        """
        What strangers may hear of it: numbers, no names.
        """
        return {
            "wanted": self.wanted,
            "enabled": self.enabled,
            "pending": self.pending,
            "broken": self.broken,
            "unknown": self.unknown,
            "checked_at": None if self.at is None else rfc3339(self.at),
        }


@frozen
class Pass:
    """
    One look at the subscriptions, and what came of it.

    :ivar drawn: what would have to be done.
    :ivar tried: as much of it as was to be tried now.
    """

    wanted: Mapping[str, str]
    listing: Listing
    drawn: Plan
    tried: Plan
    work: Tasks

    def streamer(self, broadcaster_id: str) -> str:
        """
        What the operator calls somebody.
        """
        return self.wanted.get(broadcaster_id, broadcaster_id)


@define(eq=False)
class SubscriptionStatus:
    """
    Says what has been done so that an operator can read it, each complaint once, and keeps the numbers.

    :ivar report: how things stood after the last round.
    :ivar states: of each streamer by user id, and why.
    """

    _clock: IReactorTime
    _unknown: Callable[[], Mapping[str, str]]
    report: SubscriptionCounts = field(default=SubscriptionCounts(), init=False)
    states: Mapping[str, tuple[Subscribed, str]] = field(factory=dict, init=False)
    _refused: dict[str, str] = field(factory=dict, init=False)
    _costly: bool = field(default=False, init=False)

    log = Logger()

    def current(self) -> SubscriptionCounts:
        """
        How things stand by now: who is unknown is found out between the rounds.
        """
        report = self.report
        if report.at is None:
            return report
        unknown = len(self._unknown())
        return evolve(report, wanted=report.wanted - report.unknown + unknown, unknown=unknown)

    def cost(self, drawn: Plan, listing: Listing) -> None:
        """
        Warn, once, when there is hardly room for more.
        """
        most, cost = listing.max_total_cost, listing.total_cost + len(drawn.create)
        costly = bool(most) and cost > most * _NEARLY_ALL
        if costly and not self._costly:
            self.log.warn(
                "the subscriptions would cost {cost} points of the {most} that twitch allows for this client id: ask"
                " twitch for more, or use another client id for some streamers",
                cost=cost,
                most=most,
            )
        self._costly = costly

    def add(self, found: Pass) -> None:
        """
        Say what has been done in a round, and count it.
        """
        self._tell_refused(found)
        self._tell_each(found)
        before, work = self.report, found.work
        there = [*(each.subscription for each in found.drawn.wait), *work.created, *work.adopted]
        enabled = {each.broadcaster_id for each in found.drawn.keep}
        enabled |= {each.broadcaster_id for each in work.adopted if each.status == ENABLED}
        pending = {each.broadcaster_id for each in there if each is not None and each.status == PENDING} - enabled
        unknown = self._unknown()
        self.report = SubscriptionCounts(
            at=self._clock.seconds(),
            wanted=len(found.wanted) + len(unknown),
            enabled=len(enabled),
            pending=len(pending),
            broken=len(found.wanted.keys() - enabled - pending),
            unknown=len(unknown),
            created=before.created + len(work.created),
            deleted=before.deleted + len(work.deleted),
            failed=before.failed + work.failed,
            total_cost=found.listing.total_cost,
            max_total_cost=found.listing.max_total_cost,
            last_error=next(iter(self._refused.values()), None),
        )
        reasons = {each.broadcaster_id: each.reason for each in (*found.drawn.create, *found.drawn.wait)}
        reasons |= work.refused
        self.states = {
            each: (Subscribed.ENABLED, "")
            if each in enabled
            else (Subscribed.PENDING, "twitch is verifying the callback")
            if each in pending
            else (Subscribed.BROKEN, reasons.get(each, "there is none"))
            for each in found.wanted
        }
        nothing_new = before.at is not None and not (work.created or work.deleted or work.failed)
        now, then = ((each.enabled, each.broken, each.unknown) for each in (self.report, before))
        if nothing_new and now == then:
            return
        self.log.info(
            "subscriptions: {current} of {wanted} enabled, {pending} being verified; {created} created, {deleted}"
            " deleted, {failed} failed{unknown}",
            current=self.report.enabled,
            wanted=self.report.wanted,
            pending=self.report.pending,
            created=len(work.created),
            deleted=len(work.deleted),
            failed=work.failed,
            unknown=f"; {listed(unknown)}" if unknown else "",
        )

    def _tell_each(self, found: Pass) -> None:
        """
        Say of each subscription what has been done about it; of very many only to those who debug.
        """
        created, deleted = found.work.created, found.work.deleted
        level = LogLevel.info if len(created) + len(deleted) <= _FEW else LogLevel.debug
        reasons = {each.subscription.id: each.reason for each in found.tried.delete if each.subscription is not None}
        for each in deleted:
            self.log.emit(
                level,
                "deleted the subscription {subscription_id} of {streamer}: {reason}",
                subscription_id=each.id,
                streamer=found.streamer(each.broadcaster_id),
                reason=reasons.get(each.id, "it was in the way of another one"),
            )
        for each in created:
            self.log.emit(
                level,
                "created the subscription {subscription_id} of {streamer}",
                subscription_id=each.id,
                streamer=found.streamer(each.broadcaster_id),
            )

    def _tell_refused(self, found: Pass) -> None:
        """
        Say once of each streamer what Twitch refuses, and in one line for all with the same reason.
        """
        well = {each.broadcaster_id for each in found.drawn.keep} | {each.broadcaster_id for each in found.work.created}
        self._refused = {
            each: reason for each, reason in self._refused.items() if each in found.wanted and each not in well
        }
        causes: dict[str, list[str]] = {}
        for broadcaster_id, reason in found.work.refused.items():
            if self._refused.get(broadcaster_id) != reason:
                self._refused[broadcaster_id] = reason
                causes.setdefault(reason, []).append(found.streamer(broadcaster_id))
        for reason, streamers in causes.items():
            self.log.error(
                "twitch refuses what the subscriptions of {streamers} need: {reason}; this is tried again from time to"
                " time",
                streamers=", ".join(streamers[:_FEW]) + (" and others" if len(streamers) > _FEW else ""),
                reason=reason,
            )
