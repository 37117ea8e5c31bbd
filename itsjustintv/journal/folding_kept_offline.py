"""
The small numbers in the journal, for somebody who is not the daemon.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attrs import frozen
from twisted.internet.defer import Deferred, execute
from zope.interface import implementer

from itsjustintv.errors import JournalUnavailable
from itsjustintv.interfaces import ILastKnown
from itsjustintv.journal.offline import Ledger

__all__ = ["Kept"]


@implementer(ILastKnown)
@frozen
class Kept:
    """
    The small numbers in the journal, for somebody who is not the daemon.

    :ivar ledger: ``None`` when there is no journal yet.
    :ivar reason: why there is none.
    """

    _ledger: Ledger | None
    _reason: str = ""

    @classmethod
    def at(cls, path: Path, now: Callable[[], float]) -> Kept:
        """
        Use a journal if there is one.
        """
        try:
            return cls(Ledger.open(path, now))
        except JournalUnavailable as error:
            return cls(None, str(error))

    def ledger(self) -> Ledger:
        """
        The journal, which must be there.

        :raises JournalUnavailable: it is not.
        """
        if self._ledger is None:
            raise JournalUnavailable(self._reason)
        return self._ledger

    def recall(self, kind: str, key: str) -> Deferred[tuple[int, float] | None]:
        """
        One value; none when there is no journal.
        """
        return self.recall_all(kind).addCallback(lambda found: found.get(key))

    def recall_all(self, kind: str) -> Deferred[Mapping[str, tuple[int, float]]]:
        """
        All values of a kind; none when there is no journal.
        """
        return execute(lambda: {} if self._ledger is None else self._ledger.recall_all(kind))

    def remember(self, kind: str, key: str, value: int, now: float) -> Deferred[None]:
        """
        Keep a value.
        """
        return self.remember_all(kind, {key: value}, now)

    def remember_all(self, kind: str, values: Mapping[str, int], now: float) -> Deferred[None]:  # noqa: ARG002
        """
        Keep values, at the time of the journal's own clock.
        """
        return execute(lambda: self.ledger().remember_all(kind, values))

    def forget(self, kind: str, keys: Sequence[str]) -> Deferred[None]:
        """
        Keep values no longer.
        """
        return execute(lambda: self.ledger().forget(kind, keys))
