"""
How often something happened since the start of the process.
"""

from __future__ import annotations

from collections import Counter

from attrs import define, field

__all__ = ["Counters"]


@define(eq=False)
class Counters:
    """
    Counts by what and by why. Both are words of ours, so there are few.

    :ivar counts: by what and why.
    """

    counts: Counter[tuple[str, str]] = field(factory=Counter, init=False)

    def count(self, what: str, why: str) -> None:
        """
        Add one.
        """
        self.counts[what, why] += 1
