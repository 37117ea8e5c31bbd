"""
Carrying out a plan of subscriptions, several at once and as fast as the rate limit allows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from itsjustintv.errors import JournalUnavailable, TwitchRejected, TwitchUnavailable
from itsjustintv.twitch.api.batching import all_of
from itsjustintv.twitch.eventsub.plan import ENABLED, PENDING, Action, Plan, is_kind
from itsjustintv.twitch.eventsub.secret_rotation import Fingerprints
from itsjustintv.twitch.eventsub.subscriptions_api import (
    AlreadyExists,
    Subscription,
    SubscriptionsAPI,
    TooManyAlike,
)

__all__ = ["PlanRunner", "Settings", "Tasks"]

# Requests under way at once. The rate limit lets 13 leave a second, so this is enough for answers that take a second.
_HANDS = 20

# After as many failures in a row the fault is likely not that of single streamers, and the others are left for later.
_ENOUGH = 10

# Subscriptions with one type and condition (dev.twitch.tv, "Managing Event Subscriptions", "Subscription limits").
_MOST_ALIKE = 3


@frozen
class Settings:
    """
    What subscriptions are created with.
    """

    callback: str
    secret: str = field(repr=False)


@define(eq=False)
class Tasks:
    """
    What has been done.

    :ivar created: subscriptions that there are now, being verified.
    :ivar adopted: subscriptions that there were already, though they had not been listed.
    :ivar deleted: what has been deleted.
    :ivar refused: why somebody could not be subscribed to, or a subscription not be deleted, by user id.
    :ivar unavailable: the last failure that is worth another try.
    :ivar failed: how many creations and deletions did not succeed.
    :ivar left: how many streamers have not been worked on.
    :ivar gave_up: too many failures in a row ended it.
    """

    created: list[Subscription] = field(factory=list)
    adopted: list[Subscription] = field(factory=list)
    deleted: list[Subscription] = field(factory=list)
    refused: dict[str, str] = field(factory=dict)
    unavailable: TwitchUnavailable | None = None
    failed: int = 0
    left: int = 0
    gave_up: bool = False


@frozen
class _Task:
    """
    What belongs together and must be done in this order: deletions, then at most one creation.
    """

    broadcaster_id: str
    deletions: tuple[Subscription, ...] = ()
    creation: Action | None = None


@define(eq=False)
class PlanRunner:
    """
    Deletes and creates.
    """

    _api: SubscriptionsAPI
    _fingerprints: Fingerprints

    async def carry_out(
        self,
        plan: Plan,
        terms: Settings,
        *,
        crowded: bool = False,
        limit: int = 2_000,
        advanced: Callable[[], object] = lambda: None,
    ) -> Tasks:
        """
        Do what a plan says: first what is to be created, in order, each right after what it replaces, so that the gap
        is as short as can be; then what is only to be deleted.

        :param crowded: there is hardly room for another subscription, so deletions go first.
        :param limit: how many streamers are worked on; what is left is told.
        :param advanced: is called whenever one more streamer has been worked on.
        """
        tasks = list(_tasks(plan))
        tasks.sort(key=lambda task: (task.creation is None) != crowded)
        shift = _Run(self._api, self._fingerprints, terms, deque(tasks[:limit]), advanced)
        work = await shift.work()
        work.left += max(0, len(tasks) - limit)
        return work


def _tasks(plan: Plan) -> Iterator[_Task]:
    deletions: dict[str, list[Subscription]] = {}
    for decision in plan.delete:
        if decision.subscription is not None:
            deletions.setdefault(decision.broadcaster_id, []).append(decision.subscription)
    for decision in plan.create:
        yield _Task(decision.broadcaster_id, tuple(deletions.pop(decision.broadcaster_id, ())), decision)
    for broadcaster_id, own in deletions.items():
        yield _Task(broadcaster_id, tuple(own))


@define(eq=False)
class _Run:
    """
    One carrying out.
    """

    _api: SubscriptionsAPI
    _fingerprints: Fingerprints
    _terms: Settings
    _tasks: deque[_Task]
    _advanced: Callable[[], object]
    _work: Tasks = field(factory=Tasks, init=False)
    _in_a_row: int = field(default=0, init=False)

    async def work(self) -> Tasks:
        """
        Do as much as can be done.
        """
        await all_of(Deferred.fromCoroutine(self._hand()) for _ in range(_HANDS))
        return self._work

    async def _hand(self) -> None:
        while self._tasks:
            task = self._tasks.popleft()
            try:
                await self._do(task)
            except TwitchUnavailable as error:
                self._work.unavailable = error
            except TwitchRejected as error:
                self._work.refused[task.broadcaster_id] = str(error)
            else:
                self._in_a_row = 0
                continue
            finally:
                self._advanced()
            self._work.failed += 1
            self._in_a_row += 1
            if self._in_a_row >= _ENOUGH:
                self._give_up()

    def _give_up(self) -> None:
        """
        Create nothing more; while Twitch is there, what is to be deleted is deleted all the same.
        """
        still = [task for task in self._tasks if task.creation is None and self._work.unavailable is None]
        self._work.left += len(self._tasks) - len(still)
        self._work.gave_up, self._in_a_row = True, 0
        self._tasks = deque(still)

    async def _do(self, task: _Task) -> None:
        for subscription in task.deletions:
            await self._delete(subscription)
        if task.creation is None:
            return
        try:
            await self._create(task.broadcaster_id)
        except AlreadyExists:
            await self._adopt(task.broadcaster_id)
        except TooManyAlike as error:
            await self._make_room(task.broadcaster_id, error)

    async def _create(self, broadcaster_id: str) -> None:
        created = await self._api.create(broadcaster_id, self._terms.callback, self._terms.secret)
        self._work.created.append(created)
        # What cannot be kept now is kept in memory, and whoever saves it at the end learns what is wrong.
        with suppress(JournalUnavailable):
            await self._fingerprints.remember(created.id, self._terms.secret)

    async def _delete(self, subscription: Subscription) -> None:
        await self._api.delete(subscription.id)
        self._work.deleted.append(subscription)

    async def _adopt(self, broadcaster_id: str) -> None:
        """
        Use what there is although it was not listed, if it is as it should be; else replace it. What has just been
        deleted may still be listed, as it was before.
        """
        deleted = {each.id for each in self._work.deleted}
        mine = [
            each
            for each in (await self._api.list(broadcaster_id)).subscriptions
            if is_kind(each) and each.broadcaster_id == broadcaster_id and each.callback == self._terms.callback
        ]
        for each in mine:
            if each.id in deleted:
                continue
            if each.status in (ENABLED, PENDING) and self._fingerprints.matches(each.id, self._terms.secret):
                self._work.adopted.append(each)
                return
        for each in mine:
            await self._delete(each)
        try:
            await self._create(broadcaster_id)
        except AlreadyExists as error:
            raise TwitchRejected(
                "twitch says that there is a subscription for this callback already, and does not list it", error.status
            ) from None

    async def _make_room(self, broadcaster_id: str, error: TooManyAlike) -> None:
        """
        Give up what is ours among as many subscriptions as Twitch allows for one streamer.

        :param error: says that there are so many; or, when there are not, that something else is at its limit.
        """
        alike = [
            each
            for each in (await self._api.list(broadcaster_id)).subscriptions
            if is_kind(each) and each.broadcaster_id == broadcaster_id
        ]
        mine = [
            each
            for each in alike
            if each.callback == self._terms.callback or each.id in self._fingerprints.created_here
        ]
        if len(alike) < _MOST_ALIKE:
            raise TwitchRejected(str(error), error.status)
        if not mine:
            hosts = sorted({urlsplit(each.callback).hostname or "elsewhere" for each in alike})
            raise TwitchRejected(
                "twitch allows three subscriptions for each streamer, and other programs with the same client id have"
                f" them ({', '.join(hosts)}): delete one of theirs, or use another client id",
                error.status,
            )
        for each in mine:
            await self._delete(each)
        await self._create(broadcaster_id)
