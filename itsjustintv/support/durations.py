"""
Durations as log lines and commands show them: ``250 ms``, ``2 h 5 min``.
"""

from __future__ import annotations

from math import inf, isnan

__all__ = ["Seconds", "duration"]

_MICRO = 1
_MILLI = 1_000
_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

# The steps a duration is written in: below so many microseconds, in multiples of so many.
_STEPS = ((_SECOND, _MILLI), (_MINUTE, _SECOND // 10), (_HOUR, _SECOND), (_DAY, _MINUTE))

# Nothing here lasts longer, in days, and no line has to be wider than a screen.
_LONGEST = 1_000_000


def duration(seconds: float) -> str:
    """
    Write a duration: ``250 ms``, ``1.5 s``, ``11 min``, ``2 h 5 min``, ``3 days``. What the smallest unit cannot show
    is rounded up, so that nothing reads shorter than it is, and only nothing is ``0 s``.

    :param seconds: of any sign and size. What differs by less than a microsecond is the same.
    """
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds >= _LONGEST * _DAY / _SECOND:
        return "an infinite time" if seconds == inf else f"more than {_LONGEST} days"
    if isnan(seconds):
        return "an unknown time"
    if seconds == 0:
        return "0 s"
    # A difference of two times since 1970 is not more exact than a microsecond.
    exact = max(_MICRO, round(seconds * _SECOND))
    for below, step in _STEPS:
        rounded = -(-exact // step) * step
        if rounded < below:
            return _written(rounded)
    return _written(-(-exact // _HOUR) * _HOUR)


def _written(exact: int) -> str:
    if exact < _SECOND:
        return f"{exact // _MILLI} ms"
    if exact < _MINUTE:
        return f"{exact / _SECOND:g} s"
    if exact < _HOUR:
        return _two_units(exact, (_MINUTE, "min"), (_SECOND, "s"))
    if exact < _DAY:
        return _two_units(exact, (_HOUR, "h"), (_MINUTE, "min"))
    return _two_units(exact, (_DAY, "day" if exact // _DAY == 1 else "days"), (_HOUR, "h"))


def _two_units(exact: int, large: tuple[int, str], small: tuple[int, str]) -> str:
    rest = exact % large[0] // small[0]
    return f"{exact // large[0]} {large[1]}" + (f" {rest} {small[1]}" if rest else "")


class Seconds(float):
    """
    A duration as a field of a log line: its sentence has it as :func:`duration` writes it, its field is the number.
    """

    def __str__(self) -> str:
        return duration(self)

    def __format__(self, form: str) -> str:
        return format(float(self), form) if form else duration(self)
