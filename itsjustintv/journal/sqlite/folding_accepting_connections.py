"""
Keeping events, many at a time: what a busy journal does most.
"""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

from attrs import frozen

from itsjustintv.journal.sqlite import dedup_keys
from itsjustintv.journal.sqlite.connections import Apart
from itsjustintv.journal.sqlite.writes import count_wanted, insert_deliveries, insert_events
from itsjustintv.model import Delivery, Event

__all__ = ["Accept", "accept"]


def accept(connection: Connection, event: Event, deliveries: Sequence[Delivery], expires_at: float, now: float) -> bool:
    """
    Keep an event, its keys until ``expires_at`` and its deliveries.

    :return: ``False``, having kept nothing, when one of the keys is there and has not expired at ``now``.
    """
    return Accept(event, deliveries, expires_at, now)(connection)


@frozen
class Accept:
    """
    An operation of the writer: to keep an event, its keys until ``expires_at`` and its deliveries. Answers as
    :func:`accept` does.
    """

    event: Event
    deliveries: Sequence[Delivery]
    expires_at: float
    now: float

    def __call__(self, connection: Connection) -> bool:
        """
        Do it alone.
        """
        if dedup_keys.known(connection, self.event.keys, self.now):
            return False
        self.together(connection, (self,))
        return True

    @staticmethod
    def together(connection: Connection, accepts: Sequence[Accept]) -> Sequence[bool]:
        """
        Do many at once, each table in one go, on the assumption that all are news.

        :raises Apart: not all are.
        """
        claimed = [(key, one.expires_at) for one in accepts for key in one.event.keys]
        if not dedup_keys.claim(connection, claimed, min(one.now for one in accepts)):
            raise Apart
        insert_events(connection, [one.event for one in accepts])
        deliveries = [delivery for one in accepts for delivery in one.deliveries]
        count_wanted(connection, len(deliveries))
        insert_deliveries(connection, deliveries)
        return [True] * len(accepts)
