"""
What a command that talks to Twitch knows of the journal, which need not be there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import frozen
from twisted.internet.defer import Deferred, execute
from zope.interface import implementer

from itsjustintv.errors import JournalUnavailable
from itsjustintv.interfaces import IKeyValues
from itsjustintv.journal.interfaces import IJournalStorage, IOfflineJournal

__all__ = ["OfflineKeyValues"]


@implementer(IKeyValues)
@frozen
class OfflineKeyValues:
    """
    The small numbers in the journal, for a command.

    :ivar journal: ``None`` when there is none yet.
    :ivar reason: why there is none.
    """

    _journal: IOfflineJournal | None
    _reason: str = ""

    @classmethod
    def of(cls, storage: IJournalStorage, now: Callable[[], float]) -> OfflineKeyValues:
        """
        Use a journal if there is one.
        """
        try:
            return cls(storage.offline(now))
        except JournalUnavailable as error:
            return cls(None, str(error))

    def journal(self) -> IOfflineJournal:
        """
        The journal, which must be there.

        :raises JournalUnavailable: it is not.
        """
        if self._journal is None:
            raise JournalUnavailable(self._reason)
        return self._journal

    def recall(self, kind: str, key: str) -> Deferred[tuple[int, float] | None]:
        """
        Fetch a value; none when there is no journal.
        """
        return self.recall_all(kind).addCallback(lambda found: found.get(key))

    def recall_all(self, kind: str) -> Deferred[Mapping[str, tuple[int, float]]]:
        """
        Fetch all values of a kind; none when there is no journal.
        """
        return execute(lambda: {} if self._journal is None else self._journal.recall_all(kind))

    def remember(self, kind: str, key: str, value: int, now: float) -> Deferred[None]:
        return self.remember_all(kind, {key: value}, now)

    def remember_all(self, kind: str, values: Mapping[str, int], now: float) -> Deferred[None]:  # noqa: ARG002
        """
        Store values, at the time of the journal's own clock.
        """
        return execute(lambda: self.journal().remember_all(kind, values))

    def forget(self, kind: str, keys: Sequence[str]) -> Deferred[None]:
        return execute(lambda: self.journal().forget(kind, keys))
