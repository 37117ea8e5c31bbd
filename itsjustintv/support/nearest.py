"""
Names that an unknown one may stand for.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

__all__ = ["EMPTY", "did_you_mean", "nearest"]

#: How an empty name is quoted, which a variable of a shell that is not set leaves.
EMPTY = '""'

# Fewer letters are a part of too much.
_SHORT = 3

# What is so much less like it than the best was not meant.
_LESS = 0.1

# All there is to choose from, if that is no more.
_FEW = 5


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """
    Find what is like a name, whatever the case: with few other letters, a part of it, or what it is a part of.

    :return: the best first; perhaps none.
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
    The end of a message about a name that is not known: ``; did you mean tanuki?``, or what there is, if that is
    little; empty when nothing can be said.
    """
    names = list(dict.fromkeys(known))
    if near := nearest(name, names):
        return f"; did you mean {' or '.join(near)}?"
    return f"; known: {', '.join(names)}" if 0 < len(names) <= _FEW else ""
