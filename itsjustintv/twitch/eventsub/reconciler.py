"""
The subscriptions at Twitch, kept as they are wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf

from attrs import Factory, define, evolve, field
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from itsjustintv.interfaces import ILastKnown
from itsjustintv.model import Subscribed
from itsjustintv.support.backoff import KeyedBackoff, RetryingTask
from itsjustintv.support.durations import Seconds
from itsjustintv.twitch.eventsub.messages import Revocation
from itsjustintv.twitch.eventsub.plan import ENABLED, PATIENCE, PENDING, Plan, is_kind, moment, plan
from itsjustintv.twitch.eventsub.plan_runner import PlanRunner, Settings, Tasks
from itsjustintv.twitch.eventsub.secret_rotation import Fingerprints
from itsjustintv.twitch.eventsub.status import Pass, SubscriptionCounts, SubscriptionStatus
from itsjustintv.twitch.eventsub.subscriptions_api import TYPE, Listing, Subscription, SubscriptionsAPI

__all__ = ["OnGap", "SubscriptionReconciler", "Wanted"]

#: The streamers that somebody wants to hear of at this moment: their keys in the configuration, by user id.
Wanted = Callable[[], Mapping[str, str]]
#: Is told the user ids for whom nothing could arrive for a while, once it can again. Returns at once, never raises.
OnGap = Callable[[Sequence[str]], None]

_HOUR = 3600.0
_SPLAY = 900.0

# Seconds until pending subscriptions are looked at again: doubled each time, up to the patience with them.
_FOLLOW_UP = 5.0

# Seconds from a revocation until something is done about it, for company; doubled from one time to the next, for
# revocations that come in a stream.
_GATHERING = 1.0
_LONGEST_GATHERING = 60.0

# Seconds for which what we know of a subscription counts for more than the list, which may be behind.
_BEHIND = 60.0

# Seconds for which a revocation counts for more than the list: longer than revocations are gathered, since what Twitch
# has ended does not begin again.
_ENDED_FOR = 3600.0

# Seconds after which the others have their turn when too much has failed in a row.
_AFTER_FAILURES = 60.0

# Seconds until the next look while it is not certain who is wanted.
_UNCERTAIN = 60.0


@define(eq=False)
class SubscriptionReconciler(Service):
    """
    Compares what is wanted with what there is and makes up the difference: at the start, every hour and a random
    quarter of one, when Twitch ends a subscription, and whenever it is asked to.

    To be started only once our callback can be reached.

    :ivar callback: the address of today, asked for at the beginning of each round; so is ``secret``.
    :ivar random: from 0 to 1.
    :ivar wall: the time by which Twitch dates subscriptions, in seconds since the epoch.
    :ivar certain: whether ``wanted`` is everybody; until then nobody counts as no longer wanted.
    :ivar ends: until when the subscription for a user id that is not wanted any more is left, in seconds since the
        epoch; infinity while that is not known.
    :ivar unknown: why those have no id for whom there can be no subscription, by their keys in the configuration.
    :ivar refusing: whether Twitch's messages are refused, its challenges too; what fails meanwhile is tried again as
        soon as they are not.
    """

    _api: SubscriptionsAPI
    _wanted: Wanted
    _callback: Callable[[], str]
    _secret: Callable[[], str]
    _last_known: ILastKnown
    _clock: IReactorTime
    _random: Callable[[], float]
    _on_gap: OnGap
    _certain: Callable[[], bool] = lambda: True
    _ends: Callable[[str], float] = lambda _: 0.0
    _unknown: Callable[[], Mapping[str, str]] = dict
    _refusing: Callable[[], bool] = lambda: False
    _wall: Callable[[], float] = field(default=Factory(lambda self: self._clock.seconds, takes_self=True), kw_only=True)
    _errand: RetryingTask = field(
        init=False,
        default=Factory(
            lambda self: RetryingTask(self._clock, "bring the subscriptions in order", self._round), takes_self=True
        ),
    )
    _fingerprints: Fingerprints = field(
        init=False, default=Factory(lambda self: Fingerprints(self._last_known, self._clock), takes_self=True)
    )
    _backoff: KeyedBackoff = field(
        init=False, default=Factory(lambda self: KeyedBackoff(self._clock, self._random), takes_self=True)
    )
    _loop: LoopingCall | None = field(default=None, init=False)
    _hour_at: float = field(default=0.0, init=False)
    _soon: IDelayedCall | None = field(default=None, init=False)
    _terms: Settings | None = field(default=None, init=False)
    _previous: list[str] = field(factory=list, init=False)
    _enabled: dict[str, str] | None = field(default=None, init=False)
    _recent: dict[str, tuple[Subscription, float]] = field(factory=dict, init=False)
    _gone: dict[str, float] = field(factory=dict, init=False)
    _refused: bool = field(default=False, init=False)
    _ended: dict[str, tuple[str, float]] = field(factory=dict, init=False)
    _follow_up: float = field(default=_FOLLOW_UP, init=False)
    _gathering: float = field(default=_GATHERING, init=False)
    _revoked_at: float | None = field(default=None, init=False)
    _standing: SubscriptionStatus = field(
        init=False, default=Factory(lambda self: SubscriptionStatus(self._clock, self._unknown), takes_self=True)
    )

    log = Logger()

    def startService(self) -> None:
        """
        Begin with a first look, at once.
        """
        super().startService()
        self._loop = LoopingCall(self._hour)
        self._loop.clock = self._clock
        self._hour_at = self._clock.seconds() + _HOUR
        self._loop.start(_HOUR, now=False)
        self._errand.go()

    def stopService(self) -> None:
        """
        Leave everything at Twitch as it is.
        """
        super().stopService()
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        self._forget_soon()
        self._errand.stop()

    def reconcile(self, reason: str, delay: float = 0.0) -> None:
        """
        Look at the subscriptions soon. Looks that are asked for together are one; one that is asked for during
        another follows it. Never raises.

        :param reason: for the log.
        :param delay: seconds until then at the most.
        """
        if not self.running:
            return
        self.log.debug("looking at the subscriptions in {delay}: {reason}", delay=Seconds(delay), reason=reason)
        if self._soon is not None and self._soon.active():
            if self._soon.getTime() <= self._clock.seconds() + delay:
                return
            self._soon.cancel()
        self._soon = self._clock.callLater(delay, self._errand.go)

    def revoked(self, revocation: Revocation) -> None:
        """
        Take note that Twitch has ended a subscription, and see to another one. Never raises.
        """
        if revocation.type != TYPE or not self.running:
            return
        self._ended[revocation.subscription_id] = (revocation.status, self._clock.seconds())
        if self._enabled is not None and self._enabled.get(revocation.broadcaster_id) == revocation.subscription_id:
            del self._enabled[revocation.broadcaster_id]
        if self._revoked_at is None:
            self._revoked_at = self._clock.seconds()
            self.reconcile("twitch ended a subscription", self._gathering)
            self._gathering = min(self._gathering * 2, _LONGEST_GATHERING)

    def secrets(self) -> Sequence[bytes]:
        """
        What Twitch may sign with: the secret of today, then those of before for as long as a subscription has one of
        them.
        """
        self._take_terms()
        return [each.encode("utf-8") for each in (self._secret(), *self._previous) if each]

    def report(self) -> SubscriptionCounts:
        """
        Tell how the subscriptions stand.
        """
        soon = self._soon.getTime() if self._soon is not None and self._soon.active() else None
        report = self._standing.current()
        return evolve(report, last_error=self._errand.problem() or report.last_error, next_at=soon or self._hour_at)

    def state(self, broadcaster_id: str) -> tuple[Subscribed, str] | None:
        """
        How it stands with one streamer since the last look, and why; ``None`` before the first look.
        """
        return self._standing.states.get(broadcaster_id)

    def problem(self) -> str | None:
        """
        Why events may not arrive, or ``None``.
        """
        report = self._standing.current()
        if (problem := self._errand.problem()) or not report.broken:
            return problem
        return (
            f"{report.broken} of {report.wanted} streamers have no working subscription;"
            " 'itsjustintv subscriptions explain STREAMER' tells why"
        )

    def _hour(self) -> None:
        self._hour_at = self._clock.seconds() + _HOUR
        self._gathering = _GATHERING
        self.reconcile("the hour is over", self._random() * _SPLAY)

    def _forget_soon(self) -> None:
        if self._soon is not None and self._soon.active():
            self._soon.cancel()
        self._soon = None

    def _take_terms(self) -> Settings:
        """
        Find out what subscriptions are created with by now, and remember what they were created with before.
        """
        callback, secret, before = self._callback(), self._secret(), self._terms
        if before is not None and before.secret == secret and before.callback == callback:
            return before
        self._terms = Settings(callback, secret)
        self._backoff.clear()
        if before is not None and before.secret != secret:
            former = dict.fromkeys((before.secret, *self._previous))
            self._previous = [each for each in former if each != secret]
        return self._terms

    async def _round(self) -> None:
        """
        Look once, and do what is to be done.

        :raises TwitchError: something is left to be done, or nothing could be known.
        :raises JournalUnavailable: it is not known which subscriptions are ours, or could not be kept.
        """
        self._forget_soon()
        self._revoked_at = None
        terms = self._take_terms()
        await self._fingerprints.load()
        listing = self._corrected(await self._api.list())
        refused, self._refused = self._refused, self._refusing()
        if refused and not self._refused:
            self._backoff.clear()
        wanted = self._wanted()
        drawn = self._draw(wanted, listing, terms)
        self._backoff.retain(wanted)
        self._note_enabled(drawn)
        self._note_secrets(listing, terms)
        self._standing.cost(drawn, listing)
        ready = self._without_hopeless(drawn)
        crowded = bool(listing.max_total_cost) and listing.total_cost + len(ready.create) > listing.max_total_cost
        work = await PlanRunner(self._api, self._fingerprints).carry_out(ready, terms, crowded=crowded)
        self._note_work(work)
        self._standing.add(Pass(wanted, listing, drawn, ready, work))
        self._look_again(drawn, work)
        await self._fingerprints.save()
        await self._fingerprints.forget_all_but((*(each.id for each in listing.subscriptions), *self._recent))
        if work.unavailable is not None:
            raise work.unavailable

    def _corrected(self, listing: Listing) -> Listing:
        """
        Add to a list, which may be behind, what has just been created, take away what has just been deleted, and
        believe it of nothing that Twitch has ended that it is enabled.
        """
        now = self._clock.seconds()
        since = now - _BEHIND
        self._recent = {each: value for each, value in self._recent.items() if value[1] > since}
        self._gone = {each: at for each, at in self._gone.items() if at > since}
        self._ended = {each: value for each, value in self._ended.items() if value[1] > now - _ENDED_FOR}
        found = {each.id: each for each in listing.subscriptions}
        missing = [each for each, _ in self._recent.values() if each.id not in found]
        kept = [self._as_ended(each) for each in (*found.values(), *missing) if each.id not in self._gone]
        return evolve(listing, subscriptions=tuple(kept))

    def _as_ended(self, subscription: Subscription) -> Subscription:
        if subscription.id in self._ended and subscription.status in (ENABLED, PENDING):
            return evolve(subscription, status=self._ended[subscription.id][0])
        return subscription

    def _draw(self, wanted: Mapping[str, str], listing: Listing, terms: Settings) -> Plan:
        return plan(
            wanted,
            listing,
            terms.callback,
            lambda each: self._fingerprints.matches(each.id, terms.secret),
            self._wall(),
            created_here=self._fingerprints.created_here,
            certain=self._certain(),
            spared=lambda each: self._ends(each) > self._clock.seconds(),
        )

    def _note_enabled(self, drawn: Plan) -> None:
        """
        Tell whose events arrive again. At the start it is not known whether they ever did not.
        """
        before, self._enabled = (
            self._enabled,
            {each.broadcaster_id: each.subscription.id for each in drawn.keep if each.subscription is not None},
        )
        for each in drawn.keep:
            if each.subscription is not None and self._age(each.subscription) >= PATIENCE:
                self._backoff.reset(each.broadcaster_id)
        if before is not None:
            gap = [each for each, its_id in self._enabled.items() if before.get(each) != its_id]
            if gap:
                self._on_gap(gap)

    def _note_secrets(self, listing: Listing, terms: Settings) -> None:
        """
        Trust no former secret any longer once no subscription has one.
        """
        if self._previous and terms == self._terms:
            ours = (
                each
                for each in listing.subscriptions
                if is_kind(each) and (each.callback == terms.callback or each.id in self._fingerprints.created_here)
            )
            if all(self._fingerprints.matches(each.id, terms.secret) for each in ours):
                self._previous.clear()
                self.log.info("every subscription has the new webhook secret; the one before counts no more")

    def _without_hopeless(self, drawn: Plan) -> Plan:
        """
        Leave alone for now those who have been tried too often.
        """
        held = {each.broadcaster_id for each in drawn.create if self._backoff.remaining(each.broadcaster_id)}
        ready = [each for each in drawn.create if each.broadcaster_id not in held]
        # Whoever has not been tried must not wait behind those who fail again and again.
        ready.sort(key=lambda each: self._backoff.attempts(each.broadcaster_id))
        return evolve(
            drawn,
            delete=tuple(each for each in drawn.delete if each.broadcaster_id not in held),
            create=tuple(ready),
        )

    def _note_work(self, work: Tasks) -> None:
        now = self._clock.seconds()
        self._recent.update((each.id, (each, now)) for each in (*work.created, *work.adopted))
        self._gone.update((each.id, now) for each in work.deleted)
        for each in work.created:
            self._backoff.attempted(each.broadcaster_id)
        for broadcaster_id in work.refused:
            self._backoff.attempted(broadcaster_id)

    def _look_again(self, drawn: Plan, work: Tasks) -> None:
        """
        Come back sooner than in an hour while something is on its way.
        """
        if work.created:
            self._follow_up = _FOLLOW_UP
        if work.left and not work.gave_up:
            self.reconcile("there is more to do")
        if drawn.wait or work.created or work.adopted:
            self.reconcile("twitch is verifying the callback", self._follow_up * (1 + self._random() / 10))
            self._follow_up = min(self._follow_up * 2, PATIENCE)
        if drawn.spare:
            end = min(self._ends(each.broadcaster_id) for each in drawn.spare)
            left = _UNCERTAIN if end == inf else max(1.0, end - self._clock.seconds())
            self.reconcile("streamers who were removed have had time to return", left)
        if not self._certain():
            self.reconcile("not everybody is known yet", _UNCERTAIN)
        if work.gave_up:
            self.reconcile("too much failed in a row", _AFTER_FAILURES)
            return
        created = {each.broadcaster_id for each in work.created}
        failed = (each.broadcaster_id for each in drawn.create if each.broadcaster_id not in created)
        if pauses := [left for each in failed if (left := self._backoff.remaining(each))]:
            self.reconcile("what failed may be tried again", min(pauses))

    def _age(self, subscription: Subscription) -> float:
        return self._wall() - moment(subscription.created_at)
