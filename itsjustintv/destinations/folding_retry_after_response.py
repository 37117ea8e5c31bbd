"""
Read ``Retry-After``, whatever form a receiver chose for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isfinite

from twisted.web.http import stringToDatetime

__all__ = ["retry_after"]

# RFC 9110, 10.2.3 allows whole seconds only, but Discord and others send fractions.
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")

# Longer than any of the three forms of an HTTP-date.
_LONGEST = 40


def retry_after(values: Iterable[str], now: float) -> float | None:
    """
    Find how long a receiver wants to be left alone: the largest of the valid values.

    A value is a number of seconds, fractions included, or an HTTP-date in one of its three forms (RFC 9110, 5.6.7 and
    10.2.3). A date in the past is 0. Anything else, a negative number included, says nothing.

    :param values: every ``Retry-After`` of an answer.
    :param now: seconds since the epoch.
    :return: seconds, finite and not negative, but not otherwise limited; ``None`` when no value is valid.
    """
    return max((seconds for value in values if (seconds := _seconds(value.strip(), now)) is not None), default=None)


def _seconds(value: str, now: float) -> float | None:
    if _SECONDS.fullmatch(value):
        seconds = float(value)
        return seconds if isfinite(seconds) else None
    if len(value) > _LONGEST:
        return None
    try:
        # Twisted's stubs do not say that this is a number.
        moment = float(stringToDatetime(value.encode("ascii")))
    except (ValueError, IndexError, AssertionError):
        return None
    return max(0.0, moment - now)
