"""
Tests of :mod:`itsjustintv.app.telemetry`, as far as the running daemon does not show it.
"""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.app.telemetry import _observe_conduit, _observe_deliveries, _observe_journal
from itsjustintv.telemetry.catalogue import DESTINATIONS
from itsjustintv.telemetry.instruments import OTHER
from itsjustintv.telemetry.metrics import Metrics
from tests.telemetry.test_collect import census

NAMES = [f"streamers.s{number}" for number in range(10_000)]


class CrowdTests(SynchronousTestCase):
    """
    Ten thousand destinations.
    """

    def setUp(self) -> None:
        self.metrics = Metrics()
        self.known = dict.fromkeys(NAMES)
        self.paused = [NAMES[1], NAMES[-1], "streamers.gone"]
        self.context: Any = SimpleNamespace(
            metrics=self.metrics,
            routing=SimpleNamespace(destinations=lambda: self.known),
            reactor=SimpleNamespace(seconds=lambda: 1000.0),
        )

    def values(self, name: str) -> dict[tuple[str, ...], Any]:
        """
        The values of a metric that are not 0.
        """
        [points] = [each.points for each in self.metrics.registry.read() if each.family.name == f"itsjustintv.{name}"]
        return {labels: value for labels, value in points if value}

    def test_states_of_a_crowd(self) -> None:
        """
        Each destination is in one state; those beyond the limit are added up, in trouble or not.
        """
        self.metrics.failing.update((NAMES[0], NAMES[-2], "streamers.gone"))
        queue: Any = SimpleNamespace(queue=SimpleNamespace(paused=lambda: self.paused, under_way=0))
        _observe_deliveries(self.context, queue)
        states = self.values("destination.state")
        self.assertEqual(sum(states.values()), len(NAMES))
        self.assertEqual(states[NAMES[0], "failing"], 1)
        self.assertEqual(states[NAMES[1], "paused"], 1)
        self.assertEqual(states[NAMES[2], "healthy"], 1)
        others = {state: count for (name, state), count in states.items() if name == OTHER}
        self.assertEqual(others, {"healthy": 10_000 - DESTINATIONS - 2, "failing": 1, "paused": 1})

    def test_states_of_a_few(self) -> None:
        """
        Without a crowd there are no others.
        """
        self.known = {"a": None}
        _observe_deliveries(self.context, SimpleNamespace(queue=SimpleNamespace(paused=list, under_way=0)))  # type: ignore[arg-type]
        self.assertEqual(self.values("destination.state"), {("a", "healthy"): 1})

    def test_what_waits_for_a_crowd(self) -> None:
        """
        What waits is counted whole: by destination, or for all beyond the limit together, gone or not.
        """
        counted: Any = SimpleNamespace(census=census(7))
        _observe_journal(self.context, counted)
        object.__setattr__(counted.census, "pending", {NAMES[0]: 3, NAMES[-1]: 4, NAMES[-2]: 1, "streamers.gone": 2})
        self.assertEqual(self.values("pending"), {(NAMES[0],): 3, (OTHER,): 7})

    def test_before_the_journal_was_looked_at(self) -> None:
        """
        Nothing is said of what is not known yet.
        """
        _observe_journal(self.context, SimpleNamespace(census=None))  # type: ignore[arg-type]
        for name in ("deliveries.wanted", "oldest_pending.age", "last_event.age", "pending"):
            self.assertEqual(self.values(name), {})


class ConduitTests(SynchronousTestCase):
    """
    The connections of a conduit.
    """

    def setUp(self) -> None:
        self.metrics = Metrics()
        self.counts: Any = SimpleNamespace(losses={}, assigned=0, not_assigned=0, gap_seconds=lambda: 0.0)
        self.shards: list[Any] = []
        self.configured = 0
        service = SimpleNamespace(
            counts=self.counts, status=lambda: self.shards, configured=lambda: self.configured, moves=lambda: 3
        )
        context: Any = SimpleNamespace(metrics=self.metrics, reactor=SimpleNamespace(seconds=lambda: 1000.0))
        _observe_conduit(context, SimpleNamespace(shards=service, frames=SimpleNamespace(held=7)))  # type: ignore[arg-type]

    def values(self, name: str) -> dict[tuple[str, ...], Any]:
        """
        The values of a metric.
        """
        [points] = [each.points for each in self.metrics.registry.read() if each.family.name == f"itsjustintv.{name}"]
        return dict(points)

    def test_shards(self) -> None:
        """
        How many there are in which state, and when each was last heard; of one that never was, nothing.
        """
        self.configured = 3
        self.shards = [
            SimpleNamespace(id="0", enabled=True, standing_by=False, session=SimpleNamespace(last_frame=990.0)),
            SimpleNamespace(id="1", enabled=False, standing_by=True, session=SimpleNamespace(last_frame=1001.0)),
            SimpleNamespace(id="2", enabled=False, standing_by=False, session=SimpleNamespace(last_frame=None)),
        ]
        states = {("configured",): 3, ("enabled",): 1, ("standing_by",): 1}
        self.assertEqual(self.values("conduit.shards"), states)
        self.assertEqual(self.values("conduit.last_frame.age"), {("0",): 10.0, ("1",): 0.0})

    def test_a_webhook(self) -> None:
        """
        Without a conduit everything is 0.
        """
        self.assertEqual(set(self.values("conduit.shards").values()), {0})
        self.assertEqual(set(self.values("conduit.sessions.lost").values()), {0})
        self.assertEqual(self.values("conduit.last_frame.age"), {})

    def test_counts(self) -> None:
        """
        A close code is a label if it is a known one: a stranger cannot make more.
        """
        self.counts.losses = {None: 1, 4006: 2, **dict.fromkeys(range(3000, 3100), 1)}
        self.counts.assigned, self.counts.not_assigned = 5, 6
        lost = {labels: count for labels, count in self.values("conduit.sessions.lost").items() if count}
        self.assertEqual(lost, {("none",): 1, ("4006",): 2, ("other",): 100})
        self.assertEqual(self.values("conduit.assignments"), {("succeeded",): 5, ("failed",): 6})
        self.assertEqual((self.values("conduit.sessions.moved"), self.values("events.held")), ({(): 3}, {(): 7}))


class ImportTests(SynchronousTestCase):
    """
    What costs nothing until it is asked for.
    """

    def test_the_sdk_is_not_imported(self) -> None:
        """
        A daemon that sends no telemetry does without OpenTelemetry's SDK.
        """
        program = (
            "import sys, itsjustintv.tap, itsjustintv.app.telemetry, itsjustintv.app.web;"
            "print([name for name in sys.modules if name.startswith(('opentelemetry', 'google.protobuf'))])"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "[]\n")
