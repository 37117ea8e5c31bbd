"""
Things that can be cancelled like any other.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.python.failure import Failure

__all__ = ["all_of", "cancelling"]

_Result = TypeVar("_Result")


def all_of(waiting: Iterable[Deferred[_Result]]) -> Deferred[list[_Result]]:
    """
    Wait for all; fails as the first one that does, and not with a ``FirstError`` in which a cancellation would hide.
    """

    def unwrap(failure: Failure) -> Failure:
        first: Any = failure.value
        unwrapped: Failure = first.subFailure
        return unwrapped

    return gatherResults(list(waiting), consumeErrors=True).addErrback(unwrap)


def cancelling(exchange: Coroutine[Any, Any, _Result]) -> Deferred[_Result]:
    """
    Begin an exchange whose cancellation is a ``CancelledError``.

    A request of :class:`twisted.web.client.Agent` that is cancelled fails as if the network had, with one of several
    exceptions, which its caller would take for an answer.
    """
    inner = Deferred.fromCoroutine(exchange)

    def abandon(outer: Deferred[_Result]) -> None:
        outer.errback(CancelledError())
        inner.cancel()

    outer: Deferred[_Result] = Deferred(abandon)

    def succeeded(result: _Result) -> None:
        if not outer.called:
            outer.callback(result)

    def failed(failure: Failure) -> None:
        if not outer.called:
            outer.errback(failure)

    inner.addCallbacks(succeeded, failed)
    return outer
