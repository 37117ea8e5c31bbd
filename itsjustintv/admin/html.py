"""
HTML put together so that nothing in it is taken for markup but what was written as such, and nothing is hidden in it:
what steers or hides text is shown as an escape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from math import ceil, floor, log10

from itsjustintv.admin.views import PointView
from itsjustintv.support.durations import duration
from itsjustintv.support.foreign_text import visible

__all__ = ["Markup", "chart", "el", "foreign", "page"]


_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Markup(str):
    """
    HTML that is escaped already.
    """

    __slots__ = ()


def el(name: str, /, *content: object, **attributes: object) -> Markup:
    """
    Write an element. Texts in it are escaped, lists are joined, ``None`` and truth values are left out.

    :param attributes: ``class_`` is ``class``, and an underscore in a name a hyphen; ``True`` writes the name alone,
        ``None`` and ``False`` leave it out. Values are escaped, and nothing is hidden in them either.
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(visible(str(value)))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{''.join(_written(content))}</{name}>")


def foreign(text: str) -> Markup:
    """
    Write foreign text so that the direction it is read in ends with it.
    """
    return el("bdi", text)


def page(title: str, head: Iterable[Markup], body: Iterable[Markup], **attributes: object) -> bytes:
    """
    Write a whole page, in UTF-8.

    :param attributes: of the body.
    """
    whole = el(
        "html",
        el("head", el("meta", charset="utf-8"), el("title", title), *head),
        el("body", *body, **attributes),
        lang="en",
    )
    return f"<!doctype html>\n{whole}\n".encode()


def _written(content: Iterable[object]) -> Iterable[str]:
    for each in content:
        if isinstance(each, Markup):
            yield each
        elif isinstance(each, str):
            yield escape(visible(each))
        elif each is None or isinstance(each, bool):
            continue
        elif isinstance(each, int | float):
            yield str(each)
        else:
            yield from _written(each)  # type: ignore[arg-type]


_HEIGHT = 100.0
_BAR = 10.0
_GAP = 2.0

# A latency below which differences do not matter, as a power of ten of a second.
_LEAST = -2

# From where to where a bar reaches, both as shares of the height, and what share of its place it is wide.
_Bars = Callable[[PointView], Sequence[tuple[float, float, float]]]


def chart(points: Sequence[PointView]) -> Markup:
    """
    Draw deliveries, failed attempts, and how long deliveries took; and write all of it down in a table.
    """
    delivered, failed = sum(each.delivered for each in points), sum(each.failed for each in points)
    undelivered = sum(each.undelivered for each in points)
    hours = round(sum(each.seconds for each in points) / 3600) or 1
    last = next((each for each in reversed(points) if each.median is not None), None)
    speed = "nothing was delivered"
    if last is not None and last.median is not None and last.slow is not None:
        speed = f"{duration(last.median)} lately, the slowest {duration(last.slow)}"
    ended = f", {undelivered:,} ended undelivered" if undelivered else ""
    slowest = max((max(each.slow or 0.0, each.median or 0.0) for each in points), default=0.0)
    return el(
        "div",
        el(
            "div",
            _counts(
                f"{delivered:,} delivered",
                what=("delivery", "deliveries"),
                points=points,
                hours=hours,
                kind="good",
                value=lambda each: each.delivered,
            ),
            _counts(
                f"{failed:,} attempt{'s' * (failed != 1)} failed{ended}",
                what=("failed attempt", "failed attempts"),
                points=points,
                hours=hours,
                kind="bad",
                value=lambda each: each.failed,
            ),
            _latencies(f"From acceptance to delivery: {speed}", points, hours, slowest),
            class_="charts",
        ),
        _table(points),
    )


def top(most: int) -> int:
    """
    Where a scale that starts at 0 ends: at a round number with a whole half, at or above the highest value.
    """
    if most <= 2:
        return 2
    tens: int = 10 ** floor(log10(most))
    return next(each for each in (tens, 2 * tens, 4 * tens, 6 * tens, 10 * tens) if each >= most and each % 2 == 0)


def decades(slowest: float) -> tuple[int, int]:
    """
    The powers of ten between which a scale of times goes, with a whole one in the middle.
    """
    highest = ceil(log10(slowest)) if slowest > 0 else 0
    return _LEAST, max(_LEAST + 2, highest + (highest - _LEAST) % 2)


def _counts(
    caption: str,
    *,
    what: tuple[str, str],
    points: Sequence[PointView],
    hours: int,
    kind: str,
    value: Callable[[PointView], int],
) -> Markup:
    """
    Draw how many there were.

    :param what: what is counted, if it is one and otherwise.
    """
    most = max(map(value, points), default=0)
    end = top(most)
    one, many = what
    told = f"{many[0].upper()}{many[1:]} in {_lately(hours)}: at most {most:,} in five minutes"
    if most:
        told += f", at {next(_clock(each) for each in points if value(each) == most)}"
    return _figure(
        caption,
        label=told,
        scale=(f"{end:,}", f"{end // 2:,}", "0"),
        points=points,
        kind=kind,
        reaches=lambda each: [(0.0, value(each) / end, 1.0)],
        words=lambda each: f"{value(each):,} {one if value(each) == 1 else many}",
        hours=hours,
    )


def _latencies(caption: str, points: Sequence[PointView], hours: int, slowest: float) -> Markup:
    low, high = decades(slowest)

    def share(seconds: float | None) -> float:
        """
        The height of a latency, by its order of magnitude.
        """
        if not seconds:
            return 0.0 if seconds is None else 0.02
        return min(1.0, max(0.02, (log10(seconds) - low) / (high - low)))

    return _figure(
        caption,
        legend="wide: the median; narrow: the slowest twentieth",
        label=f"How long deliveries took in {_lately(hours)}, at most {duration(slowest)}",
        scale=[_power(each) for each in (high, (low + high) // 2, low)],
        points=points,
        kind="accent",
        reaches=lambda each: [(0.0, share(each.median), 1.0), (share(each.median), share(each.slow), 0.3)],
        words=lambda each: f"{duration(each.median or 0.0)}, the slowest {duration(each.slow or 0.0)}",
        hours=hours,
    )


def _lately(hours: int) -> str:
    return "the last hour" if hours == 1 else f"the last {hours} hours"


def _power(power: int) -> str:
    """
    A power of ten of a second.
    """
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

    :param legend: what the bars are, where that takes a word.
    :param label: the whole in a sentence, for those who hear it.
    :param scale: what the highest, the middle and the lowest line stand for.
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
    Write down what is drawn, the latest first, without the steps in which nothing happened.
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
    heads = ("From, UTC", "Delivered", "Failed attempts", "Undelivered", "Median", "Slowest twentieth")
    return el(
        "details",
        el("summary", "As a table"),
        el(
            "table",
            el("caption", "In steps of five minutes; those in which nothing happened are left out"),
            el("thead", el("tr", [el("th", each, scope="col") for each in heads])),
            el("tbody", rows),
        ),
        data_key="values",
    )
