"""
Known names that an unknown one is probably a misspelling of.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

__all__ = ["EMPTY", "did_you_mean", "nearest"]

#: How an empty name is quoted, which a variable of a shell that is not set leaves.
EMPTY = '""'

# Names of so few letters are part of too many others.
_SHORT = 3

# Names that are so much less similar than the best one are left out.
_LESS = 0.1

# All known names are listed if there are no more than these.
_FEW = 5


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """
    Find similar names in any case: with a few other letters, a part of the name, or a name that it is a part of.

    :return: the most similar first.
    """
    lowered = {each.lower(): each for each in known}
    wanted = name.lower()
    if wanted in lowered:
        return [lowered[wanted]]
    parts = (
        each
        for each in lowered
        if wanted in each.split(".") or (min(len(wanted), len(each)) > _SHORT and (wanted in each or each in wanted))
    )
    found = dict.fromkeys([*get_close_matches(wanted, lowered, n=limit), *parts])
    likeness = {each: SequenceMatcher(a=wanted, b=each).ratio() for each in found}
    least = max(likeness.values(), default=0.0) - _LESS
    ranked = sorted((each for each in found if likeness[each] >= least), key=lambda each: -likeness[each])
    return [lowered[each] for each in ranked[:limit]]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """
    The end of a message about an unknown name: ``; did you mean tanuki?``, or the known names if there are few; empty
    otherwise.
    """
    names = list(dict.fromkeys(known))
    if near := nearest(name, names):
        return f"; did you mean {' or '.join(near)}?"
    return f"; known: {', '.join(names)}" if 0 < len(names) <= _FEW else ""
