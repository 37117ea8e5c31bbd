"""
Carries out a plan of subscriptions: several requests at once, within the rate limit. Decides nothing by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from itsjustintv.errors import JournalUnavailable, TwitchRejected, TwitchUnavailable
from itsjustintv.twitch.api.batching import all_of
from itsjustintv.twitch.eventsub.event_types import Topic
from itsjustintv.twitch.eventsub.plan import ENABLED, PENDING, Plan
from itsjustintv.twitch.eventsub.secret_rotation import Fingerprints
from itsjustintv.twitch.eventsub.subscriptions_api import (
    AlreadyExists,
    Subscription,
    SubscriptionsAPI,
    TooManyAlike,
)
from itsjustintv.twitch.eventsub.transport import Transport

__all__ = ["PlanResult", "PlanRunner"]

# Requests under way at once. The rate limit lets 13 leave a second, so this is enough for answers that take a second.
_CONCURRENCY = 20

# After as many failures in a row the cause is likely not a single streamer, and the other topics are left for later.
_MOST_FAILURES = 10

# Subscriptions with one type and condition (dev.twitch.tv, "Managing Event Subscriptions", "Subscription limits").
_MOST_ALIKE = 3


@define(eq=False)
class PlanResult:
    """
    What has been done.

    :ivar created: new subscriptions, being verified.
    :ivar adopted: subscriptions that existed already, though they had not been listed.
    :ivar deleted: what has been deleted.
    :ivar refused: why a subscription could not be created or deleted.
    :ivar unavailable: the last failure that is worth another try.
    :ivar failed: how many creations and deletions failed.
    :ivar left: how many topics have not been worked on.
    :ivar gave_up: too many failures in a row ended it.
    """

    created: list[Subscription] = field(factory=list)
    adopted: list[Subscription] = field(factory=list)
    deleted: list[Subscription] = field(factory=list)
    refused: dict[Topic, str] = field(factory=dict)
    unavailable: TwitchUnavailable | None = None
    failed: int = 0
    left: int = 0
    gave_up: bool = False


@frozen
class _Step:
    """
    What must be done in this order for one topic: deletions, then at most one creation.
    """

    topic: Topic
    deletions: tuple[Subscription, ...] = ()
    creates: bool = False


@define(eq=False)
class PlanRunner:
    """
    Deletes and creates subscriptions, each topic's in order and many topics at a time.
    """

    _api: SubscriptionsAPI
    _fingerprints: Fingerprints

    async def run(
        self,
        plan: Plan,
        transport: Transport,
        *,
        deletions_first: bool = False,
        limit: int = 2_000,
        on_progress: Callable[[], object] = lambda: None,
    ) -> PlanResult:
        """
        Carry out a plan: first what is to be created, in order, each right after what it replaces, to keep the gap
        short; then what is only to be deleted.

        :param deletions_first: there is hardly room for another subscription.
        :param limit: how many topics are worked on.
        :param on_progress: called after each topic.
        """
        steps = list(_steps(plan))
        steps.sort(key=lambda step: step.creates == deletions_first)
        run = _Run(self._api, self._fingerprints, transport, deque(steps[:limit]), on_progress)
        result = await run.finish()
        result.left += max(0, len(steps) - limit)
        return result


def _steps(plan: Plan) -> Iterator[_Step]:
    deletions: dict[Topic, list[Subscription]] = {}
    for action in plan.delete:
        if action.subscription is not None:
            deletions.setdefault(action.topic, []).append(action.subscription)
    for action in plan.create:
        yield _Step(action.topic, tuple(deletions.pop(action.topic, ())), creates=True)
    for topic, subscriptions in deletions.items():
        yield _Step(topic, tuple(subscriptions))


@define(eq=False)
class _Run:
    """
    One run of a plan.
    """

    _api: SubscriptionsAPI
    _fingerprints: Fingerprints
    _transport: Transport
    _steps: deque[_Step]
    _on_progress: Callable[[], object]
    _result: PlanResult = field(factory=PlanResult, init=False)
    _failures_in_a_row: int = field(default=0, init=False)

    async def finish(self) -> PlanResult:
        await all_of(Deferred.fromCoroutine(self._work()) for _ in range(_CONCURRENCY))
        return self._result

    async def _work(self) -> None:
        """
        Take one step after the other until none is left.
        """
        while self._steps:
            step = self._steps.popleft()
            try:
                await self._do(step)
            except TwitchUnavailable as error:
                self._result.unavailable = error
            except TwitchRejected as error:
                self._result.refused[step.topic] = str(error)
            else:
                self._failures_in_a_row = 0
                continue
            finally:
                self._on_progress()
            self._result.failed += 1
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= _MOST_FAILURES:
                self._give_up()

    def _give_up(self) -> None:
        """
        Create nothing more. While Twitch answers, deletions go on.
        """
        remaining = [step for step in self._steps if not step.creates and self._result.unavailable is None]
        self._result.left += len(self._steps) - len(remaining)
        self._result.gave_up, self._failures_in_a_row = True, 0
        self._steps = deque(remaining)

    async def _do(self, step: _Step) -> None:
        for subscription in step.deletions:
            await self._delete(subscription)
        if not step.creates:
            return
        try:
            await self._create(step.topic)
        except AlreadyExists:
            await self._adopt(step.topic)
        except TooManyAlike as error:
            await self._make_room(step.topic, error)

    async def _create(self, topic: Topic) -> None:
        created = await self._api.create(topic, self._transport)
        self._result.created.append(created)
        # What cannot be stored now stays in memory; Fingerprints.save at the end of the pass reports the failure.
        with suppress(JournalUnavailable):
            await self._fingerprints.remember(created.id, self._transport.secret)

    async def _delete(self, subscription: Subscription) -> None:
        await self._api.delete(subscription.id)
        self._result.deleted.append(subscription)

    async def _alike(self, topic: Topic) -> list[Subscription]:
        """
        List the subscriptions for a topic, whichever program created them.
        """
        listing = await self._api.list(topic.broadcaster_id)
        return [each for each in listing.subscriptions if each.topic == topic]

    async def _adopt(self, topic: Topic) -> None:
        """
        Use a subscription that exists although it was not listed, if it is as configured; else replace it. A deleted
        one may still be listed as it was before.
        """
        deleted = {each.id for each in self._result.deleted}
        mine = [each for each in await self._alike(topic) if each.transport == self._transport]
        for each in mine:
            if each.id in deleted:
                continue
            if each.status in (ENABLED, PENDING) and self._fingerprints.is_current(each, self._transport.secret):
                self._result.adopted.append(each)
                return
        for each in mine:
            await self._delete(each)
        try:
            await self._create(topic)
        except AlreadyExists as error:
            raise TwitchRejected(
                "Twitch says that a subscription with this transport exists already, but does not list it", error.status
            ) from None

    async def _make_room(self, topic: Topic, error: TooManyAlike) -> None:
        """
        Delete ours among as many subscriptions as Twitch allows for one topic.

        :param error: says that there are too many; or, when there are not, that something else is at its limit.
        """
        alike = await self._alike(topic)
        mine = [
            each for each in alike if each.transport == self._transport or each.id in self._fingerprints.created_here
        ]
        if len(alike) < _MOST_ALIKE:
            raise TwitchRejected(str(error), error.status)
        if not mine:
            hosts = sorted({each.transport.host or "elsewhere" for each in alike})
            raise TwitchRejected(
                "Twitch allows three subscriptions per streamer, and other programs with the same client id have all"
                f" three ({', '.join(hosts)}): delete one of theirs, or use another client id",
                error.status,
            )
        for each in mine:
            await self._delete(each)
        await self._create(topic)
