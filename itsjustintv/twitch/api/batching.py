"""
Many look-ups in few calls of Helix. Knows nothing of what is looked up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Any, Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from itsjustintv.support.waiters import Waiters
from itsjustintv.telemetry.tracing import on_behalf_of, requesters
from itsjustintv.twitch.api.rate_limit import RateBucket

__all__ = ["FULL_CALL", "INTERVAL", "Ask", "BatchInterval", "BatchedLookup", "all_of", "full_calls"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")

#: Seconds between two calls of a kind when many streamers go live. Users, channels and streams are then three calls per
#: interval: three quarters of the 800 points of a minute, however many streamers there are.
INTERVAL = 0.3

#: Keys that one call of Helix takes.
FULL_CALL = 100

#: Answers what it knows about some keys; those it does not know are missing.
Ask = Callable[[Sequence[K]], Coroutine[Deferred[Any], Any, Mapping[K, V]]]


async def all_of(answers: Iterable[Deferred[T]]) -> list[T]:
    """
    Wait for several answers, each to its end. Cancelling this cancels them.

    :raises Exception: what the first one that failed has raised; the others have ended as well by then.
    """
    ended: list[tuple[bool, Any]] = await DeferredList(list(answers), consumeErrors=True)
    for succeeded, result in ended:
        if not succeeded:
            result.raiseException()
    return [result for _, result in ended]


def full_calls(keys: Sequence[K]) -> Iterator[Sequence[K]]:
    """
    Cut keys into as many as one call takes.
    """
    return (keys[start : start + FULL_CALL] for start in range(0, len(keys), FULL_CALL))


@define(eq=False)
class BatchedLookup(Generic[K, V]):
    """
    Collects keys that are looked up at the same time and asks for them in one call.

    A call is made ``delay`` seconds after its first key, ``interval`` seconds after the call before, and at once when
    it has ``size`` keys. So a single event is answered promptly, and many at a time cost one call per interval or per
    full call. A call counts for everyone who waits for it.

    :ivar ask: makes one call for at most ``size`` keys.
    :ivar interval: called whenever a key begins to wait.
    """

    _ask: Ask[K, V]
    _clock: IReactorTime
    _delay: float = 0.005
    _interval: Callable[[], float] = lambda: INTERVAL
    _size: int = FULL_CALL
    _waiters: dict[K, Waiters[V | None]] = field(factory=dict, init=False)
    _collected: list[K] = field(factory=list, init=False)
    _requesters: dict[str, None] = field(factory=dict, init=False)
    _call: IDelayedCall | None = field(default=None, init=False)
    _called_at: float = field(default=-inf, init=False)

    def get(self, key: K) -> Deferred[V | None]:
        """
        Look a key up. Callers of one key share the answer.

        :return: ``None`` when the key is unknown. Fails as the call fails. Cancelling it ends only this wait; a key
            without waiters is not asked for.
        """
        if key in self._waiters:
            if key in self._collected:
                self._add_requesters(requesters())
            return self._waiters[key].wait()
        self._waiters[key] = Waiters()
        answer = self._waiters[key].wait()
        self._collected.append(key)
        self._add_requesters(requesters())
        if len(self._collected) >= self._size:
            self._make_call()
        elif self._call is None:
            interval = self._interval()
            delay = max(self._delay, self._called_at + interval - self._clock.seconds())
            # A clock that was set back must not stop the look-ups.
            self._call = self._clock.callLater(min(delay, max(self._delay, interval)), self._make_call)
        return answer

    def _add_requesters(self, requesters: Iterable[str]) -> None:
        self._requesters.update(dict.fromkeys(requesters))

    def _make_call(self) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
        collected, self._collected = self._collected, []
        behalf, self._requesters = self._requesters, {}
        keys = []
        for key in collected:
            if self._waiters[key]:
                keys.append(key)
            else:
                del self._waiters[key]
        if keys:
            self._called_at = self._clock.seconds()
            with on_behalf_of(behalf):
                Deferred.fromCoroutine(self._ask(keys)).addBoth(self._answer, keys)

    def _answer(self, result: Mapping[K, V] | Failure, keys: Sequence[K]) -> None:
        answered = [(key, self._waiters.pop(key)) for key in keys]
        for key, waiters in answered:
            waiters.answer(result if isinstance(result, Failure) else result.get(key))


# Seconds between two calls of a kind while there are more points than a burst of events needs.
_PROMPT = 0.02

# The share of a minute's limit that calls at the short interval and calls for a single event may take.
_SHARE = 0.25

# The share of the limit that must be left.
_LEFT = 0.5

_MINUTE = 60.0


@define(eq=False)
class BatchInterval:
    """
    Decides from the points spent on events within the last minute how soon the next call may follow.

    Three kinds of calls, each at most once per :data:`INTERVAL`, plus the share for shorter intervals: a minute in
    which any number of streamers go live needs no more than the limit.
    """

    _bucket: RateBucket
    _clock: IReactorTime
    _spent_at: deque[float] = field(factory=deque, init=False)

    def spend(self) -> None:
        """
        Note that a point is spent.
        """
        self._spent_at.append(self._clock.seconds())

    def has_spare_points(self) -> bool:
        """
        Whether there are more points than a burst of events needs.
        """
        since = self._clock.seconds() - _MINUTE
        while self._spent_at and self._spent_at[0] <= since:
            self._spent_at.popleft()
        limit = self._bucket.limit
        return len(self._spent_at) < limit * _SHARE and self._bucket.can_spare(1, int(limit * _LEFT))

    def interval(self) -> float:
        """
        Seconds between two calls of a kind.
        """
        return _PROMPT if self.has_spare_points() else INTERVAL
