"""
The state of the subscriptions, in counts and in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel

from itsjustintv.model import Subscribed, rfc3339
from itsjustintv.twitch.eventsub.event_types import STREAM_ONLINE, Topic, name_topic
from itsjustintv.twitch.eventsub.plan import ENABLED, PENDING, Plan
from itsjustintv.twitch.eventsub.plan_runner import PlanResult
from itsjustintv.twitch.eventsub.subscriptions_api import Listing
from itsjustintv.twitch.user_ids import name_reasons

__all__ = ["Pass", "SubscriptionCounts", "SubscriptionStatus"]

# The share of Twitch's limit for the cost of all subscriptions above which the log warns.
_NEARLY_ALL = 0.9

# As many creations and deletions in one pass are logged one by one; more would bury the rest of the log.
_FEW = 20

_NONE = "there is no subscription"


@frozen(kw_only=True)
class SubscriptionCounts:
    """
    Streamers by the state of their ``stream.online`` subscription, and totals.

    :ivar at: the time of the last pass, in seconds since the epoch; ``None`` before the first.
    :ivar wanted: configured streamers, each channel once.
    :ivar enabled: those whose events arrive.
    :ivar pending: those whose subscription Twitch is verifying.
    :ivar broken: the others that exist at Twitch, or did.
    :ivar unknown: those whose login Twitch does not know.
    :ivar incomplete: those who are enabled, but without another subscription that is wanted; none while Twitch is
        verifying it.
    :ivar lacking: the types of those.
    :ivar created: subscriptions created since the start of the process; likewise the next two.
    :ivar deleted: subscriptions deleted.
    :ivar failed: creations and deletions that failed.
    :ivar total_cost: the cost of all subscriptions of the application.
    :ivar max_total_cost: Twitch's limit for it; 0 while that is not known.
    :ivar last_error: why the last pass, or part of it, failed.
    :ivar next_at: the time of the next pass, unless something happens before.
    """

    at: float | None = None
    wanted: int = 0
    enabled: int = 0
    pending: int = 0
    broken: int = 0
    unknown: int = 0
    incomplete: int = 0
    lacking: tuple[str, ...] = ()
    created: int = 0
    deleted: int = 0
    failed: int = 0
    total_cost: int = 0
    max_total_cost: int = 0
    last_error: str | None = None
    next_at: float | None = None

    def public(self) -> Mapping[str, object]:
        """
        The counts for the public health report; no names.
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
    One comparison of the configuration with Twitch's list, and its result.

    :ivar streamers: keys of the configuration by user id.
    :ivar topics: everything that is wanted.
    :ivar needed: everything that would have to be done.
    :ivar due: as much of it as was to be tried now.
    """

    streamers: Mapping[str, str]
    topics: Sequence[Topic]
    listing: Listing
    needed: Plan
    due: Plan
    result: PlanResult

    def streamer(self, broadcaster_id: str) -> str:
        """
        Name a streamer as the configuration does; by the user id when it is not configured.
        """
        return self.streamers.get(broadcaster_id, broadcaster_id)

    def name(self, topic: Topic | None, broadcaster_id: str) -> str:
        """
        Name a streamer, and what a subscription is for unless it is for the start of broadcasts.
        """
        return name_topic(topic, self.streamer(broadcaster_id))

    def enabled(self) -> set[Topic]:
        """
        The topics whose subscriptions are enabled at Twitch, adopted ones included.
        """
        there = (*self.result.created, *self.result.adopted)
        working = {each.topic for each in there if each.topic is not None and each.status == ENABLED}
        return {each.topic for each in self.needed.keep} | working

    def pending(self) -> set[Topic]:
        """
        What is being verified by Twitch.
        """
        waiting = (each.subscription for each in self.needed.wait)
        there = (*(each for each in waiting if each is not None), *self.result.created, *self.result.adopted)
        found = {each.topic for each in there if each.topic is not None and each.status == PENDING}
        return found - self.enabled()

    def reasons(self) -> Mapping[Topic, str]:
        """
        Why a subscription does not work.
        """
        needed = self.needed
        planned = {each.topic: each.reason for each in (*needed.create, *needed.wait, *needed.postponed)}
        return {**planned, **self.result.refused}


@define(eq=False)
class SubscriptionStatus:
    """
    Logs what passes have done, each complaint once, and keeps the counts.

    :ivar report: as of the last pass.
    :ivar states: of each streamer by user id, with the reason.
    """

    _clock: IReactorTime
    _unknown: Callable[[], Mapping[str, str]]
    report: SubscriptionCounts = field(default=SubscriptionCounts(), init=False)
    states: Mapping[str, tuple[Subscribed, str]] = field(factory=dict, init=False)
    _refused: dict[Topic, str] = field(factory=dict, init=False)
    _costly: bool = field(default=False, init=False)

    log = Logger()

    def current(self) -> SubscriptionCounts:
        """
        The counts of now: logins become known or unknown between the passes.
        """
        report = self.report
        if report.at is None:
            return report
        unknown = len(self._unknown())
        return evolve(report, wanted=report.wanted - report.unknown + unknown, unknown=unknown)

    def warn_of_cost(self, needed: Plan, listing: Listing) -> None:
        """
        Warn, once, when there is hardly room for more subscriptions.
        """
        limit = listing.max_total_cost
        cost = listing.total_cost + len(needed.create) + len(needed.postponed)
        costly = bool(limit) and cost > limit * _NEARLY_ALL
        if costly and not self._costly:
            self.log.warn(
                "the subscriptions need {cost} of the {limit} points that Twitch allows for this client id; ask Twitch"
                " for more, or use another client id for some streamers",
                cost=cost,
                limit=limit,
            )
        self._costly = costly

    def add(self, done: Pass) -> None:
        """
        Log and count what a pass has done.
        """
        self._log_refused(done)
        self._log_each(done)
        before, result = self.report, done.result
        topics = {"enabled": done.enabled(), "pending": done.pending()}
        enabled, pending = (
            {each.broadcaster_id for each in found if each.event_type is STREAM_ONLINE} for found in topics.values()
        )
        pending -= enabled
        lacking: dict[str, list[Topic]] = {}
        for each in done.topics:
            if each not in topics["enabled"] and each not in topics["pending"] and each.broadcaster_id in enabled:
                lacking.setdefault(each.broadcaster_id, []).append(each)
        unknown = self._unknown()
        self.report = SubscriptionCounts(
            at=self._clock.seconds(),
            wanted=len(done.streamers) + len(unknown),
            enabled=len(enabled),
            pending=len(pending),
            broken=len(done.streamers.keys() - enabled - pending),
            unknown=len(unknown),
            incomplete=len(lacking),
            lacking=tuple(dict.fromkeys(each.event_type.name for found in lacking.values() for each in found)),
            created=before.created + len(result.created),
            deleted=before.deleted + len(result.deleted),
            failed=before.failed + result.failed,
            total_cost=done.listing.total_cost,
            max_total_cost=done.listing.max_total_cost,
            last_error=next(iter(self._refused.values()), None),
        )
        reasons = done.reasons()
        self.states = {
            each: (Subscribed.ENABLED, "; ".join(_lacks(lacking.get(each, ()), {**reasons, **self._refused})))
            if each in enabled
            else (Subscribed.PENDING, "Twitch is verifying the callback")
            if each in pending
            else (Subscribed.BROKEN, reasons.get(Topic(STREAM_ONLINE, each), _NONE))
            for each in done.streamers
        }
        nothing_done = before.at is not None and not (result.created or result.deleted or result.failed)
        now, then = ((each.enabled, each.broken, each.unknown, each.incomplete) for each in (self.report, before))
        if nothing_done and now == then:
            return
        self.log.info(
            "subscriptions: {current} of {wanted} enabled, {pending} being verified; {created} created, {deleted}"
            " deleted, {failed} failed{lacking}{unknown}",
            current=self.report.enabled,
            wanted=self.report.wanted,
            pending=self.report.pending,
            created=len(result.created),
            deleted=len(result.deleted),
            failed=result.failed,
            lacking=f"; {self.report.incomplete} without {' or '.join(self.report.lacking)}" if lacking else "",
            unknown=f"; {name_reasons(unknown)}" if unknown else "",
        )

    def _log_each(self, done: Pass) -> None:
        """
        Log each creation and deletion; very many only at debug.
        """
        created, deleted = done.result.created, done.result.deleted
        level = LogLevel.info if len(created) + len(deleted) <= _FEW else LogLevel.debug
        reasons = {each.subscription.id: each.reason for each in done.due.delete if each.subscription is not None}
        for each in deleted:
            self.log.emit(
                level,
                "deleted subscription {subscription_id} of {streamer}: {reason}",
                subscription_id=each.id,
                streamer=done.name(each.topic, each.broadcaster_id),
                reason=reasons.get(each.id, "another subscription took its place"),
            )
        for each in created:
            self.log.emit(
                level,
                "created subscription {subscription_id} for {streamer}",
                subscription_id=each.id,
                streamer=done.name(each.topic, each.broadcaster_id),
            )

    def _log_refused(self, done: Pass) -> None:
        """
        Log what Twitch refuses, once for each streamer, and in one line for all with the same reason.
        """
        working = {each.topic for each in done.needed.keep}
        working |= {each.topic for each in done.result.created if each.topic is not None}
        wanted = set(done.topics)
        self._refused = {
            each: reason for each, reason in self._refused.items() if each in wanted and each not in working
        }
        causes: dict[str, list[str]] = {}
        for topic, reason in done.result.refused.items():
            if self._refused.get(topic) != reason:
                self._refused[topic] = reason
                causes.setdefault(reason, []).append(done.name(topic, topic.broadcaster_id))
        for reason, streamers in causes.items():
            self.log.error(
                "Twitch rejected changes to the subscriptions of {streamers}: {reason}; retrying with growing pauses",
                streamers=", ".join(streamers[:_FEW]) + (" and others" if len(streamers) > _FEW else ""),
                reason=reason,
            )


def _lacks(topics: Sequence[Topic], reasons: Mapping[Topic, str]) -> Iterator[str]:
    for each in topics:
        yield f"no working subscription for {each.event_type.name}: {reasons.get(each, _NONE)}"
