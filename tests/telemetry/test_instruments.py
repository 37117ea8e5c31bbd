"""
Tests of :mod:`itsjustintv.telemetry.instruments` and :mod:`itsjustintv.telemetry.instruments`.
"""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.telemetry import catalogue
from itsjustintv.telemetry.instruments import (
    OTHER,
    Counter,
    Family,
    Histogram,
    HistogramValue,
    Kind,
    Labels,
    Observed,
    Registry,
)

SENT = Family(name="sent", kind=Kind.COUNTER, help="Sent.", labels=("to", "how"), expected=(("a", "well"),), limit=3)
TIME = Family(name="time", kind=Kind.HISTOGRAM, unit="s", help="Time.", expected=((),), bounds=(1.0, 2.0))
DEPTH = Family(name="depth", kind=Kind.GAUGE, help="Depth.", labels=("of",), expected=(("a",),), limit=2)


class FamilyTests(SynchronousTestCase):
    """
    What Prometheus calls it.
    """

    def test_units_and_totals_are_in_the_name(self) -> None:
        """
        Seconds and what is counted are told at the end of the name; what stands in braces is not.
        """
        names = [
            Family(name="a.b", kind=kind, unit=unit, help="").prometheus
            for kind, unit in ((Kind.COUNTER, "{x}"), (Kind.GAUGE, "s"), (Kind.GAUGE, "By"), (Kind.COUNTER, "s"))
        ]
        self.assertEqual(names, ["a_b_total", "a_b_seconds", "a_b_bytes", "a_b_seconds_total"])

    def test_every_name_is_one(self) -> None:
        """
        No two metrics have the same name for Prometheus, and each is explained.
        """
        names = [family.prometheus for family in catalogue.ALL.values()]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual([family.name for family in catalogue.ALL.values() if not family.help.endswith(".")], [])


class CounterTests(SynchronousTestCase):
    """
    What is counted.
    """

    def test_what_is_expected_is_there_from_the_start(self) -> None:
        """
        A set of labels can be seen before anything happens.
        """
        counter = Counter(SENT)
        counter.expect([("b", "well"), ("a", "well")])
        self.assertEqual(dict(counter.read()), {("a", "well"): 0, ("b", "well"): 0})

    def test_counts_each_by_itself(self) -> None:
        """
        Every set of labels has a number of its own.
        """
        counter = Counter(SENT)
        counter.add("a", "well")
        counter.add_many(4, "a", "badly")
        counter.add("a", "well")
        self.assertEqual(dict(counter.read()), {("a", "well"): 2, ("a", "badly"): 4})

    def test_a_crowd_is_counted_together(self) -> None:
        """
        Beyond the limit the first label is lost, and nothing that was counted.
        """
        counter = Counter(SENT)
        counter.expect([("b", "well"), ("c", "well"), ("d", "well")])
        for name in "abcdefg":
            counter.add(name, "well")
        self.assertEqual(
            dict(counter.read()), {("a", "well"): 1, ("b", "well"): 1, ("c", "well"): 1, (OTHER, "well"): 4}
        )


class HistogramTests(SynchronousTestCase):
    """
    What is measured.
    """

    def test_empty_from_the_start(self) -> None:
        """
        A histogram can be seen before anything happens.
        """
        self.assertEqual(dict(Histogram(TIME).read()), {(): HistogramValue((0, 0, 0), 0.0)})

    def test_a_bound_belongs_to_its_bucket(self) -> None:
        """
        A value that is a bound is in the bucket that ends with it.
        """
        histogram = Histogram(TIME)
        for value in (1.0, 1.5, 2.0, 9.0, -3.0):
            histogram.record(value)
        self.assertEqual(dict(histogram.read()), {(): HistogramValue((2, 2, 1), 13.5)})

    @given(st.lists(st.floats(0, 5), max_size=30))
    def test_nothing_is_lost(self, values: list[float]) -> None:
        """
        Every value is in one bucket: that of the first bound that is not below it.
        """
        histogram = Histogram(TIME)
        for value in values:
            histogram.record(value)
        [(_, found)] = histogram.read()
        assert isinstance(found, HistogramValue)
        below = [sum(value <= bound for value in values) for bound in (*TIME.bounds, float("inf"))]
        self.assertEqual([sum(found.counts[: place + 1]) for place in range(3)], below)
        self.assertAlmostEqual(found.sum, sum(values))

    def test_a_crowd_is_measured_together(self) -> None:
        """
        Beyond the limit there is one histogram for all the others.
        """
        family = Family(name="t", kind=Kind.HISTOGRAM, help="T.", labels=("of",), bounds=(1.0,), limit=1)
        histogram = Histogram(family)
        for name in "abc":
            histogram.record(0.5, name)
        self.assertEqual(
            dict(histogram.read()), {("a",): HistogramValue((1, 0), 0.5), (OTHER,): HistogramValue((2, 0), 1.0)}
        )


class ObservedTests(SynchronousTestCase):
    """
    What is looked at.
    """

    def test_a_crowd_is_added_up(self) -> None:
        """
        Beyond the limit the others are one, with their sum.
        """
        observed = Observed(DEPTH, lambda: [((name,), 2.0) for name in "axyz"])
        self.assertEqual(dict(observed.read()), {("a",): 2.0, ("x",): 2.0, (OTHER,): 4.0})

    def test_every_destination_of_a_crowd(self) -> None:
        """
        Ten thousand destinations make no more series than a thousand.
        """
        names = [f"streamers.s{number}" for number in range(10_000)]
        registry = Registry()
        attempts = registry.counter(catalogue.ATTEMPTS)
        attempts.expect((name, outcome) for name in names for outcome in ("delivered", "failed"))
        registry.observe(catalogue.PENDING, lambda: [((name,), 1.0) for name in names])
        registry.observe(
            catalogue.DESTINATION_STATE,
            lambda: [((name, state), 1.0) for name in names for state in ("healthy", "failing", "paused")],
        )
        points = {reading.family.name: reading.points for reading in registry.read()}
        self.assertLessEqual(sum(len(each) for each in points.values()), 6 * catalogue.DESTINATIONS + 10)
        self.assertEqual(sum(float(value) for _, value in points["itsjustintv.pending"]), 10_000)  # type: ignore[arg-type]


class RegistryTests(SynchronousTestCase):
    """
    Everything together.
    """

    def test_a_name_is_used_once(self) -> None:
        """
        Two instruments under one name are a defect.
        """
        registry = Registry()
        registry.counter(SENT)
        self.assertRaises(ValueError, registry.counter, SENT)

    def test_a_look_that_fails_hides_nothing_else(self) -> None:
        """
        A gauge whose owner has a defect is missing, which is said once, and the rest is there.
        """

        def fails() -> Iterable[tuple[Labels, float]]:
            raise RuntimeError("a defect")

        registry = Registry()
        registry.observe(DEPTH, fails)
        registry.histogram(TIME)
        for _ in range(2):
            self.assertEqual([reading.family.name for reading in registry.read()], ["time"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_what_is_not_known_is_not_shown(self) -> None:
        """
        A value that nobody has yet has no points.
        """
        registry = Registry()
        registry.observe_one(catalogue.TOKEN_EXPIRY, lambda: None)
        registry.observe_one(catalogue.IMBALANCE, lambda: 0)
        self.assertEqual([reading.points for reading in registry.read()], [(((), 0),), ()])
