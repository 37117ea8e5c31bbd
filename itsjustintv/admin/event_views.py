"""
What is shown of the journal; like :mod:`itsjustintv.admin.views`, by the page and as JSON alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from itsjustintv.admin.folding_requests_event_views import RequestView
from itsjustintv.model import State

__all__ = ["AttemptView", "DeliveryView", "EventView"]


@frozen(kw_only=True)
class AttemptView:
    """
    How one attempt to deliver ended.

    :ivar started_at: when it began.
    :ivar duration: how long it took.
    :ivar ok: whether the answer was 2xx.
    :ivar reason: a word: delivered, http_503, timeout, refused, reset, dns, tls, redirect, gone, error.
    :ivar detail: for a person.
    :ivar status: of the answer, if one came.
    :ivar response: the beginning of the answer's body on one line, without what of it is secret. Its headers are not
        stored.
    :ivar retry_after: seconds the receiver asked to be left alone; null if it did not.
    :ivar request: what was sent; null in every list, and for a test notification.
    """

    started_at: str
    duration: float
    ok: bool
    reason: str
    detail: str
    status: int | None
    response: str
    retry_after: float | None
    request: RequestView | None = None


@frozen(kw_only=True)
class DeliveryView:
    """
    An event on its way to one destination.

    :ivar id: of the delivery.
    :ivar event_id: of its event.
    :ivar streamer: the key of the streamer.
    :ivar destination: its name.
    :ivar state: where it stands.
    :ivar reason: why.
    :ivar attempts: how many have ended; an operator's retry counts from the beginning.
    :ivar accepted_at: when the event was on disk, or when an operator asked for another round.
    :ivar next_attempt_at: when it is tried next; null when it is not.
    :ivar finished_at: when it ended; null when it has not.
    :ivar prepared_at: when its payload was built; null when it was not, and in lists of deliveries.
    :ivar tries: every attempt, in order; the last only in lists of deliveries.
    :ivar payload: what the receiver gets, without the bytes of the picture; null in every list.
    """

    id: str
    event_id: str
    streamer: str
    destination: str
    state: State
    reason: str
    attempts: int
    accepted_at: str
    next_attempt_at: str | None
    finished_at: str | None
    prepared_at: str | None = None
    tries: Sequence[AttemptView] = ()
    payload: Any = None


@frozen(kw_only=True)
class EventView:
    """
    A stream.online, and what became of it.

    :ivar id: ours, the same in every notification.
    :ivar stream_id: of the broadcast, at Twitch.
    :ivar user_id: of the streamer.
    :ivar login: of the streamer.
    :ivar name: of the streamer, as Twitch shows it.
    :ivar title: of the broadcast, as far as it was known.
    :ivar game: its category.
    :ivar type: of the broadcast, as Twitch calls it: ``live``, ``rerun``.
    :ivar deed: what it is that the streamer did, in words.
    :ivar recovered: whether no message told of it, so that Twitch was asked.
    :ivar started_at: when the broadcast began, by Twitch; null when that was no time.
    :ivar received_at: when the message came.
    :ivar deliveries: one for each destination.
    """

    id: str
    stream_id: str
    user_id: str
    login: str
    name: str
    title: str
    game: str
    type: str
    deed: str
    recovered: bool
    started_at: str | None
    received_at: str
    deliveries: Sequence[DeliveryView]
