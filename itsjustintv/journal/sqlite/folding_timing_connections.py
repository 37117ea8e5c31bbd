"""
How long transactions take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from attrs import define
from twisted.python.failure import Failure

from itsjustintv.journal.sqlite.threads import Batch, Operation

__all__ = ["Committed", "Timed"]

#: Told of each transaction, in the thread of the writer: how many operations were kept, and how many seconds it took.
Committed = Callable[[int, float], None]


@define(eq=False)
class Timed:
    """
    A batch, and somebody who is told how long it took. What kept nothing is not told of.

    :ivar timer: seconds since whenever.
    """

    _batch: Batch
    _committed: Committed
    _timer: Callable[[], float] = perf_counter

    def perform(self, operations: Sequence[Operation[Any]]) -> Sequence[object]:
        """
        Have them performed.
        """
        begun = self._timer()
        results = self._batch.perform(operations)
        kept = sum(not isinstance(result, Failure) for result in results)
        if kept:
            self._committed(kept, self._timer() - begun)
        return results

    def close(self) -> None:
        """
        Let go of the connection.
        """
        self._batch.close()
