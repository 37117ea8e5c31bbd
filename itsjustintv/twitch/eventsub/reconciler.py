"""
Keeps the subscriptions at Twitch as the configuration says. Knows no HTTP and decides nothing that :mod:`plan
<itsjustintv.twitch.eventsub.plan>` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from math import inf

from attrs import Factory, define, evolve, field
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from itsjustintv.interfaces import IKeyValues
from itsjustintv.model import Subscribed
from itsjustintv.support.backoff import KeyedBackoff, RetryingTask
from itsjustintv.support.durations import Seconds
from itsjustintv.support.periodic_service import PeriodicService
from itsjustintv.twitch.eventsub.event_types import CHANNEL_UPDATE, EVENT_TYPES, STREAM_ONLINE, Topic
from itsjustintv.twitch.eventsub.messages import Revocation
from itsjustintv.twitch.eventsub.plan import ENABLED, PENDING, VERIFICATION_TIMEOUT, Plan, plan, topics_of
from itsjustintv.twitch.eventsub.plan_runner import PlanResult, PlanRunner
from itsjustintv.twitch.eventsub.secret_rotation import Fingerprints
from itsjustintv.twitch.eventsub.status import Pass, SubscriptionCounts, SubscriptionStatus
from itsjustintv.twitch.eventsub.subscriptions_api import Listing, Subscription, SubscriptionsAPI
from itsjustintv.twitch.eventsub.transport import Transport

__all__ = ["OnGap", "Streamers", "SubscriptionReconciler", "Wanted"]

#: The configured streamers: their keys in the configuration, by user id.
Streamers = Callable[[], Mapping[str, str]]
#: The types of events that destinations of a streamer ask for, by user id. ``stream.online`` goes without saying.
Wanted = Callable[[], Mapping[str, Collection[str]]]
#: Called with the user ids whose events could not arrive for a while and now can again. Returns at once, never raises.
OnGap = Callable[[Sequence[str]], None]

_HOUR = 3600.0
_HOURLY_JITTER = 900.0

# Seconds until pending subscriptions are checked again: doubled each time, up to VERIFICATION_TIMEOUT.
_FIRST_CHECK = 5.0

# Seconds from a revocation until the pass it causes, so that others join it; doubled from one time to the next, for
# revocations that keep coming.
_REVOCATION_DELAY = 1.0
_LONGEST_REVOCATION_DELAY = 60.0

# Seconds for which what we did overrules Twitch's list, which may be behind.
_LIST_DELAY = 60.0

# Seconds for which a revocation overrules the list: longer than revocations are collected, since a revoked subscription
# never works again.
_REVOKED_FOR = 3600.0

# Seconds until the topics that were left after too many failures in a row are tried.
_AFTER_FAILURES = 60.0

# Seconds until the next pass while some streamers' ids are not known.
_UNTIL_KNOWN = 60.0


@define(eq=False)
class SubscriptionReconciler(Service):
    """
    Compares the configuration with Twitch's list and creates and deletes what differs: at the start, every hour and a
    random quarter of one, after a revocation, and when :meth:`reconcile` is called. One such comparison is a pass.

    To be started only once messages can arrive: the callback can be reached, or a shard of the conduit is enabled.

    :ivar streamers: asked at the beginning of each pass; so is ``transport``.
    :ivar random: from 0 to 1.
    :ivar all_known: whether the id of every configured streamer is known; until then no streamer counts as removed.
    :ivar grace_ends: until when the subscription of a user id that is no longer configured is kept, in seconds since
        the epoch; infinity while that is not known.
    :ivar unknown: why streamers have no id, so that there can be no subscription; by their keys in the configuration.
    :ivar rejecting: whether the daemon rejects Twitch's messages, challenges included; what fails meanwhile is tried
        again as soon as it no longer does.
    :ivar wanted: asked at the beginning of each pass; streamers that it leaves out need ``stream.online`` alone.
    :ivar methods: the kinds of transport that subscriptions of ours had after the last pass, the current one included.
    :ivar wall: the time by which Twitch dates subscriptions, in seconds since the epoch.
    """

    _api: SubscriptionsAPI
    _streamers: Streamers
    _transport: Callable[[], Transport]
    _last_known: IKeyValues
    _clock: IReactorTime
    _random: Callable[[], float]
    _on_gap: OnGap
    _all_known: Callable[[], bool] = lambda: True
    _grace_ends: Callable[[str], float] = lambda _: 0.0
    _unknown: Callable[[], Mapping[str, str]] = dict
    _rejecting: Callable[[], bool] = lambda: False
    _wanted: Wanted = field(default=dict, kw_only=True)
    _wall: Callable[[], float] = field(default=Factory(lambda self: self._clock.seconds, takes_self=True), kw_only=True)
    _task: RetryingTask = field(
        init=False,
        default=Factory(
            lambda self: RetryingTask(self._clock, "reconcile the subscriptions", self._pass), takes_self=True
        ),
    )
    _fingerprints: Fingerprints = field(
        init=False, default=Factory(lambda self: Fingerprints(self._last_known, self._clock), takes_self=True)
    )
    _backoff: KeyedBackoff = field(
        init=False, default=Factory(lambda self: KeyedBackoff(self._clock, self._random), takes_self=True)
    )
    _status: SubscriptionStatus = field(
        init=False, default=Factory(lambda self: SubscriptionStatus(self._clock, self._unknown), takes_self=True)
    )
    _loop: PeriodicService = field(
        init=False,
        default=Factory(
            lambda self: PeriodicService(
                self._clock, _HOUR, "schedule the hourly check of the subscriptions", self._hourly, now=False
            ),
            takes_self=True,
        ),
    )
    methods: frozenset[str] = field(default=frozenset(), init=False)
    _listeners: list[Callable[[], object]] = field(factory=list, init=False)
    _hourly_at: float = field(default=0.0, init=False)
    _next_pass: IDelayedCall | None = field(default=None, init=False)
    _current: Transport | None = field(default=None, init=False)
    _former_secrets: list[str] = field(factory=list, init=False)
    _enabled: dict[Topic, str] | None = field(default=None, init=False)
    _created: dict[str, tuple[Subscription, float]] = field(factory=dict, init=False)
    _deleted: dict[str, float] = field(factory=dict, init=False)
    _revoked: dict[str, tuple[str, float]] = field(factory=dict, init=False)
    _was_rejecting: bool = field(default=False, init=False)
    _check_delay: float = field(default=_FIRST_CHECK, init=False)
    _revocation_delay: float = field(default=_REVOCATION_DELAY, init=False)
    _revocation_waits: bool = field(default=False, init=False)

    log = Logger()

    def startService(self) -> None:
        super().startService()
        self._hourly_at = self._clock.seconds() + _HOUR
        self._loop.startService()
        self._task.run()

    def stopService(self) -> None:
        super().stopService()
        self._loop.stopService()
        self._cancel_next_pass()
        self._task.stop()

    def reconcile(self, reason: str, delay: float = 0.0) -> None:
        """
        Schedule a pass. Passes that are asked for together are one; one that is asked for during another follows it.
        Never raises.

        :param reason: for the log.
        :param delay: seconds until then at the most.
        """
        if not self.running:
            return
        self.log.debug("checking the subscriptions in {delay}: {reason}", delay=Seconds(delay), reason=reason)
        if self._next_pass is not None and self._next_pass.active():
            if self._next_pass.getTime() <= self._clock.seconds() + delay:
                return
            self._next_pass.cancel()
        self._next_pass = self._clock.callLater(delay, self._task.run)

    def add_listener(self, listener: Callable[[], object]) -> None:
        """
        Have something called after each pass.
        """
        self._listeners.append(listener)

    def revoked(self, revocation: Revocation) -> None:
        """
        Take note that Twitch revoked a subscription, and replace it soon. Never raises.
        """
        event_type = EVENT_TYPES.get(revocation.type)
        if event_type is None or not self.running:
            return
        if event_type is not STREAM_ONLINE and revocation.subscription_id not in self._fingerprints.created_here:
            return
        self._revoked[revocation.subscription_id] = (revocation.status, self._clock.seconds())
        topic = Topic(event_type, revocation.broadcaster_id)
        if self._enabled is not None and self._enabled.get(topic) == revocation.subscription_id:
            del self._enabled[topic]
        if not self._revocation_waits:
            self._revocation_waits = True
            self.reconcile("Twitch revoked a subscription", self._revocation_delay)
            self._revocation_delay = min(self._revocation_delay * 2, _LONGEST_REVOCATION_DELAY)

    def secrets(self) -> Sequence[bytes]:
        """
        What Twitch may sign with: the current secret, then former ones for as long as a subscription has one of them.
        """
        current = self._take_transport()
        return [each.encode("utf-8") for each in (current.secret, *self._former_secrets) if each]

    def report(self) -> SubscriptionCounts:
        """
        Count the subscriptions by state.
        """
        soon = self._next_pass.getTime() if self._next_pass is not None and self._next_pass.active() else None
        counts = self._status.current()
        return evolve(counts, last_error=self._task.problem() or counts.last_error, next_at=soon or self._hourly_at)

    def state(self, broadcaster_id: str) -> tuple[Subscribed, str] | None:
        """
        The state of one streamer's ``stream.online`` subscription as of the last pass, and why it is not enabled, or
        which others are lacking; ``None`` before the first pass.
        """
        return self._status.states.get(broadcaster_id)

    def problem(self) -> str | None:
        """
        Why events may not arrive, or ``None``.
        """
        counts = self._status.current()
        if (problem := self.critical()) or not counts.incomplete:
            return problem
        return (
            f"{counts.incomplete} of {counts.wanted} streamers have no working subscription for"
            f" {' or '.join(counts.lacking)}; 'itsjustintv subscriptions explain STREAMER' shows why"
        )

    def critical(self) -> str | None:
        """
        Why starts of broadcasts may not arrive, or ``None``.
        """
        counts = self._status.current()
        if (problem := self._task.problem()) or not counts.broken:
            return problem
        return (
            f"{counts.broken} of {counts.wanted} streamers have no working subscription;"
            " 'itsjustintv subscriptions explain STREAMER' shows why"
        )

    def _hourly(self) -> None:
        self._hourly_at = self._clock.seconds() + _HOUR
        self._revocation_delay = _REVOCATION_DELAY
        self.reconcile("an hour has passed", self._random() * _HOURLY_JITTER)

    def _cancel_next_pass(self) -> None:
        if self._next_pass is not None and self._next_pass.active():
            self._next_pass.cancel()
        self._next_pass = None

    def _take_transport(self) -> Transport:
        """
        Look up the current transport; remember the secret of the one before.
        """
        current, former = self._transport(), self._current
        if former is not None and former == current and former.secret == current.secret:
            return former
        self._current = current
        self._backoff.clear()
        if former is not None and former.secret != current.secret:
            secrets = dict.fromkeys((former.secret, *self._former_secrets))
            self._former_secrets = [each for each in secrets if each != current.secret]
        return current

    async def _pass(self) -> None:
        """
        Compare once, and create and delete what differs.

        :raises TwitchError: something is left to do, or Twitch's list is not available.
        :raises JournalUnavailable: it is not known which subscriptions are ours, or this could not be stored.
        """
        self._cancel_next_pass()
        self._revocation_waits = False
        transport = self._take_transport()
        await self._fingerprints.load()
        listing = self._corrected(await self._api.list())
        was_rejecting, self._was_rejecting = self._was_rejecting, self._rejecting()
        if was_rejecting and not self._was_rejecting:
            self._backoff.clear()
        streamers = self._streamers()
        asked_for = self._wanted()
        wanted = {each: asked_for.get(each, ()) for each in streamers}
        topics = topics_of(wanted)
        needed = self._plan(wanted, listing, transport)
        self._backoff.retain(topics)
        self._note_enabled(needed)
        self._drop_former_secrets(listing, set(topics), transport)
        self._status.warn_of_cost(needed, listing)
        due = self._without_backoff(needed)
        crowded = bool(listing.max_total_cost) and listing.total_cost + len(due.create) > listing.max_total_cost
        runner = PlanRunner(self._api, self._fingerprints)
        result = await runner.run(due, transport, deletions_first=crowded)
        self._note_result(result)
        self._status.add(Pass(streamers, topics, listing, needed, due, result))
        self._note_transports(listing, transport, result)
        self._schedule(needed, result)
        await self._fingerprints.save()
        await self._fingerprints.forget_all_but((*(each.id for each in listing.subscriptions), *self._created))
        if result.unavailable is not None:
            raise result.unavailable

    def _corrected(self, listing: Listing) -> Listing:
        """
        Correct a list that may be behind: add what was just created, remove what was just deleted, and give what was
        revoked its new status.
        """
        now = self._clock.seconds()
        since = now - _LIST_DELAY
        self._created = {each: value for each, value in self._created.items() if value[1] > since}
        self._deleted = {each: at for each, at in self._deleted.items() if at > since}
        self._revoked = {each: value for each, value in self._revoked.items() if value[1] > now - _REVOKED_FOR}
        found = {each.id: each for each in listing.subscriptions}
        missing = [each for each, _ in self._created.values() if each.id not in found]
        present = [self._with_revocation(each) for each in (*found.values(), *missing) if each.id not in self._deleted]
        return evolve(listing, subscriptions=tuple(present))

    def _with_revocation(self, subscription: Subscription) -> Subscription:
        if subscription.id in self._revoked and subscription.status in (ENABLED, PENDING):
            return evolve(subscription, status=self._revoked[subscription.id][0])
        return subscription

    def _plan(self, wanted: Mapping[str, Collection[str]], listing: Listing, transport: Transport) -> Plan:
        return plan(
            wanted,
            listing,
            transport,
            lambda each: self._fingerprints.is_current(each, transport.secret),
            self._wall(),
            created_here=self._fingerprints.created_here,
            complete=self._all_known(),
            in_grace=lambda each: self._grace_ends(each) > self._clock.seconds(),
        )

    def _note_enabled(self, needed: Plan) -> None:
        """
        Report whose events arrive again. At the start it is not known whether there was a gap.
        """
        kept = [(each.topic, each.subscription) for each in needed.keep if each.subscription is not None]
        before, self._enabled = self._enabled, {topic: subscription.id for topic, subscription in kept}
        for topic, subscription in kept:
            if subscription.age(self._wall()) >= VERIFICATION_TIMEOUT:
                self._backoff.reset(topic)
        if before is not None:
            # Which title a channel has now is asked for anyway.
            gap = dict.fromkeys(
                topic.broadcaster_id
                for topic, its_id in self._enabled.items()
                if before.get(topic) != its_id and topic.event_type is not CHANNEL_UPDATE
            )
            if gap:
                self._on_gap(list(gap))

    def _drop_former_secrets(self, listing: Listing, wanted: Set[Topic], transport: Transport) -> None:
        """
        Accept no former secret any longer once no subscription has one.
        """
        if not self._former_secrets or transport is not self._current:
            return
        ours = (
            each
            for each in listing.subscriptions
            if each.topic is not None
            and (
                each.id in self._fingerprints.created_here
                or (each.transport == transport and (each.topic in wanted or each.topic.event_type is STREAM_ONLINE))
            )
        )
        if all(self._fingerprints.is_current(each, transport.secret) for each in ours):
            self._former_secrets.clear()
            self.log.info("webhook secret rotation finished; the old secret is no longer accepted")

    def _note_transports(self, listing: Listing, transport: Transport, result: PlanResult) -> None:
        """
        Find out by which kinds of transport events may still arrive.
        """
        deleted = {each.id for each in result.deleted}
        ours = (
            each.transport.method
            for each in listing.subscriptions
            if each.id not in deleted and (each.transport == transport or each.id in self._fingerprints.created_here)
        )
        self.methods = frozenset({transport.method, *ours})
        for listener in self._listeners:
            listener()

    def _without_backoff(self, needed: Plan) -> Plan:
        """
        Leave out for now what failed at the last attempts.
        """
        held = {each.topic for each in needed.create if self._backoff.remaining(each.topic)}
        create = [each for each in needed.create if each.topic not in held]
        # What has not been tried must not wait behind what fails again and again.
        create.sort(key=lambda each: self._backoff.attempts(each.topic))
        return evolve(
            needed,
            delete=tuple(each for each in needed.delete if each.topic not in held),
            create=tuple(create),
        )

    def _note_result(self, result: PlanResult) -> None:
        now = self._clock.seconds()
        self._created.update((each.id, (each, now)) for each in (*result.created, *result.adopted))
        self._deleted.update((each.id, now) for each in result.deleted)
        for each in result.created:
            if each.topic is not None:
                self._backoff.attempted(each.topic)
        for topic in result.refused:
            self._backoff.attempted(topic)

    def _schedule(self, needed: Plan, result: PlanResult) -> None:
        """
        Schedule the next pass sooner than in an hour while something is unfinished.
        """
        if result.created:
            self._check_delay = _FIRST_CHECK
        if result.left and not result.gave_up:
            self.reconcile("there is more to do")
        if needed.wait or result.created or result.adopted:
            self.reconcile(
                "subscriptions are being verified or replaced", self._check_delay * (1 + self._random() / 10)
            )
            self._check_delay = min(self._check_delay * 2, VERIFICATION_TIMEOUT)
        if needed.grace:
            end = min(self._grace_ends(each.broadcaster_id) for each in needed.grace)
            remaining = _UNTIL_KNOWN if end == inf else max(1.0, end - self._clock.seconds())
            self.reconcile("the grace period of removed streamers ends", remaining)
        if not self._all_known():
            self.reconcile("some streamers' ids are not known", _UNTIL_KNOWN)
        if result.gave_up:
            self.reconcile("too many requests failed in a row", _AFTER_FAILURES)
            return
        created = {each.topic for each in result.created}
        failed = (each.topic for each in needed.create if each.topic not in created)
        if pauses := [left for each in failed if (left := self._backoff.remaining(each))]:
            self.reconcile("a pause after failures ends", min(pauses))
