"""
What a failing test prints besides its traceback: the fact it states in its docstring, and what the test adds.
"""

from __future__ import annotations

from functools import wraps
from inspect import cleandoc
from typing import Any

from attrs import fields, has
from twisted.python.failure import Failure
from twisted.trial.itrial import IReporter
from twisted.trial.unittest import FailTest, SynchronousTestCase
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
    choose = SynchronousTestCase._getAssertEqualityFunc  # type: ignore[attr-defined]

    @wraps(choose)
    def choosing(self: SynchronousTestCase, first: Any, second: Any) -> Any:
        return _compared if type(first) is type(second) and has(type(first)) else choose(self, first, second)

    SynchronousTestCase._getAssertEqualityFunc = choosing  # type: ignore[attr-defined]


def _compared(first: Any, second: Any, msg: object = None) -> None:
    """
    Compare two values of one attrs class, and say only in which fields they differ.
    """
    if first == second:
        return
    pairs = (
        (each.name, getattr(first, each.name), getattr(second, each.name)) for each in fields(type(first)) if each.eq
    )
    differences = [f"{name}: {one!r} != {other!r}" for name, one, other in pairs if one != other]
    title = f"{type(first).__name__} differs" if msg is None else f"{type(first).__name__} differs: {msg}"
    raise FailTest("\n  ".join([title, *differences]))
