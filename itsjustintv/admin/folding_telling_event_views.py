"""
From what the journal holds to what is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from itsjustintv.admin.event_views import AttemptView, DeliveryView, EventView
from itsjustintv.admin.folding_requests_event_views import RequestView, Signing, tell_request
from itsjustintv.journal.history import DeliveryStory, EventStory, seconds
from itsjustintv.model import Attempt, State, rfc3339

__all__ = ["moment", "tell_attempt", "tell_delivery", "tell_event"]

Signings = Callable[[str], Signing | None]


def moment(seconds_: float | None) -> str | None:
    """
    A moment as it is shown, to the millisecond.
    """
    return None if seconds_ is None else rfc3339(seconds_, "milliseconds")


def tell_attempt(attempt: Attempt, request: RequestView | None = None) -> AttemptView:
    """
    Tell of an attempt.

    :param request: what was sent, if that is to be told as well.
    """
    return AttemptView(
        started_at=rfc3339(attempt.started_at, "milliseconds"),
        duration=round(attempt.duration, 4),
        ok=attempt.ok,
        reason=attempt.reason,
        detail=attempt.detail,
        status=attempt.status,
        response=attempt.response,
        retry_after=attempt.retry_after,
        request=request,
    )


def tell_delivery(story: DeliveryStory, whole: Signings | None = None) -> DeliveryView:
    """
    Tell of a delivery.

    :param whole: how destinations are signed for, to tell payload and requests as well.
    """
    delivery = story.delivery
    waits = delivery.state in (State.ACCEPTED, State.PENDING)
    return DeliveryView(
        id=delivery.id,
        event_id=delivery.event_id,
        streamer=delivery.streamer,
        destination=delivery.destination,
        state=delivery.state,
        reason=delivery.reason,
        attempts=delivery.attempts,
        accepted_at=rfc3339(delivery.accepted_at, "milliseconds"),
        next_attempt_at=moment(delivery.next_attempt_at) if waits else None,
        finished_at=moment(story.finished_at),
        prepared_at=moment(story.prepared_at),
        tries=[
            tell_attempt(each, None if whole is None else tell_request(delivery, each, whole(delivery.destination)))
            for each in story.attempts
        ],
        payload=story.content if whole is not None and story.content else None,
    )


def tell_event(story: EventStory, whole: Signings | None = None) -> EventView:
    """
    Tell of an event and its deliveries. Title and category are those of the payload, if one was built.

    :param whole: as for a delivery.
    """
    event = story.event
    stream: Mapping[str, Any] = next((found for each in story.deliveries if (found := each.content.get("stream"))), {})
    started_at = seconds(event.started_at)
    return EventView(
        id=event.id,
        stream_id=event.stream_id,
        user_id=event.broadcaster_id,
        login=event.broadcaster_login,
        name=event.broadcaster_name or event.broadcaster_login or event.broadcaster_id,
        title=stream.get("title") or "",
        game=stream.get("game_name") or "",
        type=event.type,
        deed=event.deed,
        recovered=event.recovered,
        started_at=moment(started_at),
        received_at=rfc3339(event.received_at, "milliseconds"),
        deliveries=[tell_delivery(each, whole) for each in story.deliveries],
    )
