"""
Deduplication in memory: checked for every message, so that most duplicates never reach the journal.

Only authentic messages get here, so its size is bounded by what Twitch sends within the time to live.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from heapq import heappop, heappush

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from itsjustintv.support.waiters import Waiters

__all__ = ["Seen", "SeenEvents"]


class Seen(Enum):
    """
    Whether an event is new, being committed, or known.
    """

    NEW = "new"
    PENDING = "pending"
    KNOWN = "known"


@define(eq=False)
class _Claim:
    """
    Keys that are being committed, and the callers that wait for the end of it.
    """

    keys: tuple[str, ...]
    waiting: Waiters[None] = field(factory=Waiters)


@define(eq=False)
class SeenEvents:
    """
    Deduplication keys, each claimed while its event is being committed and known from then until it expires.
    """

    _clock: IReactorTime
    _expiries: dict[str, float] = field(factory=dict, init=False)
    _by_expiry: list[tuple[float, tuple[str, ...]]] = field(factory=list, init=False)
    _claims: dict[str, _Claim] = field(factory=dict, init=False)

    def __len__(self) -> int:
        """
        How many keys are known.
        """
        self._expire()
        return len(self._expiries)

    def load(self, pairs: Iterable[tuple[str, float]]) -> None:
        """
        Add the keys that are in the journal, with their expiries.
        """
        for key, expires_at in pairs:
            self._add((key,), expires_at)

    def state(self, keys: Sequence[str]) -> Seen:
        """
        The state of an event: ``KNOWN`` when any of its keys is, else ``PENDING`` when any of them is claimed.
        """
        self._expire()
        if not self._expiries.keys().isdisjoint(keys):
            return Seen.KNOWN
        if not self._claims.keys().isdisjoint(keys):
            return Seen.PENDING
        return Seen.NEW

    def claim(self, keys: Sequence[str]) -> None:
        """
        Announce that an event with these keys is being committed. Must be followed by :meth:`confirm` or
        :meth:`release` with the same keys.

        :raises ValueError: when one of the keys is claimed already.
        """
        if not self._claims.keys().isdisjoint(keys):
            raise ValueError("this event is already being committed")
        claim = _Claim(tuple(keys))
        self._claims.update(dict.fromkeys(keys, claim))

    def confirm(self, keys: Sequence[str], expires_at: float) -> None:
        """
        End a claim: the event is committed, and known until ``expires_at``.
        """
        self._add(tuple(keys), expires_at)
        self.release(keys)

    def release(self, keys: Sequence[str]) -> None:
        """
        End a claim: the event was not committed.
        """
        for key in keys:
            claim = self._claims.get(key)
            if claim is not None:
                for claimed in claim.keys:
                    del self._claims[claimed]
                claim.waiting.answer(None)

    def settled(self, keys: Sequence[str]) -> Deferred[None]:
        """
        Wait until a claim on one of these keys has ended, in success or failure; then ask for the :meth:`state` again.
        Cancelling it ends only this wait.
        """
        for key in keys:
            if key in self._claims:
                return self._claims[key].waiting.wait()
        return succeed(None)

    def _add(self, keys: tuple[str, ...], expires_at: float) -> None:
        for key in keys:
            self._expiries[key] = expires_at
        heappush(self._by_expiry, (expires_at, keys))

    def _expire(self) -> None:
        now = self._clock.seconds()
        while self._by_expiry and self._by_expiry[0][0] <= now:
            expired_at, keys = heappop(self._by_expiry)
            for key in keys:
                if self._expiries.get(key) == expired_at:
                    del self._expiries[key]
