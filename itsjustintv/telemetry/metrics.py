"""
What is counted as it happens: by the parts, which are handed a method of this each and know nothing else of it.
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
    The instruments of everything that happens.

    :ivar registry: reads them; what is only looked at is added to it by whoever puts the daemon together.
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
        Have these destinations in what is exposed before anything is sent to them.
        """
        self._attempts.expect((each, outcome) for each in destinations for outcome in ("delivered", "failed"))

    def message(self, outcome: str) -> None:
        """
        Count a message at the callback by what became of it.
        """
        self._messages.add(outcome)

    def recovering(self, accept: Accept) -> Accept:
        """
        Count events that no message told of on their way to ``accept``, by what becomes of them.
        """

        def counted(event: Event) -> Deferred[Acceptance]:
            def ended(result: Acceptance | Failure) -> Acceptance | Failure:
                self._recovered.add("unavailable" if isinstance(result, Failure) else result.name.lower())
                return result

            return accept(event).addBoth(ended)

        return counted

    def committed(self, operations: int, seconds: float) -> None:
        """
        Take note of a transaction of the journal. Called in its thread, and nowhere else.
        """
        self._operations.add_many(operations)
        self._commits.record(seconds)

    def called(self, call: ApiCall) -> None:
        """
        Take note of a request to Helix.
        """
        self._calls.add(f"{call.method} {call.path}", _answer(call.status))
        self._call_durations.record(call.duration)

    def gap(self, what: str, reason: str) -> None:
        """
        Count something that an announcement had to do without.
        """
        self._gaps.add(what, reason)

    def record(self, outcome: Outcome) -> None:
        """
        Take note of a step in a delivery's life.
        """
        delivery, attempt = outcome.delivery, outcome.attempt
        if attempt is not None:
            self._attempted(delivery.destination, attempt)
            if delivery.attempts == 1:
                self._first.record(attempt.started_at - delivery.accepted_at)
        if delivery.state.final:
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
