"""
One piece of work for everybody who wants its result at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

__all__ = ["SingleFlight"]

V = TypeVar("V")


@define(eq=False)
class SingleFlight(Generic[V]):
    """
    Work under way, by key.
    """

    _waiting: dict[str, list[Deferred[V]]] = field(factory=dict, init=False)

    def join(self, key: str, begin: Callable[[], Coroutine[Deferred[Any], Any, V]]) -> Deferred[V]:
        """
        Wait for the work called ``key``, beginning it unless it is under way. Cancelling the wait never cancels the
        work.
        """
        waiter: Deferred[V] = Deferred()
        if key in self._waiting:
            self._waiting[key].append(waiter)
        else:
            self._waiting[key] = [waiter]
            Deferred.fromCoroutine(begin()).addBoth(self._land, key)
        return waiter

    def _land(self, result: V | Failure, key: str) -> None:
        for waiter in self._waiting.pop(key):
            waiter.callback(result)
