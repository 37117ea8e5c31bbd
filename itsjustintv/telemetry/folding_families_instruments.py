"""
What a metric is called, and what it may be labelled with.
"""

from __future__ import annotations

from enum import Enum

from attrs import field, frozen

__all__ = ["OTHER", "Family", "HistogramValue", "Kind", "Labels", "Reading", "Value"]

#: The values of a family's labels, in its order.
Labels = tuple[str, ...]

#: Stands for every first label beyond a family's limit.
OTHER = "_other"


class Kind(Enum):
    """
    What its values mean.
    """

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


#: What units are called at the end of a Prometheus name (OpenTelemetry, "Prometheus and OpenMetrics compatibility").
#: Those in braces only say what is counted.
_SUFFIXES = {"s": "_seconds", "By": "_bytes"}


@frozen(kw_only=True)
class Family:
    """
    A metric, whatever its labels.

    :ivar name: as OpenTelemetry has it, with dots.
    :ivar unit: in UCUM: ``s``, ``By``, ``{delivery}``; empty for a number without one.
    :ivar help: one sentence.
    :ivar labels: their names.
    :ivar expected: the sets of labels that are there before anything happens, with 0.
    :ivar limit: so many sets of labels at the most. Beyond that the first label of a new one is :data:`OTHER`.
    :ivar bounds: of a histogram: the inclusive upper end of each bucket but the last, which has none.
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

    :ivar counts: of each bucket by itself, the last one being for what is beyond all bounds.
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
