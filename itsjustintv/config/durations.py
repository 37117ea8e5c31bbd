"""
Durations, as people write them: ``1h15m``, ``500ms``, or a number of seconds.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

__all__ = ["ALLOWED", "seconds"]

#: What :func:`seconds` says to everything that it does not understand.
ALLOWED = (
    'must be a duration such as "30s", "1h15m" or "500ms" (units ns, us, ms, s, m, h) or a number of seconds,'
    " not negative and not above 2562047h"
)

# Go's own limit: what fits into 63 bits of nanoseconds.
_LONGEST = 2562047 * 3600.0

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


def seconds(value: object) -> float:
    """
    Read a duration in the notation of Go's ``time.ParseDuration`` without a sign, or a number of seconds. A text that
    is only a number counts as seconds too, since an environment variable cannot be anything but text.

    :raises ValueError: saying what is allowed.
    """
    if isinstance(value, str):
        length = _read(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        length = _float(value)
    else:
        length = math.nan
    if not 0 <= length <= _LONGEST:
        raise ValueError(ALLOWED)
    return length


def _read(text: str) -> float:
    if _PLAIN.fullmatch(text):
        return float(text)
    if _WHOLE.fullmatch(text):
        return float(sum(Decimal(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
    return math.nan


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf
