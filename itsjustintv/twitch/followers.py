"""
Follower counts, cached: they change slowly, and each look-up costs a point of the rate limit.
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

#: Asks Helix for the followers of a user id, leaving a number of points for other requests.
CountFollowers = Callable[[str, int], Coroutine[Deferred[Any], Any, int]]

_KIND = "followers"

# Shares of the rate limit left for other requests: by look-ups for an event, and by refreshes in the background.
_RESERVE = 0.25
_BACKGROUND_RESERVE = 0.75


@frozen
class _Total:
    """
    A count, and its time.
    """

    value: int
    at: float


@define(eq=False)
class Followers(MultiService):
    """
    Counts from memory while they are fresh, from Helix while the rate limit allows, else as last known.

    :ivar count: asks Helix.
    :ivar fresh_for: seconds.
    :ivar timeout: seconds that Helix may take when there is a last known count to fall back on.
    :ivar capacity: channels in memory; the least recently used are forgotten first.
    :ivar refresh_every: seconds between two refreshes in the background.
    """

    _count: CountFollowers
    _bucket: RateBucket
    _interval: BatchInterval
    _last_known: IKeyValues
    _clock: IReactorTime
    _fresh_for: float = 600.0
    _timeout: float = 1.0
    _capacity: int = 10_000
    _refresh_every: float = 1.0
    _totals: OrderedDict[str, _Total] = field(factory=OrderedDict, init=False)
    _asking: SingleFlight[int] = field(factory=SingleFlight, init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        super().__init__()
        PeriodicService(
            self._clock, self._refresh_every, "refresh a follower count", self._refresh_oldest, now=False
        ).setServiceParent(self)

    async def total(self, user_id: str) -> int:
        """
        Find the best count that can be had soon.

        :raises TwitchError: Helix has no answer or no point to spare, and no count is known.
        """
        last = self._totals.get(user_id)
        if last is None:
            last = await self._recall(user_id)
        else:
            self._totals.move_to_end(user_id)
        if last is not None and self._clock.seconds() - last.at < self._fresh_for:
            return last.value
        reserve = int(self._bucket.limit * _RESERVE)
        if not self._interval.has_spare_points():
            if last is None:
                raise TwitchUnavailable(
                    f"the rate limit has no point to spare: {self._bucket.points} of {self._bucket.limit} left"
                )
            return last.value
        asking = self._asking.join(user_id, lambda: self._ask(user_id, reserve))
        if last is None:
            return await asking
        try:
            return await asking.addTimeout(self._timeout, self._clock)
        except (TwitchError, DeferredTimeout):
            return last.value

    async def _ask(self, user_id: str, reserve: int) -> int:
        value = await self._count(user_id, reserve)
        now = self._clock.seconds()
        self._cache(user_id, _Total(value, now))
        self._last_known.remember(_KIND, user_id, value, now).addErrback(self._not_stored)
        return value

    def _not_stored(self, failure: Any) -> None:
        failure.trap(JournalUnavailable, CancelledError)
        self.log.debug("cannot store a follower count: {reason}", reason=failure.getErrorMessage())

    async def _recall(self, user_id: str) -> _Total | None:
        try:
            found = await self._last_known.recall(_KIND, user_id)
        except JournalUnavailable as error:
            self.log.debug("cannot load a follower count: {reason}", reason=str(error))
            return None
        if found is None:
            return None
        total = _Total(*found)
        self._cache(user_id, total)
        return total

    def _cache(self, user_id: str, total: _Total) -> None:
        self._totals[user_id] = total
        while len(self._totals) > self._capacity:
            self._totals.popitem(last=False)

    async def _refresh_oldest(self) -> None:
        """
        Refresh the oldest count while the rate limit is hardly used.
        """
        reserve = int(self._bucket.limit * _BACKGROUND_RESERVE)
        if not self._totals or not self._interval.has_spare_points() or not self._bucket.can_spare(1, reserve):
            return
        user_id, oldest = min(self._totals.items(), key=lambda item: item[1].at)
        if self._clock.seconds() - oldest.at < self._fresh_for:
            return
        try:
            await self._asking.join(user_id, lambda: self._ask(user_id, reserve))
        except Exception as error:  # noqa: BLE001 - whatever it was, the next one is tried
            self.log.debug("cannot refresh a follower count: {reason}", reason=str(error))
            # It is loaded from the journal when it is needed, and does not hold up the others until then.
            self._totals.pop(user_id, None)
