"""
The last hours as two rows of bars, drawn here.

Lengths are those of the coordinate system, which a browser stretches to whatever width there is; so there is no text in
it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log

from itsjustintv.admin.markup import Markup, el
from itsjustintv.admin.views import PointView

__all__ = ["chart", "took"]

_HEIGHT = 100.0
_BAR = 10.0
_GAP = 2.0

# A latency below which nobody cares, in seconds.
_NOTHING = 0.05


def took(seconds: float) -> str:
    """
    A length of time, in as few letters as tell it.
    """
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 1440:.0f} d"


def chart(points: Sequence[PointView]) -> Markup:
    """
    Draw deliveries and failures, and below them how long deliveries took.
    """
    delivered, failed = sum(each.delivered for each in points), sum(each.failed for each in points)
    most = max((each.delivered + each.failed for each in points), default=0) or 1
    slowest = max((max(each.slow or 0.0, each.median or 0.0) for each in points), default=0.0)
    last = next((each for each in reversed(points) if each.median is not None), None)
    speed = "nothing was delivered"
    if last is not None and last.median is not None and last.slow is not None:
        speed = f"{took(last.median)} lately, the slowest {took(last.slow)}"
    hours = round(sum(each.seconds for each in points) / 3600)
    return el(
        "div",
        _figure(
            f"{delivered:,} delivered, {failed:,} attempt{'s' * (failed != 1)} failed",
            f"Deliveries in the last {hours} hours, at most {most:,} in five minutes",
            points,
            lambda each: (
                ("good", each.delivered / most),
                ("bad", (each.delivered + each.failed) / most),
            ),
            lambda each: f"{each.delivered:,} delivered, {each.failed:,} failed",
        ),
        _figure(
            f"From acceptance to delivery: {speed}",
            f"How long deliveries took in the last {hours} hours",
            points,
            lambda each: (
                ("accent", _share(each.median, slowest)),
                ("faint", _share(each.slow, slowest)),
            ),
            lambda each: (
                "nothing" if each.median is None else f"{took(each.median)}, the slowest {took(each.slow or 0)}"
            ),
        ),
        el("div", el("span", f"{hours} h ago"), el("span", f"{hours / 2:g} h ago"), el("span", "now"), class_="axis"),
        class_="charts",
    )


def _share(seconds: float | None, slowest: float) -> float:
    """
    The height of a latency, by its order of magnitude.
    """
    if seconds is None or slowest <= _NOTHING:
        return 0.0 if seconds is None else 0.1
    return max(0.06, log(max(seconds, _NOTHING) / _NOTHING) / log(slowest / _NOTHING))


def _figure(
    caption: str,
    label: str,
    points: Sequence[PointView],
    heights: Callable[[PointView], Sequence[tuple[str, float]]],
    words: Callable[[PointView], str],
) -> Markup:
    bars = []
    for number, each in enumerate(points):
        rects, below = [], 0.0
        for kind, share in heights(each):
            top = round(share * _HEIGHT, 1)
            if top > below:
                rects.append(
                    el(
                        "rect",
                        x=number * _BAR + _GAP / 2,
                        y=round(_HEIGHT - top, 1),
                        width=_BAR - _GAP,
                        height=round(top - below, 1),
                        class_=kind,
                    )
                )
                below = top
        if rects:
            bars.append(el("g", el("title", f"{each.at[11:16]} UTC: {words(each)}"), rects))
    return el(
        "figure",
        el("figcaption", caption),
        el(
            "svg",
            bars,
            viewBox=f"0 0 {len(points) * _BAR:g} {_HEIGHT:g}",
            preserveAspectRatio="none",
            role="img",
            aria_label=label,
        ),
    )
