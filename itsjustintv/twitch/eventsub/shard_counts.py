"""
What happened to the connections of a conduit, in numbers since the start of the process.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

if TYPE_CHECKING:
    # With it comes the library of the WebSocket, which only a conduit needs.
    from itsjustintv.twitch.eventsub.session import Gap

__all__ = ["ShardCounts"]


@define(eq=False)
class ShardCounts:
    """
    Counts lost sessions, the time without one, and assignments.

    :ivar losses: sessions that were lost, by Twitch's close code; ``None`` for those that ended without one.
    :ivar assigned: assignments that Twitch confirmed.
    :ivar not_assigned: those that failed, each try by itself.
    """

    _clock: IReactorTime
    losses: Counter[int | None] = field(factory=Counter, init=False)
    assigned: int = field(default=0, init=False)
    not_assigned: int = field(default=0, init=False)
    _moves: int = field(default=0, init=False)
    _seconds: float = field(default=0.0, init=False)
    _gaps: dict[str, float] = field(factory=dict, init=False)

    def lost(self, shard_id: str, gap: Gap) -> None:
        """
        Count a lost session; its gap begins with the last frame.
        """
        self.losses[gap.code] += 1
        self.gap_began(shard_id, gap.since)

    def gap_began(self, shard_id: str, since: float) -> None:
        """
        Count the time from then on, unless it is counted already.
        """
        self._gaps.setdefault(shard_id, since)

    def gap_ended(self, shard_id: str) -> None:
        """
        Count no more time for a shard.
        """
        if (since := self._gaps.pop(shard_id, None)) is not None:
            self._seconds += max(0.0, self._clock.seconds() - since)

    def gap_seconds(self) -> float:
        """
        For how long shards had no session after they had one, all together, gaps that have not ended included.
        """
        now = self._clock.seconds()
        return self._seconds + sum(max(0.0, now - since) for since in self._gaps.values())

    def removed(self, shard_id: str, moves: int) -> None:
        """
        Keep the numbers of a shard that is no longer needed.

        :param moves: changes of its connection that Twitch asked for.
        """
        self._moves += moves
        self.gap_ended(shard_id)

    def moves(self, present: int) -> int:
        """
        Add the changes of the connections of shards that were removed to those of the others.
        """
        return self._moves + present
