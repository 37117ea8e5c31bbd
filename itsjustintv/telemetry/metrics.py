"""
What is counted as it happens. Each part of the daemon is handed one method of :class:`Metrics` as a callable.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from itsjustintv.interfaces import Accept, IOutcomeSink
from itsjustintv.model import Acceptance, Attempt, Event, Outcome, State
from itsjustintv.telemetry import catalogue
from itsjustintv.telemetry.instruments import Registry
from itsjustintv.telemetry.tracing import ApiCall

__all__ = ["Metrics"]


@implementer(IOutcomeSink)
class Metrics:
    """
    The counters and histograms.

    :ivar registry: reads them; ``app.telemetry`` adds the gauges.
    :ivar failing: the destinations whose last attempt failed.
    """

    def __init__(self) -> None:
        registry = self.registry = Registry()
        self.failing: set[str] = set()
        self.spans = registry.counter(catalogue.SPANS)
        self.traces = registry.counter(catalogue.TRACES)
        self._messages = registry.counter(catalogue.MESSAGES)
        self._recovered = registry.counter(catalogue.RECOVERED)
        self._operations = registry.counter(catalogue.COMMITTED)
        self._commits = registry.histogram(catalogue.COMMIT_DURATION)
        self._attempts = registry.counter(catalogue.ATTEMPTS)
        self._doubles = registry.counter(catalogue.DOUBLES)
        self._failures = registry.counter(catalogue.ATTEMPT_FAILURES)
        self._durations = registry.histogram(catalogue.ATTEMPT_DURATION)
        self._first = registry.histogram(catalogue.TO_FIRST_ATTEMPT)
        self._delivered = registry.histogram(catalogue.TO_DELIVERED)
        self._ended = registry.counter(catalogue.ENDED)
        self._calls = registry.counter(catalogue.HELIX_CALLS)
        self._call_durations = registry.histogram(catalogue.HELIX_DURATION)
        self._gaps = registry.counter(catalogue.GAPS)

    def expect(self, destinations: Iterable[str]) -> None:
        """
        Expose these destinations with 0 before the first attempt.
        """
        self._attempts.expect((each, outcome) for each in destinations for outcome in ("delivered", "failed"))

    def message(self, outcome: str) -> None:
        """
        Count an EventSub message.
        """
        self._messages.add(outcome)

    def recovering(self, accept: Accept) -> Accept:
        """
        Wrap ``accept``, to count recovered events by outcome.
        """

        def counted(event: Event) -> Deferred[Acceptance]:
            def ended(result: Acceptance | Failure) -> Acceptance | Failure:
                self._recovered.add("unavailable" if isinstance(result, Failure) else result.name.lower())
                return result

            return accept(event).addBoth(ended)

        return counted

    def committed(self, operations: int, seconds: float) -> None:
        """
        Count a transaction of the journal. Called in the journal's writer thread only.
        """
        self._operations.add_many(operations)
        self._commits.record(seconds)

    def called(self, call: ApiCall) -> None:
        """
        Count a request to Helix.
        """
        self._calls.add(f"{call.method} {call.path}", _answer(call.status))
        self._call_durations.record(call.duration)

    def gap(self, what: str, reason: str) -> None:
        """
        Count a detail that an announcement lacks.
        """
        self._gaps.add(what, reason)

    def record(self, outcome: Outcome) -> None:
        """
        Count an outcome of a delivery.
        """
        delivery, attempt = outcome.delivery, outcome.attempt
        if attempt is not None:
            self._attempted(delivery.destination, attempt)
            if delivery.attempts == 1:
                self._first.record(attempt.started_at - delivery.accepted_at)
        if outcome.may_double:
            self._doubles.add(delivery.destination)
        if delivery.state.is_final:
            self._ended.add(delivery.state.value)
        if delivery.state is State.DELIVERED:
            self._delivered.record(outcome.at - delivery.accepted_at)

    def _attempted(self, destination: str, attempt: Attempt) -> None:
        self._attempts.add(destination, "delivered" if attempt.ok else "failed")
        self._durations.record(attempt.duration)
        if attempt.ok:
            self.failing.discard(destination)
        else:
            self.failing.add(destination)
            self._failures.add(_failure(attempt))


def _failure(attempt: Attempt) -> str:
    if attempt.status == 429:
        return "rate_limited"
    return (
        f"http_{attempt.status // 100}xx" if attempt.status and attempt.reason.startswith("http_") else attempt.reason
    )


def _answer(status: int | None) -> str:
    if status is None:
        return "no_answer"
    named = {401: "unauthorized", 429: "rate_limited"}.get(status)
    return named or ("ok" if 200 <= status < 300 else "unavailable" if status >= 500 else "rejected")
