"""
The charts of the page: bars for deliveries, failed attempts and latencies, and the same numbers as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, floor, log10

from itsjustintv.admin.html import Markup, el
from itsjustintv.admin.views import PointView
from itsjustintv.support.counts import inflect
from itsjustintv.support.durations import duration

__all__ = ["chart", "decades", "top"]

_HEIGHT = 100.0
_BAR = 10.0
_GAP = 2.0

# Latencies below this look the same: a power of ten, in seconds.
_LEAST = -2

# Each bar as its lower end, its upper end (shares of the height) and its width (a share of its place).
_Bars = Callable[[PointView], Sequence[tuple[float, float, float]]]


def chart(points: Sequence[PointView]) -> Markup:
    """
    Draw deliveries, failed attempts and latencies, with a table of the same numbers.
    """
    delivered, failed = sum(each.delivered for each in points), sum(each.failed for each in points)
    undelivered = sum(each.undelivered for each in points)
    hours = round(sum(each.seconds for each in points) / 3600) or 1
    last = next((each for each in reversed(points) if each.median is not None), None)
    speed = "none"
    if last is not None and last.median is not None and last.slow is not None:
        speed = f"median {duration(last.median)}, 95% within {duration(last.slow)} lately"
    ended = f", {undelivered:,} ended undelivered" if undelivered else ""
    slowest = max((max(each.slow or 0.0, each.median or 0.0) for each in points), default=0.0)
    return el(
        "div",
        el(
            "div",
            _counts(
                f"{delivered:,} delivered",
                noun="delivery",
                points=points,
                hours=hours,
                kind="good",
                value=lambda each: each.delivered,
            ),
            _counts(
                f"{failed:,} {inflect(failed, 'attempt')} failed{ended}",
                noun="failed attempt",
                points=points,
                hours=hours,
                kind="bad",
                value=lambda each: each.failed,
            ),
            _latencies(f"Acceptance to delivery: {speed}", points, hours, slowest),
            class_="charts",
        ),
        _table(points),
    )


def top(most: int) -> int:
    """
    The end of a scale from 0: a round, even number at or above the highest value.
    """
    if most <= 2:
        return 2
    tens: int = 10 ** floor(log10(most))
    return next(each for each in (tens, 2 * tens, 4 * tens, 6 * tens, 10 * tens) if each >= most and each % 2 == 0)


def decades(slowest: float) -> tuple[int, int]:
    """
    The ends of a logarithmic scale of seconds, as powers of ten with a whole power in the middle.
    """
    highest = ceil(log10(slowest)) if slowest > 0 else 0
    return _LEAST, max(_LEAST + 2, highest + (highest - _LEAST) % 2)


def _counts(
    caption: str,
    *,
    noun: str,
    points: Sequence[PointView],
    hours: int,
    kind: str,
    value: Callable[[PointView], int],
) -> Markup:
    most = max(map(value, points), default=0)
    end = top(most)
    label = f"{inflect(2, noun).capitalize()} in {_lately(hours)}: at most {most:,} in five minutes"
    if most:
        label += f", at {next(_clock(each) for each in points if value(each) == most)}"
    return _figure(
        caption,
        label=label,
        scale=(f"{end:,}", f"{end // 2:,}", "0"),
        points=points,
        kind=kind,
        reaches=lambda each: [(0.0, value(each) / end, 1.0)],
        words=lambda each: f"{value(each):,} {inflect(value(each), noun)}",
        hours=hours,
    )


def _latencies(caption: str, points: Sequence[PointView], hours: int, slowest: float) -> Markup:
    low, high = decades(slowest)

    def share(seconds: float | None) -> float:
        if not seconds:
            return 0.0 if seconds is None else 0.02
        return min(1.0, max(0.02, (log10(seconds) - low) / (high - low)))

    return _figure(
        caption,
        legend="wide: median; narrow: 95th percentile",
        label=f"Time from acceptance to delivery in {_lately(hours)}: at most {duration(slowest)}",
        scale=[_power(each) for each in (high, (low + high) // 2, low)],
        points=points,
        kind="accent",
        reaches=lambda each: [(0.0, share(each.median), 1.0), (share(each.median), share(each.slow), 0.3)],
        words=lambda each: f"median {duration(each.median or 0.0)}, 95% within {duration(each.slow or 0.0)}",
        hours=hours,
    )


def _lately(hours: int) -> str:
    return "the last hour" if hours == 1 else f"the last {hours} hours"


def _power(power: int) -> str:
    return f"{10**power} s" if 0 <= power <= 2 else duration(10.0**power)


def _clock(point: PointView) -> str:
    return f"{point.at[11:16]} UTC"


def _figure(
    caption: str,
    *,
    label: str,
    scale: Sequence[str],
    points: Sequence[PointView],
    kind: str,
    reaches: _Bars,
    words: Callable[[PointView], str],
    hours: int,
    legend: str = "",
) -> Markup:
    """
    Draw one row of bars.

    :param legend: explains the bars where the caption does not.
    :param label: the figure in a sentence, for screen readers.
    :param scale: labels of the highest, the middle and the lowest line.
    """
    width = max(1, len(points)) * _BAR
    lines = [el("line", x1=0, x2=f"{width:g}", y1=y, y2=y, vector_effect="non-scaling-stroke") for y in (0, 50, 100)]
    bars = []
    for number, each in enumerate(points):
        rects = [
            el(
                "rect",
                x=round(number * _BAR + _GAP / 2 + (1 - wide) * (_BAR - _GAP) / 2, 2),
                y=round(_HEIGHT - above, 1),
                width=round((_BAR - _GAP) * wide, 2),
                height=round(above - below, 1),
                class_=kind,
            )
            for lower, upper, wide in reaches(each)
            if (above := round(upper * _HEIGHT, 1)) > (below := round(lower * _HEIGHT, 1))
        ]
        if rects:
            bars.append(el("g", el("title", f"{_clock(each)}: {words(each)}"), rects))
    middle = f"{hours / 2:g} h ago"
    return el(
        "figure",
        el("figcaption", caption, el("small", legend) if legend else None),
        el(
            "div",
            el("div", [el("span", each) for each in scale], class_="scale", aria_hidden="true"),
            el(
                "svg",
                el("g", lines, class_="grid"),
                bars,
                viewBox=f"0 0 {width:g} {_HEIGHT:g}",
                preserveAspectRatio="none",
                role="img",
                aria_label=label,
            ),
            el(
                "div",
                [el("span", each) for each in (f"{hours} h ago", middle, "now")],
                class_="axis",
                aria_hidden="true",
            ),
            class_="plot",
        ),
    )


def _table(points: Sequence[PointView]) -> Markup | None:
    """
    The numbers drawn, the latest first, without empty steps.
    """
    rows = [
        el(
            "tr",
            el("th", f"{each.at[11:16]}", scope="row"),
            [el("td", f"{number:,}") for number in (each.delivered, each.failed, each.undelivered)],
            [el("td", "" if each_ is None else duration(each_)) for each_ in (each.median, each.slow)],
        )
        for each in reversed(points)
        if each.delivered or each.failed or each.undelivered
    ]
    if not rows:
        return None
    heads = ("From, UTC", "Delivered", "Failed attempts", "Undelivered", "Median", "95th percentile")
    return el(
        "details",
        el("summary", "As a table"),
        el(
            "table",
            el("caption", "In steps of five minutes; empty ones are left out"),
            el("thead", el("tr", [el("th", each, scope="col") for each in heads])),
            el("tbody", rows),
        ),
        data_key="values",
    )
