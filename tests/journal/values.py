"""
What the tests of the journal put into it.
"""

from __future__ import annotations

from typing import Any

from itsjustintv.model import Attempt, Delivery, Event

__all__ = ["attempt", "deliveries", "event"]


def event(name: str = "e1", **changes: Any) -> Event:
    """
    An event whose every identity is derived from its name.
    """
    values: dict[str, Any] = {
        "id": name,
        "message_id": f"message of {name}",
        "stream_id": f"stream of {name}",
        "broadcaster_id": "1337",
        "broadcaster_login": "cool_user",
        "broadcaster_name": "Cool_User",
        "type": "live",
        "started_at": "2026-01-02T03:04:05Z",
        "received_at": 1000.0,
    }
    return Event(**{**values, **changes})


def deliveries(event: Event, *destinations: str, at: float | None = None) -> list[Delivery]:
    """
    One accepted delivery for each destination.
    """
    at = event.received_at if at is None else at
    return [
        Delivery(
            id=f"{event.id}-{number}",
            event_id=event.id,
            streamer="cool",
            destination=destination,
            accepted_at=at,
            next_attempt_at=at,
            trace=f"trace of {event.id}",
        )
        for number, destination in enumerate(destinations, 1)
    ]


def attempt(ok: bool = False, **changes: Any) -> Attempt:
    """
    An attempt that ended.
    """
    values: dict[str, Any] = {
        "ok": ok,
        "reason": "delivered" if ok else "http_503",
        "detail": "the receiver answered",
        "started_at": 1000.5,
        "duration": 0.25,
        "status": 204 if ok else 503,
        "response": "",
    }
    return Attempt(**{**values, **changes})
