"""
Durations, as people write them: ``1h15m``, ``500ms``, or a number of seconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal

__all__ = ["ALLOWED", "seconds"]

#: What :func:`seconds` says to everything that is nothing like a duration.
ALLOWED = 'must be a duration such as "30s", "1h15m" or "500ms" (units ns, us, ms, s, m, h), or a number of seconds'

# Go's own limit: what fits into 63 bits of nanoseconds.
_MOST_HOURS = 2562047
_LONGEST = _MOST_HOURS * 3600.0

_UNITS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "\N{GREEK SMALL LETTER MU}s": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_UNIT = "|".join(_UNITS)
_PLAIN = re.compile(_NUMBER)
_PART = re.compile(f"({_NUMBER})({_UNIT})")
_WHOLE = re.compile(f"(?:{_NUMBER}(?:{_UNIT}))+")


# What people write in place of a unit.
_MEANT = {
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("msec", "msecs", "millisecond", "milliseconds"), "ms"),
}
_DAYS = {"d": 24, "day": 24, "days": 24, "w": 168, "week": 168, "weeks": 168}

_SLIPS = (
    ("without a sign", re.compile(rf"[+-](?:{_NUMBER}(?:{_UNIT})?)+")),
    ("without quotes around it", re.compile(r"([\"']).+\1")),
    ("without blanks", re.compile(r"(?s)(?=.*\S).*\s.*")),
    ('with a point in its number, as in "1.5h"', re.compile(r"[0-9]+,[0-9]+[a-z]*")),
    ('with a unit after each number, as in "1h15m"', re.compile(rf"(?:{_NUMBER}(?:{_UNIT}))+{_NUMBER}")),
)


def seconds(value: object) -> float:
    """
    Read a duration in the notation of Go's ``time.ParseDuration`` without a sign, or a number of seconds. A text that
    is only a number counts as seconds too, since an environment variable cannot be anything but text.

    :raises ValueError: saying which rule is broken.
    """
    if isinstance(value, str):
        length = _read(value)
    else:
        length = _float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if math.isnan(length):
        raise ValueError(ALLOWED)
    if length < 0:
        raise ValueError("must not be a negative duration")
    if length > _LONGEST:
        raise ValueError("must not be a duration above 2562047h")
    return length


def _read(text: str) -> float:
    if _PLAIN.fullmatch(text):
        return float(text)
    if _WHOLE.fullmatch(text):
        return float(sum(Decimal(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
    raise ValueError(_unread(text))


def _unread(text: str) -> str:
    """
    Say what is wrong with a text, once it is no duration.
    """
    for sentence, wrong in _SLIPS:
        if wrong.fullmatch(text):
            return f"must be a duration {sentence}{_without(text)}"
    parts = re.findall(rf"({_NUMBER})([^0-9.]*)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return ALLOWED
    unit = next(unit for _, unit in parts if unit not in _UNITS)
    if unit.lower() in _DAYS:
        whole = _in_hours(parts)
        return f"must be a duration in hours at the most, since there is no unit {unit.lower()}{whole}"
    return f"must be a duration {_other_unit(unit)}" if unit else ALLOWED


def _without(text: str) -> str:
    """
    Go on with what is wrong beside blanks and quotes, or say that nothing else is.
    """
    rest = re.sub(r"[\s\"']", "", text)
    if rest == text:
        return ""
    try:
        _read(rest)
    except ValueError as error:
        return "" if str(error) == ALLOWED else f" and{str(error).removeprefix('must be a duration')}"
    return f": write {rest}"


def _in_hours(parts: Sequence[tuple[str, str]]) -> str:
    """
    Say what days and weeks are in hours, the rest as it is written, if all of it is understood.
    """
    hours, rest = Decimal(0), ""
    for number, unit in parts:
        if (day := _DAYS.get(unit.lower())) is not None:
            hours += Decimal(number) * day
        elif unit == "h":
            hours += Decimal(number)
        elif unit in _UNITS:
            rest += number + unit
        else:
            return ""
    return f": write {hours.normalize():f}h{rest}" if hours < _MOST_HOURS else ""


def _other_unit(unit: str) -> str:
    lower = unit.lower()
    meant = _MEANT.get(lower) or (lower if lower in _UNITS else None)
    return f"with the unit {meant} in place of {unit}" if meant else "with no other units than ns, us, ms, s, m and h"


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
