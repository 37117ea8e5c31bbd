"""
Helix's rate limit: a token bucket, estimated from Helix's headers.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from math import inf

from attrs import Factory, define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from itsjustintv.support.http_response import Response

__all__ = ["Cost", "RateBucket"]

# Seconds in which an empty bucket fills (dev.twitch.tv, API guide, "Twitch rate limits").
_MINUTE = 60.0

# Seconds until the next try when the bucket was expected to have enough and has not.
_RETRY = 0.01


@frozen(eq=False)
class Cost:
    """
    What one request has taken.

    :ivar others: points of requests that were under way when this one was sent.
    :ivar taken: all points ever taken, this request's included.
    """

    points: int
    others: int
    taken: int


@frozen(order=True)
class _Waiter:
    """
    A request that waits for its points. The fewer it leaves for others, the earlier its turn.
    """

    spare: int
    number: int
    points: int = field(order=False)
    granted: Deferred[Cost] = field(order=False)


@define(eq=False)
class RateBucket:
    """
    Keeps a lower bound of the points that Helix has left for this client id, and delays each request until it suffices.

    Helix reports it in ``Ratelimit-Limit``, ``-Remaining`` and ``-Reset`` (the Unix second at which the bucket is full
    again); an answer does not count the requests that were under way at the same time, so their points are subtracted.
    Between answers, and with a server that sends no such headers, the bucket is assumed to refill evenly within a
    minute.

    :ivar wall: the time that ``Ratelimit-Reset`` is compared with.
    """

    _clock: IReactorTime
    _limit: int = 800
    _wall: Callable[[], float] = field(default=Factory(lambda self: self._clock.seconds, takes_self=True), kw_only=True)
    _points: float = field(init=False)
    _since: float = field(init=False)
    _rate: float = field(init=False)
    _under_way: int = field(default=0, init=False)
    _taken: int = field(default=0, init=False)
    _closed_until: float = field(default=-inf, init=False)
    _queue: list[_Waiter] = field(factory=list, init=False)
    _number: int = field(default=0, init=False)
    _call: IDelayedCall | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._points = float(self._limit)
        self._since = self._clock.seconds()
        self._rate = self._limit / _MINUTE

    @property
    def limit(self) -> int:
        """
        How many points a full bucket holds.
        """
        return self._limit

    @property
    def points(self) -> int:
        """
        How many points are left, at the least.
        """
        self._refill()
        return max(0, int(self._points))

    def take(self, points: int = 1, spare: int = 0) -> Deferred[Cost]:
        """
        Wait for the points of a request, and take them. The cost must be handed back to :meth:`answered`,
        :meth:`refused` or :meth:`lost`.

        :param spare: points that must be left afterwards; requests that leave none go first.
        :return: cancelling it gives up the place in the queue.
        """
        self._number += 1
        waiter = _Waiter(spare, self._number, points, Deferred(lambda _: self._queue.remove(waiter)))
        insort(self._queue, waiter)
        self._serve()
        return waiter.granted

    def can_spare(self, points: int, reserve: int) -> bool:
        """
        Whether a request could be sent at once and leave a reserve.
        """
        self._refill()
        return not self._queue and self._clock.seconds() >= self._closed_until and self._points >= points + reserve

    def answered(self, cost: Cost, answer: Response) -> None:
        """
        Learn from an answer how many points are left.
        """
        self._learn(cost, answer)
        self._serve()

    def refused(self, cost: Cost, answer: Response) -> float:
        """
        Learn from a 429: nothing is sent until the bucket has been refilled.

        :return: seconds until then, 1 to 60 even if the clocks disagree.
        """
        self._learn(cost, answer)
        now = self._clock.seconds()
        reset = answer.number("Ratelimit-Reset")
        delay = 1.0 if reset is None else min(max(reset - self._wall(), 1.0), _MINUTE)
        self._closed_until = max(self._closed_until, now + delay)
        self._serve()
        return delay

    def lost(self, cost: Cost) -> None:
        """
        Count a request without an answer.
        """
        self._refill()
        self._under_way -= cost.points
        self._serve()

    def _learn(self, cost: Cost, answer: Response) -> None:
        self._refill()
        self._under_way -= cost.points
        limit, remaining = answer.number("Ratelimit-Limit"), answer.number("Ratelimit-Remaining")
        if not limit or remaining is None or remaining > limit:
            return
        concurrent = cost.others + self._taken - cost.taken
        self._limit = limit
        self._points = float(remaining - concurrent)
        self._rate = limit / _MINUTE
        ahead = (answer.number("Ratelimit-Reset") or 0) - self._wall()
        if ahead > 0 and limit > remaining:
            # Not slower than half the documented rate: that would be two clocks that disagree.
            self._rate = min(self._rate, max((limit - remaining) / ahead, self._rate / 2))

    def _refill(self) -> None:
        now = self._clock.seconds()
        # Requests that Helix has not seen yet do not make room in a bucket that is full.
        full = self._limit - self._under_way
        if self._points < full:
            self._points = min(full, self._points + max(0.0, now - self._since) * self._rate)
        self._since = now

    def _serve(self) -> None:
        """
        Grant the points of the first requests, and schedule the next time.
        """
        self._refill()
        while self._queue and self._delay(self._queue[0]) <= 0:
            waiter = self._queue.pop(0)
            self._points -= waiter.points
            self._taken += waiter.points
            cost = Cost(waiter.points, self._under_way, self._taken)
            self._under_way += waiter.points
            waiter.granted.callback(cost)
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
        if self._queue:
            self._call = self._clock.callLater(max(self._delay(self._queue[0]), _RETRY), self._serve)

    def _delay(self, waiter: _Waiter) -> float:
        need = min(waiter.points + waiter.spare, self._limit)
        return max((need - self._points) / self._rate, self._closed_until - self._clock.seconds())
