"""
How many follow a channel: a number that changes slowly and costs a point of the rate limit each time it is asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define, field, frozen
from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from itsjustintv.errors import JournalUnavailable, TwitchError, TwitchUnavailable
from itsjustintv.interfaces import IKeyValues
from itsjustintv.support.periodic_service import PeriodicService
from itsjustintv.support.waiters import SingleFlight
from itsjustintv.twitch.api.batching import BatchInterval
from itsjustintv.twitch.api.rate_limit import RateBucket

__all__ = ["CountFollowers", "Followers"]

#: Asks Helix for the followers of a user id, leaving a number of points to others.
CountFollowers = Callable[[str, int], Coroutine[Deferred[Any], Any, int]]

_KIND = "followers"

# Shares of the rate limit left for users, channels and streams, and for everybody when nothing is urgent.
_RESERVE = 0.25
_QUIET_RESERVE = 0.75


@frozen
class _Total:
    """
    A number, and when it was true.
    """

    value: int
    at: float


@define(eq=False)
class Followers(MultiService):
    """
    Totals, from memory while they are fresh, from Helix while it can spare a point, else as last known.

    :ivar count: asks Helix.
    :ivar fresh_for: seconds.
    :ivar patience: seconds that Helix may take when there is a last known total to fall back on.
    :ivar capacity: channels kept in memory; those not asked for the longest are forgotten first.
    :ivar refresh_every: seconds between two quiet refreshments.
    """

    _count: CountFollowers
    _bucket: RateBucket
    _pace: BatchInterval
    _last_known: IKeyValues
    _clock: IReactorTime
    _fresh_for: float = 600.0
    _patience: float = 1.0
    _capacity: int = 10_000
    _refresh_every: float = 1.0
    _totals: OrderedDict[str, _Total] = field(factory=OrderedDict, init=False)
    _asking: SingleFlight[int] = field(factory=SingleFlight, init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        super().__init__()
        PeriodicService(
            self._clock, self._refresh_every, "refresh a follower count", self._refresh_one, now=False
        ).setServiceParent(self)

    async def total(self, user_id: str) -> int:
        """
        Count the followers of a channel as well as can be had soon.

        :raises TwitchError: Helix has no answer or no point to spare, and nothing is known from before.
        """
        last = self._totals.get(user_id)
        if last is None:
            last = await self._recall(user_id)
        else:
            self._totals.move_to_end(user_id)
        if last is not None and self._clock.seconds() - last.at < self._fresh_for:
            return last.value
        reserve = int(self._bucket.limit * _RESERVE)
        if not self._pace.generous():
            if last is None:
                raise TwitchUnavailable(
                    f"the rate limit has no point to spare: {self._bucket.points} of {self._bucket.limit} left"
                )
            return last.value
        asking = self._asking.join(user_id, lambda: self._ask(user_id, reserve))
        if last is None:
            return await asking
        try:
            return await asking.addTimeout(self._patience, self._clock)
        except (TwitchError, DeferredTimeout):
            return last.value

    async def _ask(self, user_id: str, reserve: int) -> int:
        value = await self._count(user_id, reserve)
        now = self._clock.seconds()
        self._keep(user_id, _Total(value, now))
        self._last_known.remember(_KIND, user_id, value, now).addErrback(self._not_kept)
        return value

    def _not_kept(self, failure: Any) -> None:
        failure.trap(JournalUnavailable, CancelledError)
        self.log.debug("could not keep a total of followers: {reason}", reason=failure.getErrorMessage())

    async def _recall(self, user_id: str) -> _Total | None:
        try:
            found = await self._last_known.recall(_KIND, user_id)
        except JournalUnavailable as error:
            self.log.debug("could not look up a total of followers: {reason}", reason=str(error))
            return None
        if found is None:
            return None
        total = _Total(*found)
        self._keep(user_id, total)
        return total

    def _keep(self, user_id: str, total: _Total) -> None:
        self._totals[user_id] = total
        while len(self._totals) > self._capacity:
            self._totals.popitem(last=False)

    async def _refresh_one(self) -> None:
        """
        Refresh the oldest total. Never raises: the loop must not end.
        """
        reserve = int(self._bucket.limit * _QUIET_RESERVE)
        if not self._totals or not self._pace.generous() or not self._bucket.can_spare(1, reserve):
            return
        user_id, oldest = min(self._totals.items(), key=lambda item: item[1].at)
        if self._clock.seconds() - oldest.at < self._fresh_for:
            return
        try:
            await self._asking.join(user_id, lambda: self._ask(user_id, reserve))
        except Exception as error:  # noqa: BLE001 - whatever it was, the next one is tried
            self.log.debug("could not refresh a total of followers: {reason}", reason=str(error))
            # It comes back from the disk when it is asked for, and does not hold up the others until then.
            self._totals.pop(user_id, None)
