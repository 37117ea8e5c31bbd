"""
Counters, histograms and gauges, and the registry that reads them.

Counting adds to a number in memory, in a fraction of a microsecond: an instrument of the OpenTelemetry SDK takes fifty
times as long, and each message passes several. A reading is a copy.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Protocol

from attrs import define, field, frozen
from twisted.logger import Logger

from itsjustintv.support.log_throttle import LogOnChange

__all__ = [
    "OTHER",
    "Counter",
    "Family",
    "Histogram",
    "HistogramValue",
    "Instrument",
    "Kind",
    "Labels",
    "Observed",
    "Reading",
    "Registry",
    "Value",
]


class Instrument(Protocol):
    """
    A metric that can be read.
    """

    @property
    def family(self) -> Family: ...

    def read(self) -> Iterable[tuple[Labels, Value]]:
        """
        Its value for each set of labels.
        """


@define(eq=False)
class Counter:
    """
    Counts up from the start of the process.
    """

    family: Family
    _values: dict[Labels, float] = field(init=False)

    @_values.default
    def _expected(self) -> dict[Labels, float]:
        return dict.fromkeys(self.family.expected, 0.0)

    def add(self, *labels: str) -> None:
        self.add_many(1, *labels)

    def add_many(self, amount: float, *labels: str) -> None:
        known = labels if labels in self._values else self._room(labels)
        self._values[known] = self._values.get(known, 0.0) + amount

    def expect(self, labels: Iterable[Labels]) -> None:
        """
        Expose these sets of labels with 0.
        """
        for each in labels:
            self._values.setdefault(self._room(each), 0.0)

    def read(self) -> Iterable[tuple[Labels, Value]]:
        return list(self._values.items())

    def _room(self, labels: Labels) -> Labels:
        return _room(self.family, self._values, labels)


@define(eq=False)
class Histogram:
    """
    Counts values by size. All values with the same labels must come from one thread.
    """

    family: Family
    _counts: dict[Labels, list[int]] = field(init=False)
    _sums: dict[Labels, float] = field(init=False)

    @_counts.default
    def _no_counts(self) -> dict[Labels, list[int]]:
        return {labels: self._empty() for labels in self.family.expected}

    @_sums.default
    def _no_sums(self) -> dict[Labels, float]:
        return dict.fromkeys(self.family.expected, 0.0)

    def record(self, value: float, *labels: str) -> None:
        """
        Add one value. A negative one, from a clock that was set back, counts as 0.
        """
        value = max(value, 0.0)
        counts = self._counts.get(labels)
        if counts is None:
            labels = _room(self.family, self._counts, labels)
            counts = self._counts.setdefault(labels, self._empty())
        counts[bisect_left(self.family.bounds, value)] += 1
        self._sums[labels] = self._sums.get(labels, 0.0) + value

    def read(self) -> Iterable[tuple[Labels, Value]]:
        return [(each, HistogramValue(tuple(counts), self._sums.get(each, 0.0))) for each, counts in self._items()]

    def _items(self) -> list[tuple[Labels, list[int]]]:
        return list(self._counts.items())

    def _empty(self) -> list[int]:
        return [0] * (len(self.family.bounds) + 1)


@define(eq=False)
class Observed:
    """
    A value that is asked for when it is read.

    :ivar observe: returns the value for each set of labels, without blocking. Values beyond the family's limit are
        summed.
    """

    family: Family
    _observe: Callable[[], Iterable[tuple[Labels, float]]]

    def read(self) -> Iterable[tuple[Labels, Value]]:
        values = dict.fromkeys(self.family.expected, 0.0)
        for labels, value in self._observe():
            room = _room(self.family, values, labels)
            values[room] = value if room == labels else values.get(room, 0.0) + value
        return list(values.items())


def _room(family: Family, taken: Mapping[Labels, object], labels: Labels) -> Labels:
    """
    The labels to count under: its own ones, or :data:`OTHER` beyond the limit.
    """
    return labels if labels in taken or len(taken) < family.limit else (OTHER, *labels[1:])


@define(eq=False)
class Registry:
    """
    Every instrument of the process, and what reads those that are not counted.
    """

    _instruments: dict[str, Instrument] = field(factory=dict, init=False)
    _logged: LogOnChange = field(factory=LogOnChange, init=False)

    log = Logger()

    def counter(self, family: Family) -> Counter:
        counter = Counter(family)
        self._add(counter)
        return counter

    def histogram(self, family: Family) -> Histogram:
        histogram = Histogram(family)
        self._add(histogram)
        return histogram

    def observe(self, family: Family, observe: Callable[[], Iterable[tuple[Labels, float]]]) -> None:
        """
        Add a family whose values are asked for at each reading.
        """
        self._add(Observed(family, observe))

    def observe_one(self, family: Family, observe: Callable[[], float | None]) -> None:
        """
        Add a family without labels whose value is asked for at each reading; ``None`` leaves it out.
        """

        def values() -> Iterable[tuple[Labels, float]]:
            value = observe()
            return () if value is None else (((), value),)

        self.observe(family, values)

    def read(self) -> tuple[Reading, ...]:
        """
        Read everything, sorted by name. An instrument that raises is logged once and left out.
        """
        readings = []
        for name, instrument in sorted(self._instruments.items()):
            try:
                readings.append(Reading(instrument.family, tuple(instrument.read())))
            except Exception:  # noqa: BLE001 - a bug in one must not hide the others
                if self._logged.is_new(subject=name):
                    self.log.failure("cannot read the metric {name}; the others are exposed without it", name=name)
        return tuple(readings)

    def _add(self, instrument: Instrument) -> None:
        name = instrument.family.name
        if name in self._instruments:
            raise ValueError(f"duplicate metric {name}")
        self._instruments[name] = instrument


#: The values of a family's labels, in order.
Labels = tuple[str, ...]

#: Replaces the first label beyond a family's limit.
OTHER = "_other"


class Kind(Enum):
    """
    The types of metrics, as Prometheus names them.
    """

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


#: The suffixes of units in a Prometheus name (OpenTelemetry, "Prometheus and OpenMetrics compatibility"). Units in
#: braces have none.
_SUFFIXES = {"s": "_seconds", "By": "_bytes"}


@frozen(kw_only=True)
class Family:
    """
    A metric with all its labels.

    :ivar name: the OpenTelemetry name, with dots.
    :ivar unit: in UCUM: ``s``, ``By``, ``{delivery}``; empty for a plain number.
    :ivar help: one sentence.
    :ivar labels: their names.
    :ivar expected: the sets of labels that are exposed from the start, with 0.
    :ivar limit: the largest number of sets of labels; the first label of further ones is :data:`OTHER`.
    :ivar bounds: of a histogram: the inclusive upper bound of each bucket but the last.
    """

    name: str
    kind: Kind
    unit: str = ""
    help: str
    labels: Labels = ()
    expected: tuple[Labels, ...] = ()
    limit: int = 1000
    bounds: tuple[float, ...] = ()
    prometheus: str = field(init=False)

    @prometheus.default
    def _named(self) -> str:
        total = "_total" if self.kind is Kind.COUNTER else ""
        return self.name.replace(".", "_") + _SUFFIXES.get(self.unit, "") + total


@frozen
class HistogramValue:
    """
    A histogram at one moment.

    :ivar counts: of each bucket, not cumulative; the last one is for values beyond all bounds.
    """

    counts: tuple[int, ...]
    sum: float


Value = float | HistogramValue


@frozen
class Reading:
    """
    A family at one moment.

    :ivar points: for each set of labels.
    """

    family: Family
    points: tuple[tuple[Labels, Value], ...]
