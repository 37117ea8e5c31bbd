"""
Counts of deliveries over the last day, in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from itsjustintv.admin.event_views import moment
from itsjustintv.admin.views import LastAttemptView, PointView
from itsjustintv.errors import JournalUnavailable
from itsjustintv.interfaces import IOutcomeSink
from itsjustintv.model import Attempt, Outcome, State, rfc3339

__all__ = ["RecentStats"]

_MINUTES = 5 * 60
_DAY = 24 * 3600

# Limit of latencies stored for each span; and how many outcomes from before the start are read.
_SAMPLE = 128
_BEFORE = 1_000

# Characters stored of the last response of each destination.
_WORDS = 200

# Limit of destinations whose last attempt is stored: more than are ever configured.
_DESTINATIONS = 50_000


@define
class _Span:
    """
    What became of deliveries within five minutes.
    """

    delivered: int = 0
    failed: int = 0
    undelivered: int = 0
    latencies: deque[float] = field(factory=lambda: deque(maxlen=_SAMPLE))


@implementer(IOutcomeSink)
@define(eq=False)
class RecentStats(Service):
    """
    Counts outcomes in steps of five minutes for a day, and remembers the last attempt at each destination.

    :ivar outcomes: reads the last so many outcomes from the journal.
    """

    _clock: IReactorTime
    _outcomes: Callable[[int], Deferred[Sequence[Outcome]]]
    _spans: dict[int, _Span] = field(factory=dict, init=False)
    _last: dict[str, LastAttemptView] = field(factory=dict, init=False)

    def startService(self) -> None:
        super().startService()
        started_at = self._clock.seconds()

        def take(outcomes: Sequence[Outcome]) -> None:
            for each in outcomes:
                if each.at < started_at:
                    self.record(each)

        self._outcomes(_BEFORE).addCallback(take).addErrback(lambda failure: failure.trap(JournalUnavailable))

    def record(self, outcome: Outcome) -> None:
        span = self._spans.setdefault(int(outcome.at // _MINUTES), _Span())
        state, attempt = outcome.delivery.state, outcome.attempt
        if state is State.DELIVERED:
            span.delivered += 1
            span.latencies.append(max(0.0, outcome.at - outcome.delivery.accepted_at))
        elif attempt is not None and not attempt.ok:
            span.failed += 1
        if state.is_undelivered:
            span.undelivered += 1
        if attempt is not None:
            self._remember(outcome.delivery.destination, attempt, outcome.at)
        self._forget()

    def last(self, destination: str) -> LastAttemptView | None:
        """
        The last attempt at a destination, or ``None``.
        """
        return self._last.get(destination)

    def series(self, seconds: float) -> Sequence[PointView]:
        """
        The last so many seconds, at most a day, in steps of five minutes, oldest first.
        """
        now = int(self._clock.seconds() // _MINUTES)
        first = now - int(min(seconds, _DAY) // _MINUTES) + 1
        return [self._point(number) for number in range(first, now + 1)]

    def _point(self, number: int) -> PointView:
        span = self._spans.get(number) or _Span()
        latencies = sorted(span.latencies)
        return PointView(
            at=moment(number * _MINUTES) or "",
            seconds=_MINUTES,
            delivered=span.delivered,
            failed=span.failed,
            undelivered=span.undelivered,
            median=_quantile(latencies, 0.5),
            slow=_quantile(latencies, 0.95),
        )

    def _remember(self, destination: str, attempt: Attempt, at: float) -> None:
        self._last.pop(destination, None)
        if len(self._last) >= _DESTINATIONS:
            del self._last[next(iter(self._last))]
        self._last[destination] = LastAttemptView(
            at=rfc3339(at, "milliseconds"),
            ok=attempt.ok,
            reason=attempt.reason,
            detail=attempt.detail,
            status=attempt.status,
            duration=round(attempt.duration, 4),
            response=attempt.response[:_WORDS],
        )

    def _forget(self) -> None:
        oldest = int((self._clock.seconds() - _DAY) // _MINUTES)
        while self._spans and (first := next(iter(self._spans))) < oldest:
            del self._spans[first]


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 4) if ordered else None
