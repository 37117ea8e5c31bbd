"""
Several callers who wait for one answer.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

__all__ = ["SingleFlight", "Waiters", "watch"]

V = TypeVar("V")


@define(eq=False)
class Waiters(Generic[V]):
    """
    Those who wait for an answer. It is false while there are none.
    """

    _waiting: list[Deferred[V]] = field(factory=list, init=False)

    def __len__(self) -> int:
        return len(self._waiting)

    def wait(self) -> Deferred[V]:
        """
        Wait for the next answer. Cancelling it ends only this wait.
        """
        waiter: Deferred[V] = Deferred(self._forget)
        self._waiting.append(waiter)
        return waiter

    def answer(self, result: V | Failure) -> None:
        """
        Answer everyone who waits. Who begins to wait meanwhile waits for the next answer.
        """
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            # Another one's callback may have cancelled it.
            if not waiter.called:
                waiter.callback(result)

    def cancel(self) -> None:
        """
        End every wait with ``CancelledError``.
        """
        for waiter in list(self._waiting):
            waiter.cancel()
            # Those who handle it have done so by now; for the others nothing is logged.
            waiter.addErrback(_ignore_cancelled)

    def _forget(self, waiter: Deferred[V]) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)


def _ignore_cancelled(failure: Failure) -> None:
    failure.trap(CancelledError)


@define(eq=False)
class SingleFlight(Generic[V]):
    """
    One piece of work at a time for each key; everyone who asks for it meanwhile shares its result.
    """

    _under_way: dict[str, Waiters[V]] = field(factory=dict, init=False)

    def join(self, key: str, begin: Callable[[], Coroutine[Deferred[Any], Any, V]]) -> Deferred[V]:
        """
        Wait for the work called ``key``, beginning it unless it is under way. Cancelling the wait never cancels the
        work.
        """
        if key in self._under_way:
            return self._under_way[key].wait()
        self._under_way[key] = Waiters()
        waiter = self._under_way[key].wait()
        Deferred.fromCoroutine(begin()).addBoth(self._finish, key)
        return waiter

    def _finish(self, result: V | Failure, key: str) -> None:
        self._under_way.pop(key).answer(result)


def watch(working: Deferred[V]) -> Deferred[V]:
    """
    Wait for some work, so that a cancellation of the wait is one: work that is itself cancelled may fail as if the
    other side had hung up. The work goes on.
    """
    watching: Deferred[V] = Deferred()
    working.chainDeferred(watching)
    return watching
