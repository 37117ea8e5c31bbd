"""
A call to an API, and on whose behalf it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from attrs import frozen

__all__ = ["ApiCall", "OnCall", "on_behalf_of", "requesters"]

_REQUESTERS: ContextVar[tuple[str, ...]] = ContextVar("requesters", default=())


def requesters() -> tuple[str, ...]:
    """
    The spans for which something is being asked at this moment, each as a ``traceparent``. What is begun with
    ``Deferred.fromCoroutine`` keeps those of whoever began it; what the reactor calls later has none.
    """
    return _REQUESTERS.get()


@contextmanager
def on_behalf_of(spans: Iterable[str]) -> Iterator[None]:
    """
    Begin something for these spans.
    """
    token = _REQUESTERS.set(tuple(spans))
    try:
        yield
    finally:
        _REQUESTERS.reset(token)


@frozen(kw_only=True)
class ApiCall:
    """
    One request, and how it ended.

    :ivar path: without anything that changes from call to call.
    :ivar started_at: seconds since the epoch.
    :ivar duration: seconds.
    :ivar status: of the answer, or ``None`` when there was none.
    :ivar requesters: the spans for which it was made.
    """

    method: str
    path: str
    started_at: float
    duration: float
    status: int | None
    requesters: tuple[str, ...] = ()


#: Is told of every call. Returns at once, never raises.
OnCall = Callable[[ApiCall], None]
