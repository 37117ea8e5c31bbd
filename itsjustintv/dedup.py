"""
What was announced already, in memory: asked for every message, so that most duplicates never reach the journal.

Only authentic messages get here, so what is held is bounded by what Twitch sends within the time to live.
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
    What is known of an event.
    """

    NEW = "new"
    PENDING = "pending"
    KNOWN = "known"


@define(eq=False)
class _Claim:
    """
    Keys on their way into the journal, and those who wait to hear how that ends.
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
        self._forget()
        return len(self._expiries)

    def load(self, pairs: Iterable[tuple[str, float]]) -> None:
        """
        Learn what the journal knows: keys and their expiries.
        """
        for key, expires_at in pairs:
            self._learn((key,), expires_at)

    def state(self, keys: Sequence[str]) -> Seen:
        """
        Say what is known of an event: ``KNOWN`` when any of its keys is, else ``PENDING`` when any of them is claimed.
        """
        self._forget()
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
            raise ValueError("somebody else is committing this event")
        claim = _Claim(tuple(keys))
        self._claims.update(dict.fromkeys(keys, claim))

    def confirm(self, keys: Sequence[str], expires_at: float) -> None:
        """
        End a claim: the event is committed, and known until ``expires_at``.
        """
        self._learn(tuple(keys), expires_at)
        self.release(keys)

    def release(self, keys: Sequence[str]) -> None:
        """
        End a claim: the event was not committed, and nothing is known of it.
        """
        for key in keys:
            claim = self._claims.get(key)
            if claim is not None:
                for claimed in claim.keys:
                    del self._claims[claimed]
                claim.waiting.answer(None)

    def settled(self, keys: Sequence[str]) -> Deferred[None]:
        """
        Wait until a claim on one of these keys has ended, well or badly; ask for the :meth:`state` again then. Can be
        cancelled, which ends nothing but the wait.
        """
        for key in keys:
            if key in self._claims:
                return self._claims[key].waiting.wait()
        return succeed(None)

    def _learn(self, keys: tuple[str, ...], expires_at: float) -> None:
        for key in keys:
            self._expiries[key] = expires_at
        heappush(self._by_expiry, (expires_at, keys))

    def _forget(self) -> None:
        now = self._clock.seconds()
        while self._by_expiry and self._by_expiry[0][0] <= now:
            expired_at, keys = heappop(self._by_expiry)
            for key in keys:
                if self._expiries.get(key) == expired_at:
                    del self._expiries[key]
