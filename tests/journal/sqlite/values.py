"""
What the tests of the SQLite journal do with a connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

from itsjustintv.journal.sqlite.writes import AcceptEvent
from itsjustintv.model import Delivery, Event

__all__ = ["accept"]


def accept(connection: Connection, event: Event, deliveries: Sequence[Delivery], expires_at: float, now: float) -> bool:
    """
    Store an event without a writer.
    """
    return AcceptEvent(event, deliveries, expires_at, now)(connection)
