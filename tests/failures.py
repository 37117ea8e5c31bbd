"""
What a failing test prints besides its traceback: the fact it states in its docstring, and what the test adds.
"""

from __future__ import annotations

from functools import wraps
from inspect import cleandoc
from typing import Any

from twisted.python.failure import Failure
from twisted.trial.itrial import IReporter
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

__all__ = ["install"]


@implementer(IReporter)
class _Explaining:
    """
    A reporter that is told with each failure what the test was to show.
    """

    def __init__(self, reporter: Any) -> None:
        self._reporter = reporter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reporter, name)

    def addFailure(self, test: Any, failure: Any) -> None:
        self._reporter.addFailure(test, _explained(test, failure))

    def addError(self, test: Any, error: Any) -> None:
        self._reporter.addError(test, _explained(test, error))


def _explained(test: Any, failure: Any) -> Any:
    """
    Add to a failure's text. What a worker process reports of a failure is this text and the frames alone.
    """
    error = failure.value if isinstance(failure, Failure) else failure[1]
    fact = cleandoc(getattr(test, test._testMethodName).__doc__ or "").strip()
    more = test.more_on_failure() if hasattr(test, "more_on_failure") else ""
    parts = [str(error), f"The test states: {fact}" if fact else "", more]
    error.args = (_Text("\n\n".join(part for part in parts if part)),)
    return failure


class _Text(str):
    """
    A text that a ``KeyError``, which shows its key quoted, shows as it is.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def install() -> None:
    """
    Let every test of trial explain itself: once in a process.
    """
    run = SynchronousTestCase.run

    @wraps(run)
    def explaining(self: SynchronousTestCase, result: Any) -> None:
        run(self, _Explaining(result) if IReporter.providedBy(result) else result)

    SynchronousTestCase.run = explaining  # type: ignore[method-assign]
