"""
What the page and the API need from the daemon: functions that return data or act.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from attrs import frozen
from twisted.web import http

from itsjustintv.admin.event_views import Signing
from itsjustintv.admin.views import (
    CertificateView,
    ConfigurationView,
    DestinationView,
    PointView,
    RateView,
    StatusView,
    StreamerView,
    TransportView,
)
from itsjustintv.errors import AmbiguousId, DeliveryNotFound, JournalUnavailable, OperationRefused
from itsjustintv.journal.history import DeliveryHistory, EventHistory, HistoryFilter, Place
from itsjustintv.model import Attempt, Delivery, Picture

__all__ = ["REFUSALS", "Asked", "NotFound", "Sources", "status_of"]

T = TypeVar("T")

#: A coroutine or a Deferred with data of the daemon.
Asked = Awaitable[T]


class NotFound(Exception):
    """
    What a request names does not exist; the text says what.
    """


#: Why a request is not answered with what it asks for; the texts are for people.
REFUSALS = (NotFound, OperationRefused, AmbiguousId, JournalUnavailable)


def status_of(refusal: Exception) -> int:
    """
    The HTTP status of one of :data:`REFUSALS`.
    """
    if isinstance(refusal, NotFound | DeliveryNotFound):
        return http.NOT_FOUND
    return http.SERVICE_UNAVAILABLE if isinstance(refusal, JournalUnavailable) else http.CONFLICT


@frozen(kw_only=True)
class Sources:
    """
    What takes time may raise one of :data:`REFUSALS`.

    :ivar streamers: ``(query, limit, start)``: the matching streamers, all for an empty query, live ones first and then
        those that need attention; and how many there are in all.
    :ivar events: ``(after, limit, filters)``: newest first, and where the list goes on; a page may be empty although it
        goes on.
    :ivar event: by its id or a unique prefix, or ``None``; likewise ``delivery``.
    :ivar deliveries: ``(after, limit, filters)``, likewise.
    :ivar signing: how deliveries to a destination are signed now, ``None`` when it is not configured.
    :ivar destinations: ``(limit, start)``: those that need attention first, and how many there are in all.
    :ivar transport: how messages arrive.
    :ivar series: the last so many seconds in numbers.
    :ivar retry: requeues a delivery.
    :ivar resend: sends a delivered event again, as a new delivery.
    :ivar cancel: cancels a delivery.
    :ivar test: ``(name, event)``: sends a test notification to a destination; ``None`` when there is no such
        destination.
    :ivar picture: the profile image of a user id.
    :ivar mark: a value that changes whenever anything shown changes.
    """

    status: Callable[[], Asked[StatusView]]
    streamers: Callable[[str, int, int], tuple[Sequence[StreamerView], int]]
    events: Callable[[Place | None, int, HistoryFilter], Asked[tuple[Sequence[EventHistory], Place | None]]]
    event: Callable[[str], Asked[EventHistory | None]]
    deliveries: Callable[[Place | None, int, HistoryFilter], Asked[tuple[Sequence[DeliveryHistory], Place | None]]]
    delivery: Callable[[str], Asked[EventHistory | None]]
    signing: Callable[[str], Signing | None]
    destinations: Callable[[int, int], Asked[tuple[Sequence[DestinationView], int]]]
    certificates: Callable[[], Sequence[CertificateView]]
    configuration: Callable[[], ConfigurationView]
    rate: Callable[[], RateView]
    transport: Callable[[], TransportView]
    series: Callable[[float], Sequence[PointView]]
    retry: Callable[[str], Asked[Delivery]]
    resend: Callable[[str], Asked[Delivery]]
    cancel: Callable[[str], Asked[Delivery]]
    test: Callable[[str, str], Asked[Attempt | None]]
    picture: Callable[[str], Asked[Picture | None]]
    mark: Callable[[], Asked[object]]
