"""
Helix's rate limit, seen from outside.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from math import inf

from attrs import Factory, define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from itsjustintv.support.http_client import Response

__all__ = ["Cost", "RateBucket"]

# Seconds in which an empty bucket fills (dev.twitch.tv, API guide, "Twitch rate limits").
_MINUTE = 60.0

# Seconds between two looks at a bucket that was expected to have enough and has not.
_PATIENCE = 0.01


@frozen(eq=False)
class Cost:
    """
    What one request has paid.

    :ivar others: points of requests that were under way when this one set out.
    :ivar odometer: all points ever taken, this request's included.
    """

    points: int
    others: int
    odometer: int


@frozen(order=True)
class _Waiter:
    """
    Somebody waiting to set out. The less he has to spare for others, the earlier it is his turn.
    """

    spare: int
    number: int
    points: int = field(order=False)
    granted: Deferred[Cost] = field(order=False)


@define(eq=False)
class RateBucket:
    """
    Keeps a lower bound of the points that Helix has left for this client id, and lets a request set out only when they
    can pay for it.

    Helix says in ``Ratelimit-Limit``, ``-Remaining`` and ``-Reset`` (the Unix second at which the bucket is full again)
    what there is; an answer is no news about requests that were under way beside it, so those are subtracted. Between
    answers, and with a server that sends no such headers, the bucket is reckoned to refill evenly within a minute.

    :ivar wall: the time by which Helix names that second.
    """

    _clock: IReactorTime
    _limit: int = 800
    _wall: Callable[[], float] = field(default=Factory(lambda self: self._clock.seconds, takes_self=True), kw_only=True)
    _points: float = field(init=False)
    _since: float = field(init=False)
    _rate: float = field(init=False)
    _under_way: int = field(default=0, init=False)
    _odometer: int = field(default=0, init=False)
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
        Wait until a request can be paid for, and pay. What is paid must be handed back to :meth:`answered`,
        :meth:`refused` or :meth:`lost`.

        :param spare: points that must be left afterwards; those who leave none go first.
        :return: cancelling it gives up the place in line.
        """
        self._number += 1
        wanted = _Waiter(spare, self._number, points, Deferred(lambda _: self._queue.remove(wanted)))
        insort(self._queue, wanted)
        self._serve()
        return wanted.granted

    def can_spare(self, points: int, reserve: int) -> bool:
        """
        Whether a request could set out at once and leave a reserve.
        """
        self._refill()
        return not self._queue and self._clock.seconds() >= self._closed_until and self._points >= points + reserve

    def answered(self, fare: Cost, answer: Response) -> None:
        """
        Learn from an answer what there is left.
        """
        self._learn(fare, answer)
        self._serve()

    def refused(self, fare: Cost, answer: Response) -> float:
        """
        Learn from a 429: nothing sets out until the bucket has been refilled.

        :return: seconds until then, 1 to 60 whatever the clocks say.
        """
        self._learn(fare, answer)
        now = self._clock.seconds()
        reset = answer.number("Ratelimit-Reset")
        delay = 1.0 if reset is None else min(max(reset - self._wall(), 1.0), _MINUTE)
        self._closed_until = max(self._closed_until, now + delay)
        self._serve()
        return delay

    def lost(self, fare: Cost) -> None:
        """
        Count a request without an answer as paid for.
        """
        self._refill()
        self._under_way -= fare.points
        self._serve()

    def _learn(self, fare: Cost, answer: Response) -> None:
        self._refill()
        self._under_way -= fare.points
        limit, remaining = answer.number("Ratelimit-Limit"), answer.number("Ratelimit-Remaining")
        if not limit or remaining is None or remaining > limit:
            return
        beside = fare.others + self._odometer - fare.odometer
        self._limit = limit
        self._points = float(remaining - beside)
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
        Let set out whoever can, in turn, and look again when the next one can.
        """
        self._refill()
        while self._queue and self._delay(self._queue[0]) <= 0:
            wanted = self._queue.pop(0)
            self._points -= wanted.points
            self._odometer += wanted.points
            fare = Cost(wanted.points, self._under_way, self._odometer)
            self._under_way += wanted.points
            wanted.granted.callback(fare)
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
        if self._queue:
            self._call = self._clock.callLater(max(self._delay(self._queue[0]), _PATIENCE), self._serve)

    def _delay(self, wanted: _Waiter) -> float:
        need = min(wanted.points + wanted.spare, self._limit)
        return max((need - self._points) / self._rate, self._closed_until - self._clock.seconds())
