"""
Rows to values.
"""

from __future__ import annotations

from sqlite3 import Row

from attrs import fields

from itsjustintv.model import Attempt, Delivery, Event, State

__all__ = ["to_attempt", "to_delivery", "to_event"]

#: The trace is kept with the deliveries.
_EVENT = tuple(attribute.name for attribute in fields(Event) if attribute.name != "trace")


def to_event(row: Row) -> Event:
    """
    Read a row of ``events``.
    """
    return Event(**{**{name: row[name] for name in _EVENT}, "recovered": bool(row["recovered"])})


def to_delivery(row: Row, picture: bytes | None = None, broadcaster_id: str = "") -> Delivery:
    """
    Read a row of ``deliveries``.

    :param picture: what ``pictures`` holds for it, if that was asked for; likewise ``broadcaster_id`` and ``events``.
    """
    return Delivery(
        id=row["id"],
        event_id=row["event_id"],
        streamer=row["streamer"],
        destination=row["destination"],
        accepted_at=row["accepted_at"],
        next_attempt_at=row["next_attempt_at"],
        state=State(row["state"]),
        attempts=row["attempts"],
        reason=row["reason"],
        body=row["body"],
        picture=picture,
        trace=row["trace"],
        broadcaster_id=broadcaster_id,
    )


def to_attempt(row: Row) -> Attempt:
    """
    Read a row of ``attempts``.
    """
    return Attempt(
        ok=bool(row["ok"]),
        reason=row["reason"],
        detail=row["detail"],
        started_at=row["started_at"],
        duration=row["duration"],
        status=row["status"],
        response=row["response"],
        retry_after=row["retry_after"],
        final=bool(row["final"]),
    )
