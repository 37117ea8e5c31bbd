"""
Tests of :mod:`itsjustintv.telemetry.export_service`.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Event
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.telemetry import catalogue
from itsjustintv.telemetry.collect import Collection
from itsjustintv.telemetry.export_service import TelemetryService
from itsjustintv.telemetry.instruments import Counter, Reading, Registry
from itsjustintv.telemetry.otlp_settings import Settings
from tests.telemetry.test_collect import census
from tests.telemetry.test_tracing import Shelf, a_tracer

ON = Settings(enabled=True, endpoint="http://collector.example:4318")


@define(eq=False)
class Sender(Shelf):
    """
    A way to a collector.

    :ivar hangs: set while closing must wait.
    """

    told: Callable[[str, int, str], None] = lambda *_: None
    settings: Settings = ON
    metrics: list[tuple[tuple[Reading, ...], float, float]] = field(factory=list)
    may_close: Event = field(factory=Event)
    closing: Event = field(factory=Event)

    def put_metrics(self, readings: tuple[Reading, ...], started_at: float, now: float) -> None:
        self.metrics.append((readings, started_at, now))

    def close(self) -> None:
        self.closing.set()
        self.may_close.wait(10)


class Reactor(MemoryReactorClock):
    """
    A reactor that keeps what threads have called.
    """

    def __init__(self) -> None:
        super().__init__()
        self.from_threads: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def callFromThread(self, work: Callable[..., object], *args: Any) -> None:
        self.from_threads.put(lambda: work(*args))


class ServiceTests(SynchronousTestCase):
    """
    When telemetry is sent.
    """

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.reactor.advance(1000.0)
        self.settings = ON
        self.senders: list[Sender] = []
        self.refusal: Exception | None = None
        self.tracer = a_tracer()
        self.sent = Counter(catalogue.SPANS)
        self.opening: list[Callable[[], None]] = []
        self.lines: list[str] = []
        self.census: Deferred[Any] = Deferred()
        self.census.callback(census(1))
        clock: Clock = self.reactor
        collection = Collection(Registry(), lambda: self.census, clock, self.at_once)
        self.service = TelemetryService(
            lambda: self.settings, self.tracer, collection, self.sent, self.reactor, self.later, self.open
        )
        globalLogPublisher.addObserver(self.hear)
        self.addCleanup(globalLogPublisher.removeObserver, self.hear)
        self.addCleanup(lambda: [sender.may_close.set() for sender in self.senders])

    def hear(self, event: Any) -> None:
        """
        Keep what is logged of it.
        """
        if event.get("log_namespace", "").startswith("itsjustintv.telemetry"):
            self.lines.append(event["log_format"].format(**event))

    def at_once(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """
        Do it here.
        """
        done: Deferred[Any] = Deferred()
        done.callback(work(*args))
        return done

    def later(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """
        Do it when the test says so.
        """
        done: Deferred[Any] = Deferred()

        def go() -> None:
            try:
                result = work(*args)
            except Exception as error:  # noqa: BLE001 - as a thread would
                done.errback(error)
            else:
                done.callback(result)

        self.opening.append(go)
        return done

    def open(self, settings: Settings, told: Callable[[str, int, str], None]) -> Sender:
        """
        Make ready to send.
        """
        if self.refusal is not None:
            raise self.refusal
        self.senders.append(Sender(told=told, settings=settings))
        return self.senders[-1]

    def heard(self) -> None:
        """
        Let the reactor hear of what a thread has called.
        """
        self.reactor.from_threads.get(timeout=10)()

    def test_disabled(self) -> None:
        """
        Nothing is opened, and the stop waits for nothing.
        """
        self.settings = Settings()
        self.service.startService()
        self.successResultOf(self.service.stopService())
        self.assertEqual((self.senders, self.tracer.collector), ([], None))

    def test_enabled(self) -> None:
        """
        From the start spans have somewhere to go, and metrics are sent once a minute.
        """
        self.service.startService()
        [sender] = self.senders
        self.assertIs(self.tracer.collector, sender)
        self.reactor.pump([59.0])
        self.assertEqual(sender.metrics, [])
        self.reactor.pump([1.0, 60.0])
        self.assertEqual([(begun, now) for _, begun, now in sender.metrics], [(1000.0, 1060.0), (1000.0, 1120.0)])

    def test_as_often_as_the_environment_says(self) -> None:
        """
        The interval is a variable's.
        """
        self.settings = evolve(ON, environ={"OTEL_METRIC_EXPORT_INTERVAL": "5000"})
        self.service.startService()
        self.reactor.pump([5.0, 5.0])
        self.assertEqual(len(self.senders[0].metrics), 2)

    def test_a_stop_sends_the_rest(self) -> None:
        """
        The last metrics are sent, and the stop waits until everything is.
        """
        self.service.startService()
        [sender] = self.senders
        stopping = self.service.stopService()
        self.assertEqual(len(sender.metrics), 1)
        self.assertIsNone(self.tracer.collector)
        self.assertNoResult(stopping)
        sender.may_close.set()
        self.heard()
        self.successResultOf(stopping)

    def test_a_collector_that_hangs_does_not_hold_up_a_stop(self) -> None:
        """
        After two seconds the stop goes on; what comes after that changes nothing.
        """
        self.service.startService()
        [sender] = self.senders
        stopping = self.service.stopService()
        self.assertTrue(sender.closing.wait(10))
        self.reactor.advance(1.9)
        self.assertNoResult(stopping)
        self.reactor.advance(0.2)
        self.successResultOf(stopping)
        sender.may_close.set()
        self.heard()

    def test_a_journal_that_hangs_does_not_hold_up_a_stop(self) -> None:
        """
        It is not asked any more; the last metrics have what it said before.
        """
        self.census = Deferred()
        self.service.startService()
        [sender] = self.senders
        sender.may_close.set()
        stopping = self.service.stopService()
        self.assertEqual(len(sender.metrics), 1)
        self.heard()
        self.successResultOf(stopping)

    def test_nothing_that_fails_stops_the_daemon(self) -> None:
        """
        Settings that cannot be used are told, with what to do, and the daemon goes on.
        """
        for refusal, reason in (
            (ValueError("OTEL_X is wrong"), "OTEL_X is wrong"),
            (ImportError("no grpc"), "install itsjustintv[grpc] (no grpc)"),
        ):
            self.refusal = refusal
            self.service.startService()
            self.assertEqual(self.lines.pop(), f"cannot send telemetry: {reason}; the daemon runs without it")
            self.assertEqual(self.service.problem(), f"cannot send telemetry: {refusal}")
            self.successResultOf(self.service.stopService())

    def test_follows_the_configuration(self) -> None:
        """
        A new endpoint is used once it is open, away from the reactor, and the old way is closed; the same settings
        change nothing.
        """
        self.service.startService()
        self.service.refresh()
        self.assertEqual(self.opening, [])
        self.settings = evolve(ON, endpoint="http://another.example")
        self.service.refresh()
        self.assertTrue(self.senders[0].closing.wait(10))
        self.assertIsNone(self.tracer.collector)
        self.opening.pop()()
        self.assertIs(self.tracer.collector, self.senders[1])
        self.settings = Settings()
        self.service.refresh()
        self.assertIsNone(self.tracer.collector)
        self.assertTrue(self.senders[1].closing.wait(10))
        self.assertEqual(self.opening, [])

    def test_changed_again_meanwhile(self) -> None:
        """
        What was opened for settings that are no longer those of the moment is closed, unused.
        """
        self.service.startService()
        self.settings = evolve(ON, endpoint="http://another.example")
        self.service.refresh()
        self.settings = evolve(ON, endpoint="http://a-third.example")
        self.service.refresh()
        for opening in self.opening:
            opening()
        self.assertTrue(self.senders[1].closing.wait(10))
        self.assertIs(self.tracer.collector, self.senders[2])

    def test_a_change_that_cannot_be_used(self) -> None:
        """
        It is told, and a later one can be used again.
        """
        self.service.startService()
        self.settings = evolve(ON, endpoint="http://another.example")
        self.service.refresh()
        self.refusal = ValueError("no")
        self.opening.pop()()
        self.assertEqual(self.service.problem(), "cannot send telemetry: no")
        self.refusal, self.settings = None, ON
        self.service.refresh()
        self.opening.pop()()
        self.assertIsNone(self.service.problem())

    def test_trouble_is_told_once(self) -> None:
        """
        A collector that takes nothing is told of once for each signal, and so is that it does again; spans are counted.
        """
        place = "the collector at collector.example:4318"
        self.service.startService()
        [sender] = self.senders
        self.lines.clear()
        for signal, count, reason in (
            ("spans", 3, "no answer"),
            ("spans", 4, "no answer"),
            ("metrics", 1, ""),
            ("spans", 5, ""),
        ):
            sender.told(signal, count, reason)
            self.heard()
            if reason:
                self.assertEqual(self.service.problem(), f"{place} does not accept spans")
        self.assertEqual(
            self.lines,
            [
                f"{place} does not accept spans: no answer; spans are dropped until it does",
                f"{place} accepts spans again",
            ],
        )
        self.assertIsNone(self.service.problem())
        self.assertEqual(dict(self.sent.read()), {("sent",): 5, ("failed",): 7, ("dropped",): 0})

    def test_a_defect_does_not_end_the_loop(self) -> None:
        """
        Metrics that cannot be read once are read the next time.
        """
        self.census = Deferred()
        self.census.errback(RuntimeError("a defect"))
        self.service.startService()
        broken = self.service._collection.read
        calls: list[int] = []

        async def read() -> Any:
            calls.append(1)
            if len(calls) == 1:
                raise RuntimeError("another")
            return await broken()

        self.patch(Collection, "read", lambda _: read())
        self.reactor.pump([60.0, 60.0])
        self.assertEqual(len(self.senders[0].metrics), 1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)
