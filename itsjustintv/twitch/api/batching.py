"""
Many look-ups in few calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from math import inf
from typing import Any, Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from itsjustintv.support.waiters import Waiters
from itsjustintv.telemetry.tracing import on_behalf_of, requesters
from itsjustintv.twitch.api.rate_limit import RateBucket

__all__ = ["INTERVAL", "Ask", "BatchInterval", "BatchedLookup", "all_of"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")

#: Seconds between two calls of a kind when many streamers go live. Users, channels and streams are then three calls in
#: each: three quarters of the 800 points of a minute, however many streamers they are.
INTERVAL = 0.3

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


@define(eq=False)
class BatchedLookup(Generic[K, V]):
    """
    Gathers keys that are wanted at the same time and asks for them in one call.

    A key waits ``gathering`` seconds for company, and ``interval`` seconds between two calls; ``size`` keys leave at
    once. So one event alone is answered promptly, and a crowd costs a call for each interval or each full load. It is
    made on behalf of everybody who waits for it.

    :ivar ask: makes one call for ``size`` keys at the most.
    :ivar interval: is asked whenever a key begins to wait.
    """

    _ask: Ask[K, V]
    _clock: IReactorTime
    _gathering: float = 0.005
    _interval: Callable[[], float] = lambda: INTERVAL
    _size: int = 100
    _waiting: dict[K, Waiters[V | None]] = field(factory=dict, init=False)
    _gathered: list[K] = field(factory=list, init=False)
    _requesters: dict[str, None] = field(factory=dict, init=False)
    _call: IDelayedCall | None = field(default=None, init=False)
    _left_at: float = field(default=-inf, init=False)

    def get(self, key: K) -> Deferred[V | None]:
        """
        Look a key up. Whoever wants a key that is being looked up already shares the answer.

        :return: ``None`` when nobody knows the key. Fails as the call fails. Cancelling it gives up the wait; a key
            that nobody waits for any more is not asked for.
        """
        if key in self._waiting:
            if key in self._gathered:
                self._ask_for(requesters())
            return self._waiting[key].wait()
        self._waiting[key] = Waiters()
        answer = self._waiting[key].wait()
        self._gathered.append(key)
        self._ask_for(requesters())
        if len(self._gathered) >= self._size:
            self._leave()
        elif self._call is None:
            interval = self._interval()
            delay = max(self._gathering, self._left_at + interval - self._clock.seconds())
            # A clock that was set back must not stop the look-ups.
            self._call = self._clock.callLater(min(delay, max(self._gathering, interval)), self._leave)
        return answer

    def _ask_for(self, requesters: Iterable[str]) -> None:
        self._requesters.update(dict.fromkeys(requesters))

    def _leave(self) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
        gathered, self._gathered = self._gathered, []
        behalf, self._requesters = self._requesters, {}
        keys = []
        for key in gathered:
            if self._waiting[key]:
                keys.append(key)
            else:
                del self._waiting[key]
        if keys:
            self._left_at = self._clock.seconds()
            with on_behalf_of(behalf):
                Deferred.fromCoroutine(self._ask(keys)).addBoth(self._answer, keys)

    def _answer(self, result: Mapping[K, V] | Failure, keys: Sequence[K]) -> None:
        waiting = [(key, self._waiting.pop(key)) for key in keys]
        for key, waiters in waiting:
            waiters.answer(result if isinstance(result, Failure) else result.get(key))


# Seconds between two calls of a kind while there are points for more than a crowd needs.
_PROMPT = 0.02

# The share of the limit that prompt calls and calls for a single event may take of a minute: what the others leave.
_SHARE = 0.25

# The share of the limit that must be left, whoever has used the rest.
_LEFT = 0.5

_MINUTE = 60.0


@define(eq=False)
class BatchInterval:
    """
    Knows what was spent on events within the last minute, and so whether more may be spent than must be.

    Three kinds of calls, one each :data:`~itsjustintv.twitch.api.batching.INTERVAL` at the most, and as much
    generosity as fits beside them: a minute in which any number of streamers go live does not need more than the limit.
    """

    _bucket: RateBucket
    _clock: IReactorTime
    _spent_at: deque[float] = field(factory=deque, init=False)

    def spend(self) -> None:
        """
        Note that a point is being spent.
        """
        self._spent_at.append(self._clock.seconds())

    def generous(self) -> bool:
        """
        Tell whether there are points for more than what a crowd needs.
        """
        since = self._clock.seconds() - _MINUTE
        while self._spent_at and self._spent_at[0] <= since:
            self._spent_at.popleft()
        limit = self._bucket.limit
        return len(self._spent_at) < limit * _SHARE and self._bucket.can_spare(1, int(limit * _LEFT))

    def interval(self) -> float:
        """
        Tell how many seconds two calls of a kind must be apart.
        """
        return _PROMPT if self.generous() else INTERVAL
